"""Labels of one field alone: they take the place of its cells, or are the first that a run has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_phenolens.run.cell_labels import FromMapping, Place, checked
from napari_phenolens.run.cell_layout import TABLE, CellPlan, create_cells, first_row, open_cells
from napari_phenolens.run.cell_store import CellStore
from napari_phenolens.run.cell_writer import (
    FieldCells,
    field_cells,
    open_plate_of,
    plan_cells,
    write_well,
    writing,
)
from napari_phenolens.run.errors import RunError

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_phenolens.plate import Plate
    from napari_phenolens.run.reader import Run

SINGLE = "fields"  # kind of a run's cells that came field by field


class _FieldByField:
    """What a run's cells are from where all came with `put_cells`."""

    def describe(self) -> dict[str, Any]:
        """Name the kind."""
        return {"kind": SINGLE}

    def labels(self, place: Place, image: npt.NDArray[Any] | None) -> Any:
        """Never asked: each field brings its own."""
        raise RunError(f"no labels were given for {place.well}, field {place.field}")


def put_cells(
    run: Run, well: str, field: str | int | None, labels: Any, plate: Plate | None = None, *, given: str = "labels"
) -> Run:
    """Store the cells of one field, as drawn by hand or found by another program.

    Parameters
    ----------
    run : Run
        The run. Where cells are stored already, those of this field are replaced and all others stay; else these are
        its first.
    well, field : str, str or int or None
        The field.
    labels : ndarray (Y, X) of int
        0 is background; pixels are those of the plate's field. Cells keep their labels.
    plate : Plate, optional
        Its plate, where that is open already; without its files cells are stored without measurements.
    given : str
        What the labels are, such as ``layer cp_masks``; see `Run.cells_given`.

    Returns
    -------
    Run
        The run given, its cells ready.

    Raises
    ------
    RunError
        Where there is no such field, the labels are of another shape or no whole numbers, hold no cell, or finding the
        cells of the whole plate was broken off before this well.
    """
    row = run.field_row(well, field)
    well, name = str(row["well"]), str(row["field"])
    image = checked(labels, Place(well, name, (int(row["y"]), int(row["x"]))))
    if not image.any():
        raise RunError(f"the labels of {well}, field {name} hold no cell: all are 0")
    plate = open_plate_of(run, plate, needed=False)
    with writing(run) as folder:
        if not (folder / "cells.json").exists():
            plan = plan_cells(run, plate, _FieldByField())
            create_cells(folder, plan)
            plan.save(folder)  # last: without it there are no cells yet
        plan = CellPlan.load(folder)
        store = CellStore(run)
        if well not in store.marks and plan.source.get("kind") != SINGLE:
            raise RunError(
                f"the cells of {well} are not found yet: let finding the cells of the plate come to its end, then put "
                "these in their place"
            )
        found = _stored(store, well)
        cells = field_cells(run, plate, FromMapping({(well, name): image}), plan, well, name)
        if plan.measurements and not cells.measured.shape[1]:
            cells.measured = np.full((len(cells.table), len(plan.measurements)), np.nan, np.float32)
        cells.given = " ".join(given.split())
        found[name] = cells
        found = {f: found[f] for f in run.fields(well) if f in found}
        write_well(run, folder, plan, open_cells(folder, plan, "r+"), well, found)
    return run


def _stored(store: CellStore, well: str) -> dict[str, FieldCells | Exception]:
    """Read what is stored of a well, as it was given to be written."""
    from scipy.sparse import csr_matrix

    found: dict[str, FieldCells | Exception] = {}
    mark = store.marks.get(well)
    if mark is None:
        return found
    for skipped in mark["skipped"]:
        found[skipped["field"]] = RunError(skipped["reason"])
    number = store.run.plan.wells.index(well)
    rows = {name: first_row(store.plan, name, number) for name in store.arrays if name != "labels"}
    for f in mark["fields"]:

        def part(name: str, size: int) -> npt.NDArray[Any]:
            rows[name] += size
            return np.asarray(store.arrays[name][rows[name] - size : rows[name]])

        n = f["cells"]
        table = _table(part("table", n))
        pointer = np.concatenate([[0], np.cumsum(part("count", n).astype(np.int64))])
        index, value = part("index", f["codes"]).astype(np.int32), part("value", f["codes"])
        codes = csr_matrix((value, index, pointer), shape=(n, store.plan.features))
        measured = part("measured", n) if "measured" in rows else np.zeros((n, 0), np.float32)
        row = store.run.field_row(well, f["name"])
        labels = np.array(store.labels(well, f["place"], (int(row["y"]), int(row["x"]))))
        found[f["name"]] = FieldCells(labels, table, codes, measured, f.get("given", ""))
    return found


def _table(values: npt.NDArray[Any]) -> Any:
    import pandas as pd

    return pd.DataFrame(values, columns=list(TABLE)).drop(columns="place")
