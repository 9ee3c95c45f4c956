from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.analysis import (
    AnalysisError,
    bootstrap_wells,
    compare,
    dose_response,
    percentile_interval,
    separation,
    shift_share,
    split_half,
    transfer,
)
from napari_phenolens.analysis.bootstrap import resample_weights, weighted_moments
from napari_phenolens.analysis.contrast import Design
from napari_phenolens.analysis.ranking import moderated_ranking

NEG, POS = "control_type == 'negcon'", "control_type == 'poscon'"


def test_the_ranking_is_compare_s(make_run, scattered):
    run = make_run(scattered, effects={3: 2.0})
    table = compare(run, NEG, POS, permutations=99).sort_index()
    side = np.array([s == "poscon" for s in scattered.values()])
    got = moderated_ranking(run.values.to_numpy(), side, np.ones(24))
    np.testing.assert_allclose(got, table["effect"].to_numpy(), rtol=1e-6)


def test_a_real_effect_holds_in_the_other_half(make_run, scattered):
    got = split_half(make_run(scattered, effects={7: 15.0}), NEG, POS, splits=60)
    assert (got.table["feature"] == 7).all() and (got.table["sign"] == 1).all()
    assert 0.3 < got.zprime.low < got.zprime.value < got.zprime.high < 1
    assert got.ssmd.value > 5
    assert np.isnan(got.zprime_wells.low)


def test_chance_does_not_hold_though_it_looks_well_in_sample(make_run, scattered):
    run = make_run(scattered, m=2000)
    in_sample = compare(run, NEG, POS, permutations=99)
    assert abs(in_sample["ssmd"].iloc[0]) > 0.9
    got = split_half(run, NEG, POS, splits=60)
    assert abs(got.ssmd.value) < 0.6
    assert got.zprime.value < -1
    assert np.isneginf(got.table["zprime"]).mean() > 0.2  # the sign turns


def test_all_splits_where_they_are_few(make_run):
    sides = {w: "negcon" for w in ("A01", "B02", "C03", "D04", "A05")} | {
        w: "poscon" for w in ("A02", "B03", "C04", "D01")
    }
    got = split_half(make_run(sides), NEG, POS, splits=1000)
    assert len(got.table) == 10 * 6
    assert len(split_half(make_run(sides), NEG, POS, splits=59).table) == 59
    with pytest.raises(AnalysisError, match="four wells"):
        split_half(make_run(sides), ["A01", "B02", "C03"], POS)


def test_bootstrap_by_well_of_the_medians(make_run, scattered):
    got = split_half(make_run(scattered, m=30, effects={7: 6.0}), NEG, POS, splits=20, bootstrap=60)
    assert got.ssmd_wells.low < got.ssmd.value < got.ssmd_wells.high
    assert got.ssmd_wells.value == got.ssmd.value


def test_candidates(make_run, scattered):
    got = split_half(make_run(scattered, effects={7: 15.0}), NEG, POS, splits=10, candidates=[3, 5])
    assert set(got.table["feature"]) <= {3, 5}


def test_transfer(make_run, scattered):
    run = make_run(scattered, effects={7: 10.0})
    top = "well < 'C'"
    got = transfer(
        run,
        (f"{NEG} and {top}", f"{POS} and {top}"),
        (f"{NEG} and not ({top})", f"{POS} and not ({top})"),
        bootstrap=200,
    )
    assert got.feature == 7 and got.sign == 1 and got.zprime.value > 0
    assert got.ssmd.low <= got.ssmd.value <= got.ssmd.high
    with pytest.raises(AnalysisError, match="both chosen and tested on"):
        transfer(run, (NEG, POS), (NEG, f"{POS} and {top}"))


def test_weighted_moments_by_hand():
    values = np.array([[1.0], [2.0], [4.0]])
    mean, variance, df = weighted_moments(values, np.array([[1.0, 1, 1], [2, 1, 0], [3, 0, 0]]))
    assert mean[:, 0] == pytest.approx([7 / 3, 4 / 3, 1])
    assert variance[0, 0] == pytest.approx(np.var([1, 2, 4], ddof=1))
    # weights 2 and 1: sum of squares 2/3 over 3 - 5/3
    assert variance[1, 0] == pytest.approx((2 / 3) / (4 / 3))
    assert df[:2] == pytest.approx([2, 4 / 3]) and np.isnan(variance[2, 0])


def test_resampled_variances_are_not_too_small():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 3000))
    _, variance, _ = weighted_moments(values, resample_weights(np.zeros(4), 400, 1))
    assert np.nanmean(variance) == pytest.approx(values.var(axis=0, ddof=1).mean(), rel=0.05)


def test_resampling_keeps_strata():
    weights = resample_weights([0, 0, 0, 1, 1], 100, 2)
    assert (weights[:, :3].sum(axis=1) == 3).all() and (weights[:, 3:].sum(axis=1) == 2).all()


def test_bootstrap_interval_of_a_mean():
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        interval = bootstrap_wells(np.mean, rng.normal(size=30), draws=300)
        covered += interval.low < 0 < interval.high
    assert 0.88 < covered / 200 < 0.98
    with pytest.raises(AnalysisError, match="at least one well"):
        bootstrap_wells(np.mean, [])


def test_intervals_keep_what_is_infinite():
    got = percentile_interval([-np.inf, -np.inf, 0.1, 0.2, np.nan], 0.1)
    assert got.low == -np.inf and got.high == 0.2
    assert f"{percentile_interval([1.0, 2.0], 1.5)}" == "1.50 [1.00, 2.00]"


def test_separation_by_hand():
    design = Design(np.array([False] * 5 + [True] * 3), np.zeros(8, dtype=np.intp))
    z, s = separation(np.array([1.0, 2, 3, 4, 5, 7, 8, 12]), design, bootstrap=50)
    assert z.value == pytest.approx(1 - 3 * (np.sqrt(2.5) + np.sqrt(7)) / 6)
    assert s.value == pytest.approx(6 / np.sqrt(9.5))
    against, s = separation(np.array([1.0, 2, 3, 4, 5, 7, 8, 12]), design, sign=-1.0, bootstrap=50)
    assert against.value == -np.inf and s.value == pytest.approx(-6 / np.sqrt(9.5))


@pytest.fixture
def series(make_run):
    run = make_run({f"A{c:02d}": "trt" for c in range(1, 11)}, m=5, controls=[])
    run.metadata["dose"] = [0.1, 0.3, 1, 3, 10, 0.1, 0.3, 1, 3, 10]
    run.values[2] = np.log(run.metadata["dose"]) + 0.01 * np.arange(10)
    run.extra = pd.DataFrame({"cell_count": -run.metadata["dose"]}, index=run.values.index)
    return run


def test_dose_response(series):
    got = dose_response(series, 2, "dose", "dose > 0", bootstrap=200)
    from scipy.stats import spearmanr

    assert got.spearman.value == pytest.approx(spearmanr(series.metadata["dose"], series.values[2]).statistic)
    assert 0.9 < got.spearman.low <= got.spearman.value <= got.spearman.high <= 1
    assert dose_response(series, "cell_count", "dose", "dose > 0", bootstrap=50).spearman.value == pytest.approx(-1)
    assert list(got.table.columns) == ["dose", "value"] and got.table.index.name == "well"
    own = pd.Series(np.arange(10.0), index=series.wells)
    assert dose_response(series, own, "dose", "dose > 0", bootstrap=50).table["value"].tolist() == list(range(10))


def test_dose_response_errors(series):
    with pytest.raises(AnalysisError, match="no column 'conc'"):
        dose_response(series, 2, "conc", "dose > 0")
    with pytest.raises(AnalysisError, match="at least four"):
        dose_response(series, 2, "dose", ["A01", "A02"])
    with pytest.raises(AnalysisError, match="features 0 to 4"):
        dose_response(series, 9, "dose", "dose > 0")
    with pytest.raises(AnalysisError, match="no covariate 'mass'"):
        dose_response(series, "mass", "dose", "dose > 0")


def test_shift_share():
    got = shift_share(np.array([1.0, 1.0]), np.array([0.0, 0.0]), np.array([4.0, 4.0]), bootstrap=20)
    assert (got.value, got.low, got.high) == (0.25, 0.25, 0.25)
