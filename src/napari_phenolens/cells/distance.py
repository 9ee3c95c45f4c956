"""How far each pixel is from the nearest label, and which that is; exact, and several times as fast as scipy's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def nearest_label(labels: NDArray[np.integer[Any] | np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Find the nearest labelled pixel of every pixel.

    Parameters
    ----------
    labels : ndarray (Y, X) int
        0 is background.

    Returns
    -------
    squared : ndarray (Y, X) int32
        Squared Euclidean distance in px to the nearest labelled pixel; more than the field's diagonal where there is
        none.
    nearest : ndarray (Y, X) int32
        The label of that pixel; of several at one distance, of one of the nearest columns.

    Notes
    -----
    Meijster et al. 2000, "A general algorithm for computing distance transforms in linear time": distances along
    columns, then the lower envelope of parabolas along rows, all in whole numbers.
    """
    squared, nearest = _nearest(np.ascontiguousarray(labels, np.int32))
    return squared, nearest


def distance_inside(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give the distance (px) of each pixel of a mask to the nearest pixel outside it; 0 outside."""
    return np.sqrt(nearest_label(~np.asarray(mask, np.bool_))[0].astype(np.float64))


@njit(cache=True, nogil=True)
def _nearest(labels: Any) -> Any:
    height, width = labels.shape
    far = height + width
    up = np.empty((height, width), np.int32)
    label = np.empty((height, width), np.int32)
    for x in range(width):
        up[0, x] = 0 if labels[0, x] != 0 else far
        label[0, x] = labels[0, x]
    for y in range(1, height):
        for x in range(width):
            here = labels[y, x] != 0
            up[y, x] = 0 if here else min(up[y - 1, x] + 1, far)
            label[y, x] = labels[y, x] if here else label[y - 1, x]
    for y in range(height - 2, -1, -1):
        for x in range(width):
            nearer = up[y + 1, x] + 1 < up[y, x]
            up[y, x] = up[y + 1, x] + 1 if nearer else up[y, x]
            label[y, x] = label[y + 1, x] if nearer else label[y, x]
    squared = np.empty((height, width), np.int32)
    nearest = np.empty((height, width), np.int32)
    site, start = np.empty(width, np.int64), np.empty(width, np.int64)
    for y in range(height):
        q = 0
        site[0], start[0] = 0, 0
        for u in range(1, width):
            g = np.int64(up[y, u])
            while q >= 0:
                i, t = site[q], start[q]
                h = np.int64(up[y, i])
                if (t - i) * (t - i) + h * h <= (t - u) * (t - u) + g * g:
                    break
                q -= 1
            if q < 0:
                q, site[0], start[0] = 0, u, 0
            else:
                i = site[q]
                h = np.int64(up[y, i])
                w = 1 + (u * u - i * i + g * g - h * h) // (2 * (u - i))
                if w < width:
                    q += 1
                    site[q], start[q] = u, w
        for x in range(width - 1, -1, -1):
            i = site[q]
            h = np.int64(up[y, i])
            squared[y, x] = (x - i) * (x - i) + h * h
            nearest[y, x] = label[y, i]
            if x == start[q]:
                q -= 1
    return squared, nearest
