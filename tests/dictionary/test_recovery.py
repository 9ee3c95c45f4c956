"""The short version of tests/benchmarks/bench_recovery.py: planted atoms under a nuisance that controls share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import planted_tokens as planted
import pytest

STEPS = 1500  # at three times the default learning rate, which suits so few dimensions and steps


@pytest.fixture(scope="module")
def world() -> planted.World:
    return planted.World.draw(0, 3.0)


def fitted(arm: planted.Arm, world: planted.World) -> tuple[dict[str, float], planted.Whitening, planted.Dictionary]:
    control, _ = world.tokens(planted.N_CONTROL, 0, perturbed=False)
    tokens, _ = world.tokens(planted.N_TOKENS, 0, perturbed=True)
    whitening, dictionary = planted.fit(arm, control, tokens, 0, steps=STEPS)
    return planted.recovery(world.atoms, planted.directions(whitening, dictionary)), whitening, dictionary


def test_whitened_icfl_finds_what_only_a_perturbation_brings(world: planted.World) -> None:
    _, icfl_raw, topk, icfl = (replace(arm, lr=3e-3) for arm in planted.ARMS)
    found, whitening, dictionary = fitted(icfl, world)
    assert found["mmcs_perturbed"] > 0.96 and found["recovered_perturbed"] > 0.9
    raw, _, _ = fitted(icfl_raw, world)
    assert raw["mmcs_perturbed"] < 0.6 and raw["recovered_perturbed"] < 0.1, "the nuisance is what it learns unwhitened"
    other, _, _ = fitted(topk, world)
    assert raw["mmcs_perturbed"] < other["mmcs_perturbed"] < found["mmcs_perturbed"]
    # a feature tells its atom on rows of which it was not chosen; a shuffled truth tells nothing
    fresh, active = world.tokens(4000, 7, perturbed=True)
    assert planted.detection(dictionary, whitening(fresh), active) > 0.9
    assert abs(planted.detection(dictionary, whitening(fresh), active, permute=1) - 0.5) < 0.02


def test_without_a_nuisance_no_method_wins() -> None:
    world = planted.World.draw(0, 0.0)
    scores = [fitted(arm, world)[0]["mmcs"] for arm in (replace(a, lr=3e-3) for a in planted.ARMS[2:])]
    assert min(scores) > 0.97 and abs(scores[0] - scores[1]) < 0.02


def test_auroc_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    score, positive = np.round(rng.normal(size=(300, 3)), 1), rng.random(300) < 0.3
    want = [roc_auc_score(positive, column) for column in score.T]
    np.testing.assert_allclose(planted.auroc(score, positive), want)
