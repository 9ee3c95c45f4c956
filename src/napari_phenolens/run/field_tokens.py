"""What decides a field's tokens, how its pixels are read, and how the channels' tokens are joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from napari_phenolens.lens import Normalisation
from napari_phenolens.run.geometry import TilePlan, plan_tiles
from napari_phenolens.run.pixels import resample, resample_factor

if TYPE_CHECKING:
    from napari_phenolens.plate import Field

Floats = npt.NDArray[np.float32]
Pooled = TypeVar("Pooled", npt.NDArray[np.float32], Tensor)

BATCH_TOKENS = 2048  # tokens of one forward on the CPU: small batches stay in cache and answer a cancel soon
CONCAT_UP_TO = 4


@dataclass(frozen=True)
class TokenSettings:
    """Everything that decides a field's tokens, but for its pixels.

    Attributes
    ----------
    sources : tuple of str
        The plate's channels, in the order in which the encoder sees them.
    names : tuple of str
        The lens's names of these channels.
    channel_pooling : str
        ``concat`` or ``mean``.
    patch, tile, margin : int
        Geometry, see `plan_tiles`.
    pixel_size : float or None
        um per pixel to which fields are resampled.
    normalisation : Normalisation
        Pixel rule and numbers.
    """

    sources: tuple[str, ...]
    names: tuple[str, ...]
    channel_pooling: str
    patch: int
    tile: int
    margin: int
    pixel_size: float | None
    normalisation: Normalisation

    def factor(self, field: Field) -> float:
        """Give the factor by which a field is resampled."""
        return resample_factor(self.pixel_size, field.pixel_size)

    def plan(self, field: Field) -> TilePlan:
        """Plan a field's tiles, after resampling."""
        factor = self.factor(field)
        y, x = field.shape
        shape = (y, x) if factor == 1.0 else (max(1, round(y * factor)), max(1, round(x * factor)))
        return plan_tiles(shape, self.patch, self.tile, self.margin)

    def plan_of(self, image: npt.NDArray[Any]) -> TilePlan:
        """Plan the tiles of a field's pixels ``(c, Y, X)`` as `read` gave them."""
        return plan_tiles((image.shape[1], image.shape[2]), self.patch, self.tile, self.margin)

    def read(self, field: Field) -> npt.NDArray[Any]:
        """Read a field's channels in the lens's order, resampled to the lens's pixel size."""
        return resample(field.read(list(self.sources)), self.factor(field))

    def dim(self, encoder_dim: int, encoder_channels: int | None = None) -> int:
        """Width of a pooled token; an encoder that takes a fixed number of channels gives them one token."""
        apart = self.channel_pooling == "concat" and encoder_channels is None
        return encoder_dim * (len(self.sources) if apart else 1)


def pooling_for(wanted: str, channels: int) -> str:
    """Resolve ``auto``: tokens of up to four channels are concatenated, of more averaged."""
    if wanted == "auto":
        return "concat" if channels <= CONCAT_UP_TO else "mean"
    return wanted


def pool_channels(tokens: Pooled, how: str) -> Pooled:
    """Join the channels' tokens: ``(n, c, y, x, d)`` to ``(n, y, x, c * d)`` or ``(n, y, x, d)``."""
    if how == "mean":
        mean: Pooled = tokens.mean(1)
        return mean
    if isinstance(tokens, Tensor):
        return tokens.movedim(1, 3).flatten(3)
    n, c, y, x, d = tokens.shape
    return np.ascontiguousarray(tokens.transpose(0, 2, 3, 1, 4)).reshape(n, y, x, c * d)
