"""The zarr arrays of a folder, by name: made empty, and opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import zarr

from napari_phenolens.run.errors import RunError

Arrays = dict[str, zarr.Array[Any]]
Layout = tuple[str, tuple[int, ...], tuple[int, ...]]  # type, chunk, shard: a well's part


def create(folder: Path, wells: int, layouts: Mapping[str, Layout]) -> None:
    """Create empty arrays with room for so many wells, one after the other along the first axis."""
    for name, (dtype, chunk, shard) in layouts.items():
        zarr.create_array(
            folder / name, shape=(wells * shard[0], *shard[1:]), chunks=chunk, shards=shard, dtype=dtype,
            fill_value=0, overwrite=True,
        )  # fmt: skip


def open_all(folder: Path, names: Iterable[str], mode: str, way_out: str) -> Arrays:
    """Open arrays by name.

    Raises
    ------
    RunError
        Where one is missing or damaged; `way_out` says what to do then.
    """
    found: Arrays = {}
    for name in names:
        try:
            found[name] = zarr.open_array(folder / name, mode=mode)
        except (OSError, ValueError, KeyError) as error:
            raise RunError(f"{folder / name}: array missing or damaged ({error}); {way_out}") from error
    return found
