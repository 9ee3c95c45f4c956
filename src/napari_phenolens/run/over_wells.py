"""What a run says of a feature over its wells: histograms, colour limits, best examples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.run.errors import RunError
from napari_phenolens.run.files import RunFiles
from napari_phenolens.run.layout import BEST, well_rows
from napari_phenolens.run.sketch import quantile

UPPER_LIMIT = 0.995  # quantile of the active patches over all wells at which a heatmap's colours end
SUMS_KEPT = 4  # histograms over some wells that stay in memory: a feature's are read for control and perturbed wells


class OverWells(RunFiles):
    """Reads the sketches and examples that were kept for each well."""

    def histogram(self, feature: int, wells: Sequence[str]) -> tuple[npt.NDArray[np.int64], int]:
        """Give a feature's activations over some wells, counted.

        Returns
        -------
        counts : ndarray (bins,)
            Active foreground units by activation, see `napari_phenolens.run.sketch`.
        units : int
            Foreground units of these wells, active or not.
        """
        names = tuple(self._well(well) for well in wells)
        units = sum(int(f["foreground"]) for well in names for f in self._mark(well)["fields"])
        return self._histogram("wells/activation_histogram", names)[self._feature(feature)], units

    def limits(self, feature: int, kind: str = "activation") -> tuple[float, float]:
        """Give colour limits of a feature's heatmap, shared by all wells.

        For ``activation`` from 0 to a high quantile of the active units; for ``alignment`` symmetric about 0. Read off
        the streaming sketch, so that no codes are scanned.
        """
        if kind == "activation":
            high = quantile(self._histogram("wells/activation_histogram")[self._feature(feature)], UPPER_LIMIT, kind)
            return 0.0, high if np.isfinite(high) else 1.0
        counts = self._histogram("wells/alignment_histogram")[self._feature(feature)]
        reach = max(
            abs(quantile(counts, UPPER_LIMIT, "alignment")), abs(quantile(counts, 1 - UPPER_LIMIT, "alignment"))
        )
        reach = reach if np.isfinite(reach) and reach > 0 else 1.0
        return (-1.0, 1.0) if kind == "cosine" else (-reach, reach)

    def examples(self, feature: int, count: int = 16, per_well: int = BEST) -> pd.DataFrame:
        """Give the places where a feature is strongest, a few of each well.

        Returns
        -------
        DataFrame
            well, field, unit (its place in the field), value; the strongest first.
        """
        feature, rows = self._feature(feature), []
        for well in self.wells:
            part = well_rows(self.plan, "wells/best_value", self.plan.wells.index(well))
            values = np.asarray(self._arrays["wells/best_value"][part])[0, feature]
            places = np.asarray(self._arrays["wells/best_place"][part])[0, feature]
            names = {f["place"]: f["name"] for f in self._mark(well)["fields"]}
            for value, place in list(zip(values, places, strict=True))[:per_well]:
                if place >= 0 and value > 0:
                    rows.append(
                        (well, names[int(place) // self.plan.patches], int(place) % self.plan.patches, float(value))
                    )
        table = pd.DataFrame(rows, columns=["well", "field", "unit", "value"])
        return table.sort_values("value", ascending=False, kind="stable").head(count).reset_index(drop=True)

    def _feature(self, feature: int) -> int:
        if not 0 <= int(feature) < self.n_features:
            raise RunError(f"there is no feature {feature}; this run has 0 to {self.n_features - 1}")
        return int(feature)

    def _histogram(self, name: str, wells: tuple[str, ...] | None = None) -> npt.NDArray[np.int64]:
        """Sum a histogram over wells, all by default; the last few sums are kept."""
        key = name, wells
        if key not in self._histograms:
            axes = self._arrays[name].shape[1:]
            total = np.zeros(axes, np.int64)
            for well in self.wells if wells is None else wells:
                total += np.asarray(self._arrays[name][well_rows(self.plan, name, self.plan.wells.index(well))])[0]
            for old in [k for k in self._histograms if k[1] is not None][: -SUMS_KEPT + 1]:
                del self._histograms[old]
            self._histograms[key] = total
        return self._histograms[key]

    @cached_property
    def _histograms(self) -> dict[tuple[str, tuple[str, ...] | None], npt.NDArray[np.int64]]:
        return {}
