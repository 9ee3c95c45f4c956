"""The plate map, its views and undo in a real window (needs a display with OpenGL): real clicks, keys and docks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_phenolens.viewer import compat
from napari_phenolens.widgets.large_map import NAME

pytestmark = pytest.mark.gl

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def dock(make_napari_viewer_proxy: Any, qtbot: Any, run_folder: Path, settle: Any) -> Any:
    from napari_phenolens.widgets.dock import PhenoLensDock

    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1366, 768)
    made = PhenoLensDock(viewer)
    viewer.window.add_dock_widget(made, name="PhenoLens")
    made.bench.opening.run(run_folder)
    settle(made)
    qtbot.wait(300)
    yield made
    made.bench.close()
    assert made.bench.jobs.wait(20)


def canvas_of() -> Any:
    return next(w for w in QApplication.topLevelWidgets() if hasattr(w, "_qt_viewer"))._qt_viewer.canvas


def pixel(bench: Any, world: tuple[float, float]) -> QPoint:
    """Give where world coordinates lie on the canvas."""
    rect, camera = canvas_of().native.rect(), compat.camera(bench.viewer)
    y, x = ((w - c) * camera.zoom for w, c in zip(world, camera.center[-2:], strict=True))
    return QPoint(round(rect.width() / 2 + x), round(rect.height() / 2 + y))


def world_of(bench: Any, well: str) -> tuple[float, float]:
    layer, thumbnails = bench.overview.layers[0], bench.overview.thumbnails
    place = bench.session.plate.wells[well]
    y, x = layer.data_to_world(((place.row + 0.4) * thumbnails.edge, (place.column + 0.4) * thumbnails.edge))
    return y, x


def test_a_click_on_the_overview_shows_that_well_and_a_drag_moves_it(dock: Any, settle: Any, qtbot: Any) -> None:
    bench, views = dock.bench, dock.wells.views
    qtbot.mouseClick(views["plate"], LEFT)
    settle(dock)
    qtbot.wait(400)
    s, native = bench.session, canvas_of().native
    assert (s.view, views["plate"].isChecked()) == ("plate", True)
    start = pixel(bench, world_of(bench, "C05"))
    QTest.mousePress(native, LEFT, NONE, start)
    for step in (20, 40):
        QTest.mouseMove(native, start + QPoint(step, 0))
        qtbot.wait(30)
    QTest.mouseRelease(native, LEFT, NONE, start + QPoint(40, 0))
    qtbot.wait(50)
    assert s.view == "plate"
    spot = pixel(bench, world_of(bench, "C05"))
    QTest.mouseMove(native, spot)
    qtbot.wait(60)
    assert compat.text_overlay(bench.viewer).text.startswith("C05 · compound 4")
    QTest.mouseClick(native, LEFT, NONE, spot)
    qtbot.wait(60)
    settle(dock)
    assert (s.view, s.well, views["field"].isChecked()) == ("field", "C05", True)


def test_both_halves_of_a_pair_follow_one_camera(dock: Any, settle: Any, qtbot: Any) -> None:
    bench = dock.bench
    before = compat.look(bench.viewer)
    dock.compare.pairs.setValue(2)
    qtbot.mouseClick(dock.compare.button, LEFT)
    settle(dock)
    qtbot.wait(300)
    camera = compat.camera(bench.viewer)
    camera.zoom, camera.center = camera.zoom * 2, (0, 20.0, 30.0)
    qtbot.wait(100)
    cells = [cell for cell in canvas_of().grid_cameras if cell is not None]
    assert len(cells) == 2
    for cell in cells:
        assert tuple(cell.center)[-2:] == pytest.approx((20.0, 30.0))
        assert cell.zoom == pytest.approx(camera.zoom)
    qtbot.mouseClick(dock.compare.button, LEFT)
    settle(dock)
    qtbot.wait(300)
    assert not compat.grid(bench.viewer).enabled
    assert compat.look(bench.viewer)[1] == pytest.approx(before[1])
    assert compat.look(bench.viewer)[0] == pytest.approx(before[0])


def test_undo_by_keys_in_the_window(dock: Any, qtbot: Any) -> None:
    """napari has no key of its own that swallows it, and none of its layers is concerned."""
    s, plate_map = dock.bench.session, dock.wells.map
    before = dict(s.roles)
    dock.window().activateWindow()
    plate_map.setFocus()
    qtbot.waitUntil(plate_map.hasFocus)
    dock.bench.mark(("B03", "C03"), "excluded")
    qtbot.keyClick(plate_map, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert s.roles == before
    qtbot.keyClick(plate_map, Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    assert s.wells_of("excluded") == ["B03", "C03"]
    qtbot.keyClick(plate_map, Qt.Key.Key_U)
    assert s.roles == before


def test_the_large_map_opens_at_the_bottom_closes_and_opens_again(dock: Any, settle: Any, qtbot: Any) -> None:
    window, button = dock.bench.viewer.window, dock.wells.panel.open_large
    for _ in range(2):
        qtbot.mouseClick(button, LEFT)
        qtbot.wait(100)
        large = window.dock_widgets[NAME]
        assert large.window().height() <= 768
        main = next(w for w in QApplication.topLevelWidgets() if hasattr(w, "_qt_viewer"))
        assert main.dockWidgetArea(large.parent()) == Qt.DockWidgetArea.BottomDockWidgetArea
        qtbot.mouseClick(large.panel.map, LEFT, NONE, large.panel.map.rect_of("C04").center().toPoint())
        settle(dock)
        assert (dock.bench.session.well, dock.wells.map.selected) == ("C04", ("C04",))
        window.remove_dock_widget(large)
        assert NAME not in window.dock_widgets
        dock.bench.mark(("B03",), "excluded")  # nothing is told to a map that is gone
        dock.bench.undo()
