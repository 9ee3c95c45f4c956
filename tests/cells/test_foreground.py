"""The foreground rule: fitted on controls, fixed after, and not the phenotype."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_phenolens.cells import CellsError, Foreground, patch_grid, segment_nuclei
from napari_phenolens.cells.grid import patch_of, patch_share

CHANNELS = ("GFP", "DNA")
CENTRES = [(40, 40), (40, 120), (100, 70), (130, 130)]


def field(reporter: float = 300.0, shape: tuple[int, int] = (160, 160), seed: int = 0) -> np.ndarray:
    """Four cells: nuclei of radius 9 in DNA, a disc of radius 22 in GFP that `reporter` lights."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.full((2, *shape), 100.0)
    for cy, cx in CENTRES:
        away = np.hypot(y - cy, x - cx)
        image[0] += reporter / (1.0 + np.exp(away - 22.0))
        image[1] += 400.0 / (1.0 + np.exp(away - 9.0))
    return np.random.default_rng(seed).normal(image, 6.0).clip(0).astype(np.uint16)


def test_auto_takes_nuclei_and_a_distance_from_their_diameter() -> None:
    fg = Foreground.fit([field(seed=s) for s in range(3)], CHANNELS)
    assert (fg.kind, fg.channel) == ("nuclei", "DNA")
    assert fg.diameter == pytest.approx(18, rel=0.15)
    assert fg.distance == pytest.approx(0.85 * fg.diameter, abs=0.02)


def test_nuclei_rule_does_not_follow_the_stain() -> None:
    fg = Foreground.fit([field()], CHANNELS)
    bright, dark = (fg.patches(field(reporter), CHANNELS, 8) for reporter in (600.0, 0.0))
    np.testing.assert_array_equal(bright, dark)
    assert bright[5, 5]
    assert not bright[0, 0]


def test_background_threshold_is_low_and_fixed() -> None:
    fg = Foreground.fit([field()], CHANNELS, kind="background")
    assert set(fg.thresholds) == set(CHANNELS)
    assert all(100.0 < value < 115.0 for value in fg.thresholds.values())
    full = fg.patches(field(300.0), CHANNELS, 8).mean()
    # an eighth of the light is still foreground
    assert fg.patches(field(40.0), CHANNELS, 8).mean() > 0.8 * full


def test_background_is_taken_without_a_nuclear_channel_or_without_nuclei() -> None:
    assert Foreground.fit([field()], ("a", "b")).kind == "background"
    empty = np.random.default_rng(0).poisson(50.0, (2, 96, 96))
    assert Foreground.fit([empty], CHANNELS).kind == "background"
    with pytest.raises(CellsError, match="no nuclei"):
        Foreground.fit([empty], CHANNELS, kind="nuclei")


def test_known_nuclei_are_used_instead_of_segmenting_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fg = Foreground.fit([field()], CHANNELS)
    labels = fg.nuclei(field(), CHANNELS)
    assert labels is not None
    expected = fg.patches(field(), CHANNELS, 8)
    monkeypatch.setattr("napari_phenolens.cells.nuclei.segment_nuclei", lambda *a: pytest.fail("segmented twice"))
    np.testing.assert_array_equal(fg.patches(field(), CHANNELS, 8, labels), expected)
    assert not fg.mask(field(), CHANNELS, np.zeros_like(labels)).any()


def test_none_keeps_everything_and_channels_come_in_any_order() -> None:
    assert Foreground().patches(field(), CHANNELS, 8).all()
    fg = Foreground.fit([field()], CHANNELS)
    np.testing.assert_array_equal(fg.mask(field(), CHANNELS), fg.mask(field()[::-1], CHANNELS[::-1]))


def test_json_round_trip() -> None:
    for kind in ("nuclei", "background", "none"):
        fg = Foreground.fit([field()], CHANNELS, kind=kind, pixel_size=0.65)  # type: ignore[arg-type]
        assert Foreground.from_dict(json.loads(json.dumps(fg.to_dict()))) == fg
    with pytest.raises(CellsError, match="colour"):
        Foreground.from_dict({"kind": "none", "colour": 1})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Foreground.fit([], CHANNELS), "no.*control|there is none"),
        (lambda: Foreground.fit([field()], CHANNELS, nuclear="RFP"), "RFP"),
        (lambda: Foreground.fit([field()], ("a", "b"), kind="nuclei"), "a, b"),
        (lambda: Foreground.fit([field()], ("a",)), r"\(2, 160, 160\)"),
        (lambda: Foreground.fit([field()], CHANNELS, kind="otsu"), "otsu"),
        (lambda: Foreground("nuclei"), "nuclear channel"),
        (lambda: Foreground("background"), "threshold"),
        (lambda: Foreground("nuclei", "DNA", 5.0).mask(field(), ("a", "b")), "DNA"),
        (lambda: Foreground("nuclei", "DNA", 5.0).mask(field(), CHANNELS, np.zeros((3, 3), np.int32)), r"\(3, 3\)"),
    ],
)
def test_bad_input_is_named(wrong, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(CellsError, match=says):
        wrong()


@pytest.mark.parametrize(
    ("shape", "grid"), [((640, 640), (80, 80)), ((20, 21), (2, 3)), ((23, 24), (3, 3)), ((5, 100), (1, 12))]
)
def test_padded_patches_stay_only_with_their_centre_inside(shape: tuple[int, int], grid: tuple[int, int]) -> None:
    assert patch_grid(shape, 8) == grid
    inside = [(i + 0.5) * 8 < shape[0] for i in range(-(-shape[0] // 8))]
    assert sum(inside) == grid[0]
    assert Foreground().patches(np.zeros((1, *shape)), ("a",), 8).shape == grid


def test_half_of_the_pixels_inside_the_field_decide() -> None:
    mask = np.zeros((21, 16), np.bool_)
    mask[:4, :8] = True  # exactly half of the patch
    mask[:3, 8:] = True  # less
    mask[16:, :] = True  # all five rows that the last patch has in the field
    np.testing.assert_array_equal(patch_share(mask, 8) >= 0.5, [[True, False], [False, False], [True, True]])


def test_patch_is_told_from_the_grid() -> None:
    assert patch_of((640, 640), (80, 80)) == 8
    assert patch_of((518, 518), (37, 37)) == 14
    with pytest.raises(CellsError):
        patch_of((64, 64), (80, 3))
    with pytest.raises(CellsError):
        patch_grid((64, 64), 0)
    with pytest.raises(CellsError):
        patch_grid((3, 64), 8)


def test_bbbc013_share_differs_little_between_negatives_and_positives(shared_data: Path) -> None:
    def read(well: str) -> np.ndarray:
        paths = [next((shared_data / "bbbc013").glob(f"Channel{c}-*-{well[0]}-{well[1:]}.tif")) for c in (1, 2)]
        return np.stack([tifffile.imread(path) for path in paths])

    channels = ("Channel1", "Channel2")
    negatives = [read(w) for w in ("A01", "B01", "C02", "D02", "F02", "H02")]
    fg = Foreground.fit(negatives, channels, nuclear="Channel2")
    share = float(np.mean([fg.patches(image, channels, 8).mean() for image in negatives]))
    assert 0.4 < share < 0.85
    for wells in (("A12", "B12", "C12", "D12"), ("E01", "F01", "G01", "H01")):
        positive = float(np.mean([fg.patches(read(w), channels, 8).mean() for w in wells]))
        assert abs(positive / share - 1) < 0.2


def test_segmentation_of_the_fixture_is_what_it_seems() -> None:
    assert segment_nuclei(field()[1]).max() == len(CENTRES)
