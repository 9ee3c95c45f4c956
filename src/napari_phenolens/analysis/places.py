"""Wells, fields and features as people name them, checked against a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.protocol import Bools, Floats, RunLike


def check_well(run: RunLike, well: str) -> str:
    """Give the full name of a well with results (``b7`` -> ``B07``).

    Raises
    ------
    AnalysisError
        Where the run has no results for it.
    """
    from napari_phenolens.plate import well_name

    name = well_name(well)
    if name not in run.wells:
        there = list(run.wells)
        span = f"{there[0]} to {there[-1]}" if there else "none yet"
        raise AnalysisError(
            f"the run of {run.plate_name} has no results for well {name}; it has {len(there)} wells ({span})"
        )
    return name


@dataclass(frozen=True)
class Place:
    """A field and the grid of its squares.

    Attributes
    ----------
    well, field : str
        Full names.
    grid : (int, int)
        Squares, (h, w).
    shape : (int, int)
        Field pixels, (Y, X).
    scale : float
        Field pixels a square.
    """

    well: str
    field: str
    grid: tuple[int, int]
    shape: tuple[int, int]
    scale: float


def find_field(run: RunLike, well: str, field: str | int | None) -> Place:
    """Give a field of a well by its name, its 0-based place, or the first one.

    Raises
    ------
    PhenoLensError
        Where the run has no results for the well or the field.
    """
    well = check_well(run, well)
    row = run.field_row(well, field)
    grid, shape = (int(row["h"]), int(row["w"])), (int(row["y"]), int(row["x"]))
    return Place(well, str(row["field"]), grid, shape, float(row["scale"]))


def area_weights(y: npt.NDArray[np.intp], x: npt.NDArray[np.intp], scale: float, grid: tuple[int, ...]) -> Floats:
    """Give each square's share of some pixels' area, (h * w,), sum one; ``scale`` is pixels a square.

    As `cells.pooling_weights` does, of one cell, and for squares that are no whole number of pixels. The last pixels of
    a field may have no square of their own; they go with the last one.
    """
    h, w = grid
    rows = np.minimum(((y + 0.5) // scale).astype(np.intp), h - 1)
    columns = np.minimum(((x + 0.5) // scale).astype(np.intp), w - 1)
    return np.bincount(rows * w + columns, minlength=h * w) / len(y)


def inside_polygon(corners: npt.ArrayLike, points: Floats, well: str) -> Bools:
    """Tell which points lie in a polygon, both (n, 2), (y, x) in field pixels.

    Raises
    ------
    AnalysisError
        Where these are no corners of a polygon.
    """
    from skimage.measure import points_in_poly

    polygon = np.asarray(corners, np.float64)
    if polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3:
        raise AnalysisError(
            f"a region in {well} is an array {polygon.shape}; give three corners or more, (y, x) in field pixels"
        )
    return np.asarray(points_in_poly(points, polygon), np.bool_)


def check_feature(run: RunLike, feature: int) -> int:
    """Give the feature as an int.

    Raises
    ------
    AnalysisError
        Where the lens has no such atom.
    """
    if not 0 <= int(feature) < run.n_features:
        raise AnalysisError(f"no feature {feature}; the run of {run.plate_name} has features 0 to {run.n_features - 1}")
    return int(feature)


def check_kind(kind: str, kinds: tuple[str, ...]) -> str:
    """Give the kind.

    Raises
    ------
    AnalysisError
        Where it is none of `kinds`.
    """
    if kind not in kinds:
        raise AnalysisError(f"no kind {kind!r}; choose one of {', '.join(kinds)}")
    return kind
