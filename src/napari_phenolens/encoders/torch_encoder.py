"""What encoders on torch share: checks, the way to the device and back, one forward for several blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_phenolens.encoders.errors import EncoderError


class TorchEncoder(ABC):
    """An `Encoder` that leaves its network to the class that derives from it.

    A derived class sets the attributes of `Encoder` and writes `forward_blocks`; it may add checks of sizes
    (`check_sizes`) and values (`check_values`).
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

    @abstractmethod
    def forward_blocks(self, pixels: Tensor, blocks: Sequence[int]) -> dict[int, Tensor]:
        """Give ``(n, c or 1, gy, gx, d)`` of each block of ``(n, c, y, x)`` pixels, float32 and checked.

        `blocks` are 1-based, ascending and without repeats; the forward stops at the last.
        """

    def dim_of(self, block: int) -> int:
        """Give the width of a token of a block, see `Encoder.dim_of`."""
        self._check_blocks([block])
        return self.dim

    def patch_of(self, block: int) -> int:
        """Give the side in pixels of a token of a block, see `Encoder.patch_of`."""
        self._check_blocks([block])
        return self.patch

    def check_sizes(self, channels: int, y: int, x: int) -> None:
        """Refuse channels and tile sizes that do not fit."""
        if self.tile is not None and (y, x) != (self.tile, self.tile):
            raise EncoderError(f"{self.name} takes tiles of {self.tile} x {self.tile} px; these are {y} x {x}")
        if y % self.patch or x % self.patch or not (y and x):
            raise EncoderError(
                f"{self.name} takes tiles whose sides are multiples of {self.patch} px; these are {y} x {x}"
            )
        if self.channels is not None and channels != self.channels:
            raise EncoderError(f"{self.name} takes {self.channels} channels; these tiles have {channels}")
        if not 1 <= channels <= self.max_channels:
            raise EncoderError(f"{self.name} takes 1 to {self.max_channels} channels; these tiles have {channels}")

    def check_values(self, tiles: npt.NDArray[np.generic]) -> None:  # noqa: B027
        """Refuse values that do not fit; only `tokens` and `tokens_of_blocks` can afford to look at them."""

    def forward_tensor(self, pixels: Tensor) -> Tensor:
        """Encode pixels on the device, see `Encoder.forward_tensor`."""
        return self.forward_tensors(pixels, [self.block])[self.block]

    def forward_inner(self, pixels: Tensor, margin: int) -> Tensor:
        """Give what `forward_tensor` gives, without a rim of `margin` tokens on each side of a tile.

        A network may leave out work whose result only the rim would show.
        """
        tokens = self.forward_tensor(pixels)
        return tokens[:, :, margin : tokens.shape[2] - margin, margin : tokens.shape[3] - margin]

    def forward_tensors(self, pixels: Tensor, blocks: Sequence[int]) -> dict[int, Tensor]:
        """Encode pixels on the device for several blocks, see `Encoder.forward_tensors`."""
        self._check_blocks(blocks)
        if pixels.ndim != 4:
            raise EncoderError(f"tiles have the shape (n, c, y, x); these have {pixels.ndim} dimensions")
        n, c, y, x = pixels.shape
        self.check_sizes(c, y, x)
        if n == 0:
            return {b: pixels.new_zeros(self._empty(c, y, x, b), dtype=torch.float32) for b in blocks}
        with torch.no_grad():
            found = self.forward_blocks(pixels.float(), sorted(set(blocks)))
        return {b: found[b] for b in blocks}

    def tokens(self, tiles: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Encode tiles, see `Encoder.tokens`."""
        return self.tokens_of_blocks(tiles, [self.block])[self.block]

    def tokens_of_blocks(
        self, tiles: npt.NDArray[np.generic], blocks: Sequence[int]
    ) -> dict[int, npt.NDArray[np.float32]]:
        """Encode tiles once for several blocks, see `Encoder.tokens_of_blocks`."""
        if tiles.size:
            self.check_values(tiles)
        pixels = torch.from_numpy(np.ascontiguousarray(tiles, dtype=np.float32)).to(self.device)
        with torch.inference_mode():
            found = self.forward_tensors(pixels, blocks)
        return {b: t.float().cpu().numpy() for b, t in found.items()}

    def _check_blocks(self, blocks: Sequence[int]) -> None:
        for block in blocks:
            check_block(self.name, block, self.blocks)

    def _empty(self, c: int, y: int, x: int, block: int) -> tuple[int, ...]:
        patch = self.patch_of(block)
        return 0, 1 if self.channels is not None else c, y // patch, x // patch, self.dim_of(block)


def check_block(name: str, block: int, blocks: int) -> None:
    """Refuse a block (1-based) that the network does not have."""
    if not 1 <= block <= blocks:
        raise EncoderError(f"{name} has blocks 1 to {blocks}; block {block} was asked for")
