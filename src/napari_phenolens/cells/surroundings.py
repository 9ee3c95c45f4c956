"""Where cells lie among each other, and where in a cell its light lies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.cells.compartments import Compartments, Floats

# reach within which neighbours count: about two cells
REACH_UM, REACH_PX = 40.0, 80.0
# zones from the cell's middle to its rim
ZONES = 3


def neighbourhood(
    cells: NDArray[np.integer[Any]], y: Floats, x: Floats, labels: NDArray[np.int64], reach: float
) -> dict[str, Floats]:
    """Count each cell's neighbours.

    Parameters
    ----------
    cells : ndarray (Y, X) int
        Labels.
    y, x : ndarray (n,)
        Centroids in px, in the order of `labels`.
    labels : ndarray (n,)
        In rising order.
    reach : float
        Pixels.

    Returns
    -------
    dict of str to ndarray (n,)
        ``neighbours`` (centroids within reach), ``density`` (the same over the part of that disc that lies in the
        field, a px²; the cell itself counts), ``distance`` (px to the nearest centroid, NaN where it is alone),
        ``contact`` (share of the outline that touches another cell).
    """
    from scipy.spatial import cKDTree

    n = len(labels)
    if n == 0:
        return {name: np.zeros(0) for name in ("neighbours", "density", "distance", "contact")}
    places = np.stack([y, x], axis=1)
    tree = cKDTree(places)
    count = tree.query_ball_point(places, reach, return_length=True) - 1.0
    apart = tree.query(places, k=2)[0][:, 1] if n > 1 else np.full(1, np.inf)
    # points that fill the disc evenly (sunflower); the share of them in the field is the disc's
    k = np.arange(256) + 0.5
    radius, angle = reach * np.sqrt(k / 256), np.pi * (1 + 5**0.5) * k
    py, px = y[:, None] + radius * np.sin(angle), x[:, None] + radius * np.cos(angle)
    height, width = cells.shape
    inside = ((py >= -0.5) & (py <= height - 0.5) & (px >= -0.5) & (px <= width - 0.5)).mean(axis=1)
    return {
        "neighbours": np.asarray(count, np.float64),
        "density": (count + 1.0) / (np.pi * reach**2 * inside),
        "distance": np.where(np.isfinite(apart), apart, np.nan),
        "contact": _contact(cells, labels),
    }


def _contact(cells: NDArray[np.integer[Any]], labels: NDArray[np.int64]) -> Floats:
    """Share of each cell's pixel edges to something else that are edges to another cell; the field's rim is neither."""
    n = len(labels)
    row = np.full(int(labels[-1]) + 1, -1, np.int64)
    row[labels] = np.arange(n)
    touching, outline = np.zeros(n), np.zeros(n)
    for a, b in ((cells[:-1], cells[1:]), (cells[:, :-1], cells[:, 1:])):
        differ = np.flatnonzero((a != b).ravel())
        left, right = a.ravel()[differ], b.ravel()[differ]
        for one, other in ((left, right), (right, left)):
            here = one > 0
            mine = row[one[here]]
            outline += np.bincount(mine, minlength=n)
            touching += np.bincount(mine, weights=other[here] > 0, minlength=n)
    return np.asarray(np.divide(touching, outline, out=np.full(n, np.nan), where=outline > 0), np.float64)


def depth(cells: NDArray[np.integer[Any]], parts: Compartments) -> Floats:
    """Say for every pixel of every cell how far out it lies.

    With nuclei: distance from the nucleus over that plus the distance from the cell's rim, so 0 in the nucleus and 1 at
    the rim. Without: one minus the distance from the rim over the largest in the cell.

    Parameters
    ----------
    cells : ndarray (Y, X) int
        Labels.
    parts : Compartments
        Their compartments.

    Returns
    -------
    ndarray (k,) float64
        For the pixels of ``parts.cell``.
    """
    from scipy import ndimage as ndi
    from skimage.segmentation import find_boundaries

    inner = np.asarray(cells) > 0
    inner &= ~find_boundaries(cells, mode="inner")
    rim = ndi.distance_transform_edt(inner).ravel()[parts.cell.pixels] + 0.5
    if parts.away is not None:
        near = parts.away.ravel()[parts.cell.pixels]
        # a cell without a nucleus is far from any
        return np.asarray(np.where(np.isfinite(near), near / (near + rim), 1.0), np.float64)
    most = np.zeros(parts.cell.n)
    np.maximum.at(most, parts.cell.row, rim)
    return np.asarray(1.0 - rim / most[parts.cell.row], np.float64)


def radial(light: Floats, parts: Compartments, out: Floats) -> dict[int, Floats]:
    """Give the share of a cell's light in each zone over the zone's share of its area, from the middle to the rim.

    Parameters
    ----------
    light : ndarray (Y, X)
        Above background.
    parts : Compartments
        The compartments.
    out : ndarray (k,)
        Of `depth`.

    Returns
    -------
    dict of int to ndarray (n,)
        Zones 1 (middle) to 3 (rim): 1 is even light; NaN where a cell has no light or no such zone.
    """
    part = parts.cell
    zone = np.minimum((out * ZONES).astype(np.int64), ZONES - 1)
    here = np.maximum(light.ravel()[part.pixels], 0.0)
    summed = np.bincount(part.row * ZONES + zone, weights=here, minlength=part.n * ZONES).reshape(part.n, ZONES)
    area = np.bincount(part.row * ZONES + zone, minlength=part.n * ZONES).reshape(part.n, ZONES).astype(np.float64)
    whole = summed.sum(1, keepdims=True) / area.sum(1, keepdims=True)
    share = np.full(summed.shape, np.nan)
    np.divide(summed, area * whole, out=share, where=(area > 0) & (whole > 0))
    return {k + 1: share[:, k] for k in range(ZONES)}


def displacement(light: Floats, parts: Compartments, area: Floats) -> Floats:
    """Give the distance of the light's centroid from the cell's, over the square root of the cell's area."""
    part = parts.cell
    y, x = (v.astype(np.float64) for v in np.divmod(part.pixels, parts.shape[1]))
    here = np.maximum(light.ravel()[part.pixels], 0.0)
    total = part.sum(here)
    there = total > 0
    moved = [
        np.divide(part.sum(v * here), total, out=np.full(part.n, np.nan), where=there) - part.mean(v) for v in (y, x)
    ]
    return np.asarray(np.hypot(*moved) / np.sqrt(area), np.float64)
