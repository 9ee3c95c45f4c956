"""Small members of the families of vision transformers that people use, registered with timm, and files of weights.

They are built by timm's own code with the switches of the published models, only narrower and shallower, so that tests
of what differs between families (prefix tokens, positions, stages) take no time.
"""

from __future__ import annotations

from functools import partial

import timm
import torch
from safetensors.torch import save_file
from timm.layers import LayerNorm
from timm.models import generate_default_cfgs, register_model
from timm.models.eva import _create_eva
from timm.models.hiera import _create_hiera
from timm.models.vision_transformer import _create_vision_transformer

OPENAI = {"mean": (0.4815, 0.4578, 0.4082), "std": (0.2686, 0.2613, 0.2758)}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def _cfg(side, **more):
    given = {"classifier": "head", "num_classes": 0, "license": "mit", "fixed_input_size": True, **IMAGENET}
    return {"input_size": (3, side, side), **given, **more}


default_cfgs = generate_default_cfgs(
    {
        "tiny_dinov2.test": _cfg(56),
        "tiny_dinov3.test": _cfg(64),
        "tiny_mae.test": _cfg(64, license="cc-by-nc-4.0", hf_hub_id="nobody/tiny_mae.test"),
        "tiny_siglip.test": _cfg(32, mean=(0.5,) * 3, std=(0.5,) * 3),
        "tiny_eva02.test": _cfg(56, **OPENAI),
        "tiny_hiera.test": _cfg(64, num_classes=10, classifier="head.fc"),
        "tiny_grey.test": _cfg(32, input_size=(1, 32, 32), mean=(0.5,), std=(0.25,)),
    }
)
SMALL = {"embed_dim": 48, "depth": 3, "num_heads": 3}


@register_model
def tiny_dinov2(pretrained=False, **kwargs):
    """A ViT with four registers and LayerScale, patch 14."""
    given = dict(SMALL, img_size=56, patch_size=14, init_values=0.1, reg_tokens=4, no_embed_class=True)
    return _create_vision_transformer("tiny_dinov2", pretrained=pretrained, **(given | kwargs))


@register_model
def tiny_dinov3(pretrained=False, **kwargs):
    """A ViT with rotary positions and four registers, patch 16."""
    given = dict(
        SMALL, img_size=64, patch_size=16, dynamic_img_size=True, qkv_bias=False, init_values=0.1, rope_type="dinov3",
        rope_temperature=100, rope_rotate_half=True, use_rot_pos_emb=True, use_abs_pos_emb=False, num_reg_tokens=4,
        use_fc_norm=False, norm_layer=partial(LayerNorm, eps=1e-5),
    )  # fmt: skip
    return _create_eva("tiny_dinov3", pretrained=pretrained, **(given | kwargs))


@register_model
def tiny_mae(pretrained=False, **kwargs):
    """A plain ViT with a class token, patch 16."""
    return _create_vision_transformer(
        "tiny_mae", pretrained=pretrained, **(dict(SMALL, img_size=64, patch_size=16) | kwargs)
    )


@register_model
def tiny_siglip(pretrained=False, **kwargs):
    """A ViT without class token, pooled by attention, patch 8."""
    given = dict(SMALL, img_size=32, patch_size=8, class_token=False, global_pool="map")
    return _create_vision_transformer("tiny_siglip", pretrained=pretrained, **(given | kwargs))


@register_model
def tiny_eva02(pretrained=False, **kwargs):
    """A ViT with SwiGLU, rotary and absolute positions, patch 14."""
    given = dict(
        SMALL, img_size=56, patch_size=14, mlp_ratio=8 / 3, swiglu_mlp=True, use_rot_pos_emb=True, ref_feat_shape=(4, 4)
    )
    return _create_eva("tiny_eva02", pretrained=pretrained, **(given | kwargs))


@register_model
def tiny_hiera(pretrained=False, **kwargs):
    """A transformer of four stages: patches of 4 to 32 px."""
    given = {"img_size": (64, 64), "embed_dim": 24, "num_heads": 1, "stages": (1, 1, 2, 1)}
    return _create_hiera("tiny_hiera", pretrained=pretrained, **(given | kwargs))


@register_model
def tiny_grey(pretrained=False, **kwargs):
    """A plain ViT for images of one channel."""
    given = dict(SMALL, img_size=32, patch_size=8, in_chans=1)
    return _create_vision_transformer("tiny_grey", pretrained=pretrained, **(given | kwargs))


FAMILIES = ("tiny_dinov2", "tiny_dinov3", "tiny_mae", "tiny_siglip", "tiny_eva02", "tiny_hiera")


def make_weights(model, path, **kwargs):
    """Write a file of weights of that model, all drawn at random, and give timm's own network with them."""
    torch.manual_seed(0)
    network = timm.create_model(model, pretrained=False, **kwargs).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    save_file({k: v.contiguous().clone() for k, v in network.state_dict().items()}, path)
    return network
