"""The dock on a viewer model: no window, no OpenGL."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_BESIDE = Path(__file__).parent.parent / "viewer" / "fakes.py"


@pytest.fixture(scope="session")
def fakes() -> Any:
    """Give the module of fakes that the viewer's tests use."""
    name = "phenolens_viewer_fakes"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _BESIDE)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


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
def dock(qtbot: Any) -> Iterator[Any]:
    """Give the dock on a fresh viewer model, shown at the size that napari gives it."""
    from napari.components import ViewerModel

    from napari_phenolens.widgets.dock import PhenoLensDock

    viewer = ViewerModel()
    made = PhenoLensDock(viewer)
    qtbot.addWidget(made)
    made.resize(430, 900)
    made.show()
    yield made
    made.bench.close()
    assert made.bench.jobs.wait(20)
    del viewer


@pytest.fixture
def settle(qtbot: Any) -> Callable[[Any], None]:
    """Give what lets Qt work until no job runs."""

    def wait(dock: Any) -> None:
        qtbot.waitUntil(lambda: not dock.bench.jobs.running, timeout=60_000)
        qtbot.wait(20)

    return wait


@pytest.fixture
def opened(dock: Any, run_folder: Path, settle: Any) -> Any:
    """Give a dock with the run open and compared."""
    dock.bench.opening.run(run_folder)
    settle(dock)
    assert dock.bench.session.problem is None, dock.bench.session.problem
    return dock
