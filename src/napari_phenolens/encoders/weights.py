"""Weights files: recognised by their header, read without running code, identified by their checksum."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from napari_phenolens.encoders.errors import EncoderError


def packaged(name: str) -> Path:
    """Give the path of a weights file that comes with the package."""
    return Path(str(files("napari_phenolens.encoders") / "data" / name))


def sha256_of(path: Path) -> str:
    """Give the checksum of a file, remembered as long as its size and time stay."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=32)
def _sha256(path: Path, size: int, time: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def file_kind(path: Path) -> str:
    """Tell by its header what a weights file is, whatever its name says.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        ``safetensors`` (a length and a JSON header) or ``pickle`` (a zip archive or a bare pickle, as torch writes).

    Raises
    ------
    EncoderError
        Where the file is missing or neither.
    """
    if not path.is_file():
        raise EncoderError(f"{path}: no such weights file; give the path of a .safetensors file")
    with path.open("rb") as file:
        head = file.read(9)
    if head[:2] == b"PK" or head[:1] == b"\x80":
        return "pickle"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return "safetensors"
    raise EncoderError(f"{path}: neither a whole safetensors file nor a torch file; fetch or export it again")


def read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the tensors and the metadata of a safetensors file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    tensors : dict
        Torch tensors by name, on the CPU.
    metadata : dict of str
        The header's metadata.

    Raises
    ------
    EncoderError
        Where the file is missing, is a torch pickle, or is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if file_kind(path) == "pickle":
        raise EncoderError(f"{path}: this is a torch pickle, which may run code; convert it to safetensors first")
    try:
        with safe_open(path, framework="pt") as handle:
            return {k: handle.get_tensor(k) for k in handle.keys()}, dict(handle.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise EncoderError(f"{path}: not a whole safetensors file ({error}); fetch or export it again") from error


def read_published(path: Path) -> dict[str, Any]:
    """Read the tensors of a file that may be safetensors or a torch pickle under either name.

    A pickle is read with ``weights_only=True``, which builds tensors and plain containers and runs no code.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        Torch tensors by name, on the CPU; what stands under ``state_dict`` where the file wraps them.

    Raises
    ------
    EncoderError
        Where the file is missing or damaged, or a pickle holds more than tensors.
    """
    if file_kind(path) == "safetensors":
        return read_safetensors(path)[0]
    import pickle

    import torch

    try:
        with path.open("rb") as file:  # by its name, torch would take it for what it is not
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise EncoderError(
            f"{path}: a torch pickle with more in it than tensors, which is not read, since it may run code "
            f"({str(error).splitlines()[0]}); save its tensors as safetensors where you trust it"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise EncoderError(f"{path}: a torch file that is damaged ({error}); fetch or export it again") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise EncoderError(f"{path}: a torch file that is no table of tensors; give the file of the model's weights")
    return dict(content)
