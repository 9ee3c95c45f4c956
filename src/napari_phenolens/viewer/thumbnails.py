"""A plate's wells as thumbnails in one picture of several levels, kept in a cache folder and built well by well."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import Progress, ProgressCallback, check_cancelled
from napari_phenolens.viewer.mosaic import shrink

SCHEMA = 1
LARGEST, ACROSS = 256, 6144  # pixels of a well's side at most, and of the whole plate's
LEVELS = 3
RESERVE = 2**30  # bytes of the disk that are left to the user
KEPT = 2 * 2**30  # bytes of overviews that stay in the cache; the oldest go first
EMPTY, DONE, UNREADABLE = 0, 1, 2

Pixels = npt.NDArray[Any]


def default_folder() -> Path:
    """Give the folder of overviews in the user's cache."""
    from platformdirs import user_cache_path

    return user_cache_path("napari-phenolens", appauthor=False) / "overviews"


def central_field(well: Any) -> Any:
    """Give the field nearest to the middle of a well's stage positions, the first where the files state none."""
    positions = [field.position for field in well.fields] if len(well.fields) > 1 else [None]
    if any(p is None for p in positions):
        return well.fields[0]
    places = np.array(positions, dtype=float)
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    return well.fields[int(((places - middle) ** 2).sum(axis=1).argmin())]


def plate_key(plate: Any) -> str:
    """Give the checksum of the files that an overview is made of: paths, sizes, times."""
    files = []
    for well in plate.wells.values():
        for path in (path for field in well.fields for path in field.files):
            stat = path.stat() if path.exists() else None
            files.append([str(path), stat.st_size if stat else -1, stat.st_mtime_ns if stat else -1])
    facts = [SCHEMA, list(plate.channels), plate.format, plate.options, files]
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:20]


class Thumbnails:
    """The thumbnails of one plate: one field a well, at the well's place.

    Building goes on where it was stopped; `levels` can be shown meanwhile, wells that are not there yet are black.

    Parameters
    ----------
    plate : Plate
    folder : Path, optional
        Where overviews are kept.

    Attributes
    ----------
    path : Path
        Of this one.
    edge : int
        Pixels of a well's side, the gap to the next well included.
    levels : list of ndarray (C, rows x edge / 2^l, columns x edge / 2^l)
        On disk; the finest first.
    state : ndarray (rows, columns) uint8
        `EMPTY`, `DONE` or `UNREADABLE`.
    """

    def __init__(self, plate: Any, folder: Path | None = None) -> None:
        self.plate = plate
        parent = folder if folder is not None else default_folder()
        self.path = parent / plate_key(plate)
        first = next(field for well in plate.wells.values() for field in well.fields if _readable(field))
        rows, columns = plate.format
        largest = min(LARGEST, ACROSS // max(rows, columns)) // 16 * 16
        self.gap = max(1, largest // 64) * 4
        longest = max(first.shape)
        drawn = longest // -(-longest // (largest - self.gap))  # at a whole number of pixels a pixel
        self.edge = -(-(drawn + self.gap) // 16) * 16
        kind = np.dtype(first.dtype)
        dtype = kind if kind in (np.uint8, np.uint16) else np.dtype(np.float32)
        shape = (len(plate.channels), rows * self.edge, columns * self.edge)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _prune(parent, self.path)
            _room_for(2 * int(np.prod(shape)) * dtype.itemsize, self.path)
            made = [
                _array(self.path / f"level{n}.npy", (shape[0], shape[1] >> n, shape[2] >> n), dtype)
                for n in range(LEVELS)
            ]
            self.levels = [array for array, _ in made]
            self.state, _ = _array(self.path / "state.npy", (rows, columns), np.dtype(np.uint8))
            if any(fresh for _, fresh in made):
                self.state[:] = EMPTY
        except OSError as error:
            raise PhenoLensError(
                f"the plate overview cannot be kept in {self.path}: {error.strerror or error}; make room there"
            ) from error

    @property
    def complete(self) -> bool:
        """Whether every well with images is there, or was found unreadable."""
        return not self._missing()

    def _missing(self) -> list[Any]:
        return [well for well in self.plate.wells.values() if self.state[well.row, well.column] == EMPTY]

    def unreadable(self) -> list[str]:
        """List the wells whose field could not be read."""
        return [w.name for w in self.plate.wells.values() if self.state[w.row, w.column] == UNREADABLE]

    def build(self, progress: ProgressCallback | None = None, cancel: Callable[[], bool] | None = None) -> None:
        """Fill in what is missing; runs in a thread. What was drawn when it is cancelled stays.

        Raises
        ------
        Cancelled
        """
        total, missing = len(self.plate.wells), self._missing()
        for n, well in enumerate(missing):
            check_cancelled(cancel)
            if progress is not None:
                progress(Progress("overview", total - len(missing) + n, total, well.name))
            try:
                self._draw(well)
                state = DONE
            except (PhenoLensError, OSError, ValueError):  # one damaged file must not keep the others from being seen
                state = UNREADABLE
            self.state[well.row, well.column] = state
        for array in (*self.levels, self.state):
            array.flush()
        if progress is not None:
            progress(Progress("overview", total, total))

    def _draw(self, well: Any) -> None:
        field = central_field(well)
        image = field.read()
        room = self.edge - self.gap
        small = shrink(image, max(1, -(-max(image.shape[-2:]) // room)))
        tile = np.zeros((len(self.plate.channels), self.edge, self.edge), dtype=self.levels[0].dtype)
        places = [self.plate.channels.index(channel) for channel in field.channels]
        tile[places, : small.shape[1], : small.shape[2]] = small
        for level in self.levels:
            h, w = tile.shape[1:]
            level[:, well.row * h : (well.row + 1) * h, well.column * w : (well.column + 1) * w] = tile
            tile = shrink(tile, 2)

    def well_at(self, row: float, column: float) -> tuple[int, int]:
        """Give the place of the well at a pixel of the finest level."""
        return int(np.floor(row / self.edge)), int(np.floor(column / self.edge))


def _readable(field: Any) -> bool:
    try:
        return bool(field.shape)
    except PhenoLensError:
        return False


def _room_for(size: int, folder: Path) -> None:
    """Make sure of the room first: writing to a mapped file on a full disk would end the program."""
    free = shutil.disk_usage(folder).free
    if free < size + RESERVE:
        raise PhenoLensError(
            f"the plate overview needs {size / 2**20:.0f} MB in {folder} beside {RESERVE >> 30} GB that stay free, and "
            f"{free / 2**20:.0f} MB are free; make room there"
        )


def _array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[np.memmap[Any, Any], bool]:
    """Open an array on disk, made of zeros where it is missing or of another shape; says whether it was made."""
    if path.exists():
        with suppress(ValueError):  # a file that was cut off is made anew
            found: np.memmap[Any, Any] = np.lib.format.open_memmap(path, mode="r+")
            if found.shape == shape and found.dtype == dtype:
                return found, False
    return np.lib.format.open_memmap(path, mode="w+", shape=shape, dtype=dtype), True


def _prune(parent: Path, keep: Path) -> None:
    """Remove the oldest overviews beyond the limit."""
    os.utime(keep)
    folders = sorted((p for p in parent.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True)
    total = 0
    for folder in folders:
        total += sum(file.stat().st_blocks * 512 for file in folder.iterdir())
        if total > KEPT and folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
