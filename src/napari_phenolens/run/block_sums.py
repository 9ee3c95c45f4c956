"""The sum of a field's foreground tokens at several blocks of an encoder, from one forward of each tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_phenolens.run.engine import Engine
from napari_phenolens.run.field_tokens import TokenSettings, pool_channels
from napari_phenolens.run.geometry import TilePlan, coverage
from napari_phenolens.run.lanes import Lane

Floats = npt.NDArray[np.float32]
Sums = dict[int, npt.NDArray[np.float64]]  # block -> (d,)


@dataclass
class Shown:
    """A field's pixels, what of it is foreground, and the sums of its foreground tokens once they are computed.

    Attributes
    ----------
    image : ndarray
        ``(c, Y, X)`` as `TokenSettings.read` gives it.
    foreground : ndarray
        ``(h, w)`` bool.
    sums : dict or None
        Block to ``(d,)`` float64; None before, and for a field without foreground.
    """

    image: npt.NDArray[Any]
    foreground: npt.NDArray[np.bool_]
    sums: Sums | None = None


def field_sums(
    fields: Sequence[Shown],
    settings: TokenSettings,
    engine: Engine,
    blocks: tuple[int, ...],
    *,
    number: int = 0,
    stop: Callable[[], bool] | None = None,
) -> list[Sums]:
    """Sum the foreground tokens of each field of a bundle at every block.

    Parameters
    ----------
    fields : sequence of Shown
        Each with some foreground.
    settings : TokenSettings
        Pixel rule and geometry.
    engine : Engine
        Encodes.
    blocks : tuple of int
        Which blocks, 1-based.
    number, stop
        See `Engine.encode`.

    Returns
    -------
    list of dict
        For each field, block to ``(d,)`` float64 with channels pooled.

    Notes
    -----
    Summing is linear, so a patch that several tiles keep counts from each by one over their number: no grid is laid
    out for any block, tiles without foreground are not encoded at all, and only the sums leave the device.
    """
    images = [field.image for field in fields]
    shares = [_tile_weights(field.foreground, settings.plan_of(field.image)) for field in fields]

    def work(lane: Lane, batch: int, part: range) -> list[Sums]:
        used = [np.flatnonzero(shares[i].any((1, 2))) for i in part]
        tiles = torch.cat(
            [
                engine.tiles(lane, images[i], settings, settings.plan_of(images[i]))[torch.from_numpy(u).to(lane.where)]
                for i, u in zip(part, used, strict=True)
            ]
        )
        share = np.concatenate([shares[i][u] for i, u in zip(part, used, strict=True)])

        def forward(begin: int, end: int) -> list[Sums]:
            given = lane.forward_blocks(tiles[begin:end], blocks)
            summed = {b: _tile_sums(each, share[begin:end], settings.channel_pooling) for b, each in given.items()}
            return [{b: each[i] for b, each in summed.items()} for i in range(end - begin)]

        done = engine.in_batches(lane, batch, [True] * len(tiles), forward, stop)
        ends = np.cumsum([len(u) for u in used])
        return [
            {block: np.sum([done[i][block] for i in range(end - len(u), end)], axis=0) for block in blocks}
            for u, end in zip(used, ends, strict=True)
        ]

    return engine.on_device(images, settings, work, number=number)


def _tile_sums(tokens: Tensor, share: Floats, pooling: str) -> npt.NDArray[np.float64]:
    """Sum the weighted tokens of each tile, ``(n, d)``, channels pooled: only these leave the device."""
    with torch.inference_mode():
        weight = torch.from_numpy(_coarser(share, (tokens.shape[2], tokens.shape[3]))).to(tokens.device)
        each = torch.einsum("nyx,ncyxd->ncd", weight, tokens)[:, :, None, None]
        found: npt.NDArray[np.float64] = pool_channels(each, pooling).flatten(1).cpu().numpy().astype(np.float64)
    return found


def _coarser(weights: Floats, grid: tuple[int, int]) -> Floats:
    """Add up the weights of the patches that one token of a coarser stage covers."""
    n, y, x = weights.shape
    if (y, x) == grid:
        return weights
    summed: Floats = weights.reshape(n, grid[0], y // grid[0], grid[1], x // grid[1]).sum((2, 4))
    return summed


def _tile_weights(foreground: npt.NDArray[np.bool_], plan: TilePlan) -> Floats:
    """Give every patch of every tile its weight in the field's sum, ``(tiles, tile, tile)``."""
    padded = np.zeros(plan.padded, np.float32)
    padded[plan.inside] = foreground / coverage(plan)
    low, high = plan.inner.start, plan.inner.stop
    weights = np.zeros((len(plan.origins), plan.tile, plan.tile), np.float32)
    for i, (row, column) in enumerate(plan.origins):
        weights[i, plan.inner, plan.inner] = padded[row + low : row + high, column + low : column + high]
    return weights
