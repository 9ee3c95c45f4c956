"""The dock of charts: what it draws, and clicks on its points that reach table, plate map and images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtTest import QTest

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.widgets.chart_bars import BarsChart
from napari_phenolens.widgets.chart_contrasts import ContrastsChart
from napari_phenolens.widgets.chart_dose import DoseChart
from napari_phenolens.widgets.chart_positions import PositionsChart
from napari_phenolens.widgets.chart_spread import SpreadChart
from napari_phenolens.widgets.chart_volcano import VolcanoChart
from napari_phenolens.widgets.charts_dock import CHARTS, ChartsDock


@pytest.fixture
def charts(opened: Any, qtbot: Any, settle: Any) -> Iterator[Any]:
    """Give the charts of the opened run, at the size that a small screen leaves them."""
    made = ChartsDock(opened.bench)
    qtbot.addWidget(made)
    made.resize(430, 520)
    made.show()
    settle(opened)
    yield made
    made.close()


def points_of(chart: Any, axes: int = 0) -> list[Any]:
    """Give the points of a chart's axes that can be clicked."""
    from pyqtgraph import ScatterPlotItem

    plot = chart.view.getItem(0, axes)
    return [item for item in plot.items if isinstance(item, ScatterPlotItem) and item.data["data"][0] is not None]


def place_of(chart: Any, item: Any, x: float, y: float) -> QPoint:
    """Give where a value lies on the canvas."""
    return chart.view.mapFromScene(item.getViewBox().mapViewToScene(QPointF(x, y)))


def click(chart: Any, item: Any, x: float, y: float) -> None:
    QTest.mouseClick(
        chart.view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place_of(chart, item, x, y)
    )


def lonely(item: Any) -> int:
    """Give the point that is farthest from its neighbours, so that a click can mean no other."""
    at = np.stack([item.data["x"], item.data["y"]], axis=1)
    at = (at - at.min(axis=0)) / np.maximum(np.ptp(at, axis=0), 1e-12)
    apart = np.linalg.norm(at[:, None] - at[None], axis=-1) + 9 * np.eye(len(at))
    return int(apart.min(axis=1).argmax())


def test_a_click_on_the_volcano_chooses_the_feature_everywhere(charts: Any, opened: Any, settle: Any) -> None:
    chart = charts.show_chart(VolcanoChart)
    settle(opened)
    (item,) = points_of(chart)
    features = opened.bench.session.comparison.features
    assert set(item.data["data"]) == set(features.loc[np.isfinite(features["q"]), "feature"])
    i = lonely(item)
    feature = int(item.data["data"][i])
    other = next(int(f) for f in features["feature"] if f != feature)
    opened.bench.showing.feature(other)
    settle(opened)
    (item,) = points_of(chart)
    click(chart, item, float(item.data["x"][i]), float(item.data["y"][i]))
    settle(opened)
    s = opened.bench.session
    assert s.feature == feature == s.slots[0].feature
    assert s.colour_by == "feature"
    table = opened.features.table
    assert opened.features.model.value(table.currentIndex().row(), "feature") == feature


def test_the_table_chooses_in_the_chart(charts: Any, opened: Any, settle: Any) -> None:
    chart = charts.show_chart(BarsChart)
    feature = opened.features.model.value(3, "feature")
    opened.features.table.setCurrentIndex(opened.features.model.index(3, 0))
    settle(opened)
    plot = chart.view.getItem(0, 0)
    rings = [item for item in plot.items if type(item).__name__ == "ScatterPlotItem" and item not in points_of(chart)]
    (ring,) = rings
    row = chart.table().reset_index(drop=True)
    assert ring.data["y"][0] == -row.index[row["feature"] == feature][0]


def test_a_bar_can_be_clicked_anywhere(charts: Any, opened: Any, settle: Any) -> None:
    chart = charts.show_chart(BarsChart)
    settle(opened)
    shown = chart.table()
    (item,) = points_of(chart)
    click(chart, item, float(shown["effect"].iloc[2]) / 2, -2.0)
    settle(opened)
    assert opened.bench.session.feature == int(shown["feature"].iloc[2])


def test_wells_are_points_that_can_be_shown(charts: Any, opened: Any, settle: Any) -> None:
    chart = charts.show_chart(SpreadChart)
    settle(opened)
    (item,) = points_of(chart)
    comparison = opened.bench.session.comparison
    assert [well for well, _ in item.data["data"]] == [*comparison.controls, *comparison.perturbed]
    means = opened.bench.session.run.profiles()[opened.bench.session.feature]
    assert item.data["y"] == pytest.approx(means[[well for well, _ in item.data["data"]]].to_numpy())
    i = lonely(item)
    well = item.data["data"][i][0]
    assert well in chart._tell(item.data["data"][i], 0, 0.5) and "compound" in chart._tell(item.data["data"][i], 0, 0.5)
    click(chart, item, float(item.data["x"][i]), float(item.data["y"][i]))
    settle(opened)
    assert opened.bench.session.well == well


def test_patches_are_a_histogram_and_never_tested(charts: Any, opened: Any, settle: Any) -> None:
    chart = charts.show_chart(SpreadChart)
    chart.of.setCurrentIndex(chart.of.findData("patch"))
    chart.refresh()
    settle(opened)
    table = chart.table()
    assert set(table.columns) >= {"low", "high", "control", "perturbed"}
    assert "never tested" in chart.note.text()
    chart.of.setCurrentIndex(chart.of.findData("cell"))
    chart.refresh()
    settle(opened)
    assert "phenolens cells" in chart.message.text()


@pytest.fixture
def series(opened: Any) -> Any:
    """Make the fake plate's columns 3 to 6 one compound in four doses."""
    metadata = opened.bench.session.run.metadata
    metadata.loc[metadata["dose"] > 1, "compound"] = "stuff"
    metadata.loc[metadata["dose"] <= 1, "dose"] = 0.0
    return opened


def test_dose_curves_are_those_of_python(series: Any, charts: Any, settle: Any) -> None:
    from napari_phenolens.analysis import dose_curves, say_dose

    chart = charts.show_chart(DoseChart)
    settle(series)
    s = series.bench.session
    expected = dose_curves(s.run, s.feature, controls=s.wells_of("control"), wells=list(s.run.wells))
    pd.testing.assert_frame_equal(chart.table().set_index("compound"), expected, check_exact=True)
    assert chart.note.text().startswith(say_dose(expected.loc["stuff"]))
    (item,) = points_of(chart)
    assert list(item.data["data"]) == expected.attrs["points"]["stuff"]["well"]


def test_no_dose_is_said_in_the_chart_and_not_as_an_error(charts: Any, opened: Any, settle: Any) -> None:
    opened.bench.session.run.metadata.drop(columns="dose", inplace=True)
    chart = charts.show_chart(DoseChart)
    settle(opened)
    assert "No column of the plate map" in chart.message.text()
    assert opened.bench.session.problem is None
    assert not chart.note.isVisible()


def test_position_effects_are_those_of_python(charts: Any, opened: Any, settle: Any) -> None:
    from napari_phenolens.analysis import position_effects

    opened.bench.showing.feature(5)  # follows the row
    chart = charts.show_chart(PositionsChart)
    settle(opened)
    s = opened.bench.session
    expected = position_effects(s.run, 5, s.wells_of("control"))
    pd.testing.assert_frame_equal(chart.table().set_index("effect"), expected)
    assert expected.loc["row", "r2"] > 0.8
    (item,) = points_of(chart, 0)
    i = lonely(item)
    click(chart, item, float(item.data["x"][i]), float(item.data["y"][i]))
    settle(opened)
    assert s.well == item.data["data"][i]


@pytest.mark.parametrize("kind", CHARTS)
def test_saving(kind: Any, charts: Any, opened: Any, settle: Any, tmp_path: Path) -> None:
    if kind is ContrastsChart:
        opened.bench.contrasting.by_values("control_type", "negcon", "poscon")
        settle(opened)
    chart = charts.show_chart(kind)
    settle(opened)
    for ending, start in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".csv", b"")):
        path = tmp_path / f"chart{ending}"
        chart.save(path)
        content = path.read_bytes()
        assert content.startswith(start)
        assert len(content) > 100
    assert len(pd.read_csv(path)) == len(chart.table())
    with pytest.raises(PhenoLensError, match=r"\.png, \.svg or \.csv"):
        chart.save(tmp_path / "chart.bmp")


def test_every_control_is_named(charts: Any) -> None:
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QListWidget

    parts = [part for kind in (QComboBox, QAbstractButton, QListWidget) for part in charts.findChildren(kind)]
    own = [part for part in parts if part.objectName() or not part.parent().objectName().startswith("qt_")]
    missing = [part for part in own if not (part.toolTip() and part.accessibleName())]
    assert missing == []


def test_it_fits_a_small_screen(charts: Any) -> None:
    assert charts.minimumSizeHint().height() <= 120
    for i in range(len(CHARTS)):
        charts.which.setCurrentIndex(i)
        assert charts.scroll.widget().minimumSizeHint().width() <= 430


def test_how_it_was_tested_is_one_click_away(charts: Any, opened: Any, settle: Any) -> None:
    QTest.mouseClick(charts.how, Qt.MouseButton.LeftButton)
    text = charts.tested.text.toPlainText()
    about = opened.bench.session.comparison.about
    assert f"{about['p_floor']:.2g}" in text and about["p_method"] in text
    assert "1 on this run so far" in text
    charts.tested.close()


def test_without_results_every_chart_says_what_to_do(dock: Any, qtbot: Any) -> None:
    made = ChartsDock(dock.bench)
    qtbot.addWidget(made)
    made.show()
    for i, chart in enumerate(made.charts):
        made.which.setCurrentIndex(i)
        assert "step" in chart.message.text()
        with pytest.raises(PhenoLensError, match="nothing to save"):
            chart.save("nothing.png")
    assert not made.how.isEnabled()


def test_the_dock_goes_without_a_trace(opened: Any, qtbot: Any, settle: Any) -> None:
    made = ChartsDock(opened.bench)
    made.show()
    settle(opened)
    made.close()
    made.deleteLater()
    qtbot.wait(50)
    opened.bench.showing.feature(2)
    settle(opened)
    assert opened.bench.session.problem is None
