"""From pixels to the patch grid of a field (design section 4.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.cells.errors import CellsError


def patch_grid(shape: tuple[int, ...], patch: int) -> tuple[int, int]:
    """Give the rows and columns of patches of a field.

    The field is padded to a multiple of `patch`; a padded patch stays only if its centre lies inside the field, so the
    last ``Y % patch`` rows make a patch of their own where they are more than half of one.

    Parameters
    ----------
    shape : tuple of int
        ``(..., Y, X)``.
    patch : int
        Edge of a patch in pixels.

    Returns
    -------
    tuple of int
        ``(h, w)``.

    Raises
    ------
    CellsError
        Where `patch` is below 1 or larger than twice the field.
    """
    y, x = int(shape[-2]), int(shape[-1])
    if patch < 1:
        raise CellsError(f"a patch of {patch} px is none; give 1 or more")
    # ceil(Y / p - 1/2) in whole numbers
    h, w = (-((patch - 2 * n) // (2 * patch)) for n in (y, x))
    if h < 1 or w < 1:
        raise CellsError(f"a field of {y} x {x} px holds no patch of {patch} px; use larger fields or a smaller patch")
    return h, w


def patch_share(values: NDArray[Any], patch: int) -> NDArray[np.float64]:
    """Average pixels over each patch, over the pixels inside the field alone.

    Parameters
    ----------
    values : ndarray (Y, X)
        A mask or an image.
    patch : int
        Edge of a patch in pixels.

    Returns
    -------
    ndarray (h, w) float64
    """
    h, w = patch_grid(values.shape, patch)
    sums = _block_sum(np.asarray(values, np.float64), patch, h, w)
    rows, columns = (
        np.minimum((np.arange(n) + 1) * patch, size) - np.arange(n) * patch
        for n, size in zip((h, w), values.shape, strict=True)
    )
    share: NDArray[np.float64] = sums / np.outer(rows, columns)
    return share


def _block_sum(values: NDArray[np.float64], patch: int, h: int, w: int) -> NDArray[np.float64]:
    kept = values[: h * patch, : w * patch]
    if kept.shape != (h * patch, w * patch):
        kept = np.pad(kept, ((0, h * patch - kept.shape[0]), (0, w * patch - kept.shape[1])))
    # rows first: whole lines are added, and little is left for the short sums
    summed: NDArray[np.float64] = kept.reshape(h, patch, w * patch).sum(1).reshape(h, w, patch).sum(2)
    return summed


def patch_of(shape: tuple[int, ...], grid: tuple[int, int]) -> int:
    """Tell the patch edge that gives a field this grid: 8, 16, 14, 32 or 4 where one fits, else the smallest.

    Raises
    ------
    CellsError
        Where no patch edge gives the grid.
    """
    most = 2 * min(int(shape[-2]), int(shape[-1]))
    for patch in (8, 16, 14, 32, 4, *range(1, most)):
        if patch < most and patch_grid(shape, patch) == grid:
            return int(patch)
    raise CellsError(
        f"no patch edge parts a field of {shape[-2]} x {shape[-1]} px into {grid[0]} x {grid[1]} patches; "
        "pass the foreground of this very field"
    )
