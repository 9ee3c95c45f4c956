"""Fixtures that the viewer's and the dock's tests share; their conftests import them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import viewer_fakes


@pytest.fixture(scope="session")
def fakes() -> ModuleType:
    """Give the module of fakes."""
    return viewer_fakes


@pytest.fixture(scope="session")
def plate_folder(tmp_path_factory: pytest.TempPathFactory, fakes: ModuleType) -> Path:
    """Give a plate of 24 wells, 23 with images."""
    return fakes.write_plate(tmp_path_factory.mktemp("plates") / "small plate")


@pytest.fixture
def run_folder(tmp_path: Path, plate_folder: Path, fakes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that opens as a run."""
    import napari_phenolens.run as room

    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "run.json").write_text("{}", encoding="utf-8")
    made = fakes.FakeRun(plate_folder, folder)
    monkeypatch.setattr(room, "open_run", lambda path: made, raising=False)
    return folder
