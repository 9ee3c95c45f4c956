"""Weights files: safetensors only, recognised by their header and identified by their checksum."""

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

    if not path.is_file():
        raise EncoderError(f"{path}: no such weights file; give the path of a .safetensors file")
    with path.open("rb") as file:
        head = file.read(9)
    if head[:2] == b"PK" or head[:1] == b"\x80":
        raise EncoderError(f"{path}: this is a torch pickle, which may run code; convert it to safetensors first")
    try:
        with safe_open(path, framework="pt") as handle:
            return {k: handle.get_tensor(k) for k in handle.keys()}, dict(handle.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise EncoderError(f"{path}: not a whole safetensors file ({error}); fetch or export it again") from error
