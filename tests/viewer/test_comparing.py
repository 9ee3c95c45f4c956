"""Comparisons in the dock are those of the public function, and say what they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.analysis.tested import PICKED_AFTER
from napari_phenolens.analysis.well_values import robust_z
from napari_phenolens.errors import PhenoLensError


def test_the_table_is_the_public_one(opened: Any, fakes: Any) -> None:
    from napari_phenolens import compare

    s = opened.session
    comparison = s.comparison
    assert set(comparison.controls) == set(s.run.controls)
    table = compare(s.run, controls=list(comparison.controls), perturbed=list(comparison.perturbed))
    expected = table[table["type"] == "feature"]
    assert comparison.features["feature"].tolist() == [int(i) for i in expected.index]
    for column in ("effect", "effect_low", "effect_high", "q", "auroc", "density"):
        np.testing.assert_array_equal(comparison.features[column].to_numpy(), expected[column].to_numpy())
    assert comparison.covariates["covariate"].tolist() == [str(i) for i in table.index[table["type"] == "covariate"]]
    assert comparison.features["feature"].iloc[0] == fakes.PLANTED
    assert s.feature == fakes.PLANTED
    assert comparison.warnings == tuple(table.attrs["warnings"])


def test_positive_controls_stand_in_only_where_nothing_else_is_perturbed(opened: Any, settle: Any) -> None:
    roles = opened.session.roles
    assert {roles[well] for well in opened.session.comparison.perturbed} == {"perturbed"}
    opened.set_queries(perturbed="control_type == 'poscon'")
    opened.comparing.start()
    settle(opened)
    assert opened.session.comparison.perturbed == ("B06", "C06", "D06")


def test_wells_picked_after_looking_carry_no_p(opened: Any, settle: Any) -> None:
    assert opened.session.comparison.features["q"].notna().any()
    opened.mark(("A03",), "excluded")
    opened.comparing.start()
    settle(opened)
    comparison = opened.session.comparison
    assert "A03" not in comparison.perturbed
    assert comparison.features[["p", "q"]].isna().all().all()
    assert comparison.warnings[0] == PICKED_AFTER
    opened.mark(("A03",), None)
    opened.comparing.start()
    settle(opened)
    assert opened.session.comparison.features["q"].notna().any()


def test_wells_marked_before_looking_keep_their_p(bench: Any, run_folder: Path, settle: Any) -> None:
    bench.opening.plate(bench_plate(run_folder))
    settle(bench)
    bench.mark(("A03",), "excluded")
    bench.opening.run(run_folder, bench.session.plate)
    settle(bench)
    assert bench.session.comparison.features["q"].notna().any()


def bench_plate(run_folder: Path) -> str:
    from napari_phenolens.run import open_run

    return str(open_run(run_folder).plate_path)


def test_what_is_missing_is_said(bench: Any, plate_folder: Path, run_folder: Path, settle: Any) -> None:
    assert "step 4" in bench.comparing.ready()
    bench.opening.run(run_folder)
    settle(bench)
    assert bench.comparing.ready() == ""
    bench.set_queries(control="", positive="", perturbed="")
    assert "controls (step 3)" in bench.comparing.ready()
    with pytest.raises(PhenoLensError, match="step 3"):
        bench.comparing.start()
    bench.set_queries(control="control_type == 'negcon'", perturbed="control_type == 'no such'")
    assert "perturbed (step 3)" in bench.comparing.ready()


def test_robust_z() -> None:
    values = pd.Series({"A01": 1.0, "A02": 2.0, "A03": 3.0, "B01": 2.0 + 1.4826})
    assert robust_z(values, ["A01", "A02", "A03"])["B01"] == pytest.approx(1.0)
    assert robust_z(values, ["A01"]).isna().all()
    flat = pd.Series({"A01": 1.0, "A02": 1.0, "B01": 3.0})
    assert robust_z(flat, ["A01", "A02"]).isna().all()


def test_what_colours_the_wells(opened: Any, fakes: Any) -> None:
    s = opened.session
    keys = [key for key, _ in opened.comparing.choices()]
    assert keys[:3] == ["role", "fields", "feature"]
    assert opened.comparing.z_of("feature") == "feature z"
    assert opened.comparing.z_of("map:compound") == ""  # words have none
    assert opened.comparing.z_of("map:dose") == "map:dose z"
    assert "covariate:cell_count" in keys
    assert "map:compound" in keys
    s.colour_by = "feature"
    shown = opened.comparing.shown()
    pd.testing.assert_series_equal(shown.values, s.run.profiles()[fakes.PLANTED])
    assert shown.limits == (shown.values.min(), shown.values.max())
    s.colour_by = "feature z"
    shown = opened.comparing.shown()
    assert shown.limits[0] == -shown.limits[1]
    s.colour_by = "map:compound"
    assert opened.comparing.shown().categories is not None
    s.colour_by = "covariate:cell_count"
    assert opened.comparing.shown().values is not None


def test_saving_the_table(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    opened.comparing.save(opened.session.comparison.features, str(path))
    assert path.read_text(encoding="utf-8").startswith("# controls A01 A02")
    again = pd.read_csv(path, comment="#")
    np.testing.assert_allclose(again["effect"], opened.session.comparison.features["effect"])
    with pytest.raises(PhenoLensError, match="cannot be written"):
        opened.comparing.save(opened.session.comparison.features, str(tmp_path / "no" / "table.csv"))
