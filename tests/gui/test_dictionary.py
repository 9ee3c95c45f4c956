"""The dock's dictionary report: measured off the main thread, explained, drawn and saved."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt

import napari_phenolens
from napari_phenolens.analysis import METRICS, DictionaryReport
from napari_phenolens.analysis.metrics import Findings
from napari_phenolens.dictionary.usage import usage_histogram


def report(features: int = 24) -> DictionaryReport:
    found = Findings()
    found.add("cosine", 0.81, low=0.79, high=0.83, note="in-sample")
    found.add("atoms", float(features))
    found.add("dead", 0.25)
    found.add("telling", 7.2, low=4, high=10, null=1.5)
    found.lack("the dictionary is not nested", "lift", "excess", "tree_excess", "inclusion", "tau")
    density = np.r_[np.zeros(6), np.logspace(-3, -0.5, features - 6)]
    spectrum = pd.DataFrame({"eigenvalue": np.logspace(1, -3, 20), "kept": np.arange(20) < 15})
    spectrum.attrs = {"floor_value": 1e-2}
    table = pd.DataFrame({"density": density}, index=pd.RangeIndex(features, name="feature"))
    facts: dict[str, Any] = {"notes": ["A note."], "plates": ["P1"]}
    return DictionaryReport(found.table(), table, usage_histogram(density), spectrum, None, None, facts)


def items(tree: Any) -> dict[str, Any]:
    found = {}
    for i in range(tree.topLevelItemCount()):
        top = tree.topLevelItem(i)
        found |= {top.child(j).text(0): top.child(j) for j in range(top.childCount())}
    return found


def test_it_is_measured_shown_and_saved(
    opened: Any, qtbot: Any, settle: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {}

    def measured(run: Any, *, progress: Any, cancel: Any, **options: Any) -> DictionaryReport:
        asked.update(options, run=run, thread=threading.current_thread())
        return report()

    monkeypatch.setattr(napari_phenolens, "dictionary_report", measured)
    section = opened.dictionary
    assert not section.opened and section.button.isEnabled() and not section.save.isEnabled()
    names = [section.column.itemText(i) for i in range(section.column.count())]
    assert names[0] == "compound" and "control_type" in names and names[-1] == "no labels"
    section.set_opened(True)
    assert not section.table.isVisible() and not section.plots.isVisible()
    qtbot.mouseClick(section.button, Qt.MouseButton.LeftButton)
    settle(opened)
    s = opened.bench.session
    assert asked["thread"] is not threading.main_thread() and asked["run"] is s.run
    assert asked["column"] == "compound" and asked["fields"] == 24
    assert section.table.isVisible() and section.plots.isVisible() and "A note." in section.text.text()
    rows = items(section.table)
    assert set(rows) == {metric.title for metric in METRICS.values()}, "every figure has its row"
    cosine = rows[METRICS["cosine"].title]
    assert cosine.text(1) == "0.81 [0.79, 0.83]" and "in-sample" in cosine.toolTip(1)
    assert METRICS["cosine"].source in cosine.toolTip(0) and "Higher is better" in cosine.toolTip(0)
    lift = rows[METRICS["lift"].title]
    assert lift.text(1) == "–" and "not nested" in lift.toolTip(1)
    assert rows[METRICS["telling"].title].text(2) == "1.5"
    bars = [item for item in section.plots.usage.getPlotItem().items if type(item).__name__ == "BarGraphItem"]
    assert sum(np.sum(bar.opts["height"]) for bar in bars) == 24
    assert "7 of 24" in section._summary.text()
    out = tmp_path / "report.csv"
    monkeypatch.setattr(
        "napari_phenolens.widgets.dictionary_section.QFileDialog.getSaveFileName",
        lambda *_: (str(out.with_suffix("")), "Tables (*.csv)"),
    )
    qtbot.mouseClick(section.save, Qt.MouseButton.LeftButton)
    assert s.problem is None, s.problem
    saved = pd.read_csv(out, index_col="metric")
    assert saved.loc["cosine", "value"] == 0.81 and (tmp_path / "report_features.csv").exists()
    s.run = None
    assert s.dictionary is None and not section.table.isVisible() and not section.button.isEnabled()
    assert "step 4" in section.text.text()


def test_without_tokens_and_when_it_fails(
    opened: Any, qtbot: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def measured(run: Any, **options: Any) -> DictionaryReport:
        asked.update(options)
        raise napari_phenolens.analysis.AnalysisError("the plate map has no column")

    monkeypatch.setattr(napari_phenolens, "dictionary_report", measured)
    section = opened.dictionary
    section.tokens.setChecked(False)
    section.column.setCurrentIndex(section.column.count() - 1)
    section.button.click()
    settle(opened)
    assert asked["fields"] == 0 and asked["column"] is None
    problem = opened.bench.session.problem
    assert problem is not None and "no column" in problem.message and opened.bench.session.dictionary is None
    opened.bench.session.problem = None


def test_every_control_is_named(opened: Any) -> None:
    section = opened.dictionary
    for part in (section.column, section.tokens, section.button, section.save):
        assert part.toolTip() and part.accessibleName()
    assert section.table.accessibleName() and all(box.toolTip() for box in section.plots.boxes)
