"""Read a run: tables of wells, codes of fields, limits, examples. All that analysis and the viewer need."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.lens import Lens, load_lens
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.layout import BEST, RunPlan, open_arrays, well_rows
from napari_phenolens.run.sketch import ACTIVATION_BINS, quantile

if TYPE_CHECKING:
    import zarr

    from napari_phenolens.plate import Plate

Floats = npt.NDArray[np.float32]
Per = Literal["patch", "field", "cell"]
Kind = Literal["activation", "alignment", "active"]

UPPER_LIMIT = 0.995  # quantile of the active patches over all wells at which a heatmap's colours end


class Run:
    """A lens applied to a plate, on disk. Open one with `open_run`.

    Attributes
    ----------
    path : Path
        The run's folder.
    plan : RunPlan
        What it is of.
    already_complete : bool
        Set by `apply_lens` where there was nothing left to do.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan = RunPlan.load(path)
        self.already_complete = False
        self._marks: dict[str, dict[str, Any]] = {}
        for mark in (path / "done").glob("*.json"):
            self._marks[mark.stem] = json.loads(mark.read_text(encoding="utf-8"))

    def __repr__(self) -> str:
        """Say what it is of."""
        state = "complete" if self.complete else f"{len(self._marks)} of {len(self.plan.wells)} wells"
        return f"Run({self.plate_name!r}, {self.n_features} features, {state}, {str(self.path)!r})"

    # -- what it is of -------------------------------------------------------------------------------------------------

    @cached_property
    def lens(self) -> Lens:
        """The lens."""
        return load_lens(self.path / "lens.safetensors")

    @property
    def plate_name(self) -> str:
        """Name of the plate."""
        return str(self.plan.plate["name"])

    @property
    def plate_path(self) -> str:
        """Where the plate's files are."""
        return str(self.plan.plate["path"])

    @property
    def channels(self) -> tuple[str, ...]:
        """The plate's channels that were used, in the lens's order."""
        return self.plan.sources

    @property
    def n_features(self) -> int:
        """Number of features."""
        return self.plan.features

    @property
    def unit(self) -> str:
        """What is coded: patch, crop or cell."""
        return self.plan.unit

    @property
    def patch(self) -> int:
        """Side of a heatmap's square in px of the resampled field: a patch, or a tile for crops."""
        return self.lens.tile if self.unit == "crop" else self.lens.patch

    @property
    def pixel_size(self) -> float | None:
        """Um per pixel of the plate's fields; None: unknown."""
        return self.plan.pixel_size

    @property
    def controls(self) -> list[str]:
        """Control wells of this plate that the lens or the re-centring used."""
        return list(self.plan.controls)

    @property
    def complete(self) -> bool:
        """Whether every well is written whole."""
        return set(self._marks) >= set(self.plan.wells) and not any(m["partial"] for m in self._marks.values())

    @property
    def provisional(self) -> bool:
        """Whether some wells are missing or hold a first pass only."""
        return not self.complete

    @cached_property
    def metadata(self) -> pd.DataFrame:
        """The plate map, index well names."""
        return pd.read_csv(self.path / "platemap.csv", index_col="well", dtype={"well": str})

    @cached_property
    def wells(self) -> list[str]:
        """Wells with results, row-major."""
        return [w for w in self.plan.wells if w in self._marks and self._marks[w]["fields"]]

    def select(self, query: str | Sequence[str] | None) -> list[str]:
        """Give the wells with results that a query over the plate map, or a list of names, chooses."""
        from napari_phenolens.plate import select_wells

        return select_wells(self.metadata, query, self.wells)

    @cached_property
    def skipped(self) -> pd.DataFrame:
        """Fields that could not be used: well, field, reason."""
        rows = [{"well": w, **s} for w in self.plan.wells for s in self._marks.get(w, {}).get("skipped", [])]
        return pd.DataFrame(rows, columns=["well", "field", "reason"])

    @cached_property
    def field_table(self) -> pd.DataFrame:
        """A row a field in the order of the store.

        Columns: well, field, place, offset, units, h, w, y, x, scale, foreground, cells.

        ``h`` and ``w`` are the heatmap's grid, ``y`` and ``x`` the field in px of the plate, ``scale`` px of the plate
        a heatmap square.
        """
        rows = []
        for i, well in enumerate(self.plan.wells):
            for f in self._marks.get(well, {}).get("fields", []):
                grid = f["patches"] if self.unit == "cell" else f["grid"]
                rows.append(
                    {
                        "well": well, "field": f["name"], "place": f["place"],
                        "offset": (i * self.plan.fields + f["place"]) * self.plan.patches, "units": f["units"],
                        "h": grid[0], "w": grid[1],
                        "y": round(f["shape"][0] / f["factor"]), "x": round(f["shape"][1] / f["factor"]),
                        "scale": self.patch / f["factor"], "foreground": f["foreground"], "cells": f["cells"],
                    }
                )  # fmt: skip
        return pd.DataFrame(rows)

    def fields(self, well: str) -> tuple[str, ...]:
        """Give the names of a well's fields that have results."""
        return tuple(f["name"] for f in self._mark(well)["fields"])

    def field_row(self, well: str, field: str | int | None = None) -> pd.Series[Any]:
        """Give the row of `field_table` of one field, named, by its place, or the well's first.

        Raises
        ------
        RunError
            Where there is no such well or field with results.
        """
        name = self._well(well)
        rows = self.field_table[self.field_table["well"] == name]
        if field is None:
            return rows.iloc[0]
        found = rows[rows["field"] == str(field)] if isinstance(field, str) else rows[rows["place"] == int(field)]
        if found.empty and isinstance(field, str) and field.isdigit():
            found = rows[rows["place"] == int(field)]
        if found.empty:
            raise RunError(f"{name}: no field {field!r} with results; there are: {', '.join(rows['field'])}")
        return found.iloc[0]

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

    def covariates(self) -> pd.DataFrame:
        """Give plain measurements a well, means over its fields: cell_count, foreground_share, focus, intensity ..."""
        rows: dict[str, dict[str, float]] = {}
        for well in self.wells:
            fields = self._mark(well)["fields"]
            table = pd.DataFrame([f["covariates"] for f in fields]).astype(float)
            row = {str(k): float(v) for k, v in table.mean(skipna=True).items()}
            row["foreground_units"] = float(sum(f["foreground"] for f in fields))
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
        rows = self._rows(well, field)
        return (
            np.asarray(self._arrays["codes/index"][rows], np.int64),
            np.asarray(self._arrays["codes/value"][rows], np.float32),
        )

    def foreground(self, well: str, field: str | int | None = None) -> npt.NDArray[np.bool_]:
        """Give which squares of a field's heatmap are foreground, ``(h, w)``."""
        return self._paint(well, field, np.asarray(self._arrays["patches/foreground"][self._rows(well, field)]), False)

    def strength(self, well: str, field: str | int | None = None) -> Floats:
        """Give the norm of the whitened tokens, how far each place is from control, ``(h, w)`` float32."""
        values = np.asarray(self._arrays["patches/strength"][self._rows(well, field)], np.float32)
        return self._paint(well, field, values, np.float32(0))

    def activation(self, well: str, field: str | int | None, feature: int) -> Floats:
        """Give a feature's codes over a field, ``(h, w)`` float32, 0 in the background."""
        index, value = self.codes(well, field)
        here = (index == self._feature(feature)) & (value != 0)
        return self._paint(well, field, np.where(here, value, 0).sum(1).astype(np.float32), np.float32(0))

    def tokens(self, well: str, field: str | int | None = None) -> Floats:
        """Give a field's whitened patch tokens ``(h, w, p)``, from the token store or encoded again.

        Raises
        ------
        RunError
            Where the tokens are not stored and the plate's files are gone.
        """
        from napari_phenolens.run.again import whitened_tokens

        return whitened_tokens(self, self._well(well), int(self.field_row(well, field)["place"]))

    def plate(self) -> Plate:
        """Open the plate again, from where it was."""
        from napari_phenolens.plate import open_plate

        return open_plate(
            self.plate_path, self.metadata if len(self.metadata.columns) else None, **self.plan.plate["options"]
        )

    # -- over all wells ------------------------------------------------------------------------------------------------

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

    # -- inside --------------------------------------------------------------------------------------------------------

    @cached_property
    def _arrays(self) -> dict[str, zarr.Array[Any]]:
        return open_arrays(self.path, self.plan)

    def _well(self, well: str) -> str:
        from napari_phenolens.plate import well_name

        name = well_name(well)
        if name not in self._marks or not self._marks[name]["fields"]:
            why = "; ".join(s["reason"] for s in self._marks.get(name, {}).get("skipped", []))
            raise RunError(f"{self.plate_name}: no results for well {name}{f' ({why})' if why else ''}; see run.wells")
        return name

    def _mark(self, well: str) -> dict[str, Any]:
        return self._marks[self._well(well)]

    def _feature(self, feature: int) -> int:
        if not 0 <= int(feature) < self.n_features:
            raise RunError(f"there is no feature {feature}; this run has 0 to {self.n_features - 1}")
        return int(feature)

    def _rows(self, well: str, field: str | int | None) -> slice:
        row = self.field_row(well, field)
        return slice(int(row["offset"]), int(row["offset"]) + int(row["units"]))

    def _paint(self, well: str, field: str | int | None, values: npt.NDArray[Any], empty: Any) -> npt.NDArray[Any]:
        row = self.field_row(well, field)
        shape = (int(row["h"]), int(row["w"]))
        if self.unit != "cell":
            return values.reshape(shape)
        start = int(row["offset"])
        owner = np.asarray(self._arrays["patches/owner"][start : start + shape[0] * shape[1]])
        if len(values) == 0:
            return np.full(shape, empty)
        painted: npt.NDArray[Any] = np.where(owner >= 0, values[np.maximum(owner, 0)], empty).reshape(shape)
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

    def _histogram(self, name: str) -> npt.NDArray[np.int64]:
        if name not in self._histograms:
            axes = self._arrays[name].shape[1:]
            total = np.zeros(axes, np.int64)
            for well in self.wells:
                total += np.asarray(self._arrays[name][well_rows(self.plan, name, self.plan.wells.index(well))])[0]
            self._histograms[name] = total
        return self._histograms[name]

    @cached_property
    def _histograms(self) -> dict[str, npt.NDArray[np.int64]]:
        return {}


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


__all__ = ["ACTIVATION_BINS", "Run", "open_run"]
