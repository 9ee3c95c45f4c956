"""Which encoders there are, and how one is loaded."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from napari_phenolens.encoders import memory
from napari_phenolens.encoders.base import Encoder
from napari_phenolens.encoders.catalogue import MAES, EncoderSpec, camae_micro, known_timm, mae, timm_spec
from napari_phenolens.encoders.errors import EncoderError
from napari_phenolens.encoders.names import no_options, split_name
from napari_phenolens.encoders.plugins import plugin_specs
from napari_phenolens.progress import CancelCallback, ProgressCallback, check_cancelled
from napari_phenolens.threads import budget

SHOWN = ("name", "licence", "channels", "patch", "tile", "dim", "blocks", "parameters", "weights")


def all_specs() -> tuple[list[EncoderSpec], list[str]]:
    """Give the encoders that are listed by name, and what is wrong with those of other packages."""
    own = [camae_micro(), *(mae(m[0]) for m in MAES), *known_timm()]
    others, problems = plugin_specs(spec.name for spec in own)
    return own + others, problems


def find_spec(name: str) -> EncoderSpec:
    """Give the facts of the encoder of that name.

    Parameters
    ----------
    name : str
        A name of `list_encoders`, or ``timm:<model>``; options stand after a ``?``.

    Raises
    ------
    EncoderError
        Where there is none; the message says what comes near, and lists those that there are.
    """
    base, _ = split_name(name)
    specs, problems = all_specs()
    spec = next((s for s in specs if s.name == base), None)
    if spec is not None and not base.startswith("timm:"):
        no_options(name)
        return spec
    if base.startswith("timm:"):
        return timm_spec(name)
    names = [s.name for s in specs]
    close = get_close_matches(base, names, 3, 0.6) or [n for n in names if base and base.lower() in n.lower()][:3]
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    broken = f"; {'; '.join(problems)}" if problems else ""
    raise EncoderError(
        f"there is no encoder {name!r}; {hint}there are: {', '.join(n for n in names if not n.startswith('timm:'))}, "
        f"and timm:<model> for any vision transformer of timm (see `phenolens encoders`){broken}"
    )


def _row(spec: EncoderSpec) -> dict[str, Any]:
    row = {key: getattr(spec, key) for key in SHOWN}
    cached = spec.hub.cached() if spec.hub is not None else None
    if cached is not None:
        row["weights"] = str(cached)
    return row | {"available": spec.available(), "description": spec.description}


def list_encoders(name: str | None = None) -> pd.DataFrame:
    """List the encoders.

    Parameters
    ----------
    name : str, optional
        Only the encoder of that name, which may be any ``timm:<model>``.

    Returns
    -------
    DataFrame
        A row an encoder: name, licence, channels, patch, tile, dim, blocks, parameters (counts as nullable integers),
        weights (where they come from, or the file where the hub's cache has it), available (whether they are on this
        machine), description. ``attrs["warnings"]`` names plug-ins that are broken.
    """
    specs, problems = ([find_spec(name)], []) if name is not None else all_specs()
    rows = []
    for spec in specs:
        try:
            rows.append(_row(spec))
        except Exception as error:  # a plug-in's own code
            problems.append(f"the encoder {spec.name!r} is broken and left out ({type(error).__name__}: {error})")
    table = pd.DataFrame(rows).astype({k: "Int64" for k in ("patch", "tile", "dim", "blocks", "parameters")})
    table.attrs["warnings"] = problems
    return table


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


def accept_licence(name: str) -> str:
    """Remember that the user accepts the licence of an encoder's weights, so that they can be downloaded.

    Parameters
    ----------
    name : str
        The encoder.

    Returns
    -------
    str
        The licence and where to read it.
    """
    hub = find_spec(name).hub
    if hub is None:
        raise EncoderError(f"the weights of {name} are not downloaded, so no licence has to be accepted")
    if not hub.is_open:
        hub.accept()
    return f"{hub.licence} ({hub.licence_url})"


def fetch_weights(
    name: str,
    *,
    accept_licence: bool = False,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> Path | None:
    """Give the file of an encoder's weights, downloaded where it is not on this machine.

    Parameters
    ----------
    name : str
        The encoder.
    accept_licence : bool
        Whether the user accepts the licence of the weights; it is remembered.
    progress, cancel : callable, optional
        See `napari_phenolens.progress`; done and total are bytes.

    Returns
    -------
    Path or None
        None for an encoder that brings its own weights, or whose weights are no download.

    Raises
    ------
    LicenceNotAcceptedError
        Where the licence asks for acceptance.
    EncoderError
        Where the download fails or this machine is offline.
    Cancelled
        Where the user asked to stop.
    """
    spec = find_spec(name)
    check_cancelled(cancel)
    if spec.hub is None:
        return None
    return spec.hub.fetch(spec.name, accept_licence=accept_licence, progress=progress, cancel=cancel)


def load_encoder(
    name: str,
    weights: str | Path | None = None,
    device: str = "auto",
    block: int | None = None,
    *,
    sha256: str | None = None,
    accept_licence: bool = False,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> Encoder:
    """Load an encoder.

    Parameters
    ----------
    name : str
        Its name, see `list_encoders`; options stand after a ``?``: ``timm:<model>?tile=224&channels=triple``.
    weights : path, optional
        A file of that encoder's published layout; default: where the registry says.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    block : int, optional
        The block (1-based) whose tokens are given; default: the encoder's own.
    sha256 : str, optional
        Checksum of the weights that are wanted, as a lens keeps it: where no file is given, the one of that checksum
        that was used last on this machine is taken, if it still lies there.
    accept_licence : bool
        Whether the user accepts the licence of weights that have to be downloaded; it is remembered.
    progress, cancel : callable, optional
        Of a download, see `napari_phenolens.progress`.

    Returns
    -------
    Encoder
        Ready to encode.

    Raises
    ------
    EncoderError
        Where there is no such encoder, device or block, or the weights do not fit or are not to be had.
    Cancelled
        Where the user stopped a download.
    """
    import torch

    spec, where = find_spec(name), pick_device(device)
    if where.startswith("cpu") and torch.get_num_threads() != budget():
        torch.set_num_threads(budget())
    path = Path(weights) if weights is not None else memory.remembered_weights(sha256) if sha256 else None
    if path is None and spec.hub is not None:
        path = spec.hub.fetch(spec.name, accept_licence=accept_licence, progress=progress, cancel=cancel)
    encoder = spec.load(path, where, block)
    if weights is not None:
        memory.remember_weights(encoder.sha256, Path(weights))
    return encoder
