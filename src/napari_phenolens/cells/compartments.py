"""The parts of cells in which light is measured: nucleus, the ring round it, cytoplasm, the whole cell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.cells.background import background_level, background_surface

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# px between nucleus and ring: a nucleus's blurred rim is neither
_GAP = 1.0
# width of the ring in nuclear diameters, and the least in px
_RING, _LEAST_RING = 0.25, 3.0


@dataclass(frozen=True, eq=False)
class Part:
    """The pixels of one compartment of all cells of a field.

    Attributes
    ----------
    pixels : ndarray (k,)
        Places in the raveled field, in rising order.
    row : ndarray (k,)
        The cell of each, as a row of the table (0 to n - 1).
    n : int
        Number of cells.
    """

    pixels: Ints
    row: Ints
    n: int

    @cached_property
    def count(self) -> Floats:
        """Pixels of each cell; NaN where it has none."""
        found = np.bincount(self.row, minlength=self.n).astype(np.float64)
        return np.where(found > 0, found, np.nan)

    def sum(self, values: NDArray[Any]) -> Floats:
        """Sum over each cell; NaN where it has no pixel here. `values` are of the field, or of these pixels."""
        flat = values.ravel()
        here = flat if flat.size == len(self.pixels) else flat[self.pixels]
        summed = np.bincount(self.row, weights=here, minlength=self.n)
        return np.where(np.isnan(self.count), np.nan, summed)

    def mean(self, values: NDArray[Any]) -> Floats:
        """Mean over each cell; NaN where it has no pixel here."""
        return self.sum(values) / self.count


@dataclass(frozen=True, eq=False)
class Compartments:
    """Cells parted into compartments.

    Attributes
    ----------
    labels : ndarray (n,)
        The cells' labels, in rising order.
    shape : (int, int)
        Of the field.
    cell : Part
        Whole cells.
    nucleus, ring, cytoplasm : Part or None
        None without nuclei.
    nucleus_labels : ndarray (Y, X) or None
        Each nucleus under its cell's label.
    away : ndarray (Y, X) or None
        Distance in px from the nearest pixel of a nucleus.
    """

    labels: Ints
    shape: tuple[int, int]
    cell: Part
    nucleus: Part | None = None
    ring: Part | None = None
    cytoplasm: Part | None = None
    nucleus_labels: NDArray[np.int64] | None = None
    away: Floats | None = None


def part_cells(cells: NDArray[np.integer[Any]], nuclei: NDArray[np.integer[Any]] | None) -> Compartments:
    """Part cells into nucleus, ring and cytoplasm.

    A nucleus belongs to the cell that it shares the most pixels with, whatever its own label; what of it lies outside
    that cell does not count. The ring begins one pixel off the nucleus and is a quarter of the field's median nuclear
    diameter wide (at least 3 px), as far as the cell reaches. A cell without a nucleus has NaN there.

    Parameters
    ----------
    cells, nuclei : ndarray (Y, X) int
        Labels; nuclei may be None.

    Returns
    -------
    Compartments
    """
    shape = (int(cells.shape[0]), int(cells.shape[1]))
    inside = np.flatnonzero(cells)
    labels, row = np.unique(cells.ravel()[inside], return_inverse=True)
    labels = labels.astype(np.int64)
    n = len(labels)
    whole = Part(inside.astype(np.int64), row.astype(np.int64), n)
    if nuclei is None:
        return Compartments(labels, shape, whole)
    from scipy import ndimage as ndi

    from napari_phenolens.cells.nuclei import nuclear_diameter

    here = np.asarray(nuclei).ravel()[inside]
    own = _own_nucleus(here, row, n)
    away = ndi.distance_transform_edt(np.asarray(nuclei) == 0) if np.any(nuclei) else np.full(shape, np.inf)
    diameter = nuclear_diameter(np.asarray(nuclei, np.int32))
    width = max(_LEAST_RING, _RING * diameter) if np.isfinite(diameter) else _LEAST_RING
    outside, reach = here == 0, away.ravel()[inside]
    ringed = outside & (reach > _GAP) & (reach <= _GAP + width)
    marked = np.zeros(cells.size, np.int64)
    marked[inside[own]] = labels[row[own]]

    def part(chosen: NDArray[np.bool_]) -> Part:
        return Part(whole.pixels[chosen], whole.row[chosen], n)

    return Compartments(
        labels, shape, whole, part(own), part(ringed), part(outside), marked.reshape(shape), np.asarray(away)
    )


def _own_nucleus(nucleus: NDArray[Any], row: NDArray[Any], n: int) -> NDArray[np.bool_]:
    """Which pixels of cells are of a nucleus that has most of its pixels in that cell."""
    numbers, number = np.unique(nucleus, return_inverse=True)
    shared, count = np.unique(number.astype(np.int64) * n + row, return_counts=True)
    owner = np.full(len(numbers), -1, np.int64)
    # the largest share last, so that it stays
    order = np.argsort(count, kind="stable")
    owner[shared[order] // n] = shared[order] % n
    return np.asarray((nucleus > 0) & (owner[number] == row), np.bool_)


def light_of(channel: NDArray[Any]) -> tuple[Floats, float]:
    """Give a channel's light above its background, and the background's spread.

    As where nuclei are found: background of slow unevenness (`background_surface`) is taken off, then the mode of the
    lower half of the pixels (`background_level`). Nothing is clipped.

    Parameters
    ----------
    channel : ndarray (Y, X)
        Pixel values.

    Returns
    -------
    light : ndarray (Y, X) float64
    spread : float
    """
    from scipy import ndimage as ndi

    pixels = np.nan_to_num(np.asarray(channel, np.float32))
    smooth = ndi.gaussian_filter(pixels, 1.2, mode="reflect")
    surface = background_surface(smooth)
    level, spread = background_level(smooth - surface)
    return (pixels - surface).astype(np.float64) - level, spread
