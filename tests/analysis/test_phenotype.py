from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_phenolens.analysis import AnalysisError, compare, phenotype, split_half, transfer

NEG, POS = "control_type == 'negcon'", "control_type == 'poscon'"


@pytest.fixture
def shared_out(make_run, scattered):
    """One phenotype, shared out over thirty noisy features of which some fall; a weaker second one over ten."""
    effects = {f: (4.0 if f % 3 else -4.0) for f in range(30)}
    run = make_run(scattered, m=300, effects=effects)
    rng = np.random.default_rng(5)
    moved = [w for w, s in scattered.items() if s == "poscon"]
    second = rng.choice([0.0, 12.0], size=len(moved))
    for feature in range(100, 110):
        run.values.loc[moved, feature] += second * (1 + 0.1 * rng.normal(size=len(moved)))
    return run


def test_the_score_is_0_in_controls_and_1_in_perturbed_wells(shared_out):
    found = phenotype(shared_out, NEG, POS)
    score = found.score(shared_out)
    assert score.index.equals(shared_out.profiles().index)
    assert score[shared_out.select(NEG)].mean() == pytest.approx(0, abs=1e-9)
    assert score[shared_out.select(POS)].mean() == pytest.approx(1)
    lead = int(compare(shared_out, NEG, POS, permutations=99).index[0])
    assert found.features[0] == lead
    assert set(found.features) <= set(range(30))


def test_the_score_is_steadier_than_any_of_its_features(shared_out):
    found = phenotype(shared_out, NEG, POS)
    assert len(found.features) > 10
    values = shared_out.profiles()
    score = found.score(shared_out)
    negatives, positives = shared_out.select(NEG), shared_out.select(POS)

    def ssmd(column):
        a, b = column[negatives], column[positives]
        return abs(b.mean() - a.mean()) / np.hypot(a.std(), b.std())

    assert ssmd(score) > 1.5 * max(ssmd(values[f]) for f in found.features)


def test_split_halves_and_transfer_choose_the_score_on_other_wells(shared_out):
    one = split_half(shared_out, NEG, POS, splits=40)
    score = split_half(shared_out, NEG, POS, splits=40, phenotype=True)
    assert score.ssmd.value > 1.5 * one.ssmd.value
    assert score.zprime.value > one.zprime.value
    negatives, positives = shared_out.select(NEG), shared_out.select(POS)
    halves = (negatives[:6], positives[:6]), (negatives[6:], positives[6:])
    moved = transfer(shared_out, *halves, phenotype=True, bootstrap=50)
    assert moved.ssmd.value > transfer(shared_out, *halves, bootstrap=50).ssmd.value


def test_chance_makes_no_phenotype_that_holds(make_run, scattered):
    run = make_run(scattered, m=1000)
    in_sample = phenotype(run, NEG, POS).score(run)
    assert in_sample[run.select(POS)].min() > in_sample[run.select(NEG)].max() - 1  # it always looks like one
    got = split_half(run, NEG, POS, splits=60, phenotype=True)
    assert abs(got.ssmd.value) < 0.6
    assert np.isneginf(got.table["zprime"]).mean() > 0.2


def test_another_feature_s_phenotype_can_be_asked_for(shared_out):
    found = phenotype(shared_out, NEG, POS, feature=104)
    assert 104 in found.features
    assert set(found.features) <= set(range(100, 110))
    assert len(phenotype(shared_out, NEG, POS, feature=104, most=3).features) == 3
    assert 104 in phenotype(shared_out, NEG, POS, feature=104, most=3).features
    weak = phenotype(shared_out, NEG, POS, feature=299)
    assert 299 in weak.features


def test_the_map_averages_to_the_score_of_the_well(shared_out):
    found = phenotype(shared_out, NEG, POS)
    well = shared_out.wells[3]
    made = found.heatmap(shared_out, well)
    foreground = shared_out.foreground(well)
    activations = np.array([shared_out.activation(well, None, f)[foreground].mean() for f in found.features])
    want = (activations - found.origin) @ found.weights
    assert made.values[foreground].mean() == pytest.approx(want, rel=1e-5)
    assert not foreground.all() and not made.values[~foreground].any()
    assert made.kind == "phenotype" and made.well == well
    with pytest.raises(AnalysisError, match="no map"):
        replace(found, kind="alignment").heatmap(shared_out, well)


def test_clear_words_where_there_is_nothing_to_score(make_run, scattered, shared_out):
    with pytest.raises(AnalysisError, match="needs the perturbed wells"):
        phenotype(shared_out, NEG)
    with pytest.raises(AnalysisError, match="no feature 300"):
        phenotype(shared_out, NEG, POS, feature=300)
    flat = make_run(scattered, m=4)
    flat.values.loc[:, :] = 1.0
    with pytest.raises(AnalysisError, match="no feature differs"):
        phenotype(flat, NEG, POS)
