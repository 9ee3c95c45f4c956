from __future__ import annotations

import numpy as np
import pytest

from napari_phenolens.run.geometry import (
    assemble,
    axis_origins,
    coverage,
    cut_tiles,
    plan_tiles,
    position_offsets,
    tile_positions,
)

SHAPES = [(640, 640), (128, 128), (130, 260), (64, 300), (300, 131), (1080, 1080), (135, 133)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("margin", [0, 2, 7])
def test_every_patch_is_kept_by_some_tile_and_origins_stay_inside(shape, margin):
    plan = plan_tiles(shape, 8, 128, margin)
    assert coverage(plan).min() >= 1
    for row, column in plan.origins:
        assert 0 <= row <= plan.padded[0] - 16
        assert 0 <= column <= plan.padded[1] - 16


def test_grid_keeps_a_padded_patch_only_where_its_centre_is_inside():
    assert plan_tiles((132, 128), 8, 128, 0).grid == (16, 16)  # 4 of 8 px: the centre lies on the border, outside
    assert plan_tiles((133, 128), 8, 128, 0).grid == (17, 16)


def test_last_tile_is_moved_inward_by_whole_patches():
    assert axis_origins(80, 16, 2) == (0, 12, 24, 36, 48, 60, 64)
    assert axis_origins(80, 16, 0) == (0, 16, 32, 48, 64)
    assert axis_origins(16, 16, 2) == (0,)


@pytest.mark.parametrize("shape", SHAPES)
def test_tokens_that_tell_their_place_are_laid_where_they_belong(shape):
    plan = plan_tiles(shape, 8, 128, 2)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    tiles = cut_tiles(np.stack([y, x]), plan)
    assert tiles.shape[0] == len(plan.origins)
    patches = tiles.reshape(len(tiles), 2, 16, 8, 16, 8).mean((3, 5)).transpose(0, 2, 3, 1)
    grid = assemble(patches, plan)
    rows, columns = (n // 8 for n in shape)  # whole patches; padded ones hold reflected pixels
    expected = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1) * 8 + 3.5
    np.testing.assert_allclose(grid[:rows, :columns], expected, atol=1e-3)


def test_overlapping_tokens_are_averaged():
    plan = plan_tiles((8 * 20, 8 * 16), 8, 128, 0)
    assert plan.rows == (0, 4)
    tokens = np.stack([np.full((16, 16, 1), 1.0), np.full((16, 16, 1), 3.0)]).astype(np.float32)
    grid = assemble(tokens, plan)[:, 0, 0]
    np.testing.assert_array_equal(grid, [1] * 4 + [2] * 12 + [3] * 4)


def test_positions_name_the_place_in_the_one_tile_that_keeps_a_patch():
    plan = plan_tiles((640, 640), 8, 128, 2)
    place = tile_positions(plan)
    assert place[0, 0] == 2 * 16 + 2  # the border too is seen from inside a tile, over reflected pixels
    assert place[14, 20] == (16 - 12) * 16 + (22 - 12)
    assert (place[coverage(plan) > 1] == -1).all()
    inner = place[place >= 0]
    assert (inner // 16).min() == 2 and (inner // 16).max() == 13
    # offsets are mixed as tokens are: where one tile keeps a patch, its own offset comes back
    offsets = np.arange(256, dtype=np.float32)[:, None]
    grid = position_offsets(plan, offsets)[..., 0]
    np.testing.assert_array_equal(grid[place >= 0], place[place >= 0])


def test_a_field_smaller_than_a_tile_is_reflected():
    plan = plan_tiles((40, 200), 8, 128, 2)
    image = np.random.default_rng(0).random((1, 40, 200)).astype(np.float32)
    tiles = cut_tiles(image, plan)
    assert tiles.shape[2:] == (128, 128)
    np.testing.assert_array_equal(tiles[0, 0, 16:56, 16:], image[0, :, :112])
    np.testing.assert_array_equal(tiles[0, 0, 56, 16:], image[0, 38, :112])
    assert plan.grid == (5, 25)
