"""What is drawn, and how often: every drawing in a window with a canvas has the whole window put together anew."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QObject

from napari_phenolens.widgets.busy_bar import BEAT_MS, BusyBar
from napari_phenolens.widgets.parts import hint
from napari_phenolens.widgets.status import QUICK_MS


class Drawings(QObject):
    """Counts how often a widget is drawn."""

    def __init__(self, widget: Any) -> None:
        super().__init__(widget)
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, _watched: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        self.count += event.type() == QEvent.Type.Paint
        return False


def test_a_bar_without_an_end_moves_a_few_times_a_second(qtbot: Any) -> None:
    bar = BusyBar()
    qtbot.addWidget(bar)
    bar.resize(300, 8)
    bar.show()
    bar.set_busy()
    qtbot.wait(50)
    drawn = Drawings(bar)
    before = bar.grab().toImage()
    qtbot.wait(4 * BEAT_MS)
    assert bar.busy
    assert 2 <= drawn.count - 1 <= 6  # one of them was the picture taken
    assert bar.grab().toImage() != before  # its block has moved
    bar.set_progress(3, 10)
    assert not bar.busy and (bar.value(), bar.maximum()) == (3, 10)
    qtbot.wait(50)
    drawn.count = 0
    qtbot.wait(3 * BEAT_MS)
    assert drawn.count == 0
    bar.set_progress(12, 10)
    assert bar.value() == 10


def test_a_bar_that_nobody_sees_rests(qtbot: Any) -> None:
    bar = BusyBar()
    qtbot.addWidget(bar)
    bar.set_busy()
    assert not bar._beat.isActive()
    bar.show()
    assert bar._beat.isActive()
    bar.hide()
    assert not bar._beat.isActive()


def test_quick_jobs_show_no_bar(dock: Any, qtbot: Any, settle: Any) -> None:
    status, jobs = dock.status, dock.bench.jobs
    shown: list[bool] = []
    jobs.ended.connect(lambda _job: shown.append(status.bar.isVisible()))
    for _ in range(5):
        jobs.start("quick", lambda _job: None)
        settle(dock)
    assert shown == [False] * 5
    go_on = threading.Event()
    jobs.start("compare", lambda _job: go_on.wait(30))
    assert not status.bar.isVisible() and not status.cancel.isVisible()
    qtbot.waitUntil(status.bar.isVisible, timeout=20 * QUICK_MS)
    assert status.cancel.isVisible()
    go_on.set()
    qtbot.waitUntil(lambda: not status.bar.isVisible() and not status.cancel.isVisible(), timeout=5_000)


def test_a_wrapped_text_is_measured_once_for_a_width(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from qtpy.QtWidgets import QLabel

    asked: list[int] = []
    measure = QLabel.heightForWidth
    monkeypatch.setattr(QLabel, "heightForWidth", lambda self, width: asked.append(width) or measure(self, width))
    label = hint("words " * 40)
    qtbot.addWidget(label)
    wide, narrow = label.heightForWidth(400), label.heightForWidth(200)
    assert narrow > wide > 0
    for _ in range(3):
        assert (label.heightForWidth(400), label.heightForWidth(200)) == (wide, narrow)
    assert asked == [400, 200]
    label.setText("words")
    assert label.heightForWidth(200) < narrow
    font = label.font()
    font.setPointSize(3 * font.pointSize())
    label.setText("words " * 40)
    label.setFont(font)
    assert label.heightForWidth(200) > narrow


def test_the_plate_map_follows_with_the_heatmap(opened: Any, qtbot: Any, settle: Any) -> None:
    bench, panel = opened.bench, opened.wells.panel
    s = bench.session
    s.colour_by = "feature"
    settle(opened)
    coloured: list[Any] = []
    set_colours = panel.map.set_colours
    panel.map.set_colours = lambda colours: (coloured.append(s.feature), set_colours(colours))
    other = next(f for f in range(s.run.n_features) if f != s.feature)
    bench.showing.feature(other)
    assert coloured == []  # its heatmap is being read
    settle(opened)
    qtbot.wait(2 * QUICK_MS)
    assert coloured == [other]  # once
    s.feature = next(f for f in range(s.run.n_features) if f != other)  # no slot, no heatmap
    qtbot.waitUntil(lambda: coloured == [other, s.feature], timeout=5_000)


def test_codes_of_a_field_are_read_once(demo_with_cells: Any) -> None:
    from napari_phenolens import open_run

    run, other = open_run(demo_with_cells), open_run(demo_with_cells)
    well = run.wells[0]
    first = run.activation(well, None, 3)
    read = run._read_codes.cache_info().misses
    maps = [run.activation(well, None, f) for f in range(6)]
    assert run._read_codes.cache_info().misses == read
    np.testing.assert_array_equal(maps[3], first)
    index, value = other.codes(well)
    for f, shown in enumerate(maps):
        whole = np.where(index == f, value, 0).sum()
        assert shown.sum() == pytest.approx(whole, rel=1e-5, abs=1e-6)
    run.renew(open_run(demo_with_cells))
    assert "_read_codes" not in vars(run)  # as a run goes on, codes are written anew
