"""Control beside perturbed: two halves, one contrast, and everything as it was afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer.compat import grid


def positions(bench: Any) -> dict[str, tuple[int, int]]:
    shown = {}
    for i, layer in enumerate(bench.viewer.layers):
        if layer.visible:
            shown[layer.name] = grid(bench.viewer).position(i, bench.viewer.layers)
    return shown


def test_left_is_control_and_right_is_perturbed(opened: Any, fakes: Any, settle: Any) -> None:
    opened.showing.feature(fakes.PLANTED)
    opened.showing.side_by_side("A01", "B04")
    settle(opened)
    assert opened.session.side_by_side
    shown = positions(opened)
    assert len(shown) == 6
    assert {place for name, place in shown.items() if name.startswith("control")} == {(0, 0)}
    assert {place for name, place in shown.items() if name.startswith("perturbed")} == {(0, 1)}
    assert any("A01" in name and "F3" in name for name in shown)
    assert any("B04" in name for name in shown)


def test_both_sides_have_the_same_limits_and_the_right_numbers(opened: Any, fakes: Any, settle: Any) -> None:
    opened.showing.feature(fakes.PLANTED)
    opened.showing.side_by_side("A01", "B04")
    settle(opened)
    by_role = {tuple(layer.metadata["napari-phenolens"]["role"]): layer for layer in opened.side.layers}
    run, plate = opened.session.run, opened.session.plate
    for side, well in (("control", "A01"), ("perturbed", "B04")):
        np.testing.assert_array_equal(by_role["side", side, None].data, run.activation(well, None, fakes.PLANTED))
        np.testing.assert_array_equal(by_role["side", side, "GFP"].data, plate.field(well).read(["GFP"])[0])
    for channel in ("DNA", "GFP", None):
        left, right = by_role["side", "control", channel], by_role["side", "perturbed", channel]
        assert left.contrast_limits == right.contrast_limits
        left.contrast_limits = (0.1, 0.4)
        assert right.contrast_limits == [0.1, 0.4]


def test_everything_is_as_before_at_the_end(opened: Any, settle: Any) -> None:
    own = opened.viewer.add_points([[1, 1]], name="mine")
    hidden = opened.viewer.add_image(np.ones((4, 4)), name="hidden", visible=False)
    grid(opened.viewer).stride = 3
    before = [(layer, layer.visible) for layer in opened.viewer.layers]
    opened.showing.side_by_side()
    settle(opened)
    assert not own.visible
    opened.showing.end_side_by_side()
    settle(opened)
    assert [(layer, layer.visible) for layer in opened.viewer.layers] == before
    assert not hidden.visible
    now = grid(opened.viewer)
    assert (now.enabled, now.stride, tuple(now.shape)) == (False, 3, (-1, -1))
    assert not opened.session.side_by_side


def test_another_pair_reuses_the_layers(opened: Any, settle: Any) -> None:
    opened.showing.side_by_side("A01", "B04")
    settle(opened)
    layers = list(opened.viewer.layers)
    opened.showing.side_by_side("B02", "C05")
    settle(opened)
    assert list(opened.viewer.layers) == layers
    np.testing.assert_array_equal(layers[0].data, opened.session.plate.field("B02").read()[0])


def test_another_feature_while_side_by_side(opened: Any, settle: Any) -> None:
    opened.showing.side_by_side("A01", "B04")
    settle(opened)
    opened.showing.feature(11)
    settle(opened)
    heat = [layer for layer in opened.side.layers if layer.metadata["napari-phenolens"]["role"][-1] is None]
    assert [layer.metadata["napari-phenolens"]["feature"] for layer in heat] == [11, 11]


def test_choosing_a_well_ends_it(opened: Any, settle: Any) -> None:
    opened.showing.side_by_side()
    settle(opened)
    opened.showing.well("C03")
    settle(opened)
    assert not opened.session.side_by_side
    assert not grid(opened.viewer).enabled
    assert all(layer.visible for layer in opened.images.layers)


def test_typical_wells_lie_at_the_median(opened: Any, fakes: Any, settle: Any) -> None:
    opened.session.feature = fakes.PLANTED
    opened.session.selected = ()
    opened.session.well = None
    control, perturbed = opened.showing.pair()
    values = opened.comparing.feature_values(fakes.PLANTED)
    for well, role in ((control, "control"), (perturbed, "perturbed")):
        side = values.reindex(opened.session.wells_of(role))
        assert abs(values[well] - side.median()) == (side - side.median()).abs().min()


def test_without_roles_it_says_what_to_do(bench: Any, plate_folder: Any, settle: Any) -> None:
    with pytest.raises(PhenoLensError, match="step 1"):
        bench.showing.side_by_side()
    bench.opening.plate(plate_folder)
    settle(bench)
    bench.set_queries(control="")
    with pytest.raises(PhenoLensError, match="step 3"):
        bench.showing.side_by_side()
