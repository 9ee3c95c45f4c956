"""Whether cells look perturbed: on codes drawn from known laws, so that the right probability is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from napari_phenolens.analysis import AnalysisError, looks, subpopulations
from napari_phenolens.analysis.calibration import calibration
from napari_phenolens.analysis.cell_figures import accuracy_over_wells, auroc_over_wells
from napari_phenolens.analysis.platt import fit_sigmoid
from napari_phenolens.errors import Cancelled
from napari_phenolens.plate import select_wells

WELLS = [f"{row}{column:02d}" for row in "ABCDEF" for column in range(1, 7)]


def plate(
    perturbed=12, *, shift=1.0, cells=40, spread=0.15, responding=1.0, seed=0, features=12, kinds=("control", "drug")
):
    """A run whose cells' codes are normal: perturbed cells lie `shift` away along three features; wells scatter."""
    rng = np.random.default_rng(seed)
    wells = WELLS[: 12 + perturbed + 4]
    compound = [kinds[0]] * 12 + [kinds[1]] * perturbed + ["other"] * 4
    share = {kinds[0]: 0.0, kinds[1]: responding, "other": 0.5}
    codes, rows, state = [], [], []
    for well, kind in zip(wells, compound, strict=True):
        acts = rng.random(cells) < share[kind]
        x = rng.normal(1.0, 0.5, (cells, features)) + rng.normal(0, spread, features)
        x[:, :3] += shift * acts[:, None]
        x[:, -1] = 0.0
        codes.append(x)
        state.append(acts)
        rows += [(well, "1", label) for label in range(1, cells + 1)]
    values = csr_matrix(np.concatenate(codes).astype(np.float32))
    table = pd.DataFrame(rows, columns=["well", "field", "label"]).rename_axis("cell")
    metadata = pd.DataFrame({"compound": compound}, index=wells)
    run = SimpleNamespace(
        plate_name="P", wells=wells, metadata=metadata, controls=wells[:12], n_features=features,
        select=lambda query: select_wells(metadata, query, wells),
        cells=lambda: table, cell_codes=lambda: values,
    )  # fmt: skip
    return run, np.concatenate(state)


def test_cells_are_told_by_models_that_never_saw_their_well():
    run, state = plate()
    found = looks(run, "compound == 'control'", "compound == 'drug'")
    cells = found.cells
    assert found.calibrated and found.notes == ()
    assert cells.loc[cells["side"] != ""].groupby("well")["fold"].nunique().eq(1).all()
    assert set(cells[cells["side"] == ""]["fold"]) == {-1}
    for fold in range(5):
        sides = cells[cells["fold"] == fold].groupby("side")["well"].nunique()
        assert set(sides.index) == {"control", "perturbed"}
    # three features 2 SDs apart: 2 sqrt(3) / 2 = 1.7 SDs from the middle, 96 % right; wells' scatter takes a little
    assert 0.90 < found.accuracy.value < 0.97
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high
    assert found.auroc.value > 0.97
    others = (cells["side"] == "").to_numpy()
    right = (cells["probability"].to_numpy() > 0.5) == state
    assert right[others].mean() > 0.9
    assert found.calibration.error.value < 0.04
    assert cells["rank"].between(0, 1).all()
    # ranks of control cells are even, by their meaning
    assert cells[cells["side"] == "control"]["rank"].mean() == pytest.approx(0.5, abs=0.01)


def test_probabilities_are_at_even_priors_whatever_the_numbers():
    run, _ = plate(perturbed=4, shift=0.5, cells=60, spread=0.0)
    found = looks(run, None, "compound == 'drug'")
    cells = found.cells
    assert len(found.perturbed) == 4 and len(found.controls) == 12
    told = cells[cells["side"] != ""]
    means = told.groupby("side")["probability"].mean()
    assert means.mean() == pytest.approx(0.5, abs=0.03)
    # the right log odds are known: linear in the three features
    x = run.cell_codes().toarray()[:, :3]
    odds = ((x - 1.0 - 0.25) * 0.5 / 0.25).sum(axis=1)
    right = 1 / (1 + np.exp(-odds))
    assert np.abs(cells["probability"] - right).mean() < 0.08
    assert found.calibration.error.value < 0.06


def test_contributions_add_up_to_the_score():
    run, _ = plate()
    found = looks(run, None, "compound == 'drug'")
    for cell in (0, len(found.cells) - 1):
        parts = found.contributions(run, cell)
        fold = found.cells["fold"][cell]
        same = found.cells[found.cells["fold"] == fold].index[:2]
        if fold >= 0:  # the intercept is what is left, the same for all cells of a model
            rest = [found.cells["score"][c] - found.contributions(run, c).sum() for c in same]
            assert rest[0] == pytest.approx(rest[1])
        assert parts.abs().is_monotonic_decreasing and 11 not in parts.index
        assert set(parts.index[:3]) & {0, 1, 2}


def test_few_wells_give_ranks_alone():
    run, _ = plate(perturbed=3)
    found = looks(run, None, "compound == 'drug'")
    assert not found.calibrated and found.calibration is None
    assert found.cells["probability"].isna().all()
    assert "3 perturbed wells" in found.notes[0] and "rank" in found.notes[0]
    ranks = found.cells.groupby("side")["rank"].mean()
    assert ranks["perturbed"] > 0.9 and ranks["control"] == pytest.approx(0.5, abs=0.02)
    assert found.summary()["calibration_error"] is None
    counted = subpopulations(run, None, "compound == 'drug'", found=found)
    assert "95%" in counted.rule and counted.false_positives.value == pytest.approx(0.05, abs=0.02)


def test_wells_that_are_permuted_whole_tell_nothing():
    accuracy, scores, off, warned = [], [], [], 0
    for seed in range(8):
        run, _ = plate(shift=0.0, responding=0.0, spread=0.4, cells=25, seed=seed)
        found = looks(run, None, "compound == 'drug'", draws=200)
        accuracy.append(found.accuracy.value)
        scores.append(found.auroc.value)
        # wells scatter, and a model makes something of it: the reader is told what held-out wells say
        assert any("not told apart" in note for note in found.notes) == (found.auroc.low <= 0.5)
        assert any("off by" in note for note in found.notes) == (found.calibration.debiased.value > 0.05)
        off.append(found.calibration.debiased.value**2)
        warned += bool(found.notes)
    assert warned >= 6
    # before slopes were shrunk by wells: 0.1 and more
    assert np.sqrt(np.mean(off)) < 0.05
    assert np.mean(accuracy) == pytest.approx(0.5, abs=0.05)
    assert np.mean(scores) == pytest.approx(0.5, abs=0.06)


def test_what_cannot_be_told_is_said():
    run, _ = plate()
    with pytest.raises(AnalysisError, match="pass perturbed"):
        looks(run)
    with pytest.raises(AnalysisError, match="one perturbed well with cells"):
        looks(run, None, [WELLS[12]])
    with pytest.raises(AnalysisError, match="both control and perturbed"):
        looks(run, None, WELLS[10:14])
    with pytest.raises(Cancelled):
        looks(run, None, "compound == 'drug'", cancel=lambda: True)
    whole = run.cells()
    run.cells = lambda: whole[~whole["well"].isin(WELLS[12:15])]
    codes = run.cell_codes()
    run.cell_codes = lambda: codes[run.cells().index]
    found = looks(run, None, "compound == 'drug'")
    assert "without cells are left out: C01, C02, C03" in found.notes[0]


def test_escapers_are_counted_less_false_positives():
    run, state = plate(perturbed=10, shift=2.0, responding=0.6, cells=80)
    found = subpopulations(run, None, "compound == 'drug'")
    wells = found.wells
    assert (wells["side"] == "control").sum() == 12 and wells[wells["side"] == "control"]["responders"].isna().all()
    counted = wells[wells["side"] == "counted"]
    well = run.cells()["well"].to_numpy()
    true = np.array([1 - state[well == w].mean() for w in counted.index])
    assert np.abs(counted["escapers"] - true).max() < 0.06
    inside = (counted["escapers_low"] <= true) & (true <= counted["escapers_high"])
    assert inside.mean() >= 0.8
    assert found.escapers.low < 0.4 < found.escapers.high
    f = found.false_positives.value
    np.testing.assert_allclose(counted["responders"], np.maximum((counted["called"] - f) / (1 - f), 0))
    np.testing.assert_allclose(counted["escapers"], 1 - counted["responders"])
    states = found.cells.groupby("well")["state"].value_counts(normalize=True)
    assert states[counted.index[0], "responder"] == pytest.approx(counted["called"].iloc[0])
    elsewhere = subpopulations(run, None, "compound == 'drug'", wells="compound == 'other'", found=found.looks)
    assert elsewhere.wells[elsewhere.wells["side"] == "counted"].index.tolist() == run.wells[-4:]
    with pytest.raises(AnalysisError, match="control wells cannot be counted"):
        subpopulations(run, None, "compound == 'drug'", wells=WELLS[:3], found=found.looks)


def test_figures_of_cells_are_those_of_their_definitions():
    rng = np.random.default_rng(3)
    side_of = np.array([False, False, False, True, True])
    well = rng.integers(0, 5, 300)
    score = np.round(rng.normal(side_of[well] * 0.7, 1.0), 1)  # with ties
    from sklearn.metrics import roc_auc_score

    assert auroc_over_wells(score, well, side_of, draws=20, seed=0).value == pytest.approx(
        roc_auc_score(side_of[well], score)
    )
    right = (score > 0.3) == side_of[well]
    by_hand = (right[side_of[well]].mean() + right[~side_of[well]].mean()) / 2
    assert accuracy_over_wells(right, well, side_of, draws=20, seed=0).value == pytest.approx(by_hand)


def test_calibration_of_what_is_calibrated_and_what_is_not():
    rng = np.random.default_rng(5)
    p = rng.random(20_000)
    so = rng.random(20_000) < p
    well = rng.integers(0, 40, 20_000)
    good = calibration(p, so, well)
    assert good.error.value < 0.015 and good.error.low <= good.error.value
    np.testing.assert_allclose(good.bins["predicted"], good.bins["observed"], atol=0.04)
    sure = calibration(np.where(p > 0.5, 0.99, 0.01), so, well)
    assert sure.error.value == pytest.approx(0.24, abs=0.02)
    # one outcome nine times as frequent: both weigh the same, so that 0.5 stays right for what tells nothing
    rare = rng.random(20_000) < 0.1
    assert calibration(np.full(20_000, 0.5), rare, well).error.value < 1e-9
    np.testing.assert_allclose(
        [good.debiased.value, sure.debiased.value, good.chance], [0.0, 0.24, good.error.value], atol=0.012
    )
    assert sure.debiased.low < sure.debiased.value < sure.debiased.high


def test_the_debiased_error_is_right_on_average_however_few_the_wells():
    # of scores by a law for cells, said of cells whose wells scatter too: a little too sure
    rng = np.random.default_rng(11)

    def drawn(wells, draws):
        side = np.arange(wells) % 2 == 1
        well = np.repeat(np.arange(wells), 20)
        score = np.where(side[well], 0.7, -0.7) + rng.normal(size=len(well)) + 0.5 * rng.normal(size=wells)[well]
        p = 1 / (1 + np.exp(-1.4 * score))
        return calibration(p, side[well], well, stratum=side[well], draws=draws)

    truth = drawn(1000, 50)
    few = [drawn(8, 2) for _ in range(80)]
    assert 0.02 < truth.error.value < truth.debiased.value < 0.08
    assert truth.debiased.low < truth.debiased.value < truth.debiased.high
    assert np.sqrt(np.mean([f.debiased.value**2 for f in few])) == pytest.approx(truth.debiased.value, abs=0.03)
    # the plain figure of few wells is far off, by about what is said to be chance
    assert np.mean([f.error.value for f in few]) > truth.error.value + 0.04
    assert np.mean([f.error.value for f in few]) == pytest.approx(np.mean([f.chance for f in few]), rel=0.35)


def test_a_sigmoid_is_no_steeper_than_the_wells_bear_out():
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(12)
    well = np.repeat(np.arange(12), 30)
    side = well >= 6
    weight = np.ones(len(well))
    score = rng.normal(size=len(well)) + 1.5 * side
    alone = fit_sigmoid(score, side, weight, np.arange(len(well)))
    assert 0.95 < alone.kept <= 1
    # but for what is kept it is Platt's
    base = LogisticRegression(C=1e9).fit(score[:, None], side)
    base.coef_, base.intercept_ = np.ones((1, 1)), np.zeros(1)
    platt = CalibratedClassifierCV(FrozenEstimator(base), method="sigmoid").fit(score[:, None], side)
    given = platt.calibrated_classifiers_[0].calibrators[0]
    assert alone.slope / alone.kept == pytest.approx(-given.a_, rel=1e-3)
    assert alone(score).mean() == pytest.approx(0.5, abs=1e-6)
    # the same, where wells and not cells lie apart
    kept = [fit_sigmoid(rng.normal(size=12)[well] + 0.3 * rng.normal(size=len(well)), side, weight, well).kept
            for _ in range(60)]  # fmt: skip
    assert np.mean(np.array(kept) == 0) > 0.6
    assert fit_sigmoid(score, ~side, weight, well).slope == 0
    assert fit_sigmoid(np.ones(len(well)), side, weight, well)(score)[0] == 0.5
    sure = fit_sigmoid(np.where(side, 5.0, -5.0) + 0.1 * rng.normal(size=len(well)), side, weight, well)
    assert sure.kept > 0.99 and sure(np.array([-5.0, 5.0])) == pytest.approx([0, 1], abs=0.01)
