"""Recursion's masked autoencoders as encoders: OpenPhenom, and the larger ViT-L/8 and ViT-G/8 of the papers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_phenolens.encoders.errors import EncoderError
from napari_phenolens.encoders.mae_vit import MAE_G8, MAE_L8, OPENPHENOM, MAEConfig, MAEViT
from napari_phenolens.encoders.torch_encoder import TorchEncoder, check_block
from napari_phenolens.encoders.weights import read_published, sha256_of

CONFIGS = {"openphenom": OPENPHENOM, "mae-l8": MAE_L8, "mae-g8": MAE_G8}
ANCHOR = "vit_backbone.cls_token"  # its prefix is that of all keys of the encoder


class MAEEncoder(TorchEncoder):
    """A microscopy masked autoencoder as an `Encoder`.

    Parameters
    ----------
    name : str
        Name in the registry.
    config : MAEConfig
        Sizes of the network.
    weights : Path
        The published file, safetensors or torch pickle; only what belongs to the encoder is taken.
    licence : str
        Licence of the weights.
    device : str
        A torch device.
    block : int, optional
        Which block's tokens to give, 1-based; default: the last.

    Raises
    ------
    EncoderError
        Where the weights do not fit or there is no such block.
    """

    input_range: tuple[float, float] | None = (0.0, 255.0)

    def __init__(
        self,
        name: str,
        config: MAEConfig,
        weights: Path,
        licence: str,
        device: str = "cpu",
        block: int | None = None,
    ) -> None:
        block = config.depth if block is None else block
        check_block(name, block, config.depth)
        self.name, self.licence, self.device, self.config = name, licence, device, config
        self.blocks, self.block, self.dim, self.patch = config.depth, block, config.dim, config.patch
        self.tile = self.default_tile = config.image
        self.channels = None if config.channel_agnostic else config.channels
        self.max_channels = config.channels
        self.network = load_mae(name, config, weights).to(device)
        self.sha256 = sha256_of(weights)

    def check_values(self, tiles: npt.NDArray[np.generic]) -> None:
        """Refuse values that are not finite, and floats that were scaled to 0-1: they would be scaled down again."""
        if not np.issubdtype(tiles.dtype, np.floating):
            return
        low, high = float(tiles.min()), float(tiles.max())
        if not np.isfinite([low, high]).all():
            raise EncoderError(f"{self.name}: some pixels are not finite; replace them first")
        if low >= 0.0 and high <= 1.0:
            raise EncoderError(
                f"{self.name} takes pixels of 0 to 255 (or counts of a camera); these floats lie between {low:g} and "
                f"{high:g}, as if scaled to 0-1, and would be divided by 255 once more: multiply them by 255"
            )

    def forward_blocks(self, pixels: Tensor, blocks: Sequence[int]) -> dict[int, Tensor]:
        """Give the patch tokens of some blocks: the class token is dropped, no norm is applied."""
        n, c = pixels.shape[:2]
        shape = (n, c if self.config.channel_agnostic else 1, self.config.side, self.config.side, self.dim)
        return {b: t[:, 1:].reshape(shape) for b, t in self.network(pixels, blocks).items()}

    def embeddings(self, tiles: npt.NDArray[np.generic], channelwise: bool = False) -> npt.NDArray[np.float32]:
        """Give one vector a tile, as the published model's ``predict`` does for the last block.

        Parameters
        ----------
        tiles : ndarray
            ``(n, c, y, x)`` pixels of 0 to 255.
        channelwise : bool
            Whether to keep the channels apart.

        Returns
        -------
        ndarray
            ``(n, dim)`` float32, the mean of all patch tokens of `block`; channelwise ``(n, c * dim)``, the mean of
            each channel's tokens, one after the other. The model's ``fc_norm``, which was never trained, is not
            applied.
        """
        tokens = self.tokens(tiles)
        each = tokens.mean(axis=(2, 3))  # every channel has as many tokens, so the mean of means is the mean
        out: npt.NDArray[np.float32] = each.reshape(len(each), -1) if channelwise else each.mean(axis=1)
        return out


def load_mae(name: str, config: MAEConfig, weights: Path) -> MAEViT:
    """Build the network and fill it from a published file.

    Parameters
    ----------
    name : str
        For messages.
    config : MAEConfig
        Sizes of the network.
    weights : Path
        The file. Keys are those of the published state dict: ``encoder.vit_backbone.*``, whatever stands before
        ``vit_backbone.`` (``model.encoder.`` for example); the decoder's are left out.

    Returns
    -------
    MAEViT
        On the CPU, in float32, in evaluation mode.

    Raises
    ------
    EncoderError
        Where keys or shapes are not those of the network.
    """
    tensors = backbone(name, weights, read_published(weights))
    with torch.device("meta"):  # nothing is drawn at random that the file then replaces
        network = MAEViT(config)
    try:
        network.load_state_dict({k: v.float() for k, v in tensors.items()}, assign=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:4]]
        raise EncoderError(f"{weights}: not the weights of {name} ({' '.join(lines)[:400]})") from error
    return network.requires_grad_(False).eval()


def backbone(name: str, weights: Path, tensors: dict[str, Any]) -> dict[str, Any]:
    """Take the encoder's tensors out of a published file, under their names in the network."""
    prefixes = [key.removesuffix("cls_token") for key in tensors if key.endswith(ANCHOR)]
    if len(prefixes) != 1:
        raise EncoderError(
            f"{weights}: not the weights of {name}: its keys have no single ...{ANCHOR}; they begin with "
            f"{', '.join(sorted(tensors)[:3]) or 'nothing'}"
        )
    found = {k.removeprefix(prefixes[0]): v for k, v in tensors.items() if k.startswith(prefixes[0])}
    if "fc_norm.weight" not in found and "norm.weight" in found:
        # A backbone built with a pooled class token names its last norm so; no token of ours passes either.
        found = {k.replace("norm.", "fc_norm.", 1) if k.startswith("norm.") else k: v for k, v in found.items()}
    return found
