"""Linear probes over blocks: what they find where truth is planted, what they refuse, and what they say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.analysis import AnalysisError, block_table
from napari_phenolens.analysis.block_choice import (
    choose,
    chosen_on_halves,
    curve,
    group_weights,
    guessing_limit,
    scores,
    standard_error,
)
from napari_phenolens.analysis.probes import STRENGTHS, class_mean, divide, predictions, probe
from napari_phenolens.analysis.question import Question, ask
from napari_phenolens.analysis.variance_share import variance_shares
from napari_phenolens.errors import Cancelled
from napari_phenolens.plate import select_wells, well_name_of

RNG = np.random.default_rng


def planted(label: np.ndarray, shift: float, d: int = 40, seed: int = 0) -> np.ndarray:
    """Noise with a direction along which the classes lie `shift` apart."""
    rng = RNG(seed)
    direction = rng.normal(size=d) / np.sqrt(d)
    return rng.normal(size=(len(label), d)) + shift * np.sqrt(d) / 4 * label[:, None] * direction


def question(label: np.ndarray, group: np.ndarray | None = None, batch: np.ndarray | None = None) -> Question:
    n = len(label)
    return Question(
        ("P1",), tuple((0, well_name_of(i // 12, i % 12)) for i in range(n)), ("control", "perturbed"), label,
        np.arange(n) if group is None else group, np.zeros(n, int) if batch is None else batch,
        "well" if group is None else "compound", "plate",
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ folds


def test_every_well_is_tested_once_and_classes_are_spread() -> None:
    label = np.repeat([0, 1], [14, 6])
    found = divide(label, np.arange(20), 5, seed=0)
    assert len(found) == 5
    assert sorted(np.concatenate([test for _, test in found])) == list(range(20))
    for train, test in found:
        assert not set(train) & set(test)
        assert 1 <= label[test].sum() <= 2


def test_a_group_is_never_on_both_sides() -> None:
    label = np.tile([0, 1], 15)
    group = np.repeat(np.arange(6), 5)
    for seed in range(5):
        for train, test in divide(label, group, 5, seed):
            assert not set(group[train]) & set(group[test])
            assert set(label[train]) == {0, 1}


def test_folds_are_no_more_than_the_smallest_class_has_groups() -> None:
    assert len(divide(np.repeat([0, 1], [12, 3]), np.arange(15), 5, 0)) == 3
    assert divide(np.repeat([0, 1], [6, 6]), np.repeat([0, 1, 2], [3, 3, 6]), 5, 0) == []  # class 1 lies in one group


# ----------------------------------------------------------------------------------------------------------- probes


def test_probes_find_what_is_planted_and_nothing_where_nothing_is() -> None:
    label = np.tile([0, 1], 20)
    strong = class_mean(probe(planted(label, 5.0), label, np.arange(40), repeats=1), label)
    none = [class_mean(probe(planted(label, 0.0, seed=s), label, np.arange(40), repeats=1), label) for s in range(6)]
    assert strong > 0.95
    assert abs(np.mean(none) - 0.5) < 0.1


def test_replicates_in_one_fold_alone_show_what_generalises() -> None:
    """Wells of a group share a nuisance: divided by well a probe reads it, divided by group it cannot."""
    rng = RNG(3)
    group = np.repeat(np.arange(12), 4)
    label = (group % 2).astype(int)
    x = 3 * rng.normal(size=(12, 30))[group] + 0.3 * rng.normal(size=(48, 30))
    by_well = class_mean(probe(x, label, np.arange(48), repeats=1), label)
    by_group = class_mean(probe(x, label, group, repeats=2), label)
    assert by_well > 0.95
    assert by_group < 0.75


def test_the_span_of_the_training_wells_gives_the_full_fit() -> None:
    """Against scikit-learn's own pipeline on all dimensions, with the strength of the regularisation held."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    label = np.repeat([0, 1, 2], [10, 8, 12])
    x = planted((label == 1) * 1.0, 1.0, d=90) * RNG(4).uniform(0.1, 30, 90) + 50
    train, test = np.arange(0, 30, 2), np.arange(1, 30, 2)
    for strength, found in zip(STRENGTHS, predictions(x, label, train, test, STRENGTHS), strict=True):
        whole = make_pipeline(
            StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=5000, tol=1e-6)
        )
        chances = whole.fit(x[train], label[train]).predict_proba(x[test])
        np.testing.assert_allclose(found, chances, atol=2e-3)


def test_constant_embeddings_are_a_guess_and_no_error() -> None:
    label = np.repeat([0, 1], 6)
    right = probe(np.ones((12, 5)), label, np.arange(12), repeats=1)
    assert class_mean(right, label) == 0.5


def test_a_probe_can_be_cancelled() -> None:
    label = np.repeat([0, 1], 6)
    with pytest.raises(Cancelled):
        probe(planted(label, 1.0), label, np.arange(12), cancel=lambda: True)


def test_groups_that_allow_no_division_are_refused() -> None:
    label = np.repeat([0, 1], 6)
    with pytest.raises(AnalysisError, match="--group"):
        probe(planted(label, 1.0), label, label)


# ------------------------------------------------------------------------------------------------ the curve and choice


def test_balanced_accuracy_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import balanced_accuracy_score

    rng = RNG(0)
    label = rng.integers(0, 4, 60)
    predicted = np.where(rng.random(60) < 0.6, label, rng.integers(0, 4, 60))
    right = (predicted == label).astype(float)
    assert scores(right[None], label)[0, 0] == pytest.approx(balanced_accuracy_score(label, predicted))


def test_the_band_covers_the_truth() -> None:
    """Of curves drawn with known shares of right wells, about 19 in 20 bands hold the truth."""
    rng, label, hold = RNG(1), np.repeat([0, 1], [30, 25]), 0
    for _ in range(150):
        right = (rng.random((1, 55)) < np.where(label == 0, 0.8, 0.6)).astype(float)
        found = curve(right, label, np.arange(55), draws=400)
        hold += bool(found.low[0] <= 0.7 <= found.high[0])
    assert 0.88 <= hold / 150 <= 0.99


def test_groups_are_drawn_whole() -> None:
    label, group = np.repeat([0, 1], 8), np.repeat(np.arange(8), 2)
    weights = group_weights(label, group, 50)
    np.testing.assert_array_equal(weights[:, ::2], weights[:, 1::2])
    assert (weights[:, label == 0].sum(1) == 8).all()
    right = (np.repeat(RNG(2).random(8) < 0.5, 2)).astype(float)[None]
    by_well, by_group = curve(right, label, np.arange(16)), curve(right, label, group)
    assert by_group.high[0] - by_group.low[0] > by_well.high[0] - by_well.low[0]


def test_at_the_ceiling_the_standard_error_is_not_zero() -> None:
    label = np.repeat([0, 1], [12, 8])
    right = np.ones((2, 20))
    right[0, 19] = 0.6
    se = standard_error(right, label, scores(right, label, group_weights(label, np.arange(20), 500)))
    assert 0.03 < se[1] < 0.1


def test_the_earliest_within_one_standard_error_is_chosen() -> None:
    score, se = np.array([0.6, 0.84, 0.88, 0.9, 0.7]), np.full(5, 0.07)
    assert choose(score, se, own=4) == 1
    assert choose(score, np.full(5, 0.001), own=4) == 3
    assert choose(np.full(5, 0.9), se, own=3) == 3  # nothing parts them: the encoder's own stays
    assert choose(np.full(5, 0.9), se, own=None) == 0
    assert choose(score, se, own=4, guess=0.95) == 4  # nothing above guessing


def test_the_figure_of_the_chosen_is_optimistic_and_halves_tell() -> None:
    """Many blocks that merely guess: the best looks good on its own wells, not on others."""
    rng, label = RNG(5), np.repeat([0, 1], 12)
    high, held = [], []
    for seed in range(12):
        right = (rng.random((24, 24)) < 0.5).astype(float)
        high.append(scores(right, label)[0].max())
        held.append(chosen_on_halves(right, label, np.arange(24), None, splits=40, seed=seed))
    assert np.mean(high) > 0.65
    assert abs(np.mean(held) - 0.5) < 0.06
    assert np.isnan(chosen_on_halves(right[:, 9:15], label[9:15], np.arange(6), None))


def test_the_limit_of_guessing() -> None:
    label = np.repeat([0, 1], 10)
    drawn = RNG(0).integers(0, 2, (4000, 20)) == label
    share = np.mean((drawn[:, :10].mean(1) + drawn[:, 10:].mean(1)) / 2 > guessing_limit(label))
    assert share < 0.06
    assert guessing_limit(np.repeat([0, 1], 200)) < 0.56 < guessing_limit(np.repeat([0, 1], 4))


# ---------------------------------------------------------------------------------------------------- variance shares


def two_plates(perturbation: float, plate: float, n: int = 48, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = RNG(seed)
    side, of_plate = np.tile([0, 1], n // 2), np.repeat([0, 1], n // 2)
    a, b = rng.normal(size=(2, 50))
    x = rng.normal(size=(n, 50)) + perturbation * side[:, None] * a + plate * of_plate[:, None] * b
    return x, side, of_plate


def test_shares_follow_what_is_planted() -> None:
    drug = variance_shares(*two_plates(2.0, 0.0), permutations=199)
    scanner = variance_shares(*two_plates(0.5, 2.0), permutations=199)
    assert drug.perturbation.r2 > 0.3 and drug.perturbation.p == pytest.approx(1 / 200)
    assert abs(drug.batch.r2) < 0.02 and drug.batch.p > 0.05
    assert drug.robustness > 0.9
    assert scanner.batch.r2 > 0.3 and scanner.batch.p < 0.05
    assert scanner.robustness < 0.3


def test_shares_of_nothing_are_zero_and_their_p_even() -> None:
    found = [variance_shares(*two_plates(0, 0, seed=s), permutations=99) for s in range(40)]
    assert abs(np.mean([f.perturbation.r2 for f in found])) < 0.005
    assert abs(np.mean([f.batch.r2 for f in found])) < 0.005
    for p in ([f.perturbation.p for f in found], [f.batch.p for f in found]):
        assert 0.35 < np.mean(p) < 0.65


def test_shares_equal_an_analysis_of_variance() -> None:
    """Unbalanced: own sums of squares by least squares, dimension by dimension."""
    x, side, of_plate = two_plates(1.0, 1.0)
    keep = np.r_[0:20, 25:48]
    x, side, of_plate = x[keep], side[keep], of_plate[keep]
    z = (x - x.mean(0)) / x.std(0)
    n = len(z)

    def rest(*terms: np.ndarray) -> float:
        design = np.column_stack([np.ones(n), *terms])
        return float(((z - design @ np.linalg.lstsq(design, z, rcond=None)[0]) ** 2).sum() / (z**2).sum())

    found = variance_shares(x, side, of_plate, permutations=0)
    noise = rest(side, of_plate) / (n - 3)
    assert found.perturbation.r2 == pytest.approx(rest(of_plate) - rest(side, of_plate) - noise)
    assert found.batch.r2 == pytest.approx(rest(side) - rest(side, of_plate) - noise)
    alone = variance_shares(x, side, np.zeros_like(side), permutations=0)
    assert alone.perturbation.r2 == pytest.approx(1 - rest(side) * (n - 1) / (n - 2))  # the adjusted R2


def test_a_strong_perturbation_does_not_exceed_the_whole() -> None:
    """Eight rows of few wells: an adjusted R2 of the rows alone would be far below zero."""
    rng = RNG(2)
    side, row = np.tile([0, 1, 0], 8)[:20], np.repeat(np.arange(8), 3)[:20]
    x = rng.normal(size=(20, 60)) + 3 * side[:, None] * rng.normal(size=60)
    found = variance_shares(x, side, row, batch_name="row", permutations=0)
    whole = variance_shares(x, side, np.zeros_like(side), permutations=0)
    assert found.perturbation.r2 == pytest.approx(whole.perturbation.r2, abs=0.06)
    assert abs(found.batch.r2) < 0.06


def test_one_plate_and_confounded_plates_are_not_estimable() -> None:
    x, side, _ = two_plates(1.0, 1.0)
    one = variance_shares(x, side, np.zeros_like(side), permutations=19)
    assert one.perturbation.r2 > 0.05
    assert np.isnan([one.batch.r2, one.robustness]).all()
    assert "one plate" in one.reason
    same = variance_shares(x, side, side, batch_name="scanner", permutations=19)
    assert np.isnan([same.perturbation.r2, same.batch.r2]).all()
    assert "scanner coincide" in same.reason
    few = variance_shares(x[:4], np.array([0, 0, 1, 1]), np.array([0, 1, 2, 0]))
    assert "too few" in few.reason


# ------------------------------------------------------------------------------------------------------- the question


class FakePlate:
    def __init__(self, table: pd.DataFrame, name: str = "P1") -> None:
        self.name, self.metadata = name, table
        self.wells = {w: SimpleNamespace(row=ord(w[0]) - 65, column=int(w[1:]) - 1) for w in table.index}

    def select(self, query: Any) -> list[str]:
        return select_wells(self.metadata, query, list(self.wells))


@pytest.fixture
def plate() -> Any:
    wells = [well_name_of(r, c) for r in range(4) for c in range(6)]
    role = ["negcon" if w.endswith(("1", "2")) else "trt" for w in wells]
    dose = [None if w == "A03" else float(w[-1]) for w in wells]
    rare = ["x" if w in ("A01", "A02") else "y" if w < "C" else "z" for w in wells]
    return FakePlate(pd.DataFrame({"role": role, "dose": dose, "rare": rare}, index=wells))


NOTHING: dict[str, Any] = dict.fromkeys(("controls", "perturbed", "column", "wells", "group", "batch"))


def test_sides_and_columns(plate: Any) -> None:
    sides = ask([plate], **NOTHING | {"controls": "role == 'negcon'", "perturbed": "dose > 4"})
    assert sides.counts == {"control": 8, "perturbed": 8}
    assert len(np.unique(sides.group)) == 16
    doses = ask([plate], **NOTHING | {"column": "dose", "wells": "role == 'trt'", "group": "row"})
    assert doses.counts == {"3.0": 3, "4.0": 4, "5.0": 4, "6.0": 4}
    assert len(np.unique(doses.group)) == 4
    assert "A03" in doses.notes[0]
    rare = ask([plate], **NOTHING | {"column": "rare"})
    assert rare.classes == ("y", "z")
    assert "left out: x" in rare.notes[0]


def test_several_plates(plate: Any) -> None:
    other = FakePlate(plate.metadata, "P1")
    both = ask([plate, other], **NOTHING | {"controls": "role == 'negcon'", "perturbed": "role == 'trt'"})
    assert both.plates == ("P1", "P1 (2)")
    assert len(both.wells) == 48
    assert len(np.unique(both.group)) == 48
    assert both.batch.tolist() == [p for p, _ in both.wells]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "--column NAME"),
        ({"column": "dose", "perturbed": "dose > 4"}, "--column NAME"),
        ({"perturbed": "dose > 4"}, "--controls QUERY"),
        ({"controls": "role == 'negcon'", "perturbed": "dose > 1"}, "both control and perturbed"),
        ({"controls": "A01, A02", "perturbed": "dose > 4"}, "3 wells or more"),
        ({"column": "colour"}, "no column 'colour'; it has role, dose, rare"),
        ({"column": "well"}, "3 wells or more"),
        ({"column": "role", "group": "dose"}, "A03"),
        ({"controls": "A01", "perturbed": "A02", "wells": "A03"}, "--wells"),
    ],
)
def test_what_cannot_be_asked_says_why(plate: Any, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(AnalysisError, match=said):
        ask([plate], **NOTHING | asked)


def test_wells_without_foreground_are_left_out_with_a_note(plate: Any) -> None:
    sides = ask([plate], **NOTHING | {"controls": "role == 'negcon'", "perturbed": "dose > 4"})
    rows = np.array([w != "A05" for _, w in sides.wells])
    kept = sides.keep(rows, "having no foreground")
    assert kept.counts == {"control": 8, "perturbed": 7}
    assert kept.notes == ("1 wells are left out, having no foreground: A05.",)
    two_left = np.array([w[-1] not in "56" or w in ("A05", "A06") for _, w in sides.wells])
    with pytest.raises(AnalysisError, match="perturbed: 2"):
        sides.keep(two_left, "having no foreground")


# ---------------------------------------------------------------------------------------------------------- the table


def test_the_table_finds_the_block_that_carries_it() -> None:
    label = RNG(9).permutation(np.repeat([0, 1], 18))
    seen = []
    table = block_table(
        {1: planted(label, 0.0), 2: planted(label, 0.0, seed=1), 3: planted(label, 6.0), 4: planted(label, 6.1)},
        question(label), own=4, repeats=1, permutations=49, progress=seen.append,
    )  # fmt: skip
    assert list(table.index) == [1, 2, 3, 4]
    assert table.attrs["suggested"] == 3
    assert table["suggested"].tolist() == [False, False, True, False]
    assert (table["low"] <= table["balanced_accuracy"]).all() and (table["balanced_accuracy"] <= table["high"]).all()
    assert table.attrs["held_out"] == pytest.approx(table.attrs["in_sample"], abs=0.06)
    assert table.attrs["chance"] == 0.5
    assert table["batch_r2"].isna().all() and table["robustness"].isna().all()
    assert any("one plate" in text for text in table.attrs["warnings"])
    assert table.loc[3, "perturbation_p"] == pytest.approx(1 / 50)
    assert (seen[-1].stage, seen[-1].done, seen[-1].total) == ("probe", 4, 4)


def test_what_a_reader_must_know_is_said() -> None:
    label = np.repeat([0, 1], [8, 5])
    table = block_table(
        {1: planted(label, 9.0), 2: planted(label, 9.0, seed=1)}, question(label), own=2, repeats=1, permutations=0
    )
    words = " ".join(table.attrs["warnings"])
    assert "Few wells (control 8, perturbed 5): one well told wrong is 20% of its class" in words
    assert "no well is told wrong" in words
    assert table.attrs["suggested"] == 2
    assert "does not part them" in table.attrs["reason"]
    # A01-A08 against A09-B01: most perturbed wells lie in columns without a control
    assert "different columns" in words

    label = RNG(0).permutation(np.repeat([0, 1], 12))
    nothing = block_table({1: planted(label, 0.0, seed=8)}, question(label), own=1, repeats=1, permutations=0)
    assert any("No block is above" in text for text in nothing.attrs["warnings"])


def test_the_same_numbers_again() -> None:
    label = np.repeat([0, 1], 8)
    given = {1: planted(label, 1.0), 2: planted(label, 0.5, seed=2)}
    first, second = (block_table(given, question(label), own=1, repeats=1, permutations=19, seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
