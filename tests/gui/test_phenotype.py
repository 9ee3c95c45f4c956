"""Choosing the phenotype in the dock: on the plate map, in the dot-a-well plot, over the cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_phenolens.viewer.overlays import NO_COMPARISON
from napari_phenolens.viewer.session import KINDS, PHENOTYPE
from napari_phenolens.widgets.palette import colours_of


def choose_colour(dock: Any, key: str) -> None:
    box = dock.wells.colour
    box.setCurrentIndex(box.findData(key))
    dock.wells.panel._choose_colour(box.currentIndex())


def score(dock: Any) -> Any:
    import napari_phenolens as ph

    s = dock.bench.session
    wells = list(s.comparison.controls), list(s.comparison.perturbed)
    return ph.phenotype(s.run, *wells, feature=s.feature).score(s.run)


def dots(dock: Any) -> dict[str, float]:
    import pyqtgraph as pg

    found = {}
    for item in dock.features.plot._plot.getPlotItem().items:
        if isinstance(item, pg.ScatterPlotItem):
            found.update({str(point.data()): float(point.pos().x()) for point in item.points()})
    return found


def test_wells_are_coloured_by_the_score(opened: Any, settle: Any) -> None:
    s = opened.bench.session
    assert not opened.wells.note.isVisible()
    choose_colour(opened, PHENOTYPE)
    settle(opened)
    assert opened.wells.colour.currentData() == PHENOTYPE
    values, shown = score(opened), opened.bench.comparing.shown()
    expected = colours_of(list(values), shown.limits, diverging=True)
    for well, colour in zip(values.index, expected, strict=True):
        assert opened.wells.map._colours[well] == colour
    assert f"F{s.feature}'s phenotype" in opened.wells.legend.toolTip()
    assert opened.wells.note.isVisible()
    assert "in-sample" in opened.wells.note.text()
    assert f"{values['B04']:.3g}" in opened.wells.map.describe("B04")
    choose_colour(opened, "role")
    assert not opened.wells.note.isVisible()


def test_the_dots_are_the_scores(opened: Any, settle: Any) -> None:
    s = opened.bench.session
    choose_colour(opened, PHENOTYPE)
    settle(opened)
    table, model = opened.features.table, opened.features.model
    table.setCurrentIndex(model.index(4, 0))  # another row: its phenotype, in the map and in the plot
    settle(opened)
    assert s.feature == model.value(4, "feature")
    assert s.colour_by == PHENOTYPE
    values, drawn = score(opened), dots(opened)
    assert set(drawn) == {well for well in s.run.wells if s.roles.get(well) not in (None, "excluded")}
    np.testing.assert_allclose([drawn[well] for well in drawn], values[list(drawn)])
    title = opened.features.plot._plot.getAxis("bottom").labelText
    assert title.startswith(f"F{s.feature}'s phenotype")
    assert "chosen on these wells" in title
    choose_colour(opened, "feature")
    assert "mean activation" in opened.features.plot._plot.getAxis("bottom").labelText
    np.testing.assert_allclose(dots(opened)["B04"], s.run.profiles()[s.feature]["B04"])


def test_a_slot_shows_the_phenotype(opened: Any, settle: Any) -> None:
    import napari_phenolens as ph

    s, kinds = opened.bench.session, opened.slots.kinds[0]
    kinds.setCurrentText(PHENOTYPE)
    opened.slots._kind(0)
    settle(opened)
    assert s.problem is None
    found = ph.phenotype(s.run, list(s.comparison.controls), list(s.comparison.perturbed), feature=s.feature)
    layer = opened.bench.slots.layer(0)
    assert layer.visible
    np.testing.assert_array_equal(layer.data, found.heatmap(s.run, s.well, s.field_name).values)
    assert "chosen on these wells" in opened.slots.text.text()
    kinds.setCurrentText("activation")
    opened.slots._kind(0)
    settle(opened)
    np.testing.assert_array_equal(opened.bench.slots.layer(0).data, s.run.activation(s.well, s.field_name, s.feature))
    assert tuple(opened.bench.slots.layer(0).contrast_limits) == s.run.limits(s.feature)


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_without_a_comparison_it_is_not_offered(opened: Any, slot: int) -> None:
    kinds, place = opened.slots.kinds[slot], KINDS.index(PHENOTYPE)
    assert kinds.itemText(place) == PHENOTYPE
    assert kinds.model().item(place).isEnabled()
    opened.bench.session.comparison = None
    assert not kinds.model().item(place).isEnabled()
    assert kinds.itemData(place, Qt.ItemDataRole.ToolTipRole) == NO_COMPARISON
    assert opened.wells.colour.findData(PHENOTYPE) < 0
