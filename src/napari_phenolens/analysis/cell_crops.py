"""Cells cut out of their fields, with their outline: what the card and the report show of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.analysis.cell_reference import LabelledRun
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import CancelCallback, check_cancelled

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate

ROUND, LEAST_PX = 1.6, 32  # a crop spans so many times the usual cell's diameter, and so many pixels at least


@dataclass(frozen=True, eq=False)
class CellCrop:
    """A cell with what is around it.

    Attributes
    ----------
    cell : int
        Index in `Run.cells`.
    well, field : str
    pixels : ndarray (C, h, w)
        The field's own numbers; beyond the field's edge the crop is moved inward, so that all have one size.
    channels : tuple of str
        Their names.
    mask : ndarray (h, w) bool
        The cell.
    """

    cell: int
    well: str
    field: str
    pixels: npt.NDArray[Any]
    channels: tuple[str, ...]
    mask: npt.NDArray[np.bool_]

    def rim(self) -> npt.NDArray[np.bool_]:
        """Give the pixels of the cell that touch others."""
        wide = np.pad(self.mask, 1)
        inner = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
        return self.mask & ~inner


def cell_crops(
    run: LabelledRun,
    cells: pd.DataFrame,
    *,
    plate: Plate | None = None,
    size: int | None = None,
    cancel: CancelCallback | None = None,
) -> list[CellCrop]:
    """Cut cells out of their fields.

    Parameters
    ----------
    run : Run
        A run with cells.
    cells : DataFrame
        Rows of `Run.cells`, or of `CellReference.nearest`: index ``cell``, with ``well``, ``field``, ``label``, ``y``,
        ``x``.
    plate : Plate, optional
        The plate, where it is open already.
    size : int, optional
        Edge in field pixels. Default: 1.6 diameters of the run's median cell.
    cancel : callable, optional
        Asked before each field.

    Returns
    -------
    list of CellCrop
        In the order of `cells`; cells of a field that cannot be read are left out.

    Raises
    ------
    PhenoLensError
        Where none of the fields can be read.
    """
    if not len(cells):
        return []
    plate = plate if plate is not None else run.plate()
    if size is None:
        size = max(LEAST_PX, round(ROUND * 2 * float(np.sqrt(run.cells()["area"].median() / np.pi))))
    found: dict[int, CellCrop] = {}
    problem: PhenoLensError | None = None
    for (well, name), group in cells.groupby(["well", "field"], sort=False):
        check_cancelled(cancel)
        try:
            field = plate.field(str(well), str(name))
            labels = run.cell_labels(str(well), str(name))
            for cell, label, y, x in zip(group.index, group["label"], group["y"], group["x"], strict=True):
                at = [_start(float(c), size, n) for c, n in zip((y, x), labels.shape, strict=True)]
                region = (slice(at[0], at[0] + size), slice(at[1], at[1] + size))
                found[int(cell)] = CellCrop(
                    int(cell), str(well), str(name), field.read(region=region), tuple(field.channels),
                    labels[region] == int(label),
                )  # fmt: skip
        except PhenoLensError as error:  # one damaged file must not hide the other cells
            problem = error
    if not found and problem is not None:
        raise problem
    return [found[cell] for cell in cells.index if cell in found]


def _start(centre: float, size: int, extent: int) -> int:
    return int(np.clip(round(centre - (size - 1) / 2), 0, max(0, extent - size)))
