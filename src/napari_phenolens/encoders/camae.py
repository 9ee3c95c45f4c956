"""A small channel-agnostic masked autoencoder (CA-MAE), the network behind ``camae-micro``.

Every channel is cut into patches by one shared projection; a token is a patch of one channel. Positions are fixed
2-D sine-cosine codes repeated for every channel, and there is no channel embedding, so that permuting the channels
permutes the tokens and nothing else (the idea of CA-MAE, Kraus et al., CVPR 2024). Blocks are timm's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from napari_phenolens.encoders.timm_door import Block, Mlp


@dataclass(frozen=True)
class CAMAEConfig:
    """Sizes of the network.

    Attributes
    ----------
    dim, depth, heads : int
        Width, number of blocks and attention heads of the encoder.
    patch : int
        Side of a patch in pixels.
    decoder_dim, decoder_depth, decoder_heads : int
        The same of the decoder, which only training and rendering use.
    """

    dim: int = 192
    depth: int = 6
    heads: int = 3
    patch: int = 8
    decoder_dim: int = 128
    decoder_depth: int = 1
    decoder_heads: int = 2

    def to_dict(self) -> dict[str, int]:
        """Give the configuration as plain numbers."""
        return asdict(self)


def sincos_positions(rows: int, columns: int, dim: int) -> Tensor:
    """Give the fixed 2-D sine-cosine codes of a patch grid.

    Parameters
    ----------
    rows, columns : int
        Size of the grid.
    dim : int
        Width of a code, a multiple of four.

    Returns
    -------
    Tensor
        ``(rows * columns, dim)`` float32, row-major; the first half codes the row, the second half the column.
    """
    quarter = dim // 4
    omega = 1.0 / 10000 ** (torch.arange(quarter, dtype=torch.float64) / quarter)
    y = torch.arange(rows, dtype=torch.float64)[:, None] * omega
    x = torch.arange(columns, dtype=torch.float64)[:, None] * omega
    row = torch.cat([y.sin(), y.cos()], dim=1)[:, None].expand(rows, columns, -1)
    column = torch.cat([x.sin(), x.cos()], dim=1)[None].expand(rows, columns, -1)
    return torch.cat([row, column], dim=2).reshape(rows * columns, dim).float()


def rows_of_block(block: Any, tokens: Tensor, rows: Tensor) -> Tensor:
    """Give what a block gives for some tokens alone: all are looked at, but only these look, and only they are mixed.

    Parameters
    ----------
    block : Block
        timm's, without the norms and gates that are off by default.
    tokens : Tensor
        ``(n, count, dim)``.
    rows : Tensor
        ``(kept,)`` int64, which tokens.

    Returns
    -------
    Tensor
        ``(n, kept, dim)``.
    """
    attention, normed = block.attn, block.norm1(tokens)
    n, count, dim = normed.shape
    weight, bias = attention.qkv.weight, attention.qkv.bias
    q = linear(normed[:, rows], weight[:dim], bias[:dim])
    kv = linear(normed, weight[dim:], bias[dim:]).reshape(n, count, 2, attention.num_heads, -1)
    k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)
    q = q.reshape(n, len(rows), attention.num_heads, -1).transpose(1, 2)
    seen = scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, len(rows), dim)
    kept = tokens[:, rows] + attention.proj(seen)
    out: Tensor = kept + block.mlp(block.norm2(kept))
    return out


class CAMAEEncoder(nn.Module):
    """The encoder: pixels of any number of channels to one token a patch and channel.

    Parameters
    ----------
    config : CAMAEConfig
        Sizes of the network.
    """

    def __init__(self, config: CAMAEConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = nn.Conv2d(1, config.dim, config.patch, config.patch)
        self.blocks = nn.ModuleList(
            Block(config.dim, config.heads, mlp_ratio=4.0, qkv_bias=True) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.dim)

    def embed(self, pixels: Tensor) -> tuple[Tensor, int, int]:
        """Cut pixels into patches and add their positions.

        Parameters
        ----------
        pixels : Tensor
            ``(n, c, y, x)``, log-transformed and standardised; y and x are multiples of the patch.

        Returns
        -------
        tokens : Tensor
            ``(n, c, rows * columns, dim)``.
        rows, columns : int
            The patch grid.
        """
        n, c, y, x = pixels.shape
        rows, columns = y // self.config.patch, x // self.config.patch
        tokens = self.patch_embed(pixels.reshape(n * c, 1, y, x)).flatten(2).transpose(1, 2)
        positions = sincos_positions(rows, columns, self.config.dim).to(tokens)
        return (tokens + positions).reshape(n, c, rows * columns, self.config.dim), rows, columns

    def transform(self, tokens: Tensor, block: int | None = None) -> Tensor:
        """Run tokens through the blocks, stopping after `block` (1-based; None: all, then the final norm)."""
        for layer in self.blocks[:block]:
            tokens = layer(tokens)
        return self.norm(tokens) if block is None else tokens

    def forward(self, pixels: Tensor, block: int | None = None) -> Tensor:
        """Encode whole tiles.

        Parameters
        ----------
        pixels : Tensor
            ``(n, c, y, x)``, log-transformed and standardised.
        block : int, optional
            Stop after this block (1-based), without the final norm; None runs all blocks and the final norm.

        Returns
        -------
        Tensor
            ``(n, c, rows, columns, dim)``.
        """
        tokens, rows, columns = self.embed(pixels)
        n, c, count, dim = tokens.shape
        out = self.transform(tokens.reshape(n, c * count, dim), block)
        return out.reshape(n, c, rows, columns, dim)


class CAMAEDecoder(nn.Module):
    """The decoder: tokens of the visible patches to the pixels of the others.

    A masked patch is asked for by its position and by the mean of its channel's visible tokens, which tells the
    channels apart without a channel embedding.

    Parameters
    ----------
    config : CAMAEConfig
        Sizes of the network.
    """

    def __init__(self, config: CAMAEConfig) -> None:
        super().__init__()
        self.config = config
        width = config.decoder_dim
        self.project = nn.Linear(config.dim, width)
        self.channel = Mlp(config.dim, width, width)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(
            Block(width, config.decoder_heads, mlp_ratio=4.0, qkv_bias=True) for _ in range(config.decoder_depth)
        )
        self.norm = nn.LayerNorm(width)
        self.predict = nn.Linear(width, config.patch**2)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, visible: Tensor, seen: Tensor, asked: Tensor, rows: int, columns: int) -> Tensor:
        """Predict the pixels of the patches asked for.

        Parameters
        ----------
        visible : Tensor
            ``(n, c, v, dim)`` encoded tokens of the visible patches.
        seen : Tensor
            ``(n, c, v)`` int64, their places in the grid.
        asked : Tensor
            ``(n, c, a)`` int64, the places to predict.
        rows, columns : int
            The patch grid.

        Returns
        -------
        Tensor
            ``(n, c, a, patch * patch)`` standardised pixels.
        """
        n, c, v, _ = visible.shape
        a = asked.shape[2]
        positions = sincos_positions(rows, columns, self.config.decoder_dim).to(visible)
        context = self.channel(visible.mean(dim=2, keepdim=True))
        known = self.project(visible) + positions[seen] + context
        wanted = self.mask_token + positions[asked] + context
        tokens = torch.cat([known, wanted], dim=2).reshape(n, c * (v + a), -1)
        for layer in self.blocks:
            tokens = layer(tokens)
        tokens = tokens.reshape(n, c, v + a, -1)[:, :, v:]
        out: Tensor = self.predict(self.norm(tokens))
        return out
