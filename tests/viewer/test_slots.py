"""Heatmap layers: reused, in their place, with the run's numbers and shared limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def slot_layer(bench: Any, index: int = 0) -> Any:
    layer = bench.slots.layer(index)
    assert layer is not None
    return layer


def test_the_numbers_in_the_layer_are_those_of_the_public_function(opened: Any, fakes: Any, settle: Any) -> None:
    from napari_phenolens import heatmap

    s = opened.session
    for well, feature in (("B04", fakes.PLANTED), ("C03", 7)):
        opened.showing.well(well)
        opened.showing.feature(feature)
        settle(opened)
        expected = heatmap(s.run, well, s.field_name, feature)
        np.testing.assert_array_equal(slot_layer(opened).data, expected.values)
        np.testing.assert_array_equal(slot_layer(opened).data, s.run.activation(well, s.field_name, feature))


def test_alignment_is_the_public_one_and_lies_about_zero(opened: Any, settle: Any) -> None:
    from napari_phenolens import heatmap

    opened.showing.feature(2, 1, "alignment")
    settle(opened)
    s = opened.session
    layer = slot_layer(opened, 1)
    np.testing.assert_array_equal(layer.data, heatmap(s.run, s.well, s.field_name, 2, kind="alignment").values)
    assert layer.contrast_limits == [-1.5, 1.5]


@pytest.mark.parametrize("place", [(0, 0), (3, 5), (7, 11)])
def test_a_patch_lies_on_its_pixels(opened: Any, fakes: Any, place: tuple[int, int]) -> None:
    i, j = place
    p, size = fakes.PATCH, fakes.PIXEL_SIZE
    heat, image = slot_layer(opened), opened.images.layers[0]
    centre = np.array([(i + 0.5) * p - 0.5, (j + 0.5) * p - 0.5])
    np.testing.assert_allclose(heat.data_to_world((i, j)), centre * size)
    np.testing.assert_allclose(heat.data_to_world((i, j)), image.data_to_world(centre))
    # the outer edges of heatmap and picture are the same too
    low, high = heat.data_to_world((-0.5, -0.5)), heat.data_to_world(np.array(heat.data.shape) - 0.5)
    np.testing.assert_allclose(low, image.data_to_world((-0.5, -0.5)))
    np.testing.assert_allclose(high, image.data_to_world(np.array(image.data.shape) - 0.5))
    assert heat.units == image.units


def test_layers_stay_while_wells_and_features_change(opened: Any, settle: Any) -> None:
    settle(opened)
    before = list(opened.viewer.layers)
    for well in ("A01", "B03", "D05"):
        for feature in (1, 2, 9):
            opened.showing.well(well)
            opened.showing.feature(feature)
            settle(opened)
    assert list(opened.viewer.layers) == before
    assert slot_layer(opened).name == "F9"


def test_limits_are_the_runs_on_every_well(opened: Any, fakes: Any, settle: Any) -> None:
    opened.showing.feature(4)
    seen = set()
    for well in ("A01", "B05", "D03"):
        opened.showing.well(well)
        settle(opened)
        seen.add(tuple(slot_layer(opened).contrast_limits))
    assert seen == {opened.session.run.limits(4)}


def test_limits_the_user_moved_stay_for_the_feature(opened: Any, settle: Any) -> None:
    opened.showing.feature(4)
    settle(opened)
    slot_layer(opened).contrast_limits = (0.1, 0.3)
    opened.showing.well("C04")
    settle(opened)
    assert slot_layer(opened).contrast_limits == [0.1, 0.3]
    opened.showing.feature(6)
    settle(opened)
    assert tuple(slot_layer(opened).contrast_limits) == opened.session.run.limits(6)


def test_three_slots_and_clearing(opened: Any, settle: Any) -> None:
    for slot, feature in enumerate((1, 2, 3)):
        opened.showing.feature(feature, slot)
    settle(opened)
    assert [layer.name for layer in opened.slots.layers] == ["F1", "F2", "F3"]
    assert len({str(layer.colormap.name) for layer in opened.slots.layers}) == 3
    opened.showing.feature(None, 1)
    settle(opened)
    assert not slot_layer(opened, 1).visible
    assert not slot_layer(opened, 1).data.any()
    assert opened.session.slots[1].feature is None
    with pytest.raises(IndexError, match="3 heatmap slots"):
        opened.slots.show(3, None)


def test_slots_lie_in_their_order_whatever_job_ends_first(opened: Any, fakes: Any, settle: Any) -> None:
    opened.slots.remove()
    own = opened.viewer.add_image(np.ones((5, 5)), name="mine")
    for slot, feature in ((0, 1), (2, 3), (1, 2)):
        opened.showing.feature(feature, slot)
        settle(opened)
    assert [layer.name for layer in opened.slots.layers] == ["F1", "F2", "F3"]
    assert [layer for layer in opened.viewer.layers if layer in opened.slots.layers] == opened.slots.layers
    assert list(opened.viewer.layers).index(own) < list(opened.viewer.layers).index(opened.slots.layers[0])
    opened.slots.remove()
    for slot, feature in ((2, 3), (0, 1)):
        opened.showing.feature(feature, slot)
        settle(opened)
    assert [layer.name for layer in opened.viewer.layers][-2:] == ["F1", "F3"]


def test_a_clear_colour_at_zero(opened: Any) -> None:
    from napari_phenolens.viewer.slots import ramp

    for index in range(3):
        assert ramp(index, "activation").map(np.array([0.0]))[0, 3] == 0
        assert ramp(index, "activation").map(np.array([1.0]))[0, 3] == 1
        assert ramp(index, "alignment").map(np.array([0.5]))[0, 3] == pytest.approx(0, abs=0.02)


def test_the_colour_bar_can_be_read_on_a_light_canvas_with_dark_pictures(opened: Any) -> None:
    bar = opened.slots.layer(0).colorbar
    canvas = opened.viewer.canvas
    assert bar.position == "bottom_left"  # the caption has the top
    assert bar.color is None  # napari's own, light on its dark canvas
    canvas.background_color_override = "white"
    grey = np.asarray(bar.color)[:3]
    assert 0.35 < grey.min() <= grey.max() < 0.65
    canvas.background_color_override = "black"
    assert bar.color is None


def test_below_zero_is_another_colour_than_slots_and_channels() -> None:
    """In CIEDE2000, for normal eyes, protanopes and deuteranopes (Machado et al. 2009); 10 is seen at a glance."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    from napari_phenolens.export.channel_look import RGB
    from napari_phenolens.viewer.slots import HUES, NEGATIVES

    eyes = {
        "normal": np.eye(3),
        "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    }

    def seen(colour: Any, eye: Any) -> np.ndarray:
        c = np.asarray(colour, float)
        linear = np.clip(np.asarray(eye) @ np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4), 0, 1)
        return rgb2lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)[None, None])

    over_colours = [colour for name, colour in RGB.items() if name not in ("gray", "cyan")]
    pictures = [tuple(share * c for c in colour) for colour in over_colours for share in (1, 0.7, 0.5)]
    for eye in eyes.values():
        for other in (*pictures, *HUES):
            assert deltaE_ciede2000(seen(NEGATIVES["white"], eye), seen(other, eye))[0, 0] > 20
        for other in ((1, 1, 1), (0.5, 0.5, 0.5), *HUES[:2]):
            assert deltaE_ciede2000(seen(NEGATIVES["blue"], eye), seen(other, eye))[0, 0] > 20


def test_below_zero_stands_out_from_the_pictures_on_show(opened: Any, settle: Any) -> None:
    opened.showing.feature(2, 1, "alignment")
    settle(opened)
    layer = slot_layer(opened, 1)
    low = layer.colormap.map(np.array([0.0]))[0]
    assert low[:3].min() > 0.85 and low[3] == 1
    for image in opened.images.layers:
        image.colormap = "gray"
    opened.showing.feature(4, 1, "alignment")
    settle(opened)
    low = slot_layer(opened, 1).colormap.map(np.array([0.0]))[0]
    assert low[2] > 0.9 and low[0] < 0.4


def test_no_old_heatmap_over_a_field_without_results(opened: Any, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = opened.session.run
    monkeypatch.setattr(run, "wells", [well for well in run.wells if well != "C03"])
    opened.showing.well("C03")
    settle(opened)
    assert opened.session.well == "C03"
    assert not slot_layer(opened).visible


def test_heatmaps_lie_above_the_pictures_and_dim_them(opened: Any) -> None:
    from napari_phenolens.viewer.images import DIMMED

    roles = [layer.metadata["napari-phenolens"]["role"][0] for layer in opened.viewer.layers]
    assert roles == ["image", "image", "slot"]
    assert {layer.opacity for layer in opened.images.layers} == {DIMMED}
    opened.showing.set_heatmaps_visible(False)
    assert {layer.opacity for layer in opened.images.layers} == {1.0}
    opened.showing.set_heatmaps_visible(True)
    opened.showing.set_dim(False)
    assert {layer.opacity for layer in opened.images.layers} == {1.0}


def test_layers_of_the_user_are_left_alone(opened: Any, settle: Any) -> None:
    own = opened.viewer.add_image(np.ones((5, 5)), name="mine")
    opened.showing.well("B03")
    opened.showing.side_by_side()
    settle(opened)
    opened.showing.end_side_by_side()
    settle(opened)
    assert own in opened.viewer.layers
    assert own.visible
    assert own.opacity == 1.0
    assert own.data.shape == (5, 5)
