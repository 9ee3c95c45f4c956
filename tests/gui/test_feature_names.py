"""Names, notes and stars in the table: by real clicks and keys, kept with the run, undone; the wells' bars."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit

from napari_phenolens.run.annotations import Annotations
from napari_phenolens.widgets.feature_model import BARS_ROLE, FeatureModel
from napari_phenolens.widgets.well_bars import MOST, WellBars


def cell(dock: Any, row: int, key: str) -> QPoint:
    """Give the middle of a cell on the table's viewport, scrolled into view."""
    table, model = dock.features.table, dock.features.model
    index = model.index(row, model.column_of(key))
    table.scrollTo(index)
    return table.visualRect(index).center()


def kept(dock: Any) -> Annotations:
    """Read what is on disk, as another program would."""
    run = dock.bench.session.run
    return Annotations(run.path, "fake", run.n_features)


def write(dock: Any, text: str) -> None:
    """Write into the open editor and press Enter."""
    editor = QApplication.focusWidget()
    assert isinstance(editor, QLineEdit)
    editor.selectAll()
    QTest.keyClicks(editor, text)
    QTest.keyClick(editor, Qt.Key.Key_Return)
    QApplication.processEvents()  # Qt hands on what was written once the key was dealt with


@pytest.fixture
def table(opened: Any, qtbot: Any) -> Any:
    view = opened.features.table
    opened.features.set_opened(True)
    opened.scroll.ensureWidgetVisible(view)
    opened.activateWindow()
    view.setFocus()
    qtbot.waitUntil(view.hasFocus)
    return view


def test_a_name_is_written_in_place_kept_and_undone(opened: Any, table: Any, settle: Any) -> None:
    model = opened.features.model
    feature = model.value(2, "feature")
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=cell(opened, 2, "name"))
    settle(opened)
    assert opened.bench.session.feature == feature
    QTest.mouseDClick(table.viewport(), Qt.MouseButton.LeftButton, pos=cell(opened, 2, "name"))
    write(opened, "nuclear GFP")
    assert kept(opened)[feature].name == "nuclear GFP"
    assert model.value(2, "name") == "nuclear GFP"
    undo = opened.bench.session.undo
    assert undo.undo_title == f"rename F{feature}"
    undo.undo()
    assert not kept(opened)[feature]
    assert model.value(2, "name") == ""
    undo.redo()
    assert kept(opened)[feature].name == "nuclear GFP"


def test_f2_writes_and_escape_leaves_it(opened: Any, table: Any, settle: Any) -> None:
    model = opened.features.model
    index = model.index(1, model.column_of("note"))
    table.setCurrentIndex(index)
    settle(opened)
    QTest.keyClick(table, Qt.Key.Key_F2)
    write(opened, "bright rim")
    feature = model.value(1, "feature")
    assert kept(opened)[feature].note == "bright rim"
    table.setFocus()
    QTest.keyClick(table, Qt.Key.Key_F2)
    editor = QApplication.focusWidget()
    QTest.keyClicks(editor, "something else")
    QTest.keyClick(editor, Qt.Key.Key_Escape)
    assert kept(opened)[feature].note == "bright rim"


def test_a_star_by_click_and_by_key(opened: Any, table: Any, settle: Any) -> None:
    model = opened.features.model
    feature = model.value(3, "feature")
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=cell(opened, 3, "star"))
    settle(opened)
    assert kept(opened)[feature].star
    assert model.data(model.index(3, model.column_of("star"))) == "★"
    table.setFocus()
    QTest.keyClicks(table, "*")
    assert not kept(opened)[feature]
    assert opened.bench.session.undo.undo_title == f"unstar F{feature}"


def test_what_was_said_is_found_and_sorted(opened: Any, table: Any, settle: Any) -> None:
    bench, section, model = opened.bench, opened.features, opened.features.model
    bench.naming.say(7, name="Edge of the Nucleus")
    bench.naming.say(11, note="nucleolus, high dose")
    bench.naming.say(4, star=True)
    section.search.setText("nucle")
    section._filter()
    assert {model.value(r, "feature") for r in range(model.rowCount())} == {7, 11}
    section.search.setText("starred")
    section._filter()
    assert [model.value(r, "feature") for r in range(model.rowCount())] == [4]
    section.search.setText("")
    section._filter()
    section._sort(model.column_of("name"))
    assert model.value(0, "feature") == 7  # features without a name stand last
    bench.naming.say(4, star=False)
    assert not model.value(model.row_of(4), "star")


def test_a_name_that_cannot_be_kept_is_said_and_not_shown(
    opened: Any, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_phenolens.run.errors import RunError

    def refuse(*_args: object) -> None:
        raise RunError("annotations.json cannot be written: Read-only file system")

    monkeypatch.setattr(type(opened.bench.session.run.annotations), "put", refuse)
    model = opened.features.model
    model.setData(model.index(0, model.column_of("name")), "a name")
    assert model.value(0, "name") == ""
    assert "Read-only" in opened.bench.session.problem.message
    assert opened.bench.session.undo.undo_title == ""


def test_a_saved_table_has_the_names(opened: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from qtpy.QtWidgets import QFileDialog

    opened.bench.naming.say(7, name="rim")
    path = tmp_path / "t.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_a, **_k: (str(path), ""))
    QTest.mouseClick(opened.features.export_button, Qt.MouseButton.LeftButton)
    saved = pd.read_csv(path, comment="#")
    assert saved.loc[saved["feature"] == 7, "name"].item() == "rim"


def test_bars_are_the_wells_means_by_role(opened: Any) -> None:
    s, model = opened.bench.session, opened.features.model
    heights, of = model.data(model.index(0, model.column_of("wells")), BARS_ROLE)
    feature = model.value(0, "feature")
    profile = s.run.profiles()[feature]
    order = [w for role in ("control", "perturbed", "positive") for w in profile.index if s.roles.get(w) == role]
    np.testing.assert_allclose(heights[: len(order)], profile[order] / profile.max(), rtol=1e-5)
    assert of[: len(order)] == [s.roles[w] for w in order]


def test_many_wells_share_bars() -> None:
    wells = [f"W{i}" for i in range(384)]
    profiles = pd.DataFrame(np.ones((384, 3)), index=wells, columns=[4, 5, 6])
    profiles.loc[wells[:32], 5] = np.nan
    bars = WellBars(profiles, {w: "control" if i < 32 else "perturbed" for i, w in enumerate(wells)})
    heights, of = bars.of(5)
    assert len(heights) <= MOST + 2 and of.count("control") == 3
    assert heights[:3].tolist() == [0, 0, 0] and heights[3:].tolist() == [1] * (len(heights) - 3)
    assert bars.of(99) is None


def test_ten_thousand_rows_are_sorted_by_every_column_at_once() -> None:
    """The bar is 50 ms on a quiet machine (tests/benchmarks/bench_feature_table.py); ten times that is allowed here."""
    import time

    rng = np.random.default_rng(0)
    n = 10_000
    table = pd.DataFrame(
        {
            "feature": rng.permutation(n), "effect": rng.normal(size=n), "q": rng.uniform(size=n),
            "technical": rng.choice(["yes", "no", "not estimable"], n), "density": rng.uniform(size=n),
        }
    )  # fmt: skip
    model = FeatureModel()
    model.set_table(table)
    for i in range(len(model.columns)):
        start = time.perf_counter()
        model.sort(i, Qt.SortOrder.DescendingOrder)
        assert time.perf_counter() - start < 0.5
    technical = [model.value(r, "technical") for r in range(n)]
    model.sort(model.column_of("technical"), Qt.SortOrder.AscendingOrder)
    assert [model.value(r, "technical") for r in range(n)] == sorted(technical)
