"""A region drawn on the cells: its layer, what counts, what comes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_phenolens import region_features
from napari_phenolens.errors import PhenoLensError

HALF = np.array([[-0.5, -0.5], [-0.5, 47.5], [63.5, 47.5], [63.5, -0.5]])  # field pixels: the left half


def drawn(bench: Any, corners: np.ndarray = HALF) -> Any:
    layer = bench.regions.draw()
    layer.add_polygons([corners])
    return layer


def test_a_region_is_compared_counted_and_carries_no_p(opened: Any, fakes: Any, settle: Any) -> None:
    s = opened.session
    layer = drawn(opened)
    assert opened.viewer.layers.selection.active is layer
    assert opened.regions.drawing
    np.testing.assert_allclose(layer.scale, [fakes.PIXEL_SIZE] * 2)
    before = opened.contrasting._tried_before
    opened.regions.compare("rest")
    settle(opened)
    expected = region_features(s.run, (s.well, s.field_name, HALF))
    assert list(s.explanation.index) == list(expected.index)
    np.testing.assert_array_equal(s.explanation["auroc"], expected["auroc"])
    assert s.explanation.attrs["patches_inside"] == int(np.prod(s.run.grid)) // 2
    assert not {"p", "q"} & set(s.explanation.columns)
    assert opened.contrasting._tried_before > before
    assert "contrasts were tried" in s.explanation.attrs["notes"][-1]
    assert not opened.regions.drawing  # clicks explain places again


def test_what_was_drawn_stays_with_its_field(opened: Any, settle: Any) -> None:
    s = opened.session
    home = s.well
    layer = drawn(opened)
    layers = len(opened.viewer.layers)
    opened.showing.well("C04")
    settle(opened)
    assert (len(layer.data), layer.visible) == (0, False)
    with pytest.raises(PhenoLensError, match="draw a region first"):
        opened.regions.compare()
    opened.showing.well(home)
    settle(opened)
    assert (len(layer.data), layer.visible) == (1, True)
    np.testing.assert_allclose(opened.regions.corners()[0], HALF, atol=1e-4)
    opened.showing.view("well")
    settle(opened)
    assert not layer.visible
    with pytest.raises(PhenoLensError, match="one field first"):
        opened.regions.draw()
    assert len(opened.viewer.layers) == layers


def test_shapes_of_the_users_own_count_where_they_are_chosen(opened: Any, fakes: Any) -> None:
    size = fakes.PIXEL_SIZE
    own = opened.viewer.add_shapes([HALF * size, (HALF + 200) * size], shape_type="polygon", name="mine")
    opened.viewer.layers.selection = {own}
    own.selected_data = {0}
    found = opened.regions.corners()
    assert len(found) == 1
    np.testing.assert_allclose(found[0], HALF, atol=1e-4)
    own.selected_data = set()
    own.add(np.array([[10, 20], [10, 40], [50, 40], [50, 20]]) * size, shape_type="ellipse")
    ellipse = opened.regions.corners()[-1]
    radius = ((ellipse[:, 0] - 30) / 20) ** 2 + ((ellipse[:, 1] - 30) / 10) ** 2
    np.testing.assert_allclose(radius, 1.0, atol=1e-4)


def test_a_click_while_drawing_explains_nothing(opened: Any) -> None:
    from types import SimpleNamespace

    drawn(opened)
    event = SimpleNamespace(button=1, modifiers=(), pos=(5, 5), position=(5, 5), type="mouse_press")
    assert list(opened.picking._on_press(opened.viewer, event)) == []
    assert opened.session.place is None


def test_the_script_compares_it_again(opened: Any, settle: Any) -> None:
    from napari_phenolens.viewer.copying import as_python

    drawn(opened)
    opened.regions.compare("control")
    settle(opened)
    script = as_python(opened)
    assert "ph.region_features(run, region, against='control')" in script
    compile(script, "script", "exec")
