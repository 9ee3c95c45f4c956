"""A click on the cells: the right place, the right features, and only clicks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_phenolens.viewer.picking import field_pixel, patch_of


@pytest.mark.parametrize(
    ("world", "size", "pixel"),
    [
        ((0.0, 0.0), None, (0, 0)),
        ((7.4, 7.6), None, (7, 8)),
        ((-0.4, 0.4), None, (0, 0)),
        ((6.5, 13.0), 0.65, (10, 20)),
        ((0, 6.5, 13.0), 0.65, (10, 20)),
    ],
)
def test_field_pixel(world: tuple[float, ...], size: float | None, pixel: tuple[int, int]) -> None:
    assert field_pixel(world, size) == pixel


def test_patch_of() -> None:
    assert patch_of((0, 7), 8) == (0, 0)
    assert patch_of((8, 15), 8) == (1, 1)


def test_the_features_are_those_of_the_public_function(opened: Any, settle: Any) -> None:
    import pandas as pd

    from napari_phenolens import explain

    opened.showing.well("B04")
    settle(opened)
    opened.picking.at((20, 33))
    settle(opened)
    s = opened.session
    assert s.problem is None, s.problem
    pd.testing.assert_frame_equal(s.explanation, explain(s.run, "B04", s.field_name, at=(20, 33)))
    outline = next(layer for layer in opened.viewer.layers if layer.name == "Explained place")
    corners = np.asarray(outline.data[0]) * outline.scale[-2:]
    np.testing.assert_allclose(corners.min(axis=0), (np.array([16, 32]) - 0.5) * 0.65)
    np.testing.assert_allclose(corners.max(axis=0), (np.array([24, 40]) - 0.5) * 0.65)
    opened.picking.at((40, 50))
    settle(opened)
    assert sum(layer.name == "Explained place" for layer in opened.viewer.layers) == 1


def press(bench: Any, position: tuple[float, float], end: tuple[float, float] = (100, 100), **more: Any) -> None:
    event = SimpleNamespace(type="mouse_press", button=1, modifiers=(), pos=(100, 100), position=position)
    for name, value in more.items():
        setattr(event, name, value)
    callback = bench.viewer.mouse_drag_callbacks[-1](bench.viewer, event)
    next(callback, None)
    event.type = "mouse_move"
    next(callback, None)
    event.type, event.pos = "mouse_release", end
    next(callback, None)


def test_a_click_explains_and_a_drag_does_not(opened: Any, settle: Any) -> None:
    press(opened, (10.0, 10.0), end=(160, 100))
    press(opened, (10.0, 10.0), button=2)
    press(opened, (10.0, 10.0), modifiers=("Shift",))
    settle(opened)
    assert opened.session.explanation is None
    press(opened, (10.0, 10.0), end=(102, 100))
    settle(opened)
    assert opened.session.place == (15, 15)
    assert len(opened.session.explanation)


def test_layers_of_the_user_and_the_switch(opened: Any, settle: Any) -> None:
    labels = opened.viewer.add_labels(np.zeros((5, 5), int))
    opened.viewer.layers.selection = {labels}
    press(opened, (10.0, 10.0))
    opened.viewer.layers.selection = {opened.images.layers[0]}
    opened.picking.enabled = False
    press(opened, (10.0, 10.0))
    settle(opened)
    assert opened.session.explanation is None


def test_outside_the_picture(opened: Any, settle: Any) -> None:
    press(opened, (1000.0, 10.0))
    settle(opened)
    assert opened.session.explanation is None
    assert "outside the picture" in opened.session.status


def test_the_outline_goes_with_the_well(opened: Any, settle: Any) -> None:
    opened.picking.at((20, 33))
    settle(opened)
    opened.showing.well("C04")
    settle(opened)
    outline = next(layer for layer in opened.viewer.layers if layer.name == "Explained place")
    assert not outline.visible
    assert opened.session.explanation is None
