"""What every encoder offers, whatever network stands behind it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt


@runtime_checkable
class Encoder(Protocol):
    """A vision transformer that turns tiles into tokens.

    Attributes
    ----------
    name : str
        Name in the registry.
    blocks : int
        Number of transformer blocks.
    block : int
        The block (1-based) whose output is given.
    dim : int
        Width of a token.
    patch : int
        Side of a patch in pixels.
    tile : int or None
        The only tile side in pixels that it takes; None: any multiple of `patch`.
    channels : int or None
        The only number of channels that it takes; None: any number up to `max_channels`.
    max_channels : int
        The most channels of one call.
    input_range : tuple of float or None
        Range in which pixels are expected; None: the logarithm of the pixels, standardised per channel.
    sha256 : str
        Checksum of the weights file.
    licence : str
        Licence of the weights.
    device : str
        Where it computes, as torch names it.
    """

    name: str
    blocks: int
    block: int
    dim: int
    patch: int
    tile: int | None
    channels: int | None
    max_channels: int
    input_range: tuple[float, float] | None
    sha256: str
    licence: str
    device: str

    def tokens(self, tiles: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Encode tiles.

        Parameters
        ----------
        tiles : ndarray
            ``(n, c, y, x)`` pixels in `input_range`.

        Returns
        -------
        ndarray
            ``(n, c or 1, gy, gx, dim)`` float32, class and register tokens dropped.

        Raises
        ------
        EncoderError
            Where tile size, channels or values do not fit.
        """
        ...
