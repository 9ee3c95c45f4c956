"""A plate, a run of it, and a viewer model with its workbench."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def _fakes() -> Any:
    """Load the fakes that lie beside this file (test folders are no packages)."""
    if "phenolens_viewer_fakes" not in sys.modules:
        spec = importlib.util.spec_from_file_location("phenolens_viewer_fakes", Path(__file__).parent / "fakes.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["phenolens_viewer_fakes"] = module
        spec.loader.exec_module(module)
    return sys.modules["phenolens_viewer_fakes"]


@pytest.fixture(scope="session")
def fakes() -> Any:
    """Give the module of fakes."""
    return _fakes()


@pytest.fixture(scope="session")
def plate_folder(tmp_path_factory: pytest.TempPathFactory, fakes: Any) -> Path:
    """Give a plate of 24 wells, 23 with images."""
    return fakes.write_plate(tmp_path_factory.mktemp("plates") / "small plate")


@pytest.fixture
def run_folder(tmp_path: Path, plate_folder: Path, fakes: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that opens as a run."""
    import napari_phenolens.run as room

    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "run.json").write_text("{}", encoding="utf-8")
    made = fakes.FakeRun(plate_folder, folder)
    monkeypatch.setattr(room, "open_run", lambda path: made, raising=False)
    return folder


@pytest.fixture
def bench() -> Iterator[Any]:
    """Give the workbench of a fresh viewer model."""
    from napari.components import ViewerModel

    from napari_phenolens.viewer.workbench import workbench_for

    viewer = ViewerModel()
    made = workbench_for(viewer)
    yield made
    made.close()
    assert made.jobs.wait(20)
    del viewer


@pytest.fixture
def opened(bench: Any, run_folder: Path) -> Any:
    """Give a workbench with the run open and compared."""
    bench.opening.run(run_folder)
    assert bench.jobs.wait(60)
    assert bench.session.problem is None, bench.session.problem
    return bench


@pytest.fixture
def settle() -> Callable[[Any], None]:
    """Give what waits for all jobs of a workbench."""

    def wait(bench: Any) -> None:
        assert bench.jobs.wait(60)

    return wait
