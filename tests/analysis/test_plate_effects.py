"""Position effects, distributions and the words on how a comparison was tested."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.analysis import AnalysisError, compare, distribution, how_tested, position_effects
from napari_phenolens.analysis.technical import NUISANCES, places
from napari_phenolens.plate import well_name_of


def edge_run(make_run: Any) -> Any:
    wells = {well_name_of(i, j): "negcon" if j % 2 else "poscon" for i in range(6) for j in range(8)}
    run = make_run(wells, m=6)
    where = places(list(run.values.index), (6, 8))
    run.values[2] += 3.0 * where["row"]
    run.values[3] = 1.0
    return run


def test_a_gradient_over_rows_is_found(make_run: Any) -> None:
    table = position_effects(edge_run(make_run), 2)
    assert list(table.index) == list(NUISANCES)
    assert table.loc["row", "size"] == pytest.approx(15, abs=3)  # five steps of three
    assert table.loc["row", "r2"] > 0.8
    assert table.loc["row", "p"] == pytest.approx(0.001)
    assert abs(table.loc["column", "sd"]) < 1.5
    assert table.attrs["format"] == [6, 8]
    assert len(table.attrs["points"]["well"]) == 24


def test_what_does_not_vary_has_no_effect(make_run: Any) -> None:
    table = position_effects(edge_run(make_run), 3)
    assert table[["sd", "r2", "p"]].isna().all().all()


def test_one_level_cannot_be_seen(make_run: Any) -> None:
    run = make_run({f"A{j:02d}": "negcon" for j in range(1, 9)} | {"B01": "poscon"})
    table = position_effects(run, 0)
    assert np.isnan(table.loc["row", "r2"]) and table.loc["row", "levels"] == 1
    assert "one level of row" in table.attrs["warnings"][0]
    with pytest.raises(AnalysisError, match="at least 4"):
        position_effects(run, 0, ["A01", "A02", "A03"])


def test_well_means_are_those_compared(make_run: Any, scattered: dict[str, str]) -> None:
    run = make_run(scattered)
    table = distribution(run, 5, "control_type == 'negcon'", "control_type == 'poscon'")
    means = table.groupby("side")["value"].mean()
    compared = compare(run, "control_type == 'negcon'", "control_type == 'poscon'").loc[5]
    assert means["control"] == pytest.approx(compared["mean_control"])
    assert means["perturbed"] == pytest.approx(compared["mean_perturbed"])
    assert "p" not in table and table.attrs["warnings"] == []


def test_fields_and_cells_are_never_tested(make_run: Any, scattered: dict[str, str]) -> None:
    run = make_run(scattered)
    sides = ("control_type == 'negcon'", "control_type == 'poscon'")
    index = pd.MultiIndex.from_product([run.wells, ["1", "2"]], names=["well", "field"])
    fields = pd.DataFrame(np.random.default_rng(0).normal(size=(len(index), run.n_features)), index=index)
    run.field_profiles = lambda: fields
    table = distribution(run, 5, *sides, of="field")
    assert len(table) == 48 and "never tested" in table.attrs["warnings"][-1]
    assert table.set_index(["well", "field"])["value"].to_dict() == fields[5].to_dict()
    with pytest.raises(AnalysisError, match="phenolens cells"):
        distribution(run, 5, *sides, of="cell")
    from scipy.sparse import csr_matrix

    codes = np.random.default_rng(1).gamma(1, size=(96, run.n_features))
    run.has_cells = True
    run.cells = lambda: pd.DataFrame({"well": np.repeat(run.wells, 4), "field": "1"})
    run.cell_codes = lambda: csr_matrix(codes)
    cells = distribution(run, 5, *sides, of="cell")
    assert len(cells) == 96
    assert sorted(cells["value"]) == pytest.approx(sorted(codes[:, 5]))
    assert set(cells.loc[cells["side"] == "control", "well"]) == set(run.controls)
    with pytest.raises(AnalysisError, match="give one of well, field, cell"):
        distribution(run, 5, *sides, of="patch")


def test_wells_picked_after_looking_carry_no_p(make_run: Any, scattered: dict[str, str]) -> None:
    run = make_run(scattered, effects={3: 6.0})
    sides = ("control_type == 'negcon'", "control_type == 'poscon'")
    before, after = compare(run, *sides), compare(run, *sides, picked_after=True)
    assert before["q"].notna().any()
    assert after[["p", "p_parametric", "q"]].isna().all().all()
    assert after["effect"].equals(before["effect"])
    assert "picked after" in after.attrs["warnings"][0]
    heads = [head for head, _ in how_tested(after.attrs)]
    assert "No p and no q" in heads and "p" not in heads


def test_how_it_was_tested_is_said(make_run: Any, scattered: dict[str, str]) -> None:
    table = compare(make_run(scattered), "control_type == 'negcon'", "control_type == 'poscon'")
    said = dict(how_tested({**table.attrs, "contrasts_tried": 4}))
    assert "12 perturbed wells with 12 control wells" in said["What is compared"]
    assert f"{table.attrs['p_floor']:.2g}" in said["p"] and "sampled relabellings" in said["p"]
    assert said["Contrasts tried"].startswith("4 on this run")
    few = compare(make_run({"A01": "negcon", "A02": "negcon", "B01": "poscon", "B02": "poscon"}), None, ["B01", "B02"])
    assert "fewer than three" in dict(how_tested(few.attrs))["No p and no q"]
