"""Where tiles lie in a field and how their tokens become the field's patch grid (design section 4.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from napari_phenolens.cells import patch_grid

if TYPE_CHECKING:
    from torch import Tensor  # the plan alone is numbers: a comparison asks for it, and loads no torch

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
        The grid with its padding: the margin on every side, so that the field's border too is seen from the inner part
        of a tile, and at least one tile.
    rows, columns : tuple of int
        Tile origins in patches of the padded grid, along each axis.
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

    @property
    def inner(self) -> slice:
        """The part of a tile that is kept, along either axis, in the tile's own patches."""
        return slice(self.margin, self.tile - self.margin)

    @property
    def inside(self) -> tuple[slice, slice]:
        """Where the field's grid lies in the padded one."""
        h, w = self.grid
        return slice(self.margin, self.margin + h), slice(self.margin, self.margin + w)


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
    padded = tuple(max(-(-n // patch) + 2 * margin, side) for n in shape)
    rows, columns = (axis_origins(n, side, margin) for n in padded)
    return TilePlan(shape, patch, side, margin, grid, (padded[0], padded[1]), rows, columns)


@overload
def cut_tiles(pixels: Tensor, plan: TilePlan, shift: tuple[int, int] = ...) -> Tensor: ...
@overload
def cut_tiles(pixels: Floats, plan: TilePlan, shift: tuple[int, int] = ...) -> Floats: ...
def cut_tiles(pixels: Any, plan: TilePlan, shift: tuple[int, int] = (0, 0)) -> Any:
    """Cut a field into its tiles, where the pixels are: arrays give arrays, tensors tensors on the same device.

    Parameters
    ----------
    pixels : ndarray or Tensor
        ``(c, Y, X)``.
    plan : TilePlan
        The field's plan.
    shift : tuple of int
        Pixels by which all tiles are moved down and to the right.

    Returns
    -------
    ndarray or Tensor
        ``(tiles, c, tile px, tile px)``, the field reflected at its borders where it is padded.
    """
    import torch

    if not isinstance(pixels, torch.Tensor):
        return cut_tiles(torch.from_numpy(np.ascontiguousarray(pixels)), plan, shift).numpy()
    p, side = plan.patch, plan.tile * plan.patch
    if any(shift) or plan.margin or tuple(pixels.shape[1:]) != (plan.padded[0] * p, plan.padded[1] * p):
        rows, columns = (
            torch.from_numpy(_reflected(size, patches * p, plan.margin * p - by)).to(pixels.device)
            for size, patches, by in zip(pixels.shape[1:], plan.padded, shift, strict=True)
        )
        pixels = pixels.index_select(1, rows).index_select(2, columns)
    return torch.stack([pixels[:, r * p : r * p + side, c * p : c * p + side] for r, c in plan.origins])


def _reflected(size: int, padded: int, before: int) -> npt.NDArray[np.int64]:
    """Give the field's row (or column) of each row of the padded field, reflected at the borders."""
    if size == 1:
        return np.zeros(padded, np.int64)
    at = np.arange(-before, padded - before) % (2 * (size - 1))
    return np.minimum(at, 2 * (size - 1) - at)


@overload
def assemble(tokens: Tensor | Iterable[Tensor], plan: TilePlan) -> Tensor: ...
@overload
def assemble(tokens: Floats, plan: TilePlan) -> Floats: ...
def assemble(tokens: Any, plan: TilePlan) -> Any:
    """Lay the kept tokens of all tiles on the field's grid, averaged where tiles overlap, in the order of the tiles.

    Parameters
    ----------
    tokens : ndarray, Tensor, or iterable of Tensor
        ``(tiles, tile, tile, d)`` in the order of `TilePlan.origins`; or of each tile the inner part alone.
    plan : TilePlan
        The field's plan.

    Returns
    -------
    ndarray or Tensor
        ``(h, w, d)`` float32, as what came.
    """
    import torch

    if isinstance(tokens, np.ndarray):
        return assemble(torch.from_numpy(np.ascontiguousarray(tokens, np.float32)), plan).numpy()
    total: Tensor | None = None
    for origin, values in zip(plan.origins, tokens, strict=True):
        inner = values if values.shape[0] < plan.tile else values[plan.inner, plan.inner]
        if total is None:
            total = torch.zeros((*plan.padded, inner.shape[-1]), dtype=torch.float32, device=inner.device)
        total[_kept(plan, origin)] += inner
    assert total is not None  # a plan has a tile at least
    out = total[plan.inside]
    return out / torch.from_numpy(coverage(plan)[..., None].astype(np.float32)).to(out.device)


def _kept(plan: TilePlan, origin: tuple[int, int]) -> tuple[slice, slice]:
    """Where the kept part of a tile lies in the padded grid."""
    low, high = plan.inner.start, plan.inner.stop
    return slice(origin[0] + low, origin[0] + high), slice(origin[1] + low, origin[1] + high)


def coverage(plan: TilePlan) -> npt.NDArray[np.int32]:
    """Count the tiles that keep each patch of the field, ``(h, w)``."""
    count = np.zeros(plan.padded, np.int32)
    for origin in plan.origins:
        count[_kept(plan, origin)] += 1
    return count[plan.inside]


def tile_positions(plan: TilePlan) -> npt.NDArray[np.int32]:
    """Give each patch's place in its tile.

    Returns
    -------
    ndarray
        ``(h, w)`` int32: ``row * tile + column`` in the tile that keeps the patch, -1 where several tiles do.
    """
    place = np.full(plan.padded, -1, np.int32)
    inside = np.arange(plan.tile**2, dtype=np.int32).reshape(plan.tile, plan.tile)
    for origin in plan.origins:
        place[_kept(plan, origin)] = inside[plan.inner, plan.inner]
    found = place[plan.inside].copy()
    found[coverage(plan) > 1] = -1
    return found


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
    import torch

    one = torch.from_numpy(np.ascontiguousarray(offsets, np.float32)).reshape(plan.tile, plan.tile, -1)
    return assemble((one for _ in plan.origins), plan).numpy()
