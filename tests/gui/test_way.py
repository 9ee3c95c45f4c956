"""The scientist's way through the dock: wells, controls, run, heatmaps, pairs, places."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt, QTimer

from napari_phenolens.progress import Progress, check_cancelled


@pytest.fixture
def plate_dock(dock: Any, plate_folder: Path, settle: Any) -> Any:
    dock.bench.opening.plate(plate_folder)
    settle(dock)
    return dock


def click_well(dock: Any, qtbot: Any, well: str) -> None:
    place = dock.wells.map.rect_of(well).center().toPoint()
    qtbot.mouseClick(dock.wells.map, Qt.MouseButton.LeftButton, pos=QPoint(place.x(), place.y()))


def test_a_click_on_a_well_shows_it(plate_dock: Any, qtbot: Any, settle: Any) -> None:
    click_well(plate_dock, qtbot, "C04")
    settle(plate_dock)
    s = plate_dock.bench.session
    assert s.well == "C04"
    assert s.selected == ("C04",)
    shown = np.stack([layer.data for layer in plate_dock.bench.images.layers])
    np.testing.assert_array_equal(shown, s.plate.field("C04").read())
    assert "C04" in plate_dock.wells.now.text()
    assert plate_dock.wells.field.count() == 2
    plate_dock.wells._choose_field(1)
    settle(plate_dock)
    assert s.field_name == "2"


def test_marking_wells_by_hand(plate_dock: Any, qtbot: Any, settle: Any) -> None:
    click_well(plate_dock, qtbot, "B03")
    settle(plate_dock)
    marks = {button.text(): button for button in plate_dock.wells.marks}
    qtbot.mouseClick(marks["Exclude"], Qt.MouseButton.LeftButton)
    assert plate_dock.bench.session.roles["B03"] == "excluded"
    assert "1 well set by hand" in plate_dock.roles.help.text()
    assert "1 excluded" in plate_dock.wells._summary.text()
    qtbot.mouseClick(plate_dock.wells.reset, Qt.MouseButton.LeftButton)
    assert plate_dock.bench.session.roles["B03"] == "perturbed"


def test_queries_count_their_wells_and_tell_their_errors(plate_dock: Any, qtbot: Any) -> None:
    section = plate_dock.roles
    assert section.control.line.text() == "control_type == 'negcon'"
    assert section.control.count.text() == "8 wells"
    assert "12 wells" in section.perturbed.count.text()
    section.perturbed.line.clear()
    qtbot.keyClicks(section.perturbed.line, "dose > 3")
    qtbot.waitUntil(lambda: plate_dock.bench.session.perturbed_query == "dose > 3", timeout=3000)
    assert section.perturbed.count.text() == "7 wells"
    section.perturbed.line.clear()
    qtbot.keyClicks(section.perturbed.line, "colour == 1")
    qtbot.waitUntil(lambda: "colour" in section.perturbed.count.text(), timeout=3000)
    assert section.perturbed.count.text().startswith("⚠")
    assert "control_type" in section.perturbed.count.text()  # the columns that there are


def test_suggestions_are_offered_with_their_counts(plate_dock: Any) -> None:
    actions = {action.text().split("   ")[0]: action for action in plate_dock.roles.control._menu.actions()}
    assert "compound == 'DMSO'" in actions
    assert "(8 wells)" in actions["compound == 'DMSO'"].text()
    actions["compound == 'DMSO'"].trigger()
    assert plate_dock.bench.session.control_query == "compound == 'DMSO'"


def test_run_progress_and_cancel(plate_dock: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import napari_phenolens.run as room

    def run_plate(plate: Any, out: Any, *, progress: Any, cancel: Any, **options: Any) -> None:
        for i in range(3000):
            check_cancelled(cancel)
            progress(Progress("encode", i, 3000, "B07", eta=125.0))
            time.sleep(0.01)

    monkeypatch.setattr(room, "run_plate", run_plate, raising=False)
    plate_dock.run.set_opened(True)
    plate_dock.run.out.setText(str(tmp_path / "out"))
    stalls = []
    last = [time.perf_counter()]

    def beat() -> None:
        now = time.perf_counter()
        stalls.append(now - last[0])
        last[0] = now

    timer = QTimer()
    timer.setInterval(10)
    timer.timeout.connect(beat)
    qtbot.mouseClick(plate_dock.run.run_button, Qt.MouseButton.LeftButton)
    last[0] = time.perf_counter()
    timer.start()
    qtbot.waitUntil(lambda: plate_dock.run.bar.value() > 5, timeout=10_000)
    timer.stop()
    assert "about 2 min left" in plate_dock.run.text.text()
    assert "encode" in plate_dock.run.text.text()
    assert not plate_dock.run.run_button.isVisible()
    assert max(stalls) < 1.0  # the dock lives while it runs (the bar is 0.2 s on an idle machine)
    start = time.perf_counter()
    qtbot.mouseClick(plate_dock.run.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: plate_dock.bench.jobs.heavy is None, timeout=5000)
    assert time.perf_counter() - start < 0.5
    assert plate_dock.run.run_button.isVisible()
    assert "Cancelled. What was computed is kept" in plate_dock.run.text.text()
    assert not plate_dock.banner.isVisible()


def test_a_failed_run_says_why_and_can_be_tried_again(
    plate_dock: Any, settle: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import napari_phenolens.run as room
    from napari_phenolens.errors import PhenoLensError

    def run_plate(*args: Any, **options: Any) -> None:
        raise PhenoLensError("the disk is full: 0.1 GB left, 2 GB needed; choose another folder")

    monkeypatch.setattr(room, "run_plate", run_plate, raising=False)
    plate_dock.run.out.setText(str(tmp_path / "out"))
    plate_dock.run.run_button.click()
    settle(plate_dock)
    assert "choose another folder" in plate_dock.banner.text.text()
    assert plate_dock.run.run_button.isEnabled()


def test_heatmap_slots(opened: Any, qtbot: Any, settle: Any) -> None:
    slots = opened.slots
    slots.show_buttons[1].click()
    settle(opened)
    assert opened.bench.session.slots[1].feature == opened.bench.session.feature
    slots.kinds[1].setCurrentText("alignment")
    slots._kind(1)
    settle(opened)
    assert opened.bench.slots.layer(1).name.endswith("(alignment)")
    slots.opacity.setValue(30)
    assert {layer.opacity for layer in opened.bench.slots.layers} == {0.3}
    slots.visible.setChecked(False)
    assert not any(layer.visible for layer in opened.bench.slots.layers)
    slots.visible.setChecked(True)
    slots.clear_buttons[1].click()
    settle(opened)
    assert slots.names[1].text() == "empty"


def test_side_by_side_from_the_dock(opened: Any, settle: Any) -> None:
    opened.compare.button.click()
    settle(opened)
    assert opened.bench.session.side_by_side
    assert opened.compare.button.text() == "Back to one well"
    opened.compare.control.setCurrentIndex(opened.compare.control.findData("B02"))
    opened.compare._again(0)
    settle(opened)
    assert any("control B02" in layer.name for layer in opened.bench.side.layers)
    opened.compare.button.click()
    settle(opened)
    assert not opened.bench.session.side_by_side
    assert opened.bench.side.layers == []


def test_explaining_a_place(opened: Any, settle: Any) -> None:
    assert "Click on a cell" in opened.explain.text.text()
    opened.bench.picking.at((20, 30))
    settle(opened)
    model = opened.explain.model
    assert model.rowCount() > 0
    assert opened.explain.table.isVisible()
    assert "y 20, x 30" in opened.explain.text.text()
    opened.explain._chosen(model.index(1, 0))
    settle(opened)
    assert opened.bench.session.feature == model.feature(1)


def test_long_names_do_not_widen_the_dock(dock: Any, fakes: Any, tmp_path: Path, settle: Any, qtbot: Any) -> None:
    folder = fakes.write_plate(tmp_path / ("a very long name of a plate " * 4), rows=2, columns=3, fields=1)
    text = (folder / "platemap.csv").read_text(encoding="utf-8")
    long = "N-(4-hydroxyphenyl)-2-methyl-3-oxo-propanamide hydrochloride salt of an uncommonly long name"
    (folder / "platemap.csv").write_text(text.replace("compound 2", long), encoding="utf-8")
    dock.bench.opening.plate(folder)
    settle(dock)
    dock.bench.showing.well("B03")
    settle(dock)
    for section in dock.sections:
        section.set_opened(True)
    qtbot.wait(50)
    assert dock.width() == 430
    assert dock.scroll.widget().minimumSizeHint().width() <= dock.scroll.viewport().width()
