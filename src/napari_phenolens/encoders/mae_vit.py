"""The vision transformers of Recursion's masked autoencoders, written from their published facts on timm's blocks.

OpenPhenom (CA-MAE ViT-S/16) is public; the larger ViT-L/8 and ViT-G/8 (Phenom-1, Phenom-2) are described in Kraus et
al. (CVPR 2024), Kenyon-Dean et al. (arXiv 2411.02572) and Donhauser et al. (arXiv 2412.16247). Parameters are named as
below ``encoder.vit_backbone.`` in the published weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_phenolens.encoders.camae import sincos_positions
from napari_phenolens.encoders.timm_door import ParallelScalingBlock

STANDARDISE_EPS = 1e-5


@dataclass(frozen=True)
class MAEConfig:
    """Sizes of the network.

    Attributes
    ----------
    dim, depth, heads, mlp : int
        Width, number of blocks, attention heads, and width inside the blocks' MLP.
    patch, image : int
        Sides in px of a patch and of the only image that it takes.
    channels : int
        The most channels, where each has tokens of its own; the number of channels, where patches mix them.
    channel_agnostic : bool
        Whether each channel has tokens of its own.
    """

    dim: int = 384
    depth: int = 12
    heads: int = 6
    mlp: int = 1536
    patch: int = 16
    image: int = 256
    channels: int = 11
    channel_agnostic: bool = True

    @property
    def side(self) -> int:
        """Patches along an image's side."""
        return self.image // self.patch

    def tiny(self) -> MAEConfig:
        """Give the same kind of network at a size for tests: two narrow blocks."""
        return replace(self, dim=32, depth=2, heads=2, mlp=64)


OPENPHENOM = MAEConfig()
MAE_L8 = MAEConfig(dim=1024, depth=24, heads=16, mlp=4096, patch=8, channels=6, channel_agnostic=False)
MAE_G8 = MAEConfig(dim=1664, depth=48, heads=16, mlp=8192, patch=8, channels=6, channel_agnostic=False)


class _PatchEmbed(nn.Module):
    def __init__(self, channels: int, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, patch, patch)


class MAEViT(nn.Module):
    """The encoder of a microscopy masked autoencoder.

    Parameters
    ----------
    config : MAEConfig
        Sizes of the network.

    Notes
    -----
    One projection cuts every channel into patches (channel-agnostic), or all channels together. Positions are fixed
    2-D sine-cosine codes, repeated for every channel without a channel embedding, so that permuting the channels
    permutes the tokens. Blocks compute attention and MLP in parallel from one normed input (ViT-22B), with normed
    queries and keys. `fc_norm` belongs to the weights, but was never trained: no token passes it.
    """

    def __init__(self, config: MAEConfig) -> None:
        super().__init__()
        self.config = config
        norm = partial(nn.LayerNorm, eps=1e-6)
        repeats = config.channels if config.channel_agnostic else 1
        codes = sincos_positions(config.side, config.side, config.dim).repeat(repeats, 1)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.dim))
        nn.init.normal_(self.cls_token, std=1e-6)
        self.pos_embed = nn.Parameter(torch.cat([torch.zeros(1, config.dim), codes])[None], requires_grad=False)
        self.patch_embed = _PatchEmbed(1 if config.channel_agnostic else config.channels, config.dim, config.patch)
        self.blocks = nn.ModuleList(
            ParallelScalingBlock(
                config.dim,
                config.heads,
                mlp_ratio=(config.mlp + 0.5) / config.dim,  # timm truncates the product
                qkv_bias=False,
                qk_norm=True,
                init_values=1e-4,
                norm_layer=norm,  # type: ignore[arg-type]
            )
            for _ in range(config.depth)
        )
        self.fc_norm = norm(config.dim)

    @staticmethod
    def standardise(pixels: Tensor) -> Tensor:
        """Standardise each channel of each image: ``(n, c, y, x)`` of 0 to 255 to mean 0 and deviation 1, float32."""
        return functional.instance_norm(pixels.float() / 255.0, eps=STANDARDISE_EPS)  # autocast leaves it in float32

    def embed(self, pixels: Tensor) -> Tensor:
        """Cut standardised pixels ``(n, c, y, x)`` into tokens ``(n, 1 + patches, dim)``, with their positions.

        The class token comes first; patch (row, column) of channel c is token ``1 + c * side**2 + row * side + column``
        (`side` patches along each side).
        """
        n, c, y, x = pixels.shape
        if self.config.channel_agnostic:
            cut = self.patch_embed.proj(pixels.reshape(n * c, 1, y, x))
            tokens = cut.flatten(2).transpose(1, 2).reshape(n, -1, self.config.dim)
        else:
            tokens = self.patch_embed.proj(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(n, -1, -1), tokens], dim=1)
        return tokens + self.pos_embed[:, : tokens.shape[1]]

    def forward(self, pixels: Tensor, blocks: Sequence[int]) -> dict[int, Tensor]:
        """Give all tokens, the class token first, after some blocks (1-based, ascending); stop at the last.

        Parameters
        ----------
        pixels : Tensor
            ``(n, c, y, x)`` of 0 to 255.
        blocks : sequence of int
            Which blocks.

        Returns
        -------
        dict
            Block to ``(n, 1 + patches, dim)``.
        """
        tokens = self.embed(self.standardise(pixels))
        found, done = {}, 0
        for block in blocks:
            for layer in self.blocks[done:block]:
                tokens = layer(tokens)
            found[block], done = tokens, block
        return found
