"""What is known of a timm model before its weights are there, found by building it on torch's meta device."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import torch

from napari_phenolens.encoders.errors import EncoderError
from napari_phenolens.encoders.timm_door import get_pretrained_cfg, is_model, timm

PREFIX = "timm:"
LARGEST_DEFAULT_TILE = 256  # px; networks trained on larger images than this get smaller tiles, which cost less memory
FORMATS = ("NLC", "NHWC", "NCHW")  # of forward_intermediates, the cheapest first: no transposition
# Weights files of the hub that are pickles, and what the same weights are called as safetensors.
SAFE_NAMES = {"pytorch_model.bin": "model.safetensors", "open_clip_pytorch_model.bin": "open_clip_model.safetensors"}


@dataclass(frozen=True)
class TimmFacts:
    """A timm model's geometry and where its weights come from.

    Attributes
    ----------
    model : str
        What `timm.create_model` takes, the tag of the weights included.
    dims, patches : tuple of int
        Width of a token, and the side in px that it stands for, after each block.
    side : int
        Side in px of the images of its training.
    in_channels, parameters : int
        Channels of an image and parameters without the head.
    mean, std : tuple of float
        Of the pixels of its training, in 0-1.
    licence : str
        As timm or the hub names it.
    repo, filename, revision : str or None
        Where the hub has the weights.
    output_format : str
        What `forward_intermediates` is asked for.
    classifier : tuple of str
        Names of the heads' layers.
    """

    model: str
    dims: tuple[int, ...]
    patches: tuple[int, ...]
    side: int
    in_channels: int
    parameters: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str
    repo: str | None
    filename: str | None
    revision: str | None
    output_format: str
    classifier: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name among our encoders."""
        return PREFIX + self.model

    @property
    def unit(self) -> int:
        """What sides of tiles are multiples of, in px: the coarsest patch, which for most models is the only one."""
        return max(self.patches)

    @property
    def default_tile(self) -> int:
        """A tile side near the images of its training, of at most `LARGEST_DEFAULT_TILE` px."""
        return max(1, min(self.side, LARGEST_DEFAULT_TILE) // self.unit) * self.unit


def resolve_model(model: str) -> str:
    """Give the full name of a timm model, with the tag of its weights.

    Raises
    ------
    EncoderError
        Where timm has no such model or tag; the message says what comes near.
    """
    if model.startswith("hf-hub:"):
        return model
    architecture = model.partition(".")[0]
    if not is_model(architecture):
        raise EncoderError(f"timm {timm.__version__} has no model {model!r}{near(model)}")
    try:
        found = get_pretrained_cfg(model)
    except RuntimeError as error:  # no such tag
        tags = ", ".join(timm.list_pretrained(f"{architecture}.*")) or "none"
        raise EncoderError(f"timm {timm.__version__} has no weights {model!r}; it has {tags}") from error
    return f"{architecture}.{found.tag}" if found is not None and found.tag else architecture


def near(model: str) -> str:
    """Say which names of timm come near one that it does not know."""
    matches = get_close_matches(model, timm.list_models(), 3, 0.6)
    return "; near it: " + ", ".join(PREFIX + m for m in matches) if matches else "; see timm.list_models()"


@lru_cache(maxsize=32)
def facts_of(model: str) -> TimmFacts:
    """Find out a timm model's facts; no weights are read.

    Parameters
    ----------
    model : str
        As `resolve_model` gives it.

    Raises
    ------
    EncoderError
        Where the model gives no maps of intermediate tokens, or its description cannot be fetched.
    """
    network = _on_meta(model)
    described: dict[str, Any] = network.pretrained_cfg
    channels, y, x = described.get("input_size") or (3, 224, 224)
    if y != x:
        raise EncoderError(f"{PREFIX}{model} was trained on images of {y} x {x} px; only square ones are taken")
    maps = _maps(model, network, channels, y)
    repo, _, revision = (described.get("hf_hub_id") or "").partition("@")
    filename = described.get("hf_hub_filename") or "model.safetensors"
    classifier = described.get("classifier") or ()
    return TimmFacts(
        model=model,
        dims=tuple(int(m.shape[1]) for m in maps),
        patches=tuple(y // int(m.shape[2]) for m in maps),
        side=y,
        in_channels=channels,
        parameters=sum(p.numel() for p in network.parameters()),
        mean=tuple(described["mean"]),
        std=tuple(described["std"]),
        licence=described.get("license") or "not stated",
        repo=repo or None,
        filename=SAFE_NAMES.get(filename, filename) if repo else None,
        revision=revision or None,
        output_format=_output_format(network, maps[0], channels, y),
        classifier=(classifier,) if isinstance(classifier, str) else tuple(classifier),
    )


def _on_meta(model: str) -> Any:
    try:
        with torch.device("meta"):
            network = timm.create_model(model, pretrained=False, num_classes=0)
    except Exception as error:  # the hub's client, timm and the model's own code raise what they like
        raise EncoderError(f"{PREFIX}{model}: timm cannot build it ({type(error).__name__}: {error})") from error
    if not hasattr(network, "forward_intermediates"):
        raise EncoderError(f"{PREFIX}{model} gives no intermediate tokens (it has no forward_intermediates)")
    return network.eval()


def intermediates(
    network: Any, images: torch.Tensor, indices: list[int] | None, output_format: str
) -> list[torch.Tensor]:
    """Call `forward_intermediates` with what this network knows: no norm, no prefix tokens, no work after the last."""
    known = inspect.signature(network.forward_intermediates).parameters
    extra: dict[str, Any] = {"stop_early": True} if "stop_early" in known else {}
    if "coarse" in known:  # Hiera: blocks, not stages
        extra["coarse"] = False
    if indices is None and hasattr(network, "blocks"):
        indices = list(range(len(network.blocks)))
    found: list[torch.Tensor] = network.forward_intermediates(
        images, indices=indices, norm=False, output_fmt=output_format, intermediates_only=True, **extra
    )
    return found


def _maps(model: str, network: Any, channels: int, side: int) -> list[torch.Tensor]:
    try:
        maps = intermediates(network, torch.empty(1, channels, side, side, device="meta"), None, "NCHW")
    except Exception as error:  # whatever the model's own code raises
        raise EncoderError(f"{PREFIX}{model} gives no maps of tokens ({type(error).__name__}: {error})") from error
    if not maps or any(m.ndim != 4 or m.shape[2] != m.shape[3] or side % m.shape[2] for m in maps):
        raise EncoderError(f"{PREFIX}{model}: its intermediate outputs are no square maps of tokens")
    return maps


def _output_format(network: Any, first: torch.Tensor, channels: int, side: int) -> str:
    n, d, h, w = first.shape
    shapes = {"NLC": (n, h * w, d), "NHWC": (n, h, w, d)}
    for output_format in FORMATS[:-1]:
        try:
            image = torch.empty(1, channels, side, side, device="meta")
            if intermediates(network, image, [0], output_format)[0].shape == shapes[output_format]:
                return output_format
        except (AssertionError, ValueError, TypeError):  # how timm's models refuse a format
            continue
    return FORMATS[-1]
