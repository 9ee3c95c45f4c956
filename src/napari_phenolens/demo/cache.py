"""The demo plate and its finished run in the user's cache: made on first use, used again later."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_phenolens.demo.drawing import CHANNELS
from napari_phenolens.demo.layout import conditions
from napari_phenolens.demo.writing import PLATE_MAP, file_name, write_demo_plate
from napari_phenolens.errors import PhenoLensError

PACKAGED_RUN = Path(__file__).with_name("data") / "run.zip"
_GENERATOR = ("camera.py", "drawing.py", "layout.py", "phenotypes.py", "scene.py", "truth.py", "writing.py")


def demo_plate_path() -> Path:
    """Give the folder of the demo plate, drawing it into the user's cache on first use (a few seconds, no network).

    Returns
    -------
    Path
        A folder of TIFFs with ``platemap.csv``; its place changes with the code that draws it.

    Raises
    ------
    PhenoLensError
        Where the cache cannot be written.
    """
    folder = _cache() / "plate"
    if not _whole(folder):
        _put(folder, write_demo_plate, _whole)
    return folder


def demo_run_path() -> Path:
    """Give the folder of the finished run over the demo plate, unpacking it beside the plate on first use.

    Returns
    -------
    Path
        To be opened with `napari_phenolens.open_run`; it names the plate of `demo_plate_path`.

    Raises
    ------
    PhenoLensError
        Where the package holds no finished run, or a damaged one, or the cache cannot be written.
    """
    if not PACKAGED_RUN.is_file():
        raise PhenoLensError(
            f"the demo plate's finished run is not in this installation ({PACKAGED_RUN} is missing); "
            "install napari-phenolens again, or compute it with `phenolens demo`"
        )
    packed = PACKAGED_RUN.read_bytes()
    plate = demo_plate_path()
    folder = plate.parent / f"run-{hashlib.sha256(packed).hexdigest()[:8]}"
    if not _finished(folder):
        _put(folder, lambda fresh: _unpack(fresh, plate), _finished)
    return folder


def _cache() -> Path:
    from platformdirs import user_cache_path

    digest = hashlib.sha256()
    for name in _GENERATOR:
        digest.update(Path(__file__).with_name(name).read_text(encoding="utf-8").encode())
    return user_cache_path("napari-phenolens", appauthor=False) / "demo" / digest.hexdigest()[:12]


def _whole(folder: Path) -> bool:
    names = {file_name(well, channel) for well in conditions() for channel in CHANNELS} | {PLATE_MAP}
    return folder.is_dir() and names <= set(os.listdir(folder))


def _finished(folder: Path) -> bool:
    return (folder / "run.json").is_file()


def _put(folder: Path, make: Callable[[Path], object], good: Callable[[Path], bool]) -> None:
    """Make a folder elsewhere and move it into place, so that nobody ever sees half of it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise PhenoLensError(
            f"the demo plate cannot be kept in {folder.parent} ({error.strerror or error}); make room or set "
            "XDG_CACHE_HOME (Linux) to a folder that can be written"
        ) from error
    try:
        make(fresh)
        if folder.exists() and not good(folder):  # parts of it were deleted
            shutil.rmtree(folder, ignore_errors=True)
        try:
            os.replace(fresh, folder)
        except OSError as error:
            if not good(folder):  # else another process was faster
                raise PhenoLensError(
                    f"{folder} is damaged and in use ({error.strerror or error}); close what uses it and delete it"
                ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _unpack(folder: Path, plate: Path) -> None:
    try:
        with zipfile.ZipFile(PACKAGED_RUN) as packed:
            packed.extractall(folder)  # zipfile keeps members inside the folder
        plan = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        plan["plate"] = _moved(plan["plate"], plate)
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError) as error:
        raise PhenoLensError(
            f"the demo plate's finished run {PACKAGED_RUN} cannot be unpacked to {folder.parent} "
            f"({type(error).__name__}: {error}); install napari-phenolens again"
        ) from error
    (folder / "run.json").write_text(json.dumps(plan, indent=1), encoding="utf-8")


def _moved(record: dict[str, Any], plate: Path) -> dict[str, Any]:
    """Point a run's record of its plate, its plate map too, at where the plate lies on this machine."""
    old, new = str(record["path"]), str(plate.resolve())
    return {
        key: new + value[len(old) :].replace("\\", os.sep).replace("/", os.sep)
        if isinstance(value, str) and key != "name" and value.startswith(old)
        else value
        for key, value in record.items()
    }
