"""In a real window (needs a display with OpenGL): menus, clicks on the canvas, screenshots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

pytestmark = pytest.mark.gl


@pytest.fixture
def window(make_napari_viewer_proxy: Any, qtbot: Any) -> Any:
    from npe2 import PluginManager

    viewer = make_napari_viewer_proxy(show=True)
    PluginManager.instance().discover()
    viewer.window.resize(1366, 768)
    yield viewer
    for widget in viewer.window.dock_widgets.values():
        bench = getattr(widget, "bench", None)
        if bench is not None:
            bench.close()
            assert bench.jobs.wait(20)


@pytest.fixture
def dock(window: Any, qtbot: Any) -> Any:
    from napari_phenolens.widgets.dock import PhenoLensDock

    made = PhenoLensDock(window)
    window.window.add_dock_widget(made, name="PhenoLens")
    QApplication.processEvents()
    return made


def test_the_window_stays_within_a_small_screen(window: Any, dock: Any, run_folder: Path, settle: Any) -> None:
    dock.bench.opening.run(run_folder)
    settle(dock)
    for section in dock.sections:
        section.set_opened(True)
    QApplication.processEvents()
    assert dock.window().height() <= 768


def test_a_real_click_explains_and_a_drag_does_not(
    window: Any, dock: Any, run_folder: Path, settle: Any, qtbot: Any
) -> None:
    dock.bench.opening.run(run_folder)
    settle(dock)
    qtbot.wait(300)
    canvas = next(w for w in QApplication.topLevelWidgets() if hasattr(w, "_qt_viewer"))._qt_viewer.canvas.native
    middle = canvas.rect().center()
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    for step in (30, 60, 90):
        QTest.mouseMove(canvas, middle + QPoint(step, 0))
        qtbot.wait(30)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle + QPoint(90, 0))
    qtbot.wait(50)
    settle(dock)
    assert dock.bench.session.explanation is None
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    qtbot.wait(100)
    settle(dock)
    assert dock.bench.session.explanation is not None
    y, x = dock.bench.session.place
    shape = dock.bench.session.plate.field("A01").shape
    assert 0 <= y < shape[0]
    assert 0 <= x < shape[1]


def test_layers_come_and_go_without_a_crash(window: Any, dock: Any, run_folder: Path, settle: Any) -> None:
    """Deleting layers in a loop and adding one crashes vispy 0.17 on software GL; ours must not."""
    dock.bench.opening.run(run_folder)
    settle(dock)
    for _ in range(2):
        dock.bench.showing.side_by_side()
        settle(dock)
        QApplication.processEvents()
        dock.bench.showing.end_side_by_side()
        settle(dock)
        QApplication.processEvents()
    assert len(dock.bench.images.layers) == 2


def test_the_plugin_opens_from_the_menu(window: Any, qtbot: Any) -> None:
    from napari_phenolens.viewer.compat import open_dock

    widget = open_dock(window)
    assert type(widget).__name__ == "PhenoLensDock"
    assert open_dock(window) is widget  # a second time shows the same dock


def test_dropping_a_plate_on_the_viewer(window: Any, plate_folder: Path, qtbot: Any) -> None:
    window.open(str(plate_folder), plugin="napari-phenolens")
    docks = [w for w in window.window.dock_widgets.values() if hasattr(w, "bench")]
    assert len(docks) == 1
    bench = docks[0].bench
    qtbot.waitUntil(lambda: bench.session.plate is not None and not bench.jobs.running, timeout=30_000)
    assert bench.session.plate.name == "small plate"
    assert len(window.layers) == 2
