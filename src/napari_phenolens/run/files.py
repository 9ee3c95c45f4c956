"""A run's files: its plan, its marks, its arrays, its plate map. `Run` reads tables and fields off them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_phenolens.lens import Lens, load_lens
from napari_phenolens.run.annotations import Annotations
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.layout import PLATEMAP_INDEX, RunPlan, open_arrays

if TYPE_CHECKING:
    import zarr

    from napari_phenolens.plate import Plate


class RunFiles:
    """What a run is of, and where everything of it lies.

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

    @cached_property
    def lens(self) -> Lens:
        """The lens."""
        return load_lens(self.path / "lens.safetensors")

    @cached_property
    def annotations(self) -> Annotations:
        """Names, notes and stars that people gave to features, kept with the run."""
        return Annotations(self.path, self.plan.lens, self.n_features)

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

    @property
    def marks(self) -> dict[str, dict[str, Any]]:
        """What is noted of every well that was written: its fields, and whether it is a part."""
        return self._marks

    def tally(self) -> tuple[int, int, int]:
        """Count the wells that are written whole, those that hold a first pass, and all of the plate's."""
        part = sum(bool(mark["partial"]) for mark in self._marks.values())
        return len(self._marks) - part, part, len(self.plan.wells)

    def renew(self, other: RunFiles) -> None:
        """Take up what another reader of the same run has found on disk, as a run goes on."""
        self.plan, self._marks = other.plan, other._marks
        for name in ("wells", "skipped", "field_table", "_places", "density", "_histograms", "_finer", "_read_codes"):
            self.__dict__.pop(name, None)

    @cached_property
    def metadata(self) -> pd.DataFrame:
        """The plate map, index well names."""
        path = self.path / "platemap.csv"
        try:
            table = pd.read_csv(path, index_col=PLATEMAP_INDEX, dtype={PLATEMAP_INDEX: str})
        except (OSError, ValueError) as error:
            raise RunError(
                f"{path}: the run's plate map is missing or damaged ({error}); run into a new folder"
            ) from error
        # A map that has a column `well` of its own keeps it for queries, as the plate does.
        return table.rename_axis(None if "well" in table.columns else "well")

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
        by_name, by_place, first = self._places[name]
        if field is None:
            row: int | None = first
        elif isinstance(field, str):
            row = by_name.get(field)
            if row is None and field.isdigit():
                row = by_place.get(int(field))
        else:
            row = by_place.get(int(field))
        if row is None:
            raise RunError(f"{name}: no field {field!r} with results; there are: {', '.join(by_name)}")
        return self.field_table.iloc[row]

    @cached_property
    def _places(self) -> dict[str, tuple[dict[str, int], dict[int, int], int]]:
        """Rows of `field_table` of each well: by the field's name, by its place, and the first. A click asks often."""
        found: dict[str, tuple[dict[str, int], dict[int, int], int]] = {}
        table = self.field_table
        for row, (well, name, place) in enumerate(zip(table["well"], table["field"], table["place"], strict=True)):
            by_name, by_place, _ = found.setdefault(well, ({}, {}, row))
            by_name.setdefault(str(name), row)
            by_place.setdefault(int(place), row)
        return found

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

    def _rows(self, well: str, field: str | int | None) -> slice:
        row = self.field_row(well, field)
        return slice(int(row["offset"]), int(row["offset"]) + int(row["units"]))

    def plate(self) -> Plate:
        """Open the plate again, from where it was."""
        from napari_phenolens.plate import open_plate

        return open_plate(
            self.plate_path, self.metadata if len(self.metadata.columns) else None, **self.plan.plate["options"]
        )
