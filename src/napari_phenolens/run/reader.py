"""Read a run: tables of wells, codes of fields, limits, examples. All that analysis and the viewer need."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.progress import CancelCallback
from napari_phenolens.run.cell_store import CellReader
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.layout import well_rows
from napari_phenolens.run.over_wells import OverWells

Floats = npt.NDArray[np.float32]
Per = Literal["patch", "field", "cell"]
Kind = Literal["activation", "alignment", "active"]


class Run(OverWells, CellReader):
    """A lens applied to a plate, on disk. Open one with `open_run`; see `RunFiles`, `OverWells`, `CellReader` too."""

    _finer: tuple[tuple[str, int, int], tuple[npt.NDArray[np.int64], Floats, npt.NDArray[np.bool_]]] | None = None

    # -- tables of wells -----------------------------------------------------------------------------------------------

    def profiles(self, per: Per = "patch", kind: Kind = "activation") -> pd.DataFrame:
        """Give a profile a well.

        Parameters
        ----------
        per : {"patch", "field", "cell"}
            Mean over the foreground units, zeros included, all fields pooled; mean of the fields' means; mean over
            cells of the mean under a cell by area.
        kind : {"activation", "alignment", "active"}
            Mean of the codes; mean inner product of whitened token and atom; share of units with a non-zero code.

        Returns
        -------
        DataFrame
            wells x features, index ``well``; NaN for a well without foreground (or without cells).

        Raises
        ------
        RunError
            Where `per` or `kind` is unknown, or cells were not found for want of a nuclear channel.
        """
        if per not in ("patch", "field", "cell") or kind not in ("activation", "alignment", "active"):
            raise RunError(
                f"per={per!r}, kind={kind!r}: per is patch, field or cell; kind activation, alignment or active"
            )
        if per == "cell" and (self.lens.nuclear is None or self.unit == "crop"):
            raise RunError("profiles per cell need a nuclear channel and the unit patch or cell; this run has none")
        wells = self.wells
        rows = np.full((len(wells), self.n_features), np.nan, np.float32)
        for i, well in enumerate(wells):
            if per == "cell":
                rows[i] = self._cell_profile(well, kind)
            else:
                sums, counts = self._field_sums(well, kind)
                seen = counts > 0
                if seen.any() and per == "patch":
                    rows[i] = sums[seen].sum(0) / counts[seen].sum()
                elif seen.any():
                    rows[i] = (sums[seen] / counts[seen, None]).mean(0)
        return pd.DataFrame(
            rows, index=pd.Index(wells, name="well"), columns=pd.RangeIndex(self.n_features, name="feature")
        )

    def field_profiles(self, kind: Kind = "activation") -> pd.DataFrame:
        """Give a profile a field: the mean over its foreground units, zeros included.

        Returns
        -------
        DataFrame
            fields x features, index ``(well, field)``; NaN for a field without foreground.
        """
        rows: dict[tuple[str, str], npt.NDArray[np.float64]] = {}
        for well in self.wells:
            sums, counts = self._field_sums(well, kind)
            for f in self._mark(well)["fields"]:
                i = f["place"]
                rows[well, f["name"]] = sums[i] / counts[i] if counts[i] else np.full(self.n_features, np.nan)
        index = pd.MultiIndex.from_tuples(rows, names=["well", "field"])
        columns = pd.RangeIndex(self.n_features, name="feature")
        return pd.DataFrame(np.stack(list(rows.values())).astype(np.float32), index=index, columns=columns)

    def covariates(self) -> pd.DataFrame:
        """Give plain measurements a well, means over its fields: cell_count, foreground_share, focus, strength ..."""
        rows: dict[str, dict[str, float]] = {}
        for well in self.wells:
            fields = self._mark(well)["fields"]
            table = pd.DataFrame([f["covariates"] for f in fields]).astype(float)
            row = {str(k): float(v) for k, v in table.mean(skipna=True).items()}
            strength = [
                (f["strength"], f["foreground"]) for f in fields if f["strength"] is not None and f["foreground"]
            ]
            row["strength"] = (
                float(np.average([s for s, _ in strength], weights=[n for _, n in strength]))
                if strength
                else float("nan")
            )
            rows[well] = row
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("well")

    @cached_property
    def density(self) -> pd.Series[float]:
        """Share of foreground units in which each feature is active, over all wells."""
        active, total = np.zeros(self.n_features), 0.0
        for well in self.wells:
            sums, counts = self._field_sums(well, "active")
            active, total = active + sums.sum(0), total + counts.sum()
        return pd.Series(active / max(total, 1), index=pd.RangeIndex(self.n_features, name="feature"), name="density")

    # -- one field -----------------------------------------------------------------------------------------------------

    def codes(self, well: str, field: str | int | None = None) -> tuple[npt.NDArray[np.int64], Floats]:
        """Give a field's codes ``(index, value)``, each ``(units, k)``; unused slots hold index 0 and value 0."""
        index, value = self._codes(well, field)
        return index.astype(np.int64), value.astype(np.float32)

    def _codes(self, well: str, field: str | int | None) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        rows = self._rows(well, field)
        return self._read_codes(rows.start, rows.stop)

    @cached_property
    def _read_codes(self) -> Callable[[int, int], tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """Give what reads codes as they are stored; a field is looked at feature by feature, so two fields are kept."""

        @lru_cache(maxsize=2)
        def read(start: int, stop: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
            return tuple(np.asarray(self._arrays[f"codes/{part}"][start:stop]) for part in ("index", "value"))  # type: ignore[return-value]

        return read

    def foreground(self, well: str, field: str | int | None = None) -> npt.NDArray[np.bool_]:
        """Give which squares of a field's heatmap are foreground, ``(h, w)``."""
        return self._paint(well, field, np.asarray(self._arrays["patches/foreground"][self._rows(well, field)]), False)

    def strength(self, well: str, field: str | int | None = None) -> Floats:
        """Give the norm of the whitened tokens, how far each place is from control, ``(h, w)`` float32."""
        values = np.asarray(self._arrays["patches/strength"][self._rows(well, field)], np.float32)
        return self._paint(well, field, values, np.float32(0))

    def activation(
        self, well: str, field: str | int | None, feature: int, stride: int | None = None,
        cancel: CancelCallback | None = None,
    ) -> Floats:  # fmt: skip
        """Give a feature's codes over a field, ``(h, w)`` float32, 0 in the background.

        Parameters
        ----------
        well : str
            The well.
        field : str, int or None
            Its name or place; None: the first.
        feature : int
            The feature.
        stride : int, optional
            A divisor of the patch in px: a finer map, for which the field is encoded again with shifted tiles.
        cancel : callable, optional
            Asked before every batch of the encoder, from any thread.

        Raises
        ------
        RunError
            Where one of them is unknown; with a stride, where the unit is not the patch or the plate's files are gone.
        """
        if stride is not None and stride != self.lens.patch:
            return self._finer_activation(self._well(well), field, self._feature(feature), stride, cancel)
        index, value = self._codes(well, field)
        here = (index == self._feature(feature)) & (value != 0)
        return self._paint(well, field, np.where(here, value, 0).sum(1, dtype=np.float32), np.float32(0))

    def weighted_activation(
        self, well: str, field: str | int | None, weights: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Give the weighted sum of all features' codes over a field, in one pass over them.

        Parameters
        ----------
        well : str
            The well.
        field : str, int or None
            Its name or place; None: the first.
        weights : ndarray (m,)
            What each feature counts.

        Returns
        -------
        ndarray (h, w) float64
            0 in the background.

        Raises
        ------
        RunError
            Where well or field is unknown.
        """
        index, value = self.codes(well, field)
        return self._paint(well, field, (weights[index] * value).sum(1), 0.0)

    def owner(self, well: str, field: str | int | None = None) -> npt.NDArray[np.int32]:
        """Give the cell that each patch belongs to, ``(h, w)`` int32, -1 for none; for runs whose unit is the cell.

        Raises
        ------
        RunError
            Where the unit is not the cell.
        """
        if self.unit != "cell":
            raise RunError(f"the unit of this run is the {self.unit}: its codes belong to places, not to cells")
        row = self.field_row(well, field)
        start, shape = int(row["offset"]), (int(row["h"]), int(row["w"]))
        rows = np.asarray(self._arrays["patches/owner"][start : start + shape[0] * shape[1]], np.int32)
        return rows.reshape(shape)

    def tokens(
        self, well: str, field: str | int | None = None, stride: int | None = None,
        cancel: CancelCallback | None = None,
    ) -> Floats:  # fmt: skip
        """Give a field's whitened patch tokens ``(h, w, p)``, from the token store or encoded again.

        With a `stride` (a divisor of the patch, in px at the lens's pixel size) the field is encoded again, tiles
        shifted by each multiple of it: a token every `stride` px. `cancel` is asked before every batch.

        Raises
        ------
        RunError
            Where the tokens are not stored, or a stride is asked for, and the plate's files are gone.
        """
        from napari_phenolens.run.again import finer_tokens, whitened_tokens

        name, place = self._well(well), int(self.field_row(well, field)["place"])
        if stride is not None and stride != self.lens.patch:
            return finer_tokens(self, name, place, stride, cancel)
        return whitened_tokens(self, name, place, cancel)

    def patch_tokens(
        self, well: str, field: str | int | None, patches: npt.NDArray[np.intp], cancel: CancelCallback | None = None
    ) -> Floats:
        """Give the whitened tokens of some patches of a field (row by row), ``(n, p)``; else as `tokens`."""
        from napari_phenolens.run.again import tokens_of_patches

        return tokens_of_patches(self, self._well(well), int(self.field_row(well, field)["place"]), patches, cancel)

    @cached_property
    def channels_apart(self) -> bool:
        """Whether each channel's part of a token is known, see `napari_phenolens.run.channel_parts`."""
        from napari_phenolens.run.channel_parts import channels_apart

        return channels_apart(self.lens)

    def channel_alignment(
        self, well: str, field: str | int | None, feature: int, stride: int | None = None,
        cancel: CancelCallback | None = None,
    ) -> Floats:  # fmt: skip
        """Give the part of a feature's alignment that each channel gives, ``(c, h, w)``; a stride as in `tokens`."""
        from napari_phenolens.run.channel_parts import channel_alignment

        place = int(self.field_row(well, field)["place"])
        return channel_alignment(self, self._well(well), place, self._feature(feature), stride, cancel)

    def recentring(self, feature: int) -> float:
        """Give what re-centring on the plate's own controls adds to every alignment with a feature's atom."""
        from napari_phenolens.run.channel_parts import recentring

        return recentring(self, self._feature(feature))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _finer_activation(
        self, well: str, field: str | int | None, feature: int, stride: int, cancel: CancelCallback | None
    ) -> Floats:
        """Give a finer map; the codes of the last field so mapped are kept, for the next feature."""
        from napari_phenolens.run.again import finer_codes

        key = well, int(self.field_row(well, field)["place"]), stride
        if self._finer is None or self._finer[0] != key:
            self._finer = key, finer_codes(self, *key, cancel=cancel)
        index, value, there = self._finer[1]
        out = np.zeros(there.shape, np.float32)
        out[there] = np.where((index == feature) & (value != 0), value, 0).sum(1)
        return out

    def _paint(self, well: str, field: str | int | None, values: npt.NDArray[Any], empty: Any) -> npt.NDArray[Any]:
        if self.unit != "cell":
            row = self.field_row(well, field)
            return values.reshape(int(row["h"]), int(row["w"]))
        owner = self.owner(well, field)
        if len(values) == 0:
            return np.full(owner.shape, empty)
        painted: npt.NDArray[Any] = np.where(owner >= 0, values[np.maximum(owner, 0)], empty)
        return painted

    def _field_sums(self, well: str, kind: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Give sums over a well's fields ``(fields, m)`` and their foreground units."""
        i = self.plan.wells.index(well)
        name = {"activation": "fields/sum", "active": "fields/active", "alignment": "fields/token"}[kind]
        sums = np.asarray(self._arrays[name][well_rows(self.plan, name, i)], np.float64)
        if kind == "alignment":
            sums = sums @ self.lens.dictionary.atoms.T.astype(np.float64)
        counts = np.zeros(self.plan.fields)
        for f in self._mark(well)["fields"]:
            counts[f["place"]] = f["foreground"]
        return sums, counts

    def _cell_profile(self, well: str, kind: str) -> npt.NDArray[np.float64]:
        i, cells = self.plan.wells.index(well), sum(f["cells"] for f in self._mark(well)["fields"])
        if cells == 0:
            return np.full(self.n_features, np.nan)
        name = {"activation": "wells/cell_sum", "active": "wells/cell_active", "alignment": "wells/cell_token"}[kind]
        sums = np.asarray(self._arrays[name][well_rows(self.plan, name, i)], np.float64)[0]
        if kind == "alignment":
            sums = sums @ self.lens.dictionary.atoms.T.astype(np.float64)
        return np.asarray(sums / cells)


def open_run(out: str | Path) -> Run:
    """Open a run.

    Parameters
    ----------
    out : path
        The folder that `apply_lens` or ``phenolens run --out`` wrote.

    Returns
    -------
    Run
        Also of a run that is not complete yet: `Run.complete` and `Run.provisional` tell.

    Raises
    ------
    RunError
        Where the folder is no run or is damaged.
    """
    return Run(Path(out))
