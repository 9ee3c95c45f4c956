"""Which wells are meant: selecting them, choosing them by the plate map, giving them roles, saving the map."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.well_values import columns_of, robust_z
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.plate import parse_well, plate_format
from napari_phenolens.viewer import roles
from napari_phenolens.viewer.describing import describe

if TYPE_CHECKING:
    from napari_phenolens.viewer.workbench import Workbench

MOST_VALUES = 500  # of one column; beyond, a query is typed
_ADDRESS = re.compile(r"^(metadata_)?(well|row|col|column|plate|barcode)(_?(name|id|position))?$", re.I)


class Selecting:
    """Selection and roles of wells; every step can be undone."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    def select(self, wells: Sequence[str]) -> None:
        """Select wells. Going from one well to another is no step of its own."""
        s = self.bench.session
        chosen = tuple(sorted(dict.fromkeys(wells), key=parse_well))
        if max(len(s.selected), len(chosen)) <= 1:
            s.selected = chosen
            return
        many = f"{len(chosen)} wells" if len(chosen) != 1 else chosen[0]
        s.undo.change(s, f"select {many}" if chosen else "select no well", selected=chosen)

    def select_like(self, well: str, column: str) -> None:
        """Select all wells that have this well's entry in a column of the plate map."""
        s = self.bench.session
        metadata = s.source.metadata
        if well not in metadata.index:
            raise PhenoLensError(f"well {well} is not in the plate map")
        value = metadata.loc[well, column]
        same = metadata[column].isna() if pd.isna(value) else metadata[column] == value
        self.select([name for name in s.wells if bool(same.get(name, False))])

    # ---- by the columns of the plate map -----------------------------------------------------------------------------
    def columns(self) -> list[str]:
        """List the columns whose values can be chosen from: those that differ between wells, addresses aside."""
        s = self.bench.session
        if s.source is None:
            return []
        metadata = s.source.metadata
        metadata = metadata.loc[metadata.index.intersection(s.wells)]
        found = [name for name in columns_of(metadata) if not _ADDRESS.match(name)]
        return [name for name in found if 2 <= metadata[name].nunique(dropna=False) <= MOST_VALUES]

    def values(self, column: str) -> list[tuple[Any, int]]:
        """List a column's values with the number of wells that have them, in order; None stands for no entry."""
        s = self.bench.session
        data = s.source.metadata[column].reindex(s.wells)
        counts = data.dropna().value_counts(sort=False)
        found = sorted(counts.items(), key=lambda pair: (str(type(pair[0])), pair[0]))
        absent = int(data.isna().sum())
        return [*((value, int(n)) for value, n in found), *([(None, absent)] if absent else [])]

    def query(self, column: str, values: Sequence[Any]) -> str:
        """Write the query for wells whose entry in a column is one of these; None stands for no entry."""
        plain = [value.item() if isinstance(value, np.generic) else value for value in values if value is not None]
        name = column if column.isidentifier() else f"`{column}`"
        parts = []
        if len(plain) == 1:
            parts.append(roles.condition(column, plain[0]))
        elif plain:
            parts.append(f"{name} in {plain!r}")
        if len(plain) < len(values):
            parts.append(f"{name}.isna()")
        return " or ".join(parts)

    def preview(self, query: str) -> list[str]:
        """Show on the plate map which wells a query would pick; gives them."""
        s = self.bench.session
        wells, _ = roles.match(s.source, query)
        s.preview = tuple(wells)
        return wells

    def give(self, role: str, query: str) -> None:
        """Make the wells of a query controls, perturbed, positive or excluded: that role's query becomes this one."""
        self.bench.session.preview = ()
        self.bench.set_queries(**{role: query})

    # ---- in words, and as a file ------------------------------------------------------------------------------------
    def told(self, well: str) -> list[str]:
        """Say what is known of a well: what was done to it, its role, its fields, the value on show, the feature's."""
        s, comparing = self.bench.session, self.bench.comparing
        if s.source is None:
            return []
        if well not in s.wells:
            return [well, "no images" + (" (it is in the plate map)" if well in s.source.metadata.index else "")]
        fields = len(self.bench.showing.fields(well))
        lines = [well, describe(s.source, well, limit=4), s.roles.get(well, "no role")]
        lines.append(f"{fields} field" + "s" * (fields != 1))
        shown = comparing.shown()
        lines.append(shown.said(well))
        values = comparing.feature_values(s.feature)
        if values is not None and well in values.index and np.isfinite(values[well]):
            z = robust_z(values, s.wells_of(roles.CONTROL)).get(well, np.nan)
            beside = f" (z {z:.1f})" if np.isfinite(z) else ""
            lines.append(f"F{s.feature} = {values[well]:.3g}{beside}")
        return [line for line in lines if line]

    def save_map(self, path: str | Path) -> Path:
        """Write the plate map as it is shown: ``.png``, ``.svg`` or ``.csv``; see `napari_phenolens.export`."""
        from napari_phenolens.export import PlateMap, export_plate_map

        s = self.bench.session
        if s.source is None:
            raise PhenoLensError("open a plate first (step 1)")
        name = s.plate.name if s.plate is not None else s.run.plate_name
        mapped = [str(well) for well in s.source.metadata.index]
        size = getattr(s.source, "format", None) or plate_format([*s.wells, *mapped])
        made = PlateMap(name, self.bench.comparing.shown(), dict(s.roles), s.wells, s.source.metadata, tuple(size))
        written = export_plate_map(made, path)
        s.status = f"Saved the plate map to {written}."
        return written
