"""``camae-micro``, the encoder that comes with the package: free, small, any number of channels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from napari_phenolens.encoders.camae import CAMAEConfig, CAMAEDecoder, CAMAEEncoder
from napari_phenolens.encoders.errors import EncoderError
from napari_phenolens.encoders.weights import packaged, read_safetensors, sha256_of

NAME = "camae-micro"
TILE = 128
MAX_CHANNELS = 8
DEFAULT_BLOCK = 4


class CAMAEMicro:
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
        if not 1 <= block <= config.depth:
            raise EncoderError(f"{NAME} has blocks 1 to {config.depth}; block {block} was asked for")
        network = CAMAEEncoder(config)
        try:
            network.load_state_dict({k: v.float() for k, v in tensors.items()})
        except RuntimeError as error:
            raise EncoderError(f"{path}: not the weights of {NAME} ({error})") from error
        self._network = network.eval().to(device)
        self.blocks, self.block, self.dim, self.patch = config.depth, block, config.dim, config.patch
        self.device, self.sha256 = device, sha256_of(path)

    def tokens(self, tiles: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Encode tiles, see `Encoder.tokens`."""
        if tiles.ndim != 4:
            raise EncoderError(f"tiles have the shape (n, c, y, x); these have {tiles.ndim} dimensions")
        n, c, y, x = tiles.shape
        if (y, x) != (TILE, TILE):
            raise EncoderError(f"{NAME} takes tiles of {TILE} x {TILE} px; these are {y} x {x}")
        if not 1 <= c <= MAX_CHANNELS:
            raise EncoderError(f"{NAME} takes 1 to {MAX_CHANNELS} channels; these tiles have {c}")
        if n == 0:
            return np.zeros((0, c, y // self.patch, x // self.patch, self.dim), np.float32)
        pixels = torch.from_numpy(np.ascontiguousarray(tiles, dtype=np.float32)).to(self.device)
        with torch.inference_mode():
            # The last block's output is taken before the final norm too, so that all blocks are treated alike.
            out = self._network(pixels, self.block)
        result: npt.NDArray[np.float32] = out.float().cpu().numpy()
        return result


def load_decoder(weights: Path | None = None) -> CAMAEDecoder:
    """Load the decoder of the same training, which renders tokens as pixels."""
    path = weights or packaged(f"{NAME}-decoder.safetensors")
    tensors, facts = read_safetensors(path)
    decoder = CAMAEDecoder(CAMAEConfig(**json.loads(facts["config"])))
    decoder.load_state_dict({k: v.float() for k, v in tensors.items()})
    return decoder.eval()
