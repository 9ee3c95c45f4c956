"""What every encoder offers, whatever network stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Encoder(Protocol):
    """A vision transformer that turns tiles into tokens.

    Attributes
    ----------
    name : str
        Name in the registry, options included: the same name and the same weights give the same tokens.
    blocks : int
        Number of transformer blocks.
    block : int
        The block (1-based) whose output `tokens` and `forward_tensor` give.
    dim : int
        Width of a token of that block.
    patch : int
        Side in pixels of what a token of that block stands for.
    tile : int or None
        The only tile side in pixels that it takes; None: any multiple of `patch` (and what more the error says).
    default_tile : int
        The tile side to take where nothing else is asked for: `tile`, or what suits the network, a multiple of `patch`.
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
    default_tile: int
    channels: int | None
    max_channels: int
    input_range: tuple[float, float] | None
    sha256: str
    licence: str
    device: str

    def dim_of(self, block: int) -> int:
        """Give the width of a token of a block (1-based); stages of a hierarchical network differ."""
        ...

    def patch_of(self, block: int) -> int:
        """Give the side in pixels of a token of a block (1-based).

        A tile of y by x pixels gives a grid of ``(y // patch_of(block), x // patch_of(block))`` tokens.
        """
        ...

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

    def tokens_of_blocks(
        self, tiles: npt.NDArray[np.generic], blocks: Sequence[int]
    ) -> dict[int, npt.NDArray[np.float32]]:
        """Encode tiles once and give the tokens of several blocks.

        The forward stops at the last block asked for. The tokens of each block equal those that `tokens` of an encoder
        loaded with that block gives.

        Parameters
        ----------
        tiles : ndarray
            ``(n, c, y, x)`` pixels in `input_range`.
        blocks : sequence of int
            Which blocks (1-based), in any order.

        Returns
        -------
        dict
            Block to ``(n, c or 1, gy, gx, d)`` float32; grid and d are those of the block (`patch_of`, `dim_of`).

        Raises
        ------
        EncoderError
            Where tiles do not fit or there is no such block.
        """
        ...

    def forward_tensor(self, pixels: Tensor) -> Tensor:
        """Encode pixels that lie on the encoder's device, with no copy to the host: what `tokens` calls.

        Gradients are off. An autocast region around the call is honoured: the network's products follow it, the
        encoder's own pixel norm stays float32, and the result has the type that the network gave. Sizes are checked,
        values are not (that would wait for the device): the caller keeps pixels in `input_range`.

        Parameters
        ----------
        pixels : Tensor
            ``(n, c, y, x)`` on `device`, in `input_range`, any number type.

        Returns
        -------
        Tensor
            ``(n, c or 1, gy, gx, dim)`` on the same device.

        Raises
        ------
        EncoderError
            Where tile size or channels do not fit.
        """
        ...

    def forward_tensors(self, pixels: Tensor, blocks: Sequence[int]) -> dict[int, Tensor]:
        """Do what `forward_tensor` does, for several blocks in one forward: what `tokens_of_blocks` calls."""
        ...
