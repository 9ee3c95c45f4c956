"""The dock on a viewer model: no window, no OpenGL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from viewer_fixtures import fakes, plate_folder, run_folder  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test see what another one has chosen "until napari ends": all run in one process."""
    monkeypatch.setattr("napari_phenolens.viewer.settings._for_now", {})


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
def opened(dock: Any, run_folder: Path, settle: Any) -> Any:  # noqa: F811 - the fixture
    """Give a dock with the run open and compared."""
    dock.bench.opening.run(run_folder)
    settle(dock)
    assert dock.bench.session.problem is None, dock.bench.session.problem
    return dock
