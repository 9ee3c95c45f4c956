"""Contrasts side by side: made in three ways, counted, kept, and without p where they were picked after looking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_phenolens.run.contrasts import contrasts_tried
from napari_phenolens.viewer.contrasting import names_wells
from napari_phenolens.widgets.chart_contrasts import ContrastsChart
from napari_phenolens.widgets.charts_dock import ChartsDock


@pytest.fixture
def chart(opened: Any, qtbot: Any, settle: Any) -> Iterator[Any]:
    """Give the page of contrasts of the opened run."""
    made = ChartsDock(opened.bench)
    qtbot.addWidget(made)
    made.resize(430, 600)
    made.show()
    page = made.show_chart(ContrastsChart)
    settle(opened)
    yield page
    made.close()


def press(button: Any) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def choose(box: Any, text: str) -> None:
    index = next(i for i in range(box.count()) if box.itemText(i).startswith(text))
    box.setCurrentIndex(index)
    box.activated.emit(index)


def test_two_values_of_the_plate_map(chart: Any, opened: Any, settle: Any) -> None:
    s, maker = opened.bench.session, chart.maker
    assert [kept.name for kept in s.contrasts] == ["Perturbed vs control"]
    choose(maker.by, "plate map")
    choose(maker.column, "compound")
    choose(maker.control, "DMSO")
    choose(maker.perturbed, "compound 3")
    press(maker.go)
    settle(opened)
    shown = s.comparison
    assert shown.name == "compound: compound 3 vs DMSO"
    assert list(shown.perturbed) == s.run.select("compound == 'compound 3'")
    assert shown.features["q"].notna().any()  # the map said so before anyone looked
    assert shown.about["contrasts_tried"] == 2
    assert any("2 contrasts were tried" in text for text in shown.warnings)
    assert [kept.name for kept in s.contrasts] == ["Perturbed vs control", shown.name]
    assert contrasts_tried(s.run)["name"].tolist() == ["Perturbed vs control", shown.name]
    assert chart.table().shape[0] == s.run.n_features
    assert "Both use 8 of the same control wells" in chart.note.text()


def test_a_selection_made_after_looking_carries_no_p(chart: Any, opened: Any, settle: Any) -> None:
    s, maker = opened.bench.session, chart.maker
    choose(maker.by, "selection")
    opened.bench.selecting.select(["A01", "B01", "C01", "D01"])
    press(maker.take_a)
    opened.bench.selecting.select(["A03", "B03", "C03", "D03"])
    press(maker.take_b)
    assert maker.take_b.text() == "B: 4 wells"
    press(maker.go)
    settle(opened)
    assert s.comparison.perturbed == ("A03", "B03", "C03", "D03")
    assert s.comparison.features[["p", "q"]].isna().all().all()
    assert "picked after" in s.comparison.warnings[0]
    assert contrasts_tried(s.run)["picked_after"].tolist() == [False, True]
    assert "no p" in chart.list.item(1).text()


def test_a_selection_made_before_anything_was_seen_carries_p(
    dock: Any, run_folder: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from napari_phenolens.viewer import comparing

    monkeypatch.setattr(comparing, "preferences", lambda: replace(before(), compare_on_open=False))
    dock.bench.opening.run(run_folder)
    settle(dock)
    bench = dock.bench
    assert bench.session.comparison is None
    bench.selecting.select(["A01", "B01", "C01", "D01"])
    a, after = bench.contrasting.selection()
    assert not after
    bench.selecting.select(["A03", "B03", "C03", "D03"])
    bench.contrasting.by_selection(a, *bench.contrasting.selection()[:1], picked_after=after)
    settle(dock)
    assert bench.session.comparison.features["p"].notna().any()
    bench.selecting.select(["A04", "B04", "C04", "D04"])
    assert bench.contrasting.selection()[1]


def before() -> Any:
    from napari_phenolens.viewer.settings import preferences

    return preferences()


def test_wells_named_in_a_query_after_looking_carry_no_p(opened: Any, settle: Any) -> None:
    bench = opened.bench
    bench.set_queries(perturbed="A03,B03,C03")
    bench.comparing.start()
    settle(opened)
    assert bench.session.comparison.features["p"].isna().all()
    bench.set_queries(perturbed="compound == 'compound 3'")
    bench.comparing.start()
    settle(opened)
    assert bench.session.comparison.features["p"].notna().any()


@pytest.mark.parametrize(
    ("query", "names"),
    [("A01,B02", True), ("B7 C8", True), ("well in ['A01']", True), ("dose > 3", False), ("", False)],
)
def test_which_queries_name_wells(query: str, names: bool) -> None:
    assert names_wells(query) is names


def test_a_log_of_an_earlier_session_counts_as_seen(opened: Any) -> None:
    bench = opened.bench
    bench.session.comparison, bench.session.contrasts = None, ()
    run = bench.session.run
    bench.session.run = None
    bench.session.run = run
    assert bench.contrasting.seen


def test_show_rename_remove_and_undo(chart: Any, opened: Any, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from qtpy.QtWidgets import QInputDialog

    s = opened.bench.session
    first = s.comparison
    opened.bench.contrasting.by_values("control_type", "negcon", "poscon")
    settle(opened)
    second = s.comparison
    assert second is not first
    item = chart.list.item(0)
    QTest.mouseClick(
        chart.list.viewport(),
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
        chart.list.visualItemRect(item).center(),
    )
    settle(opened)
    assert s.comparison is first
    assert opened.features.model.total == len(first.features)
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **kwargs: ("All of them", True))
    press(chart.rename)
    assert [kept.name for kept in s.contrasts] == ["All of them", second.name]
    assert s.comparison.name == "All of them"
    press(chart.remove)
    assert [kept.name for kept in s.contrasts] == [second.name]
    assert s.comparison is second
    opened.bench.undo()
    opened.bench.undo()
    assert [kept.name for kept in s.contrasts] == ["Perturbed vs control", second.name]
    assert len(contrasts_tried(s.run)) == 2  # removed or not, it was tried
    opened.bench.contrasting.rename(s.contrasts[0], second.name)
    called = [chart.across.itemText(i) for i in range(2)]
    assert called[0] != called[1]  # told apart by their wells
    assert called[1] == f"{len(second.perturbed)} vs {len(second.controls)} wells: {second.name}"


def test_both_sides_must_differ(chart: Any, opened: Any, settle: Any) -> None:
    opened.bench.attempt("Comparing", opened.bench.contrasting.by_values, "compound", "DMSO", "DMSO")
    assert "choose two values" in opened.bench.session.problem.message
    opened.bench.attempt(
        "Comparing", lambda: opened.bench.contrasting.by_selection(["A01"], ["A01"], picked_after=False)
    )
    assert "on both sides" in opened.bench.session.problem.message
