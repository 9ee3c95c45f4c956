"""Provisional results are marked in plain sight, and a table that is filled in stays as the user left it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_phenolens.widgets.charts_dock import ChartsDock
from napari_phenolens.widgets.provisional import ProvisionalNote

WORDS = "Provisional: 0 of 384 wells are whole, 384 more hold a first look at a part of their fields."


def test_the_mark_stands_over_map_table_and_charts(dock: Any, qtbot: Any) -> None:
    charts = ChartsDock(dock.bench)
    qtbot.addWidget(charts)
    charts.show()
    notes = dock.findChildren(ProvisionalNote) + charts.findChildren(ProvisionalNote)
    assert len(notes) == 3
    assert not any(note.isVisibleTo(note.parentWidget()) for note in notes)
    dock.bench.session.provisional = WORDS
    for note in notes:
        assert note.text() == WORDS and note.isVisibleTo(note.parentWidget())
        assert note.toolTip() and note.accessibleName()
    dock.bench.session.provisional = ""
    assert not any(note.isVisibleTo(note.parentWidget()) for note in notes)


def test_a_table_that_fills_in_keeps_order_choice_and_place(opened: Any) -> None:
    section, s = opened.features, opened.bench.session
    first = replace(s.comparison, about={**s.comparison.about, "provisional": True})
    s.comparison = first
    header = section.table.horizontalHeader()
    column = section.model.column_of("auroc")
    section.table.horizontalScrollBar().setValue(header.sectionPosition(column))
    x = header.sectionViewportPosition(column) + header.sectionSize(column) // 2
    QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(x, header.height() // 2))
    assert section._sorted is not None and section._sorted[0] == column
    chosen = int(section.model.value(5, "feature"))
    opened.bench.showing.feature(chosen)
    scroll = section.table.verticalScrollBar()
    scroll.setValue(min(3, scroll.maximum()))
    kept, place = section._sorted, scroll.value()
    table = first.features.copy()
    table["effect"] = table["effect"] * 1.1
    s.comparison = replace(first, features=table)
    assert section._sorted == kept and header.isSortIndicatorShown()
    values = [section.model.value(row, "auroc") for row in range(section.model.rowCount())]
    assert values == sorted(values, reverse=True)
    assert s.feature == chosen
    now = section.table.currentIndex()
    assert int(section.model.value(now.row(), "feature")) == chosen
    assert scroll.value() == place
    section.which.setCurrentIndex(1)
    s.comparison = replace(first, features=table)
    assert section.which.currentIndex() == 1 and section.model.column_of("covariate") == 0
    section.which.setCurrentIndex(0)
    section._sort(column)
    kept = section._sorted
    s.comparison = replace(s.comparison, about={})  # the whole run's table: still the same one to look at
    assert section._sorted == kept
    s.comparison = replace(s.comparison)  # another comparison begins with its own ranking
    assert section._sorted is None
