from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_phenolens.analysis import effects
from napari_phenolens.analysis.contrast import Design, estimate

CONTROL = np.array([1.0, 2, 3, 4, 5])
PERTURBED = np.array([7.0, 8, 12])


@pytest.fixture
def one():
    values = np.concatenate([CONTROL, PERTURBED])[:, None]
    design = Design(np.arange(8) >= 5, np.zeros(8, dtype=np.intp))
    return values, design, estimate(values, design)


def test_by_hand(one):
    values, design, found = one
    assert found.difference[0] == pytest.approx(6.0)
    # residual squares: 10 within controls, 4 + 1 + 9 within perturbed, over 6 df
    assert found.variance[0] == pytest.approx(24 / 6)
    assert design.information == pytest.approx(15 / 8)
    assert design.df == 6
    v0, v1 = effects.side_variances(found, design)
    assert (v0[0], v1[0]) == (pytest.approx(2.5), pytest.approx(7.0))
    assert effects.ssmd(found.difference, v0, v1)[0] == pytest.approx(6 / np.sqrt(9.5))
    assert effects.zprime(found.difference, v0, v1)[0] == pytest.approx(1 - 3 * (np.sqrt(2.5) + np.sqrt(7)) / 6)
    assert effects.robust_z(found, design)[0] == pytest.approx((8 - 3) / 1.4826)
    assert effects.auroc(values, design)[0] == 1.0
    # Hedges' J for 6 df, exact: sqrt(pi/...) form by the gamma function
    assert effects.hedges_g(found, design)[0] == pytest.approx(3.0 * 0.86863, rel=1e-4)


def test_auroc_counts_ties_half_and_agrees_with_scipy():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, size=(20, 30)).astype(float)
    design = Design(np.arange(20) >= 12, np.zeros(20, dtype=np.intp))
    got = effects.auroc(values, design)
    for j in range(30):
        u = stats.mannwhitneyu(values[12:, j], values[:12, j]).statistic
        assert got[j] == pytest.approx(u / (8 * 12))


def test_auroc_compares_within_plates_only():
    values = np.array([0.0, 1, 10, 11])[:, None]
    design = Design(np.array([False, True, False, True]), np.array([0, 0, 1, 1]))
    assert effects.auroc(values, design)[0] == 1.0


def test_plates_are_blocks():
    """With plates, the difference is that of a linear model with a mean per plate."""
    rng = np.random.default_rng(1)
    side = np.array([0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1], dtype=bool)
    plate = np.array([0] * 5 + [1] * 6)
    values = rng.normal(size=(11, 4)) + 100 * plate[:, None] + 2 * side[:, None]
    design = Design(side, plate)
    found = estimate(values, design)
    x = np.stack([plate == 0, plate == 1, side], axis=1).astype(float)
    beta, rss, *_ = np.linalg.lstsq(x, values, rcond=None)
    np.testing.assert_allclose(found.difference, beta[2])
    np.testing.assert_allclose(found.variance, rss / (11 - 3))
    covariance = np.linalg.inv(x.T @ x)
    assert 1 / design.information == pytest.approx(covariance[2, 2])
    np.testing.assert_allclose(
        found.adjusted[side].mean(axis=0) - found.adjusted[~side].mean(axis=0), found.difference, atol=1e-10
    )


def test_one_plate_is_left_as_it_is(one):
    values, _, found = one
    np.testing.assert_array_equal(found.adjusted, values)


def test_a_feature_that_does_not_vary_has_no_effect_and_no_nan_division():
    values = np.column_stack([np.full(8, 0.1), np.arange(8.0)])
    design = Design(np.arange(8) >= 4, np.zeros(8, dtype=np.intp))
    found = estimate(values, design)
    assert found.variance[0] == 0
    v0, v1 = effects.side_variances(found, design)
    assert effects.auroc(values, design)[0] == 0.5
    assert np.isnan(effects.robust_z(found, design)[0])
    assert not np.isinf(effects.ssmd(found.difference, v0, v1)).any()


def test_a_single_well_has_no_spread():
    values = np.arange(5.0)[:, None]
    design = Design(np.arange(5) >= 4, np.zeros(5, dtype=np.intp))
    found = estimate(values, design)
    _, v1 = effects.side_variances(found, design)
    assert np.isnan(v1[0])
