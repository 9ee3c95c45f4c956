"""Which encoders there are, and how one is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from napari_phenolens.encoders.base import Encoder
from napari_phenolens.encoders.errors import EncoderError
from napari_phenolens.encoders.weights import packaged
from napari_phenolens.threads import budget


@dataclass(frozen=True)
class EncoderSpec:
    """What is known of an encoder without loading it.

    Attributes
    ----------
    name, licence, description : str
        Name in the registry, licence of the weights, one line for people.
    channels : str
        How many channels it takes.
    patch, tile, dim, blocks, parameters : int
        Side of a patch and of a tile in px, width of a token, number of blocks and of encoder parameters.
    weights : str
        Where the weights come from.
    load : callable
        ``load(weights, device, block)`` gives the encoder.
    available : callable
        Whether the weights are on this machine.
    """

    name: str
    licence: str
    description: str
    channels: str
    patch: int
    tile: int
    dim: int
    blocks: int
    parameters: int
    weights: str
    load: Callable[[Path | None, str, int | None], Encoder]
    available: Callable[[], bool]


def _load_camae_micro(weights: Path | None, device: str, block: int | None) -> Encoder:
    from napari_phenolens.encoders.camae_micro import CAMAEMicro

    return CAMAEMicro(weights, device, block)


_SPECS = [
    EncoderSpec(
        name="camae-micro",
        licence="BSD-3-Clause",
        description="small channel-agnostic masked autoencoder, trained by this project on open microscopy images",
        channels="1-8",
        patch=8,
        tile=128,
        dim=192,
        blocks=6,
        parameters=2_682_048,
        weights="in the package",
        load=_load_camae_micro,
        available=lambda: packaged("camae-micro.safetensors").is_file(),
    )
]


def find_spec(name: str) -> EncoderSpec:
    """Give the facts of the encoder of that name.

    Raises
    ------
    EncoderError
        Where there is none; the message lists those that there are.
    """
    for spec in _SPECS:
        if spec.name == name:
            return spec
    raise EncoderError(f"there is no encoder {name!r}; there are: {', '.join(s.name for s in _SPECS)}")


def list_encoders() -> pd.DataFrame:
    """List the encoders.

    Returns
    -------
    DataFrame
        A row an encoder: name, licence, channels, patch, tile, dim, blocks, parameters, weights, available,
        description.
    """
    shown = [
        "name", "licence", "channels", "patch", "tile", "dim", "blocks", "parameters", "weights"
    ]  # fmt: skip
    rows = [
        {k: getattr(s, k) for k in shown} | {"available": s.available(), "description": s.description} for s in _SPECS
    ]
    return pd.DataFrame(rows)


def pick_device(device: str = "auto") -> str:
    """Resolve ``auto`` to the best device of this machine: CUDA, then MPS, then the CPU.

    Raises
    ------
    EncoderError
        Where the device asked for is not there.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    kind = device.split(":")[0]
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(kind, False):
        raise EncoderError(
            f"device {device!r} is not on this machine; use one of: auto, {', '.join(k for k, v in there.items() if v)}"
        )
    return device


def load_encoder(
    name: str, weights: str | Path | None = None, device: str = "auto", block: int | None = None
) -> Encoder:
    """Load an encoder.

    Parameters
    ----------
    name : str
        Its name, see `list_encoders`.
    weights : path, optional
        A safetensors file of that encoder's published layout; default: where the registry says.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    block : int, optional
        The block (1-based) whose tokens are given; default: the encoder's own.

    Returns
    -------
    Encoder
        Ready to encode.

    Raises
    ------
    EncoderError
        Where there is no such encoder, device or block, or the weights do not fit.
    """
    import torch

    spec, where = find_spec(name), pick_device(device)
    if where.startswith("cpu") and torch.get_num_threads() != budget():
        torch.set_num_threads(budget())
    return spec.load(Path(weights) if weights is not None else None, where, block)
