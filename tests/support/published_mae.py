"""Weights of our own making under every key of OpenPhenom's published layout (reference: its state dict)."""

from __future__ import annotations

import torch

SHAPES = {
    "cls_token": (1, 1, 384),
    "pos_embed": (1, 2817, 384),
    "patch_embed.proj.weight": (384, 1, 16, 16),
    "patch_embed.proj.bias": (384,),
    "fc_norm.weight": (384,),
    "fc_norm.bias": (384,),
}
BLOCK = {
    "in_norm.weight": (384,),
    "in_norm.bias": (384,),
    "in_proj.weight": (2688, 384),
    "mlp_bias": (1536,),
    "q_norm.weight": (64,),
    "q_norm.bias": (64,),
    "k_norm.weight": (64,),
    "k_norm.bias": (64,),
    "attn_out_proj.weight": (384, 384),
    "attn_out_proj.bias": (384,),
    "mlp_out_proj.weight": (384, 1536),
    "mlp_out_proj.bias": (384,),
    "ls.gamma": (384,),
}
DECODER_BLOCK = [
    f"{layer}.{part}"
    for layer in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    for part in ("weight", "bias")
]
OTHERS = [
    *(f"decoder.{k}" for k in ("mask_token", "placeholder", "pos_embeddings")),
    *(f"decoder.modality_tokens.{i}" for i in range(6)),
    *(f"decoder.cross_attention.{k}" for k in ("q.weight", "kv.weight", "proj.weight", "proj.bias")),
    *(f"decoder.mlp.{k}" for k in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")),
    *(f"decoder.decoders.{m}.{b}.{k}" for m in range(6) for b in range(8) for k in DECODER_BLOCK),
    *(f"decoder.{n}.{k}" for n in ("context_norm", "query_norm", "out_norm") for k in ("weight", "bias")),
    *(f"{n}.{k}" for n in ("encoder_decoder_proj", "decoder_pred") for k in ("weight", "bias")),
]


def published_weights(seed=0):
    """Give a tensor for each of the 765 keys; those of the decoder, which are never read, hold one number."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape, spread, centre=0.0):
        return torch.randn(shape, generator=generator) * spread + centre

    shapes = SHAPES | {f"blocks.{b}.{k}": shape for b in range(12) for k, shape in BLOCK.items()}
    found = {}
    for key, shape in shapes.items():
        if key.endswith("norm.weight"):
            tensor = draw(shape, 0.1, 1.0)
        elif key.endswith("gamma"):
            tensor = draw(shape, 0.05, 0.3)  # larger than at the start of training, so that every block counts
        else:
            tensor = draw(shape, 0.03 if len(shape) > 1 else 0.1)
        found[f"encoder.vit_backbone.{key}"] = tensor
    one = torch.zeros(1, 257, 384)
    one[:, 1:] = draw((1, 256, 384), 0.5)  # a position has the same code in every channel, the class token none
    codes = torch.cat([one[:, :1], one[:, 1:].repeat(1, 11, 1)], dim=1)
    found["encoder.vit_backbone.pos_embed"] = codes
    return found | {key: torch.ones(1) for key in OTHERS}
