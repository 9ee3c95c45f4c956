from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from napari_phenolens.analysis.grouping import group_features


def planted(n=24, seed=0):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, 3))
    which = np.repeat([0, 1, 2], 10)
    sign = np.where(np.arange(30) % 2, 1, -1)
    return factors[:, which] * sign + 0.2 * rng.normal(size=(n, 30)), which


def test_features_that_go_together_or_against_each_other_are_one_group():
    values, which = planted()
    order = np.random.default_rng(1).permutation(30)
    group, representative = group_features(values, np.zeros(24, dtype=np.intp), order)
    assert len(set(zip(group, which, strict=True))) == 3
    assert group[order[0]] == 1 and representative[order[0]]
    assert representative.sum() == 3
    for g in (1, 2, 3):
        first = next(f for f in order if group[f] == g)
        assert representative[first]


def test_it_is_average_linkage():
    values = np.random.default_rng(2).normal(size=(8, 40))
    group, _ = group_features(values, np.zeros(8, dtype=np.intp), np.arange(40))
    distance = 1 - np.abs(np.corrcoef(values.T))
    np.fill_diagonal(distance, 0)
    expected = fcluster(linkage(squareform(distance, checks=False), "average"), 0.3, "distance")
    assert len(set(zip(group, expected, strict=True))) == len(set(group)) == len(set(expected))


def test_beyond_the_linked_ones_features_join_or_stand_alone():
    values, which = planted()
    order = np.r_[0, 10, 20, 1, np.setdiff1d(np.arange(30), [0, 10, 20, 1])]
    values[:, 29] = np.random.default_rng(5).normal(size=24)
    group, representative = group_features(values, np.zeros(24, dtype=np.intp), order, most=4)
    assert len(set(zip(group[:29], which[:29], strict=True))) == 3
    assert group[29] == 4 and representative[29]


def test_features_that_do_not_vary_and_few_wells():
    values = np.random.default_rng(3).normal(size=(10, 4))
    values[:, 2] = 0.7
    group, representative = group_features(values, np.zeros(10, dtype=np.intp), np.arange(4))
    assert group[2] == 0 and not representative[2]
    group, _ = group_features(values[:3], np.zeros(3, dtype=np.intp), np.arange(4))
    assert sorted(group[[0, 1, 3]]) == [1, 2, 3]
