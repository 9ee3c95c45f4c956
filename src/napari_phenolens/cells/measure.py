"""Cells from nuclei, their area-overlap with patches, and plain measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_phenolens.cells.errors import CellsError
from napari_phenolens.cells.grid import patch_grid

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def expand_cells(
    nuclei: NDArray[np.integer[Any]],
    distance: float,
    near: tuple[NDArray[np.floating[Any]], NDArray[np.integer[Any]]] | None = None,
) -> NDArray[np.int32]:
    """Grow nuclei into cells by a fixed distance; where two meet, the nearer nucleus wins.

    Parameters
    ----------
    nuclei : ndarray (Y, X) int
        Labels.
    distance : float
        Pixels.
    near : tuple of ndarray, optional
        What `nearest_label` gives of the nuclei, where it is known already.

    Returns
    -------
    ndarray (Y, X) int32
        Labels, each nucleus keeping its own.
    """
    if near is None:
        from napari_phenolens.cells.distance import nearest_label

        near = nearest_label(nuclei)
    away, nearest = near
    return np.where(away <= distance, nearest, 0).astype(np.int32)


def pooling_weights(labels: NDArray[np.integer[Any]], patch: float, grid: tuple[int, int] | None = None) -> csr_matrix:
    """Weights that pool patches to cells by the area they share.

    Parameters
    ----------
    labels : ndarray (Y, X) int
        Cells, 0 is background.
    patch : float
        Edge of a patch in pixels of the labels; a pixel belongs to the patch that holds its centre.
    grid : tuple of int, optional
        Rows and columns of patches, where they are known already; needed where the edge is no whole number (the field
        was resampled).

    Returns
    -------
    scipy.sparse.csr_matrix (n_cells, h * w) float64
        A row per label in ascending order, each summing to one; ``weights @ tokens.reshape(h * w, d)`` gives the cells'
        embeddings. Pixels beyond the last kept patch count for it.
    """
    from scipy.sparse import csr_matrix

    cells = np.asarray(labels)
    if grid is None:
        if patch != int(patch):
            raise CellsError(f"patches of {patch} px are no whole pixels; give the grid of patches too")
        grid = patch_grid(cells.shape, int(patch))
    h, w = grid
    rows, columns = (
        np.minimum(((np.arange(n) + 0.5) // patch).astype(np.int64), most - 1)
        for n, most in zip(cells.shape, grid, strict=True)
    )
    inside = np.flatnonzero(cells)
    place = (rows[:, None] * w + columns).ravel()[inside]
    # cell and patch in one number, so that one sort counts the pixels that they share
    pairs, shared = np.unique(cells.ravel()[inside].astype(np.int64) * (h * w) + place, return_counts=True)
    owner = pairs // (h * w)
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    area = np.add.reduceat(shared, first) if len(first) else shared
    data = shared / np.repeat(area, np.diff(first, append=len(pairs)))
    return csr_matrix((data, pairs % (h * w), np.append(first, len(pairs))), shape=(len(first), h * w))


def locate_cells(labels: NDArray[np.integer[Any]]) -> pd.DataFrame:
    """Tell where labelled cells lie.

    Parameters
    ----------
    labels : ndarray (Y, X) int
        0 is background.

    Returns
    -------
    DataFrame
        A row per label in ascending order: ``label``, ``y``, ``x`` (centroid, px), ``y0``, ``x0``, ``y1``, ``x1`` (box,
        the ends are outside), ``area`` (px), ``border`` (whether it touches the field's edge).
    """
    cells = np.asarray(labels)
    y, x = np.nonzero(cells)
    order = np.argsort(cells[y, x], kind="stable")
    y, x = y[order], x[order]
    label, first, area = np.unique(cells[y, x], return_index=True, return_counts=True)
    if not len(label):
        first = np.zeros(0, np.intp)

    def each(of: np.ufunc, values: NDArray[np.intp]) -> NDArray[np.int64]:
        return np.asarray(of.reduceat(values, first) if len(first) else first, np.int64)

    y0, x0, y1, x1 = each(np.minimum, y), each(np.minimum, x), each(np.maximum, y) + 1, each(np.maximum, x) + 1
    return pd.DataFrame(
        {
            "label": label.astype(np.int64), "y": each(np.add, y) / area, "x": each(np.add, x) / area,
            "y0": y0, "x0": x0, "y1": y1, "x1": x1, "area": area.astype(np.int64),
            "border": (y0 == 0) | (x0 == 0) | (y1 == cells.shape[0]) | (x1 == cells.shape[1]),
        }
    )  # fmt: skip


def measure_cells(labels: NDArray[np.integer[Any]], image: NDArray[Any], channels: Sequence[str]) -> pd.DataFrame:
    """Measure place, area and intensities of labelled cells or nuclei.

    Parameters
    ----------
    labels : ndarray (Y, X) int
        0 is background.
    image : ndarray (C, Y, X)
        The field.
    channels : sequence of str
        Channel names.

    Returns
    -------
    DataFrame
        A row per label in ascending order: ``label``, ``y``, ``x`` (centroid, px), ``area`` (px), then per channel
        ``mean_<channel>`` and ``std_<channel>`` in pixel values.

    Raises
    ------
    CellsError
        Where the shapes do not fit.
    """
    cells, pixels = np.asarray(labels), np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[1:] != cells.shape or pixels.shape[0] != len(channels):
        raise CellsError(
            f"labels {cells.shape}, image {pixels.shape} and {len(channels)} channels do not fit; "
            "pass (Y, X), (C, Y, X) and C names"
        )
    table = locate_cells(cells)[["label", "y", "x", "area"]]
    y, x = np.nonzero(cells)
    row = np.searchsorted(table["label"].to_numpy(), cells[y, x])
    area = table["area"].to_numpy(np.float64)

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(row, weights=values, minlength=len(area)) / area, np.float64)

    for name, channel in zip(channels, pixels, strict=True):
        values = channel[y, x].astype(np.float64)
        centre = mean(values)
        table[f"mean_{name}"] = centre
        table[f"std_{name}"] = np.sqrt(mean((values - centre[row]) ** 2))
    return table
