"""The token store: a plate's tokens on disk, computed once, in half precision after centring and scaling.

One zarr array a field, ``(patches, d)``, written beside and renamed into place, so that a field is there whole or not
at all. The folder's name is a checksum of everything that decides the tokens.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt
import torch
import zarr
from torch import Tensor

from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import TokenSettings

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate

Floats = npt.NDArray[np.float32]

SCHEMA = 1
LIMIT = 20 * 2**30  # bytes that one plate's tokens may take, before they are encoded again on the fly instead
LEFT_OVER = 3600.0  # seconds after which an unfinished write is one of a dead process
RESERVE = 2 * 2**30  # free space that is left to the user


def default_folder() -> Path:
    """Give the folder of token stores in the user's cache (``PHENOLENS_TOKENS`` overrides it)."""
    from platformdirs import user_cache_path

    given = os.environ.get("PHENOLENS_TOKENS")
    return Path(given) if given else user_cache_path("napari-phenolens") / "tokens"


def token_key(plate: Plate, settings: TokenSettings, encoder: str, sha256: str, block: int) -> str:
    """Give the checksum that names a plate's tokens: weights, block, pixel rules, geometry, files, sizes and times."""
    files = []
    for well in plate.wells.values():
        for field in well.fields:
            for path in field.files:
                stat = path.stat() if path.exists() else None
                files.append([str(path), stat.st_size if stat else -1, stat.st_mtime_ns if stat else -1])
    facts = {
        "schema": SCHEMA,
        "encoder": [encoder, sha256, block],
        "channels": settings.sources,
        "pooling": settings.channel_pooling,
        "geometry": [settings.patch, settings.tile, settings.margin, settings.pixel_size],
        "pixels": settings.normalisation.to_dict(),
        "files": files,
    }
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:20]


class HalfPrecision:
    """Rounds tokens to half precision after centring and scaling, so that stored and fresh tokens are the same.

    Parameters
    ----------
    centre, spread : ndarray
        ``(d,)`` mean and standard deviation of a sample of tokens: a few dimensions of a transformer carry large
        offsets, which half precision alone would round away.
    """

    def __init__(self, centre: Floats, spread: Floats) -> None:
        self.centre = np.asarray(centre, np.float32)
        self.spread = np.maximum(np.asarray(spread, np.float32), np.float32(1e-6))

    @overload
    def pack(self, tokens: Tensor) -> Tensor: ...
    @overload
    def pack(self, tokens: Floats) -> npt.NDArray[np.float16]: ...
    def pack(self, tokens: Any) -> Any:
        """Give ``(..., d)`` float16, where the tokens are: arrays give arrays, tensors tensors."""
        if not isinstance(tokens, Tensor):
            return self.pack(torch.from_numpy(np.ascontiguousarray(tokens, np.float32))).numpy()
        factor, term = (torch.from_numpy(v).to(tokens.device) for v in (1 / self.spread, -self.centre / self.spread))
        return torch.addcmul(term, tokens, factor).clamp_(-65000, 65000).half()

    def unpack(self, packed: npt.NDArray[np.float16]) -> Floats:
        """Give ``(..., d)`` float32 tokens."""
        tokens = torch.from_numpy(packed).float().mul_(torch.from_numpy(self.spread))
        out: Floats = tokens.add_(torch.from_numpy(self.centre)).numpy()
        return out


class TokenStore:
    """One plate's tokens.

    Parameters
    ----------
    folder : Path
        Where token stores lie.
    key : str
        See `token_key`.
    half : HalfPrecision, optional
        The rounding of a new store; an existing store keeps its own.
    limit : int
        Bytes that the store may take.
    first : mapping, optional
        Packed tokens by well and place that a new store begins with: those that its rounding was taken from.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        half: HalfPrecision | None = None,
        limit: int = LIMIT,
        first: Mapping[tuple[str, int], npt.NDArray[np.float16]] | None = None,
    ) -> None:
        self.path = folder / key
        self.key, self.limit = key, limit
        self._size: int | None = 0
        scale = self.path / "scale.npy"
        if scale.exists():
            centre, spread = np.load(scale, allow_pickle=False)
            half = HalfPrecision(centre, spread)
        elif half is None:
            raise RunError(f"{self.path}: there are no stored tokens")
        else:
            self.path.mkdir(parents=True, exist_ok=True)
            for (well, place), packed in (first or {}).items():
                self.put(well, place, packed)
            scratch = self.path / f".scale.{os.getpid()}.npy"
            np.save(scratch, np.stack([half.centre, half.spread]))
            os.replace(scratch, scale)
        self.half = half
        self._size = None  # counted when it is first asked for: whoever reads one field needs no look at all files
        for left in self.path.glob(".writing-*"):  # of a process that was killed
            if time.time() - left.stat().st_mtime > LEFT_OVER:
                shutil.rmtree(left, ignore_errors=True)

    @property
    def size(self) -> int:
        """Bytes of all stored tokens."""
        if self._size is None:
            self._size = sum(f.stat().st_size for f in self.path.rglob("c*/*") if f.is_file())
        return self._size

    @staticmethod
    def exists(folder: Path, key: str) -> bool:
        """Tell whether there is a store of that key."""
        return (folder / key / "scale.npy").exists()

    def has(self, well: str, place: int) -> bool:
        """Tell whether the tokens of a field are there."""
        return (self.path / well / str(place) / "zarr.json").exists()

    def get(self, well: str, place: int) -> npt.NDArray[np.float16] | None:
        """Give a field's packed tokens ``(patches, d)``, or None where they are not there or not whole."""
        if not self.has(well, place):
            return None
        try:
            return np.asarray(zarr.open_array(self.path / well / str(place), mode="r")[:])
        except (OSError, ValueError, KeyError):  # damaged: they can be computed again
            return None

    def put(self, well: str, place: int, packed: npt.NDArray[np.float16]) -> bool:
        """Write a field's packed tokens; False where the limit or the free space forbids it."""
        if not self.room_for(packed.nbytes):
            return False
        scratch = self.path / f".writing-{well}-{place}-{os.getpid()}"
        shutil.rmtree(scratch, ignore_errors=True)
        array = zarr.create_array(
            scratch, shape=packed.shape, chunks=packed.shape, dtype="float16", compressors=None, fill_value=0
        )
        array[:] = packed
        target = self.path / well / str(place)
        target.parent.mkdir(exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(scratch, target)
        self._size = self.size + packed.nbytes
        return True

    def room_for(self, size: int) -> bool:
        """Tell whether that many bytes more keep within the limit and leave the disk some space."""
        return self.size + size <= self.limit and shutil.disk_usage(self.path).free - size > RESERVE
