"""Finer maps: tiles shifted by parts of a patch."""

from __future__ import annotations

import numpy as np
import pytest

import napari_phenolens as ph
from napari_phenolens.run import RunError
from napari_phenolens.run.again import finer_grid
from napari_phenolens.run.geometry import cut_tiles, plan_tiles


def test_shifted_tiles_are_the_tiles_of_a_shifted_field():
    rng = np.random.default_rng(0)
    image = rng.random((2, 180, 260)).astype(np.float32)
    moved = plan_tiles((180 - 3, 260 - 5), 8, 128, 2)
    plan = plan_tiles((180, 260), 8, 128, 2)
    inner = slice(16, -16)  # at the borders the field's own pixels stand where a shifted field is reflected
    ours, theirs = (t[:, :, inner, inner] for t in (cut_tiles(image, plan, (3, 5)), cut_tiles(image[:, 3:, 5:], moved)))
    first = plan.origins.index((0, 0))
    np.testing.assert_array_equal(ours[first], theirs[first])


@pytest.mark.parametrize("size", [128, 130, 133, 135, 64])
def test_every_kept_centre_lies_inside_the_field(size):
    for stride in (1, 2, 4, 8):
        h, _ = finer_grid((size, size), 8, stride)
        assert (h - 1) * stride + 4 < size <= h * stride + 4
    assert finer_grid((size, size), 8, 8) == plan_tiles((size, size), 8, 128, 2).grid


def test_a_finer_map_holds_the_coarse_one(finished):
    coarse, fine = finished.tokens("C01", 0), finished.tokens("C01", 0, stride=4)
    assert fine.shape == (41, 37, finished.lens.whitening.p)  # 168 x 150 px
    np.testing.assert_array_equal(fine[::2, ::2], coarse)
    between = (fine[:-2:2, ::2][: coarse.shape[0] - 1] + fine[2::2, ::2][: coarse.shape[0] - 1]) / 2
    shifted = fine[1::2, ::2][: len(between)]
    # a token halfway is neither a copy of its neighbours nor far from them
    assert 0.3 < np.corrcoef(between.ravel(), shifted.ravel())[0, 1] < 0.99


def test_heatmap_with_a_stride(finished):
    feature = int(finished.profiles().mean().idxmax())
    coarse = ph.heatmap(finished, "C01", 0, feature)
    fine = ph.heatmap(finished, "C01", 0, feature, stride=4)
    assert fine.scale == (4, 4) and fine.translate == coarse.translate == (3.5, 3.5)
    assert fine.values.shape == (41, 37) and fine.limits == coarse.limits
    np.testing.assert_array_equal(fine.values[::2, ::2], coarse.values)
    assert (fine.values[1::2, 1::2] > 0).any()
    there = finished.foreground("C01", 0)
    assert (fine.values[::2, ::2][~there] == 0).all()
    aligned = ph.heatmap(finished, "C01", 0, feature, kind="alignment", stride=4)
    np.testing.assert_allclose(
        aligned.values[::2, ::2], ph.heatmap(finished, "C01", 0, feature, kind="alignment").values, atol=1e-5
    )
    whole = ph.heatmap(finished, "C01", 0, feature, stride=8)
    np.testing.assert_array_equal(whole.values, coarse.values)


def test_a_stride_that_does_not_fit_is_refused(finished):
    with pytest.raises(RunError, match="choose one of 1, 2, 4, 8"):
        ph.heatmap(finished, "C01", 0, 0, stride=3)
    with pytest.raises(RunError, match="choose one of"):
        finished.tokens("C01", 0, stride=16)
