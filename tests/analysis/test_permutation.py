from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from napari_phenolens.analysis.contrast import Design, estimate
from napari_phenolens.analysis.effects import moderated_effect
from napari_phenolens.analysis.moderated import Moderated
from napari_phenolens.analysis.permutation import (
    all_labels,
    benjamini_hochberg,
    count_relabellings,
    draw_labels,
    features_that_must_tie,
    relabelling_test,
    smallest_p,
)


def sides(*plates):
    side, plate = [], []
    for p, (n0, n1) in enumerate(plates):
        side += [False] * n0 + [True] * n1
        plate += [p] * (n0 + n1)
    return Design(np.array(side), np.array(plate, dtype=np.intp))


def test_by_hand_three_against_three():
    design = sides((3, 3))
    values = np.array([1.0, 2, 3, 4, 5, 6])[:, None]
    got = relabelling_test(values, design)
    # of 20 relabellings only the seen one and its mirror reach a difference of 3
    assert got.exact and got.n == 20
    assert got.p[0] == pytest.approx(2 / 20)
    assert got.floor == pytest.approx(2 / 20)
    assert relabelling_test(np.array([1.0, 2, 3, 4, 5])[:, None], sides((3, 2))).p[0] == pytest.approx(2 / 10)
    assert smallest_p(sides((3, 2)), 20_000) == pytest.approx(1 / 10)


def test_every_relabelling_once():
    design = sides((3, 2), (2, 2))
    labels = all_labels(design)
    assert len(labels) == count_relabellings(design) == 10 * 6
    assert len(np.unique(labels, axis=0)) == 60
    assert (labels[:, :5].sum(axis=1) == 2).all() and (labels[:, 5:].sum(axis=1) == 2).all()
    drawn = draw_labels(design, 500, np.random.default_rng(0))
    assert (drawn[:, :5].sum(axis=1) == 2).all() and (drawn[:, 5:].sum(axis=1) == 2).all()
    assert len(np.unique(drawn, axis=0)) == 60


def test_it_is_the_test_of_the_moderated_t():
    """Relabelling the moderated t itself, with any prior held fixed, gives the same p."""
    rng = np.random.default_rng(0)
    design = sides((6, 3))
    values = rng.normal(size=(9, 20)) + 1.0 * design.side[:, None]
    got = relabelling_test(values, design)
    for d0, s0 in ((0.0, 1.0), (4.0, 0.5), (30.0, 2.0)):

        def t(label, d0=d0, s0=s0):
            relabelled = Design(label, design.plate)
            found = estimate(values, relabelled)
            posterior = (d0 * s0 + 7 * found.variance) / (d0 + 7)
            moderated = Moderated(posterior, np.full(20, s0), d0, d0 + 7)
            return np.abs(moderated_effect(found, moderated, relabelled)[0])

        seen = t(design.side)
        beyond = np.zeros(20)
        for chosen in combinations(range(9), 3):
            label = np.zeros(9, dtype=bool)
            label[list(chosen)] = True
            beyond += t(label) >= seen * (1 - 1e-9)
        np.testing.assert_allclose(got.p, beyond / 84)


def test_exact_and_sampled_agree():
    rng = np.random.default_rng(1)
    design = sides((7, 5))
    values = rng.normal(size=(12, 200)) + 0.8 * design.side[:, None]
    exact = relabelling_test(values, design)
    sampled = relabelling_test(values, design, permutations=700, seed=3)
    assert exact.exact and not sampled.exact and sampled.n == 700
    assert sampled.floor == pytest.approx(1 / 701)
    assert (sampled.p >= 1 / 701).all()
    spread = np.sqrt(exact.p * (1 - exact.p) / 700)
    assert np.abs(sampled.p - exact.p).max() < 5 * spread.max()
    assert np.abs(sampled.p - exact.p).mean() < 1.5 * spread.mean()


def test_same_seed_same_p():
    values = np.random.default_rng(2).normal(size=(40, 30))
    design = sides((20, 20))
    a = relabelling_test(values, design, permutations=500, seed=1).p
    np.testing.assert_array_equal(a, relabelling_test(values, design, permutations=500, seed=1).p)
    assert (a != relabelling_test(values, design, permutations=500, seed=2).p).any()


@pytest.mark.parametrize("plates", [((8, 8),), ((6, 3), (5, 4))])
def test_p_is_uniform_where_nothing_happens(plates):
    rng = np.random.default_rng(4)
    design = sides(*plates)
    values = rng.gamma(1.0, size=(design.n, 3000)) + 5 * design.plate[:, None]  # skewed, and plates differ
    p = relabelling_test(values, design, permutations=1000).p
    assert stats.kstest(p, "uniform").statistic < 0.04
    for level in (0.01, 0.05, 0.2):
        assert np.mean(p <= level) < level + 3 * np.sqrt(level * (1 - level) / 3000)


def test_what_does_not_vary_has_no_p_and_is_not_counted():
    rng = np.random.default_rng(5)
    design = sides((4, 4))
    values = np.column_stack([np.full(8, 0.3), rng.normal(size=(8, 3))])
    p = relabelling_test(values, design).p
    assert np.isnan(p[0]) and np.isfinite(p[1:]).all()
    q = benjamini_hochberg(p)
    assert np.isnan(q[0])
    np.testing.assert_allclose(q[1:], stats.false_discovery_control(p[1:]))


def test_a_large_offset_does_not_drown_the_test():
    design = sides((3, 3))
    values = 1e6 + 1e-3 * np.array([1.0, 2, 3, 4, 5, 6])[:, None]
    assert relabelling_test(values, design).p[0] == pytest.approx(0.1)


def test_benjamini_hochberg_is_scipy_s():
    rng = np.random.default_rng(6)
    p = np.concatenate([rng.uniform(size=300), rng.uniform(size=50) ** 6, [0.5, 0.5, 1.0, 0.0]])
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p))
    assert len(benjamini_hochberg([])) == 0
    assert np.isnan(benjamini_hochberg([np.nan, np.nan])).all()


def test_how_many_must_tie():
    # 4 against 8: 495 relabellings; 1000 features: 1000 / 495 / 0.05 = 40.4
    floor = smallest_p(sides((8, 4)), 20_000)
    assert floor == pytest.approx(1 / 495)
    assert features_that_must_tie(floor, 1000) == 41
    q = benjamini_hochberg(np.r_[np.full(41, floor), np.ones(959)])
    assert q[0] < 0.05
    assert benjamini_hochberg(np.r_[np.full(40, floor), np.ones(960)])[0] > 0.05
    assert features_that_must_tie(1e-5, 1000) == 0


def test_balanced_plates_swap_together():
    assert smallest_p(sides((3, 3), (2, 2)), 20_000) == pytest.approx(2 / (20 * 6))
    assert smallest_p(sides((3, 3), (3, 2)), 20_000) == pytest.approx(1 / (20 * 10))
    assert smallest_p(sides((100, 100)), 20_000) == pytest.approx(1 / 20_001)
