from __future__ import annotations

import copy
import json
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from napari_phenolens.analysis import AnalysisError, compare

NEG, POS = "control_type == 'negcon'", "control_type == 'poscon'"
COLUMNS = [
    "type",
    "effect",
    "effect_low",
    "effect_high",
    "hedges_g",
    "ssmd",
    "robust_z",
    "zprime",
    "zprime_low",
    "zprime_high",
    "auroc",
    "p",
    "p_parametric",
    "q",
    "p_floor",
    "active_difference",
    "n_controls",
    "n_perturbed",
    "density",
    "group",
    "representative",
    "sign_stable",
    "technical",
    "nuisance",
    "nuisance_r2",
    "count_linked",
]


def test_planted_effects_come_first(make_run, scattered):
    run = make_run(scattered, effects={7: 6.0, 21: -4.0})
    table = compare(run, NEG, POS, permutations=2000)
    assert list(table.index[:2]) == [7, 21]
    assert set(COLUMNS) <= set(table.columns)
    assert table.index.name == "feature"
    assert (table["effect"].abs().diff().dropna() <= 1e-12).all()
    top = table.loc[7]
    assert top["effect"] > 0 > table.loc[21, "effect"]
    assert top["auroc"] == 1.0 and table.loc[21, "auroc"] == 0.0
    assert top["effect_low"] > 0
    assert top["p"] == pytest.approx(1 / 2001) and top["q"] < 0.05
    assert (table["q"].dropna() < 0.05).sum() == 2
    assert top["n_controls"] == top["n_perturbed"] == 12
    assert bool(top["representative"]) and top["group"] == 1
    assert table.attrs["p_method"].startswith("2000 sampled")
    assert table.attrs["controls"] == [w for w, s in scattered.items() if s == "negcon"]
    json.dumps(table.attrs)  # plain: can be written beside the table
    copy.deepcopy(table)


def test_figures_agree_with_scipy(make_run, scattered):
    run = make_run(scattered, effects={3: 2.0})
    table = compare(run, NEG, POS, permutations=500).sort_index()
    values, side = run.values.to_numpy(), np.array([s == "poscon" for s in scattered.values()])
    d = (values[side].mean(0) - values[~side].mean(0)) / np.sqrt(
        (values[side].var(0, ddof=1) + values[~side].var(0, ddof=1)) / 2
    )
    np.testing.assert_allclose(table["hedges_g"], d * (1 - 3 / (4 * 22 - 1)), rtol=1e-3)
    np.testing.assert_allclose(table["q"], stats.false_discovery_control(table["p"]))
    # shrunk towards each other, not away
    assert np.corrcoef(table["effect"], d)[0, 1] > 0.97
    assert table.attrs["d0"] > 0


def test_swapping_sides_turns_every_sign(make_run, scattered):
    run = make_run(scattered, effects={7: 6.0})
    a, b = compare(run, NEG, POS, permutations=300), compare(run, POS, NEG, permutations=300)
    b = b.loc[a.index]
    for column in ("effect", "hedges_g", "ssmd", "active_difference", "mean_difference"):
        np.testing.assert_allclose(a[column], -b[column], atol=1e-12, err_msg=column)
    np.testing.assert_allclose(a["effect_low"], -b["effect_high"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(a["auroc"], 1 - b["auroc"])
    np.testing.assert_array_equal(a["group"], b["group"])


def test_controls_are_the_run_s_own_by_default(make_run, scattered):
    run = make_run(scattered)
    pd.testing.assert_frame_equal(compare(run, None, POS, permutations=99), compare(run, NEG, POS, permutations=99))


def test_lists_of_wells_and_exact_p(make_run, scattered):
    run = make_run(scattered)
    negatives = [w for w, s in scattered.items() if s == "negcon"]
    positives = [w for w, s in scattered.items() if s == "poscon"]
    table = compare(run, negatives[:5], positives[:4])
    assert table.attrs["p_method"] == "exact, 126 relabellings"
    assert table["p_floor"].iloc[0] == pytest.approx(1 / 126)
    assert table["p"].min() >= 1 / 126
    assert any("at least 8 must reach it together" in w for w in table.attrs["warnings"])  # 50 / 126 / 0.05 = 7.9


def test_zprime_only_for_positive_controls(make_run, scattered):
    run = make_run(scattered, effects={7: 12.0})
    table = compare(run, NEG, POS, permutations=99)
    top = table.loc[7]
    assert 0 < top["zprime"] < 1
    assert top["zprime_low"] < top["zprime"] < top["zprime_high"]
    run.metadata["control_type"] = run.metadata["control_type"].replace("poscon", "trt")
    other = "control_type == 'trt'"
    assert compare(run, NEG, other, permutations=99)["zprime"].isna().all()
    assert compare(run, NEG, other, permutations=99, positive=True)["zprime"].notna().all()


def test_fewer_than_three_wells(make_run, scattered):
    run = make_run(scattered, effects={7: 12.0})
    positives = [w for w, s in scattered.items() if s == "poscon"]
    for few in (positives[:2], positives[:1]):
        table = compare(run, NEG, few)
        assert table[["p", "q", "p_parametric"]].isna().all().all()
        assert table["effect"].notna().all()
        assert any("fewer than three" in w for w in table.attrs["warnings"])
    assert table["ssmd"].isna().all()


def test_wells_without_a_profile_are_counted_out_and_named(make_run, scattered):
    run = make_run(scattered)
    lost = next(w for w, s in scattered.items() if s == "poscon")
    run.values.loc[lost] = np.nan
    table = compare(run, NEG, POS, permutations=99)
    assert table.attrs["n_perturbed"] == 11 and table.attrs["excluded"] == [lost]
    assert any(lost in w and "left out" in w for w in table.attrs["warnings"])
    run.values.loc[[w for w, s in scattered.items() if s == "poscon"]] = np.nan
    with pytest.raises(AnalysisError, match=r"no perturbed well has a profile .*foreground"):
        compare(run, NEG, POS)


def test_errors(make_run, scattered):
    run = make_run(scattered)
    with pytest.raises(AnalysisError, match="both control and perturbed"):
        compare(run, NEG, "control_type in ['negcon', 'poscon']")
    with pytest.raises(AnalysisError, match="no perturbed wells"):
        compare(run, NEG, "control_type == 'nothing'")
    with pytest.raises(AnalysisError, match="controltype"):
        compare(run, NEG, "controltype == 'poscon'")
    with pytest.raises(AnalysisError, match="needs the perturbed wells"):
        compare(run, NEG)
    with pytest.raises(AnalysisError, match="no run"):
        compare([], NEG, POS)
    with pytest.raises(AnalysisError, match="given twice"):
        compare([run, run], NEG, POS)
    run.controls = []
    with pytest.raises(AnalysisError, match="controls=QUERY"):
        compare(run, None, POS)


def test_two_plates(make_run, scattered):
    a = make_run(scattered, effects={7: 4.0}, seed=1)
    b = make_run(scattered, effects={7: 4.0}, seed=2, plate_name="P2", lens=a.lens)
    b.values += 50  # a batch
    table = compare([a, b], NEG, POS, permutations=500)
    assert table.index[0] == 7 and table.loc[7, "auroc"] == 1.0
    assert table.attrs["n_controls"] == 24 and table.attrs["controls"][0].startswith("P1/")
    one = compare(a, NEG, POS, permutations=99)
    assert (
        table.loc[7, "effect_high"] - table.loc[7, "effect_low"] < one.loc[7, "effect_high"] - one.loc[7, "effect_low"]
    )
    assert (table["nuisance"] == "plate").mean() > 0.9  # every feature sees this batch
    with pytest.raises(AnalysisError, match="different lenses"):
        compare([a, make_run(scattered, m=50, plate_name="P3", lens=SimpleNamespace(encoder="other"))], NEG, POS)
    negatives, positives = a.select(NEG), b.select(POS)
    a.values, b.values = a.values.loc[negatives], b.values.loc[positives]
    with pytest.raises(AnalysisError, match="no plate holds both"):
        compare([a, b], NEG, POS)


def test_a_plate_without_perturbed_wells_is_named(make_run, scattered):
    a = make_run(scattered, seed=1)
    b = make_run({w: "negcon" for w in scattered}, seed=2, plate_name="P2", lens=a.lens)
    table = compare([a, b], NEG, POS, permutations=99)
    assert any("P2 has no perturbed wells" in w for w in table.attrs["warnings"])


def test_two_plates_of_one_name_are_told_apart(make_run, scattered):
    a = make_run(scattered, seed=1, path="/a")
    b = make_run(scattered, seed=2, path="/b", lens=a.lens)
    assert compare([a, b], NEG, POS, permutations=99).attrs["plates"] == ["P1", "P1 (2)"]


def test_covariates_stand_below_the_features(make_run, scattered):
    run = make_run(scattered, effects={7: 5.0})
    rng = np.random.default_rng(0)
    side = np.array([s == "poscon" for s in scattered.values()])
    run.extra = pd.DataFrame(
        {
            "cell_count": 200 + 5 * rng.normal(size=24) - 80 * side,
            "foreground_share": 0.5 + 0.01 * rng.normal(size=24) - 0.2 * side,
            "focus": rng.normal(size=24),
            "unknown": np.nan,
            "patchy": np.where(np.arange(24) == 4, np.nan, rng.normal(size=24)),
        },
        index=run.values.index,
    )
    run.values[11] = run.extra["cell_count"] + rng.normal(size=24)
    table = compare(run, NEG, POS, permutations=300)
    rows = table[table["type"] == "covariate"]
    assert list(table["type"]) == ["feature"] * 50 + ["covariate"] * 4
    assert rows.index[0] in ("cell_count", "foreground_share")
    assert rows.loc["patchy", ["n_controls", "n_perturbed"]].sum() == 23
    assert "unknown" not in table.index
    assert rows["technical"].eq("").all() and rows["group"].isna().all()
    assert bool(table.loc[11, "count_linked"])
    assert not table.loc[7, "count_linked"] or table.loc[7, "count_r2"] > 0.25
    warnings = " ".join(table.attrs["warnings"])
    assert "differ by 39%" in warnings and "Nuclei a well: 199" in warnings
    assert table.attrs["sides"]["perturbed"]["cell_count"] == pytest.approx(120, abs=5)
    assert (compare(run, NEG, POS, permutations=99, covariates=False)["type"] == "feature").all()
    assert table["sign_stable"].dtype == "boolean" and table["group"].dtype == "Int64"


def test_count_link_is_rare_where_counts_say_nothing(make_run, scattered):
    run = make_run(scattered, m=2000)
    run.extra = pd.DataFrame({"cell_count": np.random.default_rng(1).normal(200, 20, 24)}, index=run.values.index)
    table = compare(run, NEG, POS, permutations=99, covariates=False)
    assert table["count_linked"].mean() < 0.05


def test_sign_stable_looks_at_every_view(make_run, scattered):
    run = make_run(scattered, effects={7: 5.0, 8: 5.0})
    other = run.values.copy()
    other.loc[[w for w, s in scattered.items() if s == "poscon"], 8] -= 30
    run.views = {("field", "activation"): run.values, ("cell", "activation"): other}
    table = compare(run, NEG, POS, permutations=99)
    assert bool(table.loc[7, "sign_stable"]) and not bool(table.loc[8, "sign_stable"])


def test_active_difference_is_of_the_share_of_active_units(make_run, scattered):
    run = make_run(scattered)
    active = pd.DataFrame(0.25, index=run.values.index, columns=run.values.columns)
    active.loc[[w for w, s in scattered.items() if s == "poscon"], 5] = 0.75
    run.views = {("patch", "active"): active}
    table = compare(run, NEG, POS, permutations=99)
    assert table.loc[5, "active_difference"] == pytest.approx(0.5)
    assert table.loc[6, "active_difference"] == pytest.approx(0.0)


def test_a_confounded_layout(make_run):
    sides = {f"{r}{c:02d}": ("negcon" if c <= 2 else "poscon") for r in "BCDEFG" for c in (1, 2, 11)}
    table = compare(make_run(sides), NEG, POS, permutations=99)
    assert "no" not in set(table["technical"])
    assert any("column coincide" in w for w in table.attrs["warnings"])


def test_controls_that_the_lens_was_fitted_on_are_named(make_run, scattered):
    run = make_run(scattered)
    run.lens.controls = [f"P1/{w}" for w in run.controls[:3]] + ["P9/A01"]
    table = compare(run, NEG, POS, permutations=99)
    assert any("fitted on 3 of the 12 control wells" in w for w in table.attrs["warnings"])


def test_a_provisional_run_says_so(make_run, scattered):
    table = compare(make_run(scattered, complete=False), NEG, POS, permutations=99)
    assert any("provisional" in w for w in table.attrs["warnings"])


def test_dead_features_come_last_without_p(make_run, scattered):
    run = make_run(scattered)
    run.values[4] = 0.0
    table = compare(run, NEG, POS, permutations=99)
    dead = table.loc[4]
    assert table.index[-1] == 4 and dead["effect"] == 0 and np.isnan(dead["p"]) and dead["group"] == 0
    assert table["q"].notna().sum() == 49


def test_null_plate_gives_no_discoveries_on_average(make_run, scattered):
    found = 0
    for seed in range(20):
        table = compare(make_run(scattered, m=200, seed=seed), NEG, POS, permutations=1000, covariates=False)
        found += int((table["q"] < 0.05).any())
    assert found <= 4  # 5 % of 20 is one


def test_thousands_of_features_take_seconds(make_run):
    wells = {
        f"{chr(65 + r)}{c + 1:02d}": ("negcon" if (r + c) % 4 == 0 else "poscon") for r in range(16) for c in range(24)
    }
    run = make_run(wells, m=1000)
    start = time.perf_counter()
    table = compare(run, NEG, POS, permutations=2000)
    assert len(table) == 1000
    assert time.perf_counter() - start < 30
