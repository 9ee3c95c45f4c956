"""From a field's pixels to its tokens: read, resample, normalise, tile, encode, assemble, pool channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.lens import Normalisation
from napari_phenolens.progress import CancelCallback, check_cancelled
from napari_phenolens.run.geometry import TilePlan, assemble, cut_tiles, plan_tiles
from napari_phenolens.run.pixels import normalise, resample, resample_factor

if TYPE_CHECKING:
    from napari_phenolens.encoders import Encoder
    from napari_phenolens.plate import Field

Floats = npt.NDArray[np.float32]

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

    def read(self, field: Field) -> npt.NDArray[Any]:
        """Read a field's channels in the lens's order, resampled to the lens's pixel size."""
        return resample(field.read(list(self.sources)), self.factor(field))

    def dim(self, encoder_dim: int) -> int:
        """Width of a pooled token."""
        return encoder_dim * (len(self.sources) if self.channel_pooling == "concat" else 1)


def pooling_for(wanted: str, channels: int) -> str:
    """Resolve ``auto``: tokens of up to four channels are concatenated, of more averaged."""
    if wanted == "auto":
        return "concat" if channels <= CONCAT_UP_TO else "mean"
    return wanted


def pool_channels(tokens: Floats, how: str) -> Floats:
    """Join the channels' tokens: ``(n, c, y, x, d)`` to ``(n, y, x, c * d)`` or ``(n, y, x, d)``."""
    if how == "mean":
        mean: Floats = tokens.mean(axis=1)
        return mean
    n, c, y, x, d = tokens.shape
    return np.ascontiguousarray(tokens.transpose(0, 2, 3, 1, 4)).reshape(n, y, x, c * d)


def encode_field(
    image: npt.NDArray[Any], settings: TokenSettings, encoder: Encoder, cancel: CancelCallback | None = None
) -> Floats:
    """Encode one field.

    Parameters
    ----------
    image : ndarray
        ``(c, Y, X)`` as `TokenSettings.read` gives it.
    settings : TokenSettings
        Pixel rule and geometry.
    encoder : Encoder
        The encoder.
    cancel : callable, optional
        Asked between batches.

    Returns
    -------
    ndarray
        ``(h, w, d)`` float32 tokens of the field's patches, channels pooled.

    Notes
    -----
    Batches depend on the field alone, so that a resumed run gives the same numbers as an undisturbed one.
    """
    plan = plan_tiles((image.shape[1], image.shape[2]), settings.patch, settings.tile, settings.margin)
    tiles = cut_tiles(normalise(image, settings.normalisation), plan)
    batch = max(1, BATCH_TOKENS // (tiles.shape[1] * plan.tile**2))
    if not encoder.device.startswith("cpu"):
        batch *= 32
    parts = []
    for start in range(0, len(tiles), batch):
        check_cancelled(cancel)
        parts.append(pool_channels(encoder.tokens(tiles[start : start + batch]), settings.channel_pooling))
    return assemble(np.concatenate(parts), plan)
