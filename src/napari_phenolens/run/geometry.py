"""Where tiles lie in a field and how their tokens become the field's patch grid (design section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from napari_phenolens.cells import patch_grid

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TilePlan:
    """The tiles of one field.

    Attributes
    ----------
    shape : tuple of int
        The field, (Y, X) px.
    patch, tile, margin : int
        Side of a patch in px, side of a tile and the rim of it that is not kept, both in patches.
    grid : tuple of int
        Patches of the field, (h, w).
    padded : tuple of int
        The grid with its padding, at least one tile.
    rows, columns : tuple of int
        Tile origins in patches along each axis.
    """

    shape: tuple[int, int]
    patch: int
    tile: int
    margin: int
    grid: tuple[int, int]
    padded: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def origins(self) -> list[tuple[int, int]]:
        """Tile origins in patches, row-major."""
        return [(r, c) for r in self.rows for c in self.columns]

    def kept(self, origin: tuple[int, int]) -> tuple[slice, slice]:
        """Give the part of a tile that is kept, as slices in the tile's own patches.

        The rim is dropped, but for the sides on which the tile touches the border of the (padded) field.
        """
        parts = []
        for start, size in zip(origin, self.padded, strict=True):
            low = 0 if start == 0 else self.margin
            high = self.tile if start + self.tile == size else self.tile - self.margin
            parts.append(slice(low, high))
        return parts[0], parts[1]


def axis_origins(size: int, tile: int, margin: int) -> tuple[int, ...]:
    """Give tile origins along one axis, in patches: steps of the inner part, the last tile moved inward."""
    step = tile - 2 * margin
    origins = list(range(0, max(size - tile, 0) + 1, step))
    if origins[-1] + tile < size:
        origins.append(size - tile)
    return tuple(origins)


@lru_cache(maxsize=64)
def plan_tiles(shape: tuple[int, int], patch: int, tile: int, margin: int) -> TilePlan:
    """Plan the tiles of a field.

    Parameters
    ----------
    shape : tuple of int
        The field, (Y, X) px.
    patch, tile, margin : int
        Sides in px of patch and tile; the rim of a tile, in patches, that is not kept.

    Returns
    -------
    TilePlan
        Tile origins are multiples of the patch; a field smaller than a tile is padded to one.
    """
    grid = patch_grid(shape, patch)
    side = tile // patch
    padded = tuple(max(-(-n // patch), side) for n in shape)
    rows, columns = (axis_origins(n, side, margin) for n in padded)
    return TilePlan(shape, patch, side, margin, grid, (padded[0], padded[1]), rows, columns)


def cut_tiles(pixels: Floats, plan: TilePlan) -> Floats:
    """Cut a field into its tiles.

    Parameters
    ----------
    pixels : ndarray
        ``(c, Y, X)``.
    plan : TilePlan
        The field's plan.

    Returns
    -------
    ndarray
        ``(tiles, c, tile px, tile px)``, the field reflected at its borders where it is padded.
    """
    p, side = plan.patch, plan.tile * plan.patch
    wanted = [n * p for n in plan.padded]
    pads = [(0, n - have) for n, have in zip(wanted, pixels.shape[1:], strict=True)]
    if any(b for _, b in pads):
        pixels = np.pad(pixels, [(0, 0), *pads], mode="reflect")
    return np.stack([pixels[:, r * p : r * p + side, c * p : c * p + side] for r, c in plan.origins])


def assemble(tokens: Floats, plan: TilePlan) -> Floats:
    """Lay the kept tokens of all tiles on the field's grid, averaged where tiles overlap, in the order of the tiles.

    Parameters
    ----------
    tokens : ndarray
        ``(tiles, tile, tile, d)`` in the order of `TilePlan.origins`.
    plan : TilePlan
        The field's plan.

    Returns
    -------
    ndarray
        ``(h, w, d)`` float32.
    """
    total = np.zeros((*plan.padded, tokens.shape[-1]), np.float32)
    for (r, c), values in zip(plan.origins, tokens, strict=True):
        ys, xs = plan.kept((r, c))
        total[r + ys.start : r + ys.stop, c + xs.start : c + xs.stop] += values[ys, xs]
    h, w = plan.grid
    total[:h, :w] /= coverage(plan)[:h, :w, None].astype(np.float32)
    return total[:h, :w]


def coverage(plan: TilePlan) -> npt.NDArray[np.int32]:
    """Count the tiles that keep each patch of the padded grid."""
    count = np.zeros(plan.padded, np.int32)
    for r, c in plan.origins:
        ys, xs = plan.kept((r, c))
        count[r + ys.start : r + ys.stop, c + xs.start : c + xs.stop] += 1
    return count


def tile_positions(plan: TilePlan) -> npt.NDArray[np.int32]:
    """Give each patch's place in its tile.

    Returns
    -------
    ndarray
        ``(h, w)`` int32: ``row * tile + column`` in the tile that keeps the patch, -1 where several tiles do.
    """
    place = np.full(plan.padded, -1, np.int32)
    inside = np.arange(plan.tile**2, dtype=np.int32).reshape(plan.tile, plan.tile)
    for r, c in plan.origins:
        ys, xs = plan.kept((r, c))
        place[r + ys.start : r + ys.stop, c + xs.start : c + xs.stop] = inside[ys, xs]
    place[coverage(plan) > 1] = -1
    h, w = plan.grid
    return place[:h, :w]


def position_offsets(plan: TilePlan, offsets: npt.NDArray[np.floating]) -> Floats:
    """Lay the mean shift of each place in the tile on a field's grid, mixed as overlapping tokens are.

    Parameters
    ----------
    plan : TilePlan
        The field's plan.
    offsets : ndarray
        ``(tile * tile, d)``.

    Returns
    -------
    ndarray
        ``(h, w, d)`` float32.
    """
    one = np.asarray(offsets, np.float32).reshape(plan.tile, plan.tile, -1)
    return assemble(np.broadcast_to(one, (len(plan.origins), *one.shape)), plan)
