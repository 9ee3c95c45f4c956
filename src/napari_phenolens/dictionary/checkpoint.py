"""The state of a fit in one safetensors file, replaced as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.dictionary.errors import DictionaryError

SCHEMA = 1


def save_state(path: Path, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write arrays and JSON metadata beside `path`, flush them to disk, and put them in its place in one step."""
    from safetensors.numpy import save

    path.parent.mkdir(parents=True, exist_ok=True)
    blob = save(
        {name: np.ascontiguousarray(a) for name, a in arrays.items()},
        {"phenolens": json.dumps({"schema": SCHEMA, **meta})},
    )
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_state(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `save_state` wrote.

    Raises
    ------
    DictionaryError
        The file is none of ours, or of another version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            meta = json.loads((file.metadata() or {})["phenolens"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, KeyError, ValueError) as error:
        raise DictionaryError(
            f"{path} is no checkpoint of a dictionary fit ({error}); delete it to start afresh"
        ) from error
    if meta.get("schema") != SCHEMA:
        raise DictionaryError(
            f"{path} is a checkpoint of version {meta.get('schema')}, this is {SCHEMA}; delete it to start afresh"
        )
    return arrays, meta
