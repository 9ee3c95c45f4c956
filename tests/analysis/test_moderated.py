from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from napari_phenolens.analysis.contrast import Design, estimate
from napari_phenolens.analysis.effects import moderated_effect
from napari_phenolens.analysis.moderated import natural_spline, squeeze_variances, trigamma_inverse


@pytest.mark.parametrize("x", [1e-8, 1e-3, 0.3, 1.0, 17.0, 1e9])
def test_trigamma_inverse_inverts_trigamma(x):
    assert special.polygamma(1, trigamma_inverse(x)) == pytest.approx(x, rel=1e-3 if x in (1e-8, 1e9) else 1e-8)


def test_trigamma_inverse_knows_pi():
    assert trigamma_inverse(np.pi**2 / 6) == pytest.approx(1.0)
    assert trigamma_inverse(np.pi**2 / 2) == pytest.approx(0.5)


def test_trigamma_inverse_refuses_zero():
    with pytest.raises(ValueError, match="positive"):
        trigamma_inverse(0.0)


def test_spline_is_natural_and_smooth():
    x = np.sort(np.random.default_rng(0).gamma(2, size=200))
    basis = natural_spline(x, 4)
    assert np.linalg.matrix_rank(basis) == 4
    y = np.sin(x)
    fitted = basis @ np.linalg.lstsq(basis, y, rcond=None)[0]
    # scipy's natural spline through the fit's own values at the four knots is the same curve
    from scipy.interpolate import CubicSpline

    knots = np.quantile(x, np.linspace(0, 1, 4))
    same = CubicSpline(knots, np.interp(knots, x, fitted), bc_type="natural")
    np.testing.assert_allclose(same(x), fitted, atol=2e-3)
    np.testing.assert_allclose(natural_spline(x, 2)[:, 1], (x - x[0]) / (x[-1] - x[0]))


def _limma_by_hand(s2, df):
    """Smyth (2004), section 6.2, without a trend, written out again from the paper's formulas."""
    z = np.log(s2)
    e = z - special.digamma(df / 2) + np.log(df / 2)
    centre = e.mean()
    v = np.mean((e - centre) ** 2) * len(s2) / (len(s2) - 1) - special.polygamma(1, df / 2)
    if v <= 0:
        return np.inf, s2.mean()
    from scipy.optimize import brentq

    d0 = 2 * brentq(lambda y: special.polygamma(1, y) - v, 1e-4, 1e6)
    return d0, np.exp(centre + special.digamma(d0 / 2) - np.log(d0 / 2))


def test_without_a_trend_it_is_smyth_2004():
    rng = np.random.default_rng(1)
    df = 6
    s2 = 0.3 * rng.chisquare(df, 2000) / df / (rng.chisquare(8, 2000) / 8)
    d0, s0 = _limma_by_hand(s2, df)
    got = squeeze_variances(s2, df)
    assert got.d0 == pytest.approx(d0, rel=1e-6)
    np.testing.assert_allclose(got.prior, s0, rtol=1e-6)
    np.testing.assert_allclose(got.variance, (d0 * s0 + df * s2) / (d0 + df), rtol=1e-6)
    assert got.df == pytest.approx(df + d0)
    assert got.d0 == pytest.approx(8, rel=0.25)  # what was put in


def test_with_a_trend_it_follows_the_mean():
    rng = np.random.default_rng(2)
    mean = np.exp(rng.uniform(-5, 1, 4000))
    true = 0.1 * mean**1.5
    s2 = true * rng.chisquare(5, 4000) / 5 / (rng.chisquare(10, 4000) / 10)
    got = squeeze_variances(s2, 5, mean)
    np.testing.assert_allclose(np.log(got.prior), np.log(true), atol=0.2)
    assert got.d0 == pytest.approx(10, rel=0.3)
    flat = squeeze_variances(s2, 5)
    assert flat.d0 < 3  # without the trend the scatter along it looks like prior scatter


def test_trend_against_limma_s_own_steps():
    """The same figures from a spline basis of scipy instead of ours."""
    rng = np.random.default_rng(3)
    mean, df = rng.normal(size=500), 7
    s2 = np.exp(0.4 * np.sin(mean)) * rng.chisquare(df, 500) / df / (rng.chisquare(12, 500) / 12)
    from scipy.interpolate import CubicSpline

    knots = np.quantile(mean, np.linspace(0, 1, 4))
    basis = np.stack([CubicSpline(knots, row, bc_type="natural")(mean) for row in np.eye(4)], axis=1)
    e = np.log(s2) - special.digamma(df / 2) + np.log(df / 2)
    beta, *_ = np.linalg.lstsq(basis, e, rcond=None)
    v = ((e - basis @ beta) ** 2).sum() / (500 - 4) - special.polygamma(1, df / 2)
    d0 = 2 * trigamma_inverse(v)
    s0 = np.exp(basis @ beta + special.digamma(d0 / 2) - np.log(d0 / 2))
    got = squeeze_variances(s2, df, mean)
    assert got.d0 == pytest.approx(d0, rel=1e-6)
    np.testing.assert_allclose(got.variance, (d0 * s0 + df * s2) / (d0 + df), rtol=1e-6)


def test_equal_variances_are_pooled_whole():
    rng = np.random.default_rng(4)
    s2 = rng.chisquare(200, 300) / 200 * 0 + 2.0 + 1e-6 * rng.normal(size=300)
    got = squeeze_variances(s2, 4)
    assert np.isinf(got.d0)
    np.testing.assert_allclose(got.variance, 2.0, rtol=1e-5)
    assert got.df == 4 * 300


def test_what_does_not_vary_is_left_out_of_the_fit():
    rng = np.random.default_rng(5)
    s2 = rng.chisquare(5, 400) / 5
    with_dead = np.concatenate([s2, np.zeros(100), [np.nan]])
    got, without = squeeze_variances(with_dead, 5), squeeze_variances(s2, 5)
    assert got.d0 == without.d0
    np.testing.assert_allclose(got.variance[:400], without.variance)
    assert np.isfinite(got.variance[400:500]).all() and np.isnan(got.variance[500])


def test_few_features_are_not_shrunk():
    got = squeeze_variances([1.0, 2.0], 5)
    assert got.d0 == 0 and got.df == 5
    np.testing.assert_array_equal(got.variance, [1.0, 2.0])
    assert np.isnan(squeeze_variances([1.0, 2.0, 3.0], 0).variance).all()


def _sides(n0, n1):
    return Design(np.arange(n0 + n1) >= n0, np.zeros(n0 + n1, dtype=np.intp))


def test_unmoderated_effect_is_the_ordinary_t():
    rng = np.random.default_rng(6)
    design = _sides(7, 5)
    values = rng.normal(size=(12, 2))  # two features: nothing to learn a prior from
    found = estimate(values, design)
    effect, _, _, p = moderated_effect(found, squeeze_variances(found.variance, design.df, found.mean), design)
    t, p_scipy = stats.ttest_ind(values[7:], values[:7])
    np.testing.assert_allclose(effect * np.sqrt(7 * 5 / 12), t)
    np.testing.assert_allclose(p, p_scipy)


def test_interval_of_the_effect_covers_at_its_level():
    rng = np.random.default_rng(7)
    m, delta = 4000, 2.0
    design = _sides(6, 4)
    variance = 10 / rng.chisquare(10, m)
    values = rng.normal(size=(10, m)) * np.sqrt(variance)
    values[6:] += delta * np.sqrt(variance)
    found = estimate(values, design)
    effect, low, high, _ = moderated_effect(found, squeeze_variances(found.variance, design.df), design)
    assert (low < effect).all() and (effect < high).all()
    # Against each feature's own true SD the moderated interval is right on average over features (an empirical Bayes
    # interval), against the SD that it divides by it is exact for one feature.
    assert 0.93 < np.mean((low < delta) & (delta < high)) < 0.97


def test_one_noncentral_interval_by_hand():
    design = _sides(5, 5)
    values = np.array([0.0, 1, 2, 3, 4, 3, 4, 5, 6, 7])[:, None]
    found = estimate(values, design)
    effect, low, high, p = moderated_effect(found, squeeze_variances(found.variance, design.df), design)
    assert effect[0] == pytest.approx(3 / np.sqrt(2.5))
    t = effect[0] * np.sqrt(2.5)
    assert stats.nct.cdf(t, 8, low[0] * np.sqrt(2.5)) == pytest.approx(0.975, abs=1e-5)
    assert stats.nct.cdf(t, 8, high[0] * np.sqrt(2.5)) == pytest.approx(0.025, abs=1e-5)
    assert p[0] == pytest.approx(2 * stats.t.sf(t, 8))
