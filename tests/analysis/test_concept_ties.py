"""Concepts that the wells cannot tell from a feature's first: the test against its definition, its size, and words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from napari_phenolens.analysis.concept_labels import label
from napari_phenolens.analysis.concept_ties import LEVEL, tied_with_first, too_few_to_tell


def family(matrix: np.ndarray) -> np.ndarray:
    return np.zeros(matrix.shape[1])


def by_hand(x: np.ndarray, first: np.ndarray, other: np.ndarray) -> bool:
    """The test as it is written down, each well left out in turn."""

    way = np.sign([np.corrcoef(x, first)[0, 1], -np.corrcoef(x, other)[0, 1]])

    def z(rows: np.ndarray) -> float:
        return float(np.arctanh([np.corrcoef(x[rows], c[rows])[0, 1] for c in (first, other)]) @ way)

    n = len(x)
    every = np.arange(n)
    apart, left = z(every >= 0), np.array([z(every != i) for i in every])
    error = np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum())
    return bool(abs(apart) / error <= stats.t.isf(LEVEL / 2, n - 1))


def test_each_well_is_left_out_in_turn() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(20, 40))
    matrix = np.array([0.8, -1.5, 3.0]) * rng.normal(size=(20, 40, 3)) + values[:, :, None]
    found = []
    for f in range(40):
        r = [abs(np.corrcoef(values[:, f], matrix[:, f, j])[0, 1]) for j in range(3)]
        first = int(np.argmax(r))
        tied = tied_with_first(values[:, [f]], matrix[:, f], family(matrix[:, f]))[0]
        for j in {0, 1, 2} - {first}:
            assert tied[j] == by_hand(values[:, f], matrix[:, f, first], matrix[:, f, j])
        assert tied[first] == any(tied[j] for j in {0, 1, 2} - {first})
        found += tied.tolist()
    assert 0.2 < np.mean(found) < 0.9  # both answers were compared


def test_two_copies_are_tied_and_what_is_clearly_weaker_is_not() -> None:
    rng = np.random.default_rng(0)
    thing = rng.normal(size=96)
    values = np.stack([thing, -thing, rng.normal(size=96), np.zeros(96), np.arange(96) == 3], axis=1)
    values[:, :3] += 0.3 * rng.normal(size=(96, 3))
    noise = rng.normal(size=(96, 5)) * [0.2, 0.2, 0.8, 1.0, 0.9]
    matrix = thing[:, None] * [1, -1, 1, 0, 1] + noise
    tied = tied_with_first(values, matrix, np.array([0, 0, 0, 0, 1]))
    # whatever the signs; a family is for itself, and the first of it is tied only where something is tied with it
    np.testing.assert_array_equal(tied[:2], [[True, True, False, False, False]] * 2)
    assert tied[2, :4].all() and not tied[2, 4]  # noise goes with all of them as badly
    assert not tied[3].any()  # a feature that never speaks has no first
    assert tied[4, :4].all()  # one that speaks in one well alone tells nothing
    # nor is a concept that varies in one well alone as good as any
    lone = np.stack([matrix[:, 0], np.arange(96) == 5], axis=1)
    np.testing.assert_array_equal(tied_with_first(values, lone, family(lone)).any(axis=1), [0, 0, 1, 0, 1])
    # wells that have no value are left out of what they have none of
    matrix[:4, 1] = np.nan
    np.testing.assert_array_equal(
        tied_with_first(values, matrix, family(matrix))[:2, :4], [[True, True, False, False]] * 2
    )
    # the same thing in another unit
    again = np.stack([matrix[:, 0], 3.7 * matrix[:, 0] + 1e3], axis=1)
    assert tied_with_first(values[:, :3], again, family(again)).all()


def test_few_wells_tell_nothing_and_it_is_said() -> None:
    rng = np.random.default_rng(1)
    thing = rng.normal(size=6)
    matrix = np.stack([thing, thing + 0.3 * rng.normal(size=6), rng.normal(size=6)], axis=1)
    tied = tied_with_first(thing[:, None] + 0.5 * rng.normal(size=(6, 5)), matrix, family(matrix))
    assert tied.mean() > 0.8
    rows = pd.DataFrame({"feature": np.repeat(range(5), 3), "kind": "measured", "tied": True})
    assert "6 wells are too few" in too_few_to_tell(rows, 6)[0]
    assert too_few_to_tell(rows.assign(tied=rows.index % 3 < 2), 96) == []
    assert too_few_to_tell(rows[:0], 6) == []


def test_doses_of_two_compounds_are_correlations_of_different_wells() -> None:
    rng = np.random.default_rng(2)
    dose = np.tile(np.arange(10.0), 2)
    first, second = np.full(44, np.nan), np.full(44, np.nan)
    first[:20], second[20:40] = dose, dose
    first[40:] = second[40:] = 0.0  # untreated wells: of both, and neither varies in them
    values = np.stack([np.nan_to_num(first) + np.nan_to_num(second), np.nan_to_num(first)], axis=1)
    values += 0.5 * rng.normal(size=values.shape)
    values[20:40, 1] = rng.normal(size=20)
    matrix = np.stack([first, second], axis=1)
    np.testing.assert_array_equal(tied_with_first(values, matrix, family(matrix)), [[True, True], [False, False]])


@pytest.mark.parametrize("wells", [30, 96])
@pytest.mark.parametrize("scatter", ["even", "more where the phenotype is"])
def test_two_that_go_equally_well_are_told_apart_in_one_case_of_twenty(wells: int, scatter: str) -> None:
    """|r| of 0.9 and above; treatments are no normal values: in each repeat the same wells, noise alone is drawn."""
    rng = np.random.default_rng([3, wells])
    repeats = 500
    dose = np.where(np.arange(wells) < wells // 3, 0.0, np.linspace(0, 3, wells))[:, None]
    thing = (dose - dose.mean()) / dose.std()
    spread = 0.5 + dose if scatter != "even" else np.ones_like(dose)
    spread = 0.3 * spread / np.sqrt((spread**2).mean())
    told = 0
    for _ in range(repeats):
        values, *two = thing + spread * rng.normal(size=(3, wells, 1))
        told += not tied_with_first(values, np.concatenate(two, axis=1), np.zeros(2)).all()
    assert 0.03 < told / repeats < 0.08


def test_a_label_counts_what_fits_as_well() -> None:
    first = {
        "kind": "measured", "name": "n", "words": "brighter GFP in the nucleus", "support": "within control wells",
        "concept": "a", "same_as": "", "tied": True, "q": 0.01, "r": 0.9, "rho": 0.9, "auroc": 0.97,
    }  # fmt: skip
    rows = [first] + [{**first, "concept": c, "words": c} for c in "bcd"] + [{**first, "concept": "e", "tied": False}]
    said = "brighter GFP in the nucleus, AUROC 0.97"
    assert label(pd.DataFrame(rows)) == f"{said} (3 others fit as well)"
    assert label(pd.DataFrame(rows[:2] + rows[-1:])) == f"{said} (1 other fits as well)"
    assert label(pd.DataFrame(rows[:4])) == f"{said} (all 3 others fit as well)"
    assert label(pd.DataFrame([{**first, "tied": False}, rows[-1]])) == said
    # what says the same is no other, and stands in brackets already
    same = [first, {**first, "concept": "b", "words": "more GFP", "same_as": "a"}, rows[-1]]
    assert label(pd.DataFrame(same)) == "brighter GFP in the nucleus (more GFP), AUROC 0.97"
    # one that is not significant by itself is not excluded by these wells all the same
    assert label(pd.DataFrame([first, {**rows[1], "q": 0.2}, rows[-1]])) == f"{said} (1 other fits as well)"
    dose = {**first, "kind": "dose", "support": "treatment", "name": "W dose", "rho": 0.95, "concept": "W dose"}
    doses = [dose, {**dose, "name": "L dose", "concept": "L dose"}, {**dose, "kind": "plate map", "concept": "W"}]
    assert label(pd.DataFrame(doses)) == "follows W dose, rho 0.95 and L dose, rho 0.95 (1 other fits as well)"
    table = pd.DataFrame([first | {"tied": False}, *doses])
    assert label(table).startswith(f"{said}; follows W dose")
