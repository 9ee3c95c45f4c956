"""napari's reader: plates (TIFF folders, OME-Zarr), finished runs, sessions, by drag and drop or File > Open."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from napari_phenolens.viewer.images import KEY, layer_data, read_picture, shared_limits
from napari_phenolens.viewer.opening import find_platemap, is_run
from napari_phenolens.viewer.session_file import SessionError, is_session

LayerData = tuple[Any, dict[str, Any], str]
Read = Callable[[Any], list[LayerData]]

_WELL_IN_NAME = re.compile(r"(?:^|[^A-Za-z])([A-P]|A[A-F])[-_ ]?(\d{1,2})(?!\d)|r\d\d?c\d\d?", re.I)
_LOOK_AT = 200  # entries of a folder; more are never listed only to decide whether we can read it


def get_reader(path: str | Path | list[str] | list[Path]) -> Read | None:
    """Say whether we can read a path: a plate, a run or a saved session.

    Only names and small metadata are looked at, and nothing is raised.

    Parameters
    ----------
    path : str, Path or list of them

    Returns
    -------
    callable or None
        Called with the path, it gives napari's layer data.
    """
    if isinstance(path, list):
        if len(path) != 1:
            return None
        path = path[0]
    folder = Path(path)
    try:
        if is_session(folder):
            return read_session
        if not folder.is_dir():
            return None
        if is_run(folder):
            return read_run
        if is_ome_zarr_plate(folder) or is_tiff_plate(folder):
            return read_plate
    except OSError:
        return None
    return None


def is_ome_zarr_plate(folder: Path) -> bool:
    """Whether a folder is an OME-Zarr HCS plate (0.4 or 0.5), by its own metadata."""
    import json

    for name in ("zarr.json", ".zattrs"):
        file = folder / name
        if file.is_file():
            try:
                attributes = json.loads(file.read_text(encoding="utf-8"))
            except ValueError:
                return False
            if isinstance(attributes, dict):
                inner = attributes.get("attributes", attributes)
                return isinstance(inner, dict) and ("plate" in inner or "plate" in inner.get("ome", {}))
    return False


def is_tiff_plate(folder: Path) -> bool:
    """Whether a folder holds TIFFs whose names carry wells; looks at the first names only."""
    if folder.suffix.lower() == ".zarr":
        return False
    names = [entry.name for entry in islice(folder.iterdir(), _LOOK_AT)]
    tiffs = [name for name in names if name.lower().endswith((".tif", ".tiff"))]
    if not tiffs:
        inner = next((folder / name for name in names if (folder / name).is_dir()), None)
        if inner is None:
            return False
        tiffs = [
            entry.name for entry in islice(inner.iterdir(), _LOOK_AT) if entry.name.lower().endswith((".tif", ".tiff"))
        ]
    return len(tiffs) >= 2 and sum(bool(_WELL_IN_NAME.search(Path(name).stem)) for name in tiffs) > len(tiffs) / 2


def _only(path: Any) -> Path:
    return Path(path[0] if isinstance(path, list) else path)


def read_plate(path: Any) -> list[LayerData]:
    """Read the first well of a plate; the dock takes the plate up from the layers' metadata."""
    from napari_phenolens.plate import open_plate

    folder = _only(path)
    table = find_platemap(folder)
    plate = open_plate(folder)
    layers = first_layers(plate, next(iter(plate.wells)))
    return marked(layers, {"plate": str(folder), "platemap": None if table is None else str(table)})


def read_run(path: Any) -> list[LayerData]:
    """Read a run: a well of its plate where that is at hand, else the well's strength as a picture."""
    from napari_phenolens.plate import open_plate
    from napari_phenolens.run import open_run

    folder = _only(path)
    run = open_run(folder)
    well = next(iter(run.wells))
    if run.plate_path and Path(run.plate_path).exists():
        layers = first_layers(open_plate(run.plate_path), well)
    else:
        import numpy as np

        strength = np.asarray(run.strength(well), dtype=np.float32)
        size = (run.pixel_size or 1.0) * run.patch
        offset = (run.patch - 1) / 2 * (run.pixel_size or 1.0)
        note = {KEY: {"role": ("strength",), "well": well}}
        options = {
            "name": f"{well}: strength (distance from control)",
            "scale": (size, size),
            "translate": (offset, offset),
            "units": ("um", "um") if run.pixel_size else ("pixel", "pixel"),
            "colormap": "gray",
            "metadata": note,
        }
        layers = [(strength, options, "image")]
    return marked(layers, {"run": str(folder)})


def read_session(path: Any) -> list[Any]:
    """Open a saved session in napari's current viewer: it has no layers of its own, the dock opens what it names."""
    from napari_phenolens.viewer.compat import open_dock

    file = _only(path)
    dock = open_dock()
    if dock is None:
        raise SessionError(
            f"{file}: a session opens in a viewer that has a window; in a script use "
            "napari_phenolens.viewer.saving.open_session"
        )
    dock.bench.attempt("Opening the session", dock.bench.saving.open, file)
    return [(None,)]  # napari's word for: read, and nothing to add


def first_layers(plate: Any, well: str) -> list[LayerData]:
    """Read one well's first field as layers."""
    return layer_data(read_picture(plate, well, None, shared_limits(plate, ())))


def marked(layers: list[LayerData], wanted: dict[str, Any]) -> list[LayerData]:
    """Leave a note on the first layer, by which the dock opens the whole plate or run; open the dock if it can be."""
    if layers:
        layers[0][1]["metadata"][KEY]["open"] = wanted
        open_dock_soon()
    return layers


def open_dock_soon() -> None:
    """Open the dock beside the layers, where there is a window to hold it."""
    from napari_phenolens.viewer.compat import open_dock

    open_dock()
