"""Texture of light within cells: Haralick's measures on fixed grey levels, and a granularity spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.cells.compartments import Floats, Ints, Part

# a cell's mean brightness is STEP grey levels; LEVELS of them reach from 0 to nearly four times the mean
STEP, LEVELS = 4, 16
# px between the two pixels of a pair
OFFSET = 2
# px, half the edge of the opening's square, the middle pixel left out
RADII = (1, 2, 4, 8)


def grey_levels(light: Floats, part: Part) -> NDArray[np.int64]:
    """Cut each cell's light into quarters of its own mean, so that brightness itself is no texture.

    Parameters
    ----------
    light : ndarray (Y, X)
        Above background.
    part : Part
        The pixels.

    Returns
    -------
    ndarray (k,) int64
        0 to 15 for every pixel of the part; all 0 in a cell without light.
    """
    mean = part.mean(light)[part.row]
    share = np.divide(light.ravel()[part.pixels], mean, out=np.zeros(len(part.pixels)), where=mean > 0)
    return np.asarray(np.clip(share * STEP, 0, LEVELS - 1), np.int64)


def cooccurrence(levels: Ints, part: Part, shape: tuple[int, int], offset: int = OFFSET) -> Floats:
    """Count, for each cell, how often two grey levels lie `offset` px apart.

    Pairs along rows, columns and both diagonals are pooled and counted both ways; both pixels lie in the same cell
    (Haralick et al. 1973).

    Parameters
    ----------
    levels : ndarray (k,) int
        Of `grey_levels`.
    part : Part
        The pixels.
    shape : (int, int)
        Of the field.
    offset : int
        Pixels.

    Returns
    -------
    ndarray (n, LEVELS, LEVELS) float64
        Shares that sum to one in each cell; NaN in a cell without pairs.
    """
    grid = np.full((shape[0] + offset, shape[1] + 2 * offset), -1, np.int32)
    y, x = np.divmod(part.pixels, shape[1])
    # cell and level in one number
    grid[y, x + offset] = part.row * LEVELS + levels
    counts = np.zeros(part.n * LEVELS * LEVELS)
    centre = grid[y, x + offset]
    for dy, dx in ((0, offset), (offset, 0), (offset, offset), (offset, -offset)):
        other = grid[y + dy, x + offset + dx]
        same = (other >= 0) & (other // LEVELS == part.row)
        pair = centre[same].astype(np.int64) * LEVELS + other[same] % LEVELS
        counts += np.bincount(pair, minlength=len(counts))
    table = counts.reshape(part.n, LEVELS, LEVELS)
    table += table.transpose(0, 2, 1)
    total = table.sum(axis=(1, 2), keepdims=True)
    return np.asarray(np.divide(table, total, out=np.full_like(table, np.nan), where=total > 0), np.float64)


def haralick(table: Floats) -> dict[str, Floats]:
    """Give contrast, homogeneity, entropy and correlation of each cell's table of pairs.

    Parameters
    ----------
    table : ndarray (n, L, L)
        Of `cooccurrence`.

    Returns
    -------
    dict of str to ndarray (n,)
        ``contrast`` (mean squared difference in levels), ``homogeneity`` (mean of 1 / (1 + squared difference)),
        ``entropy`` (bits), ``correlation`` (of the two levels; NaN in a flat cell).
    """
    level = np.arange(table.shape[1], dtype=np.float64)
    apart = (level[:, None] - level) ** 2
    one_side = table.sum(axis=2)
    mean = one_side @ level
    variance = one_side @ level**2 - mean**2
    product = np.einsum("nij,i,j->n", table, level, level) - mean**2
    log = np.log2(table, out=np.zeros_like(table), where=table > 0)
    flat = variance > 1e-9
    return {
        "contrast": np.tensordot(table, apart, 2),
        "homogeneity": np.tensordot(table, 1.0 / (1.0 + apart), 2),
        "entropy": -np.einsum("nij,nij->n", table, log),
        "correlation": np.divide(product, variance, out=np.full(len(table), np.nan), where=flat),
    }


def granularity(light: Floats, part: Part) -> dict[int, Floats]:
    """Give the share of each cell's light in bright structures of a few sizes (an opening's size distribution).

    The field is opened with squares of growing edge; what one opening takes away beyond the one before is light in
    structures of that size.

    Parameters
    ----------
    light : ndarray (Y, X)
        Above background.
    part : Part
        The pixels.

    Returns
    -------
    dict of int to ndarray (n,)
        By half the square's edge in px: light taken away over the cell's light; NaN where there is none.
    """
    from scipy import ndimage as ndi

    clipped = np.maximum(light, 0.0).astype(np.float32)
    total = part.sum(clipped)
    before, found = total, {}
    for radius in RADII:
        after = part.sum(ndi.grey_opening(clipped, size=2 * radius + 1, mode="reflect"))
        found[radius] = np.divide(before - after, total, out=np.full(part.n, np.nan), where=total > 0)
        before = after
    return found


def unevenness(light: Floats, part: Part) -> Floats:
    """Give the standard deviation of light over its mean in each cell; NaN where the mean is not above background."""
    mean = part.mean(light)
    spread: NDArray[Any] = np.sqrt(np.maximum(part.mean(light**2) - mean**2, 0.0))
    return np.asarray(np.divide(spread, mean, out=np.full(part.n, np.nan), where=mean > 0), np.float64)
