"""Cells chosen by a mask, a condition, a concept, or a region drawn on fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.protocol import Bools, Floats

Gate = str | npt.ArrayLike | pd.Series
Region = tuple[str, Any, npt.ArrayLike]
SHARE = 0.25  # of the cells that count as having much (or little) of a concept


@dataclass(frozen=True)
class Choice:
    """Two sets of cells.

    Attributes
    ----------
    inside, outside : ndarray (cells,) bool
        The cells chosen and those they are held against, in the order of ``run.cells()``.
    said : str
        What was chosen, in words.
    """

    inside: Bools
    outside: Bools
    said: str


def choose_cells(
    run: Any,
    cells: Gate | None = None,
    concept: str | None = None,
    region: Region | Sequence[Region] | None = None,
    against: Gate | None = None,
) -> Choice:
    """Turn one way of choosing cells into two sets; see `distinguish`.

    Raises
    ------
    AnalysisError
        Where not exactly one way is given, it names nothing, or a side is empty.
    """
    given = [name for name, value in (("cells", cells), ("concept", concept), ("region", region)) if value is not None]
    if len(given) != 1:
        raise AnalysisError(
            f"choose cells in one way: cells=, concept= or region=; {' and '.join(given) or 'none'} was given"
        )
    if not getattr(run, "has_cells", False):
        raise AnalysisError(
            f"the run of {run.plate_name} holds no cells to choose from; add them first: ph.add_cells(run) or "
            "phenolens cells RUN"
        )
    n = len(run.cells())
    if cells is not None:
        inside = _gate(run, cells, "cells")
        outside, said = ~inside, cells if isinstance(cells, str) else "a set of cells"
    elif concept is not None:
        inside, outside, said = _by_concept(run, concept)
    else:
        regions = [region] if isinstance(region, tuple) and isinstance(region[0], str) else list(region)  # type: ignore[arg-type]
        inside, fields = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        for part in regions:
            in_field, in_region = _in_region(run, *part)
            inside, fields = inside | in_region, fields | in_field
        outside, said = fields & ~inside, f"{len(regions)} region{'s' * (len(regions) > 1)}"
    if against is not None:
        outside = _gate(run, against, "against") & ~inside
    for what, rows in (("chosen", inside), ("to hold them against", outside)):
        if not rows.any():
            raise AnalysisError(f"no cell is {what} ({said}); the run holds {n} cells: choose others")
    return Choice(inside, outside, said)


def _gate(run: Any, gate: Gate, what: str) -> Bools:
    table = run.cells()
    n = len(table)
    if isinstance(gate, str):
        known = pd.concat([table, run.cell_measurements()], axis=1)
        known = known.loc[:, ~known.columns.duplicated()]
        try:
            found = known.eval(gate)
        except (KeyError, SyntaxError, TypeError, ValueError, NameError) as error:
            raise AnalysisError(
                f"{what}={gate!r} cannot be asked of the cells ({error}); they have "
                f"{', '.join(map(str, known.columns[:20]))} ..., such as \"area_nucleus > 100 and well == 'B07'\""
            ) from error
        if not isinstance(found, pd.Series) or found.dtype != bool:
            raise AnalysisError(f"{what}={gate!r} is no condition: it must be true or false for every cell")
        return np.asarray(found, np.bool_)
    if isinstance(gate, pd.Series):
        gate = gate.reindex(pd.RangeIndex(n))
        if gate.isna().any():
            raise AnalysisError(f"{what}: a Series needs the index of run.cells(), 0 to {n - 1}, all of it")
    mask = np.asarray(gate)
    if mask.dtype != bool or mask.shape != (n,):
        raise AnalysisError(
            f"{what} is an array {mask.shape} of {mask.dtype}; give true or false for each of the {n} rows of "
            "run.cells()"
        )
    return mask


def _by_concept(run: Any, concept: str) -> tuple[Bools, Bools, str]:
    """Give the cells with much and with little of a concept, or with and without it."""
    from napari_phenolens.analysis.concept_values import find_cells, measured_concepts

    wells = list(run.wells)
    cells = find_cells(run, wells)
    if cells is None:
        raise AnalysisError(f"the run of {run.plate_name} holds no cells")
    known = list(measured_concepts(run, cells, np.isin(wells, list(run.controls))))
    found = [c for c in known if concept in (c.key, c.name)]
    if not found or found[0].cells is None:
        from difflib import get_close_matches

        near = get_close_matches(concept, [c.key for c in known] + [c.name for c in known], 5, 0.4)
        raise AnalysisError(
            f"no concept {concept!r} is measured of the cells of {run.plate_name}; "
            + (f"there are {', '.join(near)}" if near else f"there are {', '.join(c.key for c in known[:12])} ...")
        )
    values: Floats = found[0].cells
    if found[0].binary:
        low, high, said = values == 0, values == 1, found[0].name
    else:
        ends = np.nanquantile(values, (SHARE, 1 - SHARE))
        low, high, said = values <= ends[0], values >= ends[1], f"the quarter with most {found[0].name} against least"
    inside, outside = np.zeros(len(run.cells()), np.bool_), np.zeros(len(run.cells()), np.bool_)
    inside[cells.rows], outside[cells.rows] = high & ~low, low & ~high
    return inside, outside, said


def _in_region(run: Any, well: str, field: Any, polygon: npt.ArrayLike) -> tuple[Bools, Bools]:
    """Which cells are of a field, and which of them have their centre inside a polygon."""
    from napari_phenolens.analysis.places import find_field, inside_polygon

    place = find_field(run, well, field)
    table = run.cells()
    here = ((table["well"] == place.well) & (table["field"].astype(str) == place.field)).to_numpy()
    inside = here.copy()
    inside[here] = inside_polygon(polygon, table.loc[here, ["y", "x"]].to_numpy(dtype=np.float64), place.well)
    return here, inside
