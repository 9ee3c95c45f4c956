"""The demo plate and its run in the user's cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from napari_phenolens.demo import cache, demo_plate_path, demo_run_path, writing
from napari_phenolens.errors import PhenoLensError


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A cache of its own, and pictures without cells; gives the wells that were drawn."""
    import platformdirs

    drawn: list[str] = []

    def picture(well: str, *_: object) -> np.ndarray:
        drawn.append(well)
        return np.zeros((3, 8, 8), np.uint16)

    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    monkeypatch.setattr(writing, "picture", picture)
    return drawn


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A packaged run that was made elsewhere."""
    path = tmp_path / "run.zip"
    plate = {"name": "plate", "path": "/home/maker/plate", "platemap": "/home/maker/plate/platemap.csv", "t": 0}
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("run.json", json.dumps({"plate": plate, "wells": ["A04"]}))
        file.writestr("wells/A04.json", "{}")
    monkeypatch.setattr(cache, "PACKAGED_RUN", path)
    return path


def test_drawn_once(tmp_path: Path, fresh: Sequence[str]) -> None:
    folder = demo_plate_path()
    assert folder.is_relative_to(tmp_path / "cache" / "demo")
    assert folder.name == "plate"
    assert len(list(folder.glob("*.tif"))) == 108
    assert len(fresh) == 36
    assert demo_plate_path() == folder
    assert len(fresh) == 36
    assert [path.name for path in folder.parent.iterdir()] == ["plate"]


def test_drawn_again_when_parts_are_gone(fresh: Sequence[str]) -> None:
    folder = demo_plate_path()
    (folder / "B05_f1_DNA.tif").unlink()
    assert demo_plate_path() == folder
    assert (folder / "B05_f1_DNA.tif").is_file()
    assert len(fresh) == 72


def test_nothing_half_done_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(folder: Path) -> None:
        (folder / "A02_f1_DNA.tif").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(cache, "write_demo_plate", fails)
        with pytest.raises(KeyboardInterrupt):
            demo_plate_path()
    folder = demo_plate_path()
    assert [path.name for path in folder.parent.iterdir()] == ["plate"]
    assert (folder / "A02_f1_DNA.tif").read_bytes() != b"half"


def test_another_process_was_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    real = cache.write_demo_plate

    def slow(folder: Path) -> None:
        real(folder)
        real(folder.parent / "plate")

    monkeypatch.setattr(cache, "write_demo_plate", slow)
    folder = demo_plate_path()
    assert [path.name for path in folder.parent.iterdir()] == ["plate"]


def test_cache_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, no folder")
    with pytest.raises(PhenoLensError, match="cannot be kept"):
        demo_plate_path()


def test_run_is_unpacked_once(packed: Path) -> None:
    run, plate = demo_run_path(), demo_plate_path()
    assert run.parent == plate.parent
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))["plate"]
    assert record["path"] == str(plate.resolve())
    assert Path(record["platemap"]) == plate.resolve() / "platemap.csv"
    assert record["name"] == "plate"
    (run / "note").touch()
    assert demo_run_path() == run
    assert (run / "note").exists()
    with zipfile.ZipFile(packed, "a") as file:
        file.writestr("more", "")
    assert demo_run_path() != run  # another package's run


def test_run_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "PACKAGED_RUN", tmp_path / "none.zip")
    with pytest.raises(PhenoLensError, match=r"none\.zip is missing"):
        demo_run_path()


def test_run_is_damaged(packed: Path) -> None:
    packed.write_bytes(b"PK no zip")
    with pytest.raises(PhenoLensError, match="cannot be unpacked"):
        demo_run_path()
    assert [path.name for path in demo_plate_path().parent.iterdir()] == ["plate"]


def test_import_is_light(repo: Path) -> None:
    code = (
        "import sys, napari_phenolens.demo as d; d.demo_truth(); "
        "print([m for m in ('torch', 'skimage', 'scipy', 'zarr', 'numba', 'tifffile') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(repo / "src")}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert told.stdout.strip() == "[]"
