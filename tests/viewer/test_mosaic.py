"""Fields laid beside each other, and what lies over them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_phenolens.viewer import mosaic
from napari_phenolens.viewer.mosaic import Layout, compose, compose_heatmaps, grid, lay_out, shrink


def field(position: tuple[float, float] | None, shape: tuple[int, int] = (40, 60), size: float | None = 0.5) -> Any:
    return SimpleNamespace(shape=shape, position=position, pixel_size=size)


def test_fields_lie_at_their_stage_positions() -> None:
    found = lay_out([field((100.0, 200.0)), field((100.0, 230.0)), field((80.0, 200.0))])
    assert found.stated
    assert found.origins == ((40, 0), (40, 60), (0, 0))  # 0.5 um a pixel
    assert found.size == (80, 120)


@pytest.mark.parametrize(
    "fields",
    [
        [field(None), field((0.0, 0.0))],
        [field((0.0, 0.0)), field((0.0, 0.0))],  # one position for all is none
        [field((0.0, 0.0), size=None), field((0.0, 30.0), size=None)],
    ],
)
def test_without_positions_they_fill_a_grid_and_it_says_so(fields: list[Any]) -> None:
    found = lay_out(fields)
    assert not found.stated
    assert found.origins == ((0, 0), (0, 61))


def test_a_grid_is_filled_row_by_row() -> None:
    assert grid([(40, 60)] * 4, 2).origins == ((0, 0), (0, 61), (41, 0), (41, 61))
    assert grid([(40, 60)], 1).size == (40, 60)


def test_which_field_lies_where() -> None:
    found = Layout(((0, 0), (0, 50)), ((40, 60), (40, 60)), True)
    assert [found.at(p) for p in ((0, 0), (39, 49), (5, 55), (39.4, 109), (40, 5), (-1, 0))] == [0, 0, 1, 1, None, None]


def test_unequal_fields_are_composed_and_the_later_lies_on_top() -> None:
    images = [np.full((2, 4, 6), 1, np.uint16), np.full((2, 3, 5), 2, np.uint16)]
    whole = compose(images, Layout(((0, 0), (2, 4)), ((4, 6), (3, 5)), True))
    assert whole.shape == (2, 5, 9)
    assert whole.dtype == np.uint16
    assert whole[0].tolist() == [
        [1, 1, 1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 2, 2, 2, 2, 2],
        [1, 1, 1, 1, 2, 2, 2, 2, 2],
        [0, 0, 0, 0, 2, 2, 2, 2, 2],
    ]


def test_shrinking_takes_means_in_the_images_own_type() -> None:
    image = np.array([[1, 2, 5, 9], [3, 4, 5, 9], [7, 7, 7, 7]], np.uint16)
    assert shrink(image, 2).tolist() == [[2, 7]]  # 2.5 rounds to even
    assert shrink(image, 2).dtype == np.uint16
    assert shrink(image, 1) is image
    assert shrink(image.astype(np.float32), 2).tolist() == [[2.5, 7.0]]


def test_large_mosaics_are_drawn_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic, "EDGE", 10)
    found = grid([(16, 16)] * 4, 2)
    assert found.step == 4
    whole = compose([shrink(np.full((1, 16, 16), i + 1, np.uint8), 4) for i in range(4)], found)
    assert whole.shape == (1, 9, 9)
    assert (whole[0, 0, 0], whole[0, 0, -1], whole[0, -1, 0], whole[0, -1, -1]) == (1, 0, 0, 0)
    assert (whole[0, 4, 4], whole[0, 3, 7], whole[0, 7, 3]) == (4, 2, 3)


@pytest.mark.parametrize("edge", [2048, 24])
def test_every_pixel_of_a_heatmap_has_the_value_of_its_patch(monkeypatch: pytest.MonkeyPatch, edge: int) -> None:
    """At any size the square over a pixel is the patch that the pixel's centre lies in."""
    monkeypatch.setattr(mosaic, "EDGE", edge)
    values = np.arange(12, dtype=np.float32).reshape(3, 4) + 1
    found = Layout(((0, 0), (5, 40)), ((24, 32), (24, 32)), True)
    whole = compose_heatmaps([(values, (8.0, 8.0), (3.5, 3.5)), (10 * values, (8.0, 8.0), (3.5, 3.5))], found)
    step = found.step
    assert step == (1 if edge == 2048 else 3)
    for n, (y, x) in enumerate(found.origins):
        for i in range(24 // step):
            for j in range(32 // step):
                patch = int((i * step + (step - 1) / 2) // 8), int((j * step + (step - 1) / 2) // 8)
                assert whole[y // step + i, x // step + j] == values[patch] * (10 if n else 1)
    assert compose_heatmaps([None, (values, (8.0, 8.0), (3.5, 3.5))], found)[0, 0] == 0
