from __future__ import annotations

import numpy as np
import pytest

from napari_phenolens.analysis.technical import confounded, places, strongest_link, technical_flags


def one_plate(n):
    return np.zeros(n, dtype=np.intp)


def plate_of(rows, columns):
    return [f"{'ABCDEFGH'[r]}{c + 1:02d}" for r in range(rows) for c in range(columns)]


def test_places():
    got = places(["A01", "B02", "H12"], (8, 12))
    np.testing.assert_array_equal(got["row"], [0, 1, 7])
    np.testing.assert_array_equal(got["column"], [0, 1, 11])
    np.testing.assert_array_equal(got["edge"], [1, 0, 1])


def test_r2_by_hand():
    x = np.array([0.0, 1, 2, 3, 4])
    y = np.array([0.0, 1, 2, 3, 10])[:, None]
    r = np.corrcoef(x, y[:, 0])[0, 1]
    got = strongest_link(y, one_plate(5), [x], permutations=50)
    assert got.r2[0] == pytest.approx(1 - (1 - r**2) * 4 / 3, abs=1e-5)
    assert got.which[0] == 0


@pytest.mark.parametrize("n", [8, 16, 40])
def test_flags_at_the_nominal_rate_where_nothing_is_technical(n):
    rng = np.random.default_rng(n)
    wells = rng.choice(plate_of(8, 12), n, replace=False)
    where = places(wells, (8, 12))
    values = rng.gamma(2.0, size=(n, 3000))
    flags, about = technical_flags(values, one_plate(n), where, where, permutations=499)
    assert about["tested"] == ["row", "column", "edge"]
    assert np.mean(flags["technical"] == "yes") == pytest.approx(0.05, abs=0.015)
    assert set(flags["technical"]) == {"yes", "no"}


def test_flags_at_the_nominal_rate_over_plates():
    rng = np.random.default_rng(11)
    wells = plate_of(4, 6)
    where = {k: np.tile(v, 2) for k, v in places(wells, (4, 6)).items()}
    values = rng.normal(size=(48, 3000))
    plate = np.repeat([0, 1], 24)
    flags, about = technical_flags(values, plate, where, where, permutations=499)
    assert about["tested"][-1] == "plate"
    assert np.mean(flags["technical"] == "yes") == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("nuisance", ["row", "column", "edge"])
def test_planted_nuisances_are_found_by_name(nuisance):
    rng = np.random.default_rng(0)
    wells = plate_of(4, 6)
    where = places(wells, (4, 6))
    values = rng.normal(size=(24, 5))
    values[:, 2] += 4 * where[nuisance] / np.ptp(where[nuisance])
    flags, _ = technical_flags(values, one_plate(24), where, where)
    assert flags.loc[2, "technical"] == "yes"
    assert flags.loc[2, "nuisance"] == nuisance
    assert flags.loc[2, "nuisance_r2"] > 0.4


def test_a_plate_effect_is_found():
    rng = np.random.default_rng(0)
    where = {k: np.tile(v, 2) for k, v in places(plate_of(3, 4), (3, 4)).items()}
    plate = np.repeat([0, 1], 12)
    values = rng.normal(size=(24, 3))
    values[:, 1] += 3 * plate
    flags, _ = technical_flags(values, plate, where, where)
    assert flags.loc[1, ["technical", "nuisance"]].tolist() == ["yes", "plate"]
    assert flags.loc[0, "technical"] == "no"


def test_a_confounded_layout_is_never_no():
    controls = places(["B02", "C03", "D02", "E03", "F02", "G03", "B03", "C02"], (8, 12))
    column = places(["B11", "C11", "D11", "E11"], (8, 12))
    values = np.random.default_rng(1).normal(size=(8, 400))
    flags, about = technical_flags(values, one_plate(8), controls, column)
    assert about["confounded"] == ["column"]
    assert "no" not in set(flags["technical"])
    assert (flags["technical"] == "not estimable").mean() > 0.9
    assert set(flags.loc[flags["technical"] == "not estimable", "nuisance"]) == {"column"}


@pytest.mark.parametrize(
    ("name", "untreated", "perturbed", "expected"),
    [
        ("column", [1, 2], [5, 5, 5], True),  # one column without controls
        ("column", [1, 9], [5, 5, 5], True),  # between controls, yet one column of its own
        ("column", [1, 9], [4, 5, 6], False),  # between controls
        ("column", [1, 2], [3, 4, 5], True),  # beyond controls
        ("column", [1, 5], [5, 5], False),  # one column, with controls
        ("column", [1, 9], [5], False),  # one well between controls
        ("edge", [0, 0], [1, 1], True),
        ("edge", [0, 1], [1, 1], False),
        ("row", [3, 3], [3, 3], False),  # nothing differs
    ],
)
def test_what_coincides(name, untreated, perturbed, expected):
    assert confounded(name, np.array(untreated, float), np.array(perturbed, float)) is expected


def test_too_few_wells_or_no_layout_is_not_estimable():
    where = places(["A01", "B02", "C03"], (8, 12))
    flags, about = technical_flags(np.random.default_rng(0).normal(size=(3, 4)), one_plate(3), where, where)
    assert set(flags["technical"]) == {"not estimable"} and about["tested"] == []


def test_a_feature_that_does_not_vary_is_not_flagged():
    where = places(plate_of(3, 4), (4, 6))
    values = np.column_stack([np.zeros(12), np.random.default_rng(0).normal(size=12)])
    flags, _ = technical_flags(values, one_plate(12), where, where)
    assert flags.loc[0, "technical"] == "no" and np.isnan(flags.loc[0, "nuisance_r2"])
