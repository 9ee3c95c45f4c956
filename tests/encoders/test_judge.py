"""The statistics behind the judgement of the default encoder, and the drawing of its loss curve."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(autouse=True)
def _tools(monkeypatch):
    if not TOOLS.is_dir():
        pytest.skip("the tools are not part of this copy")
    monkeypatch.syspath_prepend(str(TOOLS))
    yield
    for name in ("judge_statistics", "draw_loss"):
        sys.modules.pop(name, None)


def test_spearman_agrees_with_scipy_also_with_ties():
    from judge_statistics import spearman_rows
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (3, 20)), rng.normal(size=(3, 20))
    expected = [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(spearman_rows(a, b), expected)
    assert np.isnan(spearman_rows(np.zeros(4), np.arange(4)))[0]


def test_axis_runs_from_negative_to_positive_control():
    from judge_statistics import axis_positions

    negative, positive = np.array([[0.0, 1.0], [0.0, -1.0]]), np.array([[4.0, 0.0]])
    wells = np.array([[0.0, 9.0], [2.0, -3.0], [4.0, 5.0]])
    np.testing.assert_allclose(axis_positions(wells, negative, positive), [0.0, 0.5, 1.0])


def test_dose_spearman_follows_the_dose_and_its_interval_is_wide_for_noise():
    from judge_statistics import dose_spearman

    rng = np.random.default_rng(1)
    doses = np.repeat(np.arange(9.0), 4)
    negative, positive = rng.normal(0, 0.1, (8, 5)), rng.normal(0, 0.1, (4, 5)) + 8.0
    following = doses[:, None] + rng.normal(0, 0.1, (36, 5))
    good = dose_spearman(following, doses, negative, positive)
    assert good.value > 0.95
    assert good.low <= good.value <= good.high
    noise = dose_spearman(rng.normal(size=(36, 5)), doses, negative, positive)
    assert noise.high - noise.low > 0.4


def test_resampled_spearman_draws_the_axis_as_a_loop_does():
    from judge_statistics import axis_positions, resampled_spearman, spearman_rows

    rng = np.random.default_rng(2)
    doses = np.arange(10.0)
    dosed, negative, positive = (
        rng.normal(size=(10, 3)) + 50,
        rng.normal(size=(4, 3)) + 50,
        rng.normal(size=(3, 3)) + 52,
    )
    draws = resampled_spearman(dosed, doses, negative, positive, resamples=20, seed=3)
    again = np.random.default_rng(3)
    picked = again.integers(0, 10, (20, 10))
    counts = [again.multinomial(len(c), np.full(len(c), 1 / len(c)), 20) for c in (positive, negative)]
    for i in range(20):
        controls = [np.repeat(c, n[i], axis=0) for c, n in zip((positive, negative), counts, strict=True)]
        position = axis_positions(dosed[picked[i]], controls[1], controls[0])
        np.testing.assert_allclose(draws[i], spearman_rows(position, doses[picked[i]])[0], atol=1e-9)


def test_nearest_neighbours_on_parted_and_mixed_wells():
    from judge_statistics import nearest_neighbour_hits

    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1], 6)
    apart = rng.normal(0, 0.1, (12, 4)) + labels[:, None] * 5
    assert nearest_neighbour_hits(apart, labels, "standardised") == 12
    assert nearest_neighbour_hits(apart, labels, "cosine") == 12
    swapped = labels.copy()
    swapped[0] = 1
    assert nearest_neighbour_hits(apart, swapped, "standardised") == 11
    with pytest.raises(ValueError, match="choose one of"):
        nearest_neighbour_hits(apart, labels, "city-block")


def test_wilson_interval_of_eighteen_in_twenty():
    from judge_statistics import wilson

    share = wilson(18, 20)
    assert share.value == 0.9
    assert (round(share.low, 3), round(share.high, 3)) == (0.699, 0.972)
    assert wilson(20, 20).high == pytest.approx(1.0)


def test_loss_curve_is_drawn_and_a_repeated_step_counts_once(tmp_path):
    from xml.etree import ElementTree

    from draw_loss import draw, read_log

    log = tmp_path / "log.csv"
    log.write_text("20,0.9,5,1e-4\n40,0.7,10,2e-4\n40,0.6,3,2e-4\n60,0.5,9,2e-4\n")
    steps, error = read_log(log)
    assert steps.tolist() == [20, 40, 60]
    assert error.tolist() == [0.9, 0.6, 0.5]
    root = ElementTree.fromstring(draw(steps, error))
    assert root.tag.endswith("svg")
    assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == 2
