"""``camae-micro``, the encoder that comes with the package: free, small, any number of channels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from napari_phenolens.encoders.camae import CAMAEConfig, CAMAEDecoder, CAMAEEncoder, rows_of_block
from napari_phenolens.encoders.errors import EncoderError
from napari_phenolens.encoders.torch_encoder import TorchEncoder, check_block
from napari_phenolens.encoders.weights import packaged, read_safetensors, sha256_of

NAME = "camae-micro"
TILE = 128
MAX_CHANNELS = 8
DEFAULT_BLOCK = 4


class CAMAEMicro(TorchEncoder):
    """The trained network as an `Encoder`.

    Parameters
    ----------
    weights : Path, optional
        A safetensors file that ``tools/train_camae.py`` exported; default: the packaged one.
    device : str
        A torch device.
    block : int, optional
        Which block's tokens to give, 1-based; default: the block chosen in the model card.

    Raises
    ------
    EncoderError
        Where the weights do not fit or there is no such block.
    """

    name = NAME
    tile: int | None = TILE
    default_tile = TILE
    channels: int | None = None
    max_channels = MAX_CHANNELS
    input_range: tuple[float, float] | None = None
    licence = "BSD-3-Clause"

    def __init__(self, weights: Path | None = None, device: str = "cpu", block: int | None = None) -> None:
        path = weights or packaged(f"{NAME}.safetensors")
        tensors, facts = read_safetensors(path)
        if "config" not in facts:
            raise EncoderError(f"{path}: the header names no configuration, so these are no weights of {NAME}")
        config = CAMAEConfig(**json.loads(facts["config"]))
        block = min(DEFAULT_BLOCK, config.depth) if block is None else block
        check_block(NAME, block, config.depth)
        network = CAMAEEncoder(config)
        try:
            network.load_state_dict({k: v.float() for k, v in tensors.items()})
        except RuntimeError as error:
            raise EncoderError(f"{path}: not the weights of {NAME} ({error})") from error
        self._network = network.eval().to(device)
        self.blocks, self.block, self.dim, self.patch = config.depth, block, config.dim, config.patch
        self.device, self.sha256 = device, sha256_of(path)

    def forward_inner(self, pixels: Tensor, margin: int) -> Tensor:
        """Give the tokens of a tile's inner part; in the last block the rim is looked at, and no more."""
        n, c, y, x = pixels.shape
        self.check_sizes(c, y, x)
        if not (margin and n):
            return super().forward_inner(pixels, margin)
        with torch.no_grad():
            tokens, rows, columns = self._network.embed(pixels.float())
            tokens = tokens.reshape(n, c * rows * columns, self.dim)
            *first, last = self._network.blocks[: self.block]
            for layer in first:
                tokens = layer(tokens)
            place = torch.arange(c * rows * columns, device=tokens.device).reshape(c, rows, columns)
            kept = place[:, margin : rows - margin, margin : columns - margin]
            tokens = rows_of_block(last, tokens, kept.reshape(-1))
        return tokens.reshape(n, *kept.shape, self.dim)

    def forward_blocks(self, pixels: Tensor, blocks: Sequence[int]) -> dict[int, Tensor]:
        """Give the tokens of some blocks; the last block's too before the final norm, so that all are treated alike."""
        tokens, rows, columns = self._network.embed(pixels)
        n, c, count, dim = tokens.shape
        tokens = tokens.reshape(n, c * count, dim)
        found, done = {}, 0
        for block in blocks:
            for layer in self._network.blocks[done:block]:
                tokens = layer(tokens)
            found[block], done = tokens.reshape(n, c, rows, columns, dim), block
        return found


def load_decoder(weights: Path | None = None) -> CAMAEDecoder:
    """Load the decoder of the same training, which renders tokens as pixels."""
    path = weights or packaged(f"{NAME}-decoder.safetensors")
    tensors, facts = read_safetensors(path)
    decoder = CAMAEDecoder(CAMAEConfig(**json.loads(facts["config"])))
    decoder.load_state_dict({k: v.float() for k, v in tensors.items()})
    return decoder.eval()
