"""Find the cells of a run's fields, pool its codes under them, and store both with the run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.cells import CellSegmentation, cell_concepts, locate_cells, pooling_weights, segment_nuclei
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import CancelCallback, ProgressCallback
from napari_phenolens.run.bench import Reporter
from napari_phenolens.run.cell_labels import Given, LabelSource, Place, Segmented, source_of
from napari_phenolens.run.cell_layout import (
    FOLDER,
    MOST_CELLS,
    MOST_CODES,
    TABLE,
    CellPlan,
    create_cells,
    first_row,
    open_cells,
)
from napari_phenolens.run.cell_settings import default_segmentation
from napari_phenolens.run.devices import quiet_pool
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.json_file import write_json
from napari_phenolens.run.reader import Run
from napari_phenolens.run.source import BAD_FIELD, read_ahead
from napari_phenolens.threads import budget

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from napari_phenolens.plate import Plate


@dataclass
class FieldCells:
    """The cells of one field.

    Attributes
    ----------
    labels : ndarray (Y, X) int32
        The label image.
    table : DataFrame
        What `locate_cells` gives, with ``foreground``.
    codes : scipy.sparse.csr_matrix (cells, features)
        The run's codes, pooled.
    measured : ndarray (cells, n) float32
        Measurements.
    given : str
        What gave this field alone its labels; empty: what gave them to all fields.
    """

    labels: npt.NDArray[np.int32]
    table: pd.DataFrame
    codes: csr_matrix
    measured: npt.NDArray[np.float32]
    given: str = ""


def add_cells(
    run: Run,
    plate: Plate | None = None,
    *,
    labels: Given | None = None,
    segmentation: CellSegmentation | None = None,
    measure: bool = True,
    replace: bool = False,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> Run:
    """Find the cells of all fields of a run and store them with it; what was broken off goes on where it stopped.

    Parameters
    ----------
    run : Run
        The run.
    plate : Plate, optional
        Its plate, where that is open already.
    labels : path, mapping or callable, optional
        The user's own cells, in pixels of the plate's fields: a folder of label images (TIFF or PNG, named as the
        images or ``B07_1.tif``), a mapping of ``(well, field)`` or of wells to ``(Y, X)`` arrays, or a function of the
        names of well and field. Cells keep their labels. Without pixels (the plate's files are gone) they are stored
        without measurements.
    segmentation : CellSegmentation, optional
        Settings of the built-in segmentation; default: `default_segmentation`.
    measure : bool
        Measure the concepts of every cell too (`cells.cell_concepts`), which takes most of the time.
    replace : bool
        Replace cells of other labels or settings.
    progress, cancel : callable, optional
        See `napari_phenolens.progress`. Cancelled, it ends within half a second; finished wells stay.

    Returns
    -------
    Run
        The run given, its cells ready.

    Raises
    ------
    RunError
        Where other cells are stored already, or labels and segmentation are both given.
    Cancelled
        Where the user asked to stop.
    """
    if labels is not None and segmentation is not None:
        raise RunError("give labels or a segmentation, not both")
    plate = open_plate_of(run, plate, needed=labels is None)
    if labels is not None:
        source: LabelSource = source_of(labels)
    else:
        assert plate is not None
        chosen = segmentation or default_segmentation(run, plate, cancel=cancel)
        source = Segmented(chosen, run.lens.channels)
    with writing(run) as folder:
        _add(run, plate, source, folder, measure, replace, progress, cancel)
    return run


@contextmanager
def writing(run: Run) -> Iterator[Path]:
    """Give the folder of a run's cells, made where there is none, while nobody else writes there."""
    folder = run.path / FOLDER
    folder.mkdir(exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        held = lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise RunError(f"{folder}: another process is writing these cells; wait for it or stop it") from error
    with held:
        try:
            yield folder
        finally:
            run.forget_cells()


def open_plate_of(run: Run, plate: Plate | None, *, needed: bool) -> Plate | None:
    """Give the plate, opened where it is not; None where its files are gone and can be done without."""
    if plate is not None:
        return plate
    try:
        return run.plate()
    except (PhenoLensError, OSError) as error:
        if not needed:
            return None
        raise RunError(
            f"{run.plate_name}: the plate's files are needed to find cells ({error}); bring them back to where they "
            "were, or give labels"
        ) from error


def _add(
    run: Run, plate: Plate | None, source: LabelSource, folder: Path, measure: bool, replace: bool,
    progress: ProgressCallback | None, cancel: CancelCallback | None,
) -> None:  # fmt: skip
    plan = plan_cells(run, plate if measure else None, source)
    if (folder / "cells.json").exists():
        if replace:
            _clear(folder)
        elif (there := CellPlan.load(folder)) != plan:
            raise RunError(
                f"{folder} holds other cells ({_said(there)}; now {_said(plan)}); replace=True (--replace) puts the "
                "new ones in their place"
            )
    if not (folder / "cells.json").exists():
        create_cells(folder, plan)
        plan.save(folder)  # last: without it there are no cells yet
    arrays = open_cells(folder, plan, "r+")
    wells = [w for w in run.wells if not _done(run, folder, w)]
    places = [(w, f) for w in wells for f in run.fields(w)]
    report = Reporter("cells", len(places), progress)

    def work(where: tuple[str, str]) -> FieldCells:
        return field_cells(run, plate, source, plan, *where)

    pool: ThreadPoolExecutor = quiet_pool(budget(), "phenolens-cells")
    found = read_ahead(places, work, budget() + 1, pool=pool, cancel=cancel, patient=False)
    kept: dict[str, FieldCells | Exception] = {}
    try:
        for (well, field), cells in found:
            if not isinstance(cells, FieldCells) and not isinstance(cells, BAD_FIELD):
                raise cells
            kept[field] = cells
            report.step(f"{run.plate_name} {well}")
            if field == run.fields(well)[-1]:
                write_well(run, folder, plan, arrays, well, kept)
                kept = {}
    finally:
        found.close()


def plan_cells(run: Run, plate: Plate | None, source: LabelSource) -> CellPlan:
    """Decide what is stored; measurements where there is a plate to measure."""
    table = run.field_table
    if not len(table):
        raise RunError(f"{run.path}: this run has no results yet, so there are no fields whose cells could be found")
    names: tuple[str, ...] = ()
    if plate is not None:
        channels, nuclear, empty = run.lens.channels, run.lens.nuclear, np.zeros((16, 16), np.int32)
        blank = np.zeros((len(channels), 16, 16), np.uint16)
        nuclei = None if nuclear is None else empty
        names = tuple(cell_concepts(blank, channels, nuclei, empty, run.pixel_size, nuclear).columns)
    shape = int(table["y"].max()), int(table["x"].max())
    return CellPlan(source.describe(), len(run.plan.wells), run.plan.fields, shape, run.n_features, names)


def _said(plan: CellPlan) -> str:
    said = [f"{k} {v}" for k, v in plan.source.items() if v not in (None, [], {})]
    return ", ".join([*said, f"{len(plan.measurements)} measurements"])


def _clear(folder: Path) -> None:
    """Take away cells, the marks first: half of them is then no well."""
    shutil.rmtree(folder / "done", ignore_errors=True)
    (folder / "cells.json").unlink()
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _done(run: Run, folder: Path, well: str) -> bool:
    """Whether a well's cells are stored for every field that the run has by now."""
    import json

    path = folder / "done" / f"{well}.json"
    if not path.is_file():
        return False
    mark = json.loads(path.read_text(encoding="utf-8"))
    seen = [f["name"] for f in mark["fields"]] + [s["field"] for s in mark["skipped"]]
    return set(seen) >= set(run.fields(well))


def field_cells(run: Run, plate: Plate | None, source: LabelSource, plan: CellPlan, well: str, name: str) -> FieldCells:
    """Find, pool and measure the cells of one field."""
    row = run.field_row(well, name)
    shape = int(row["y"]), int(row["x"])
    image = None
    stems: tuple[str, ...] = ()
    if plate is not None:
        field = plate.wells[well].fields[int(row["place"])]
        image, stems = field.read(list(run.channels)), tuple(path.stem for path in field.files)
    labels, nuclei = source.labels(Place(well, name, shape, stems, len(run.fields(well)) == 1), image)
    table = locate_cells(labels)
    weights = pooling_weights(labels, float(row["scale"]), (int(row["h"]), int(row["w"])))
    table["foreground"] = weights @ run.foreground(well, name).ravel().astype(np.float64)
    codes = _pooled(run, well, name, weights)
    if len(table) > MOST_CELLS or codes.nnz > MOST_CODES:
        raise RunError(f"{len(table)} cells in one field are more than the {MOST_CELLS} that are stored")
    measured = np.zeros((len(table), 0), np.float32)
    if image is not None and plan.measurements:
        nuclear, channels = run.lens.nuclear, run.lens.channels
        if nuclei is None and nuclear is not None:
            nuclei = segment_nuclei(image[channels.index(nuclear)], run.pixel_size)
        concepts = cell_concepts(image, channels, nuclei, labels, run.pixel_size, nuclear)
        measured = concepts.reindex(index=table["label"], columns=list(plan.measurements)).to_numpy(np.float32)
    return FieldCells(labels, table, codes, measured)


def _pooled(run: Run, well: str, name: str, weights: csr_matrix) -> csr_matrix:
    """Pool the run's codes under cells: the mean over a cell's patches by area, zeros included."""
    from scipy.sparse import csr_matrix

    index, value = run.codes(well, name)
    units, k = index.shape
    codes = csr_matrix((value.ravel(), index.ravel(), np.arange(units + 1) * k), shape=(units, run.n_features))
    if run.unit == "cell":
        owner = run.owner(well, name).ravel()
        inside = np.flatnonzero(owner >= 0)
        painted = csr_matrix((np.ones(len(inside)), (inside, owner[inside])), shape=(len(owner), units))
        weights = weights @ painted
    pooled = (weights @ codes).tocsr().astype(np.float32)
    pooled.eliminate_zeros()
    pooled.sort_indices()
    return pooled


def write_well(
    run: Run, folder: Path, plan: CellPlan, arrays: dict[str, Any], well: str, found: dict[str, FieldCells | Exception]
) -> None:
    """Write a well's cells, then its mark: without the mark the well counts as not done."""
    from scipy.sparse import vstack

    mark = folder / "done" / f"{well}.json"
    mark.unlink(missing_ok=True)
    number = run.plan.wells.index(well)
    fields: list[dict[str, Any]] = []
    good: list[tuple[int, FieldCells]] = []
    skipped = [{"field": name, "reason": str(cells)} for name, cells in found.items() if isinstance(cells, Exception)]
    for name, cells in found.items():
        if isinstance(cells, FieldCells):
            place = int(run.field_row(well, name)["place"])
            good.append((place, cells))
            counts = {"cells": len(cells.table), "codes": int(cells.codes.nnz)}
            fields.append({"name": name, "place": place, **counts, **({"given": cells.given} if cells.given else {})})
    if good:
        codes = vstack([cells.codes for _, cells in good], format="csr")
        table = pd.concat([cells.table.assign(place=place) for place, cells in good])
        parts = {
            "table": table[list(TABLE)].to_numpy(np.float64),
            "count": np.diff(codes.indptr),
            "index": codes.indices,
            "value": codes.data,
            "measured": np.concatenate([cells.measured for _, cells in good]),
        }
        for name, values in parts.items():
            if name in arrays and len(values):
                start = first_row(plan, name, number)
                arrays[name][start : start + len(values)] = values
        arrays["labels"][number * plan.fields : (number + 1) * plan.fields] = _stacked(plan, good)
    write_json(mark, {"well": well, "fields": fields, "skipped": skipped})


def _stacked(plan: CellPlan, good: Sequence[tuple[int, FieldCells]]) -> npt.NDArray[np.int32]:
    images = np.zeros((plan.fields, *plan.shape), np.int32)
    for place, cells in good:
        y, x = cells.labels.shape
        images[place, :y, :x] = cells.labels
    return images
