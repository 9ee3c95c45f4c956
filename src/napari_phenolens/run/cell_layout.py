"""How the cells of a run lie on disk: zarr arrays and a mark a well, as the run itself.

In the run's folder::

    cells/cells.json     schema, where labels come from, names of the measurements
    cells/done/B07.json  the mark of a well that was written whole: cells of each field, what was skipped and why
    cells/labels         (fields, Y, X) int32: whose cell each pixel is, 0 for none
    cells/table          (rows, 11) float64: field, label, centroid, box, area, border, foreground share
    cells/measured       (rows, n) float32: measurements under their names in cells.json
    cells/count          (rows,): non-zero codes of each cell
    cells/index, value   (codes,): a cell's codes, the rows of a CSR matrix one after the other

A well has room for many more cells and codes than it holds: parts that were never written take no place on disk.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_phenolens.run import arrays
from napari_phenolens.run.arrays import Arrays, Layout
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.json_file import write_json

SCHEMA = 1
FOLDER = "cells"
MOST_CELLS = 2**16  # of a field
MOST_CODES = 2**23
_CHUNK_CELLS, _CHUNK_CODES = 2**12, 2**16

TABLE = ("place", "label", "y", "x", "y0", "x0", "y1", "x1", "area", "border", "foreground")


@dataclass(frozen=True)
class CellPlan:
    """What the cells of a run are: decided once, before the first well.

    Attributes
    ----------
    source : dict
        Where labels come from: a segmentation with its settings, or what the user gave.
    wells, fields : int
        Wells of the run, and slots for fields of a well.
    shape : tuple of int
        Pixels of the largest field.
    features : int
        Features of the run.
    measurements : tuple of str
        Names of the measurements.
    """

    source: dict[str, Any]
    wells: int
    fields: int
    shape: tuple[int, int]
    features: int
    measurements: tuple[str, ...]
    schema: int = SCHEMA

    def save(self, folder: Path) -> None:
        """Write the plan to ``cells.json``."""
        write_json(folder / "cells.json", asdict(self))

    @classmethod
    def load(cls, folder: Path) -> CellPlan:
        """Read the plan.

        Raises
        ------
        RunError
            Where there are no cells, the plan is damaged, or a newer version wrote it.
        """
        path = folder / "cells.json"
        if not path.is_file():
            raise RunError(
                f"{folder.parent}: this run holds no cells yet; find them with ph.add_cells(run) or "
                f"`phenolens cells {folder.parent}`"
            )
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["schema"] > SCHEMA:
                raise RunError(f"{folder}: written by a newer napari-phenolens; update it")
            values |= {"shape": tuple(values["shape"]), "measurements": tuple(values["measurements"])}
            return cls(**values)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise RunError(f"{path}: damaged ({error}); find the cells again with replace=True") from error


def _layouts(plan: CellPlan) -> dict[str, Layout]:
    f, cells, codes = plan.fields, plan.fields * MOST_CELLS, plan.fields * MOST_CODES
    index = "uint16" if plan.features <= 65536 else "uint32"
    n, m = len(TABLE), len(plan.measurements)
    layouts: dict[str, Layout] = {
        "labels": ("int32", (1, *plan.shape), (f, *plan.shape)),
        "table": ("float64", (_CHUNK_CELLS, n), (cells, n)),
        "count": ("uint32", (_CHUNK_CELLS,), (cells,)),
        "index": (index, (_CHUNK_CODES,), (codes,)),
        "value": ("float32", (_CHUNK_CODES,), (codes,)),
    }
    if m:
        layouts["measured"] = ("float32", (_CHUNK_CELLS, m), (cells, m))
    return layouts


def create_cells(folder: Path, plan: CellPlan) -> None:
    """Create the empty arrays."""
    arrays.create(folder, plan.wells, _layouts(plan))


def open_cells(folder: Path, plan: CellPlan, mode: str = "r") -> Arrays:
    """Open the arrays by name.

    Raises
    ------
    RunError
        Where one is missing or damaged.
    """
    return arrays.open_all(folder, _layouts(plan), mode, "find the cells again with replace=True")


def first_row(plan: CellPlan, name: str, well: int) -> int:
    """Give where a well's part of an array begins."""
    return well * _layouts(plan)[name][2][0]
