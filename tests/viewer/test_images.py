"""Pictures: colours by name, contrast shared by all wells, fixed layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_phenolens.viewer import images


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("DNA", "GFP"), ("bop blue", "green")),
        (("gfp (Channel1)", "dna (Channel2)"), ("green", "bop blue")),
        (("w1",), ("gray",)),
        (("a", "b", "c"), ("green", "magenta", "cyan")),
        (("DAPI", "Hoechst"), ("bop blue", "green")),
        (("DNA", "ER", "RNA", "AGP", "Mito"), ("bop blue", "green", "yellow", "magenta", "red")),
    ],
)
def test_colours(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert images.colours(names) == expected


def test_eight_channels_have_eight_layers() -> None:
    assert len(images.colours([f"c{i}" for i in range(8)])) == 8


def test_limits_come_from_the_controls(plate_folder: Path) -> None:
    from napari_phenolens.plate import open_plate

    plate = open_plate(plate_folder, plate_folder / "platemap.csv")
    controls = plate.select("control_type == 'negcon'")
    limits = images.shared_limits(plate, controls)
    assert set(limits) == {"DNA", "GFP"}
    assert limits == images.shared_limits(plate, controls)
    every = images.shared_limits(plate, ())
    assert every["GFP"][1] > limits["GFP"][1]  # perturbed wells are brighter, and do not stretch the controls' contrast


def test_limits_stop_when_asked(plate_folder: Path) -> None:
    from napari_phenolens.errors import Cancelled
    from napari_phenolens.plate import open_plate

    with pytest.raises(Cancelled):
        images.shared_limits(open_plate(plate_folder), (), lambda: True)


def test_contrast_is_the_same_on_all_wells_and_the_users_stays(opened: Any, settle: Any) -> None:
    layers = opened.images.layers
    before = [tuple(layer.contrast_limits) for layer in layers]
    opened.showing.well("D05")
    settle(opened)
    assert [tuple(layer.contrast_limits) for layer in layers] == before
    layers[0].contrast_limits = (0, 77)
    layers[0].colormap = "gray"
    opened.showing.well("D04")
    settle(opened)
    assert layers[0].contrast_limits == [0, 77]
    assert layers[0].colormap.name == "gray"
    assert opened.images.layers == layers


def test_pixels_are_those_of_the_file(opened: Any, settle: Any) -> None:
    opened.showing.well("C04", "2")
    settle(opened)
    field = opened.session.plate.field("C04", "2")
    np.testing.assert_array_equal(np.stack([layer.data for layer in opened.images.layers]), field.read())
    assert {str(unit) for layer in opened.images.layers for unit in layer.units} == {"micrometer"}


def test_a_file_that_cannot_be_read_is_told_and_the_shown_well_stays(
    bench: Any, fakes: Any, tmp_path: Path, settle: Any
) -> None:
    folder = fakes.write_plate(tmp_path / "broken", rows=2, columns=3, fields=1)
    (folder / "B02_f1_GFP.tif").write_bytes(b"no image")
    bench.opening.plate(folder)
    settle(bench)
    shown = bench.session.well
    bench.showing.well("B02")
    settle(bench)
    assert bench.session.problem is not None
    assert "B02_f1_GFP.tif" in bench.session.problem.message
    assert bench.session.well == shown
