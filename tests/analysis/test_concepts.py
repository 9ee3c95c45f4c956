"""Concepts: the statistics against references, planted concepts found and named, nothing found where nothing is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.sparse import csr_matrix

from napari_phenolens import concepts, distinguish, phenotype
from napari_phenolens.analysis import AnalysisError
from napari_phenolens.analysis.concept_cells import link_cells, with_against_without
from napari_phenolens.analysis.concept_labels import CONTRAST, WITHIN_WELLS, label
from napari_phenolens.analysis.concept_synonyms import grouped, synonyms
from napari_phenolens.analysis.concept_wells import compare_wells, link_wells, orders
from napari_phenolens.analysis.permutation import benjamini_hochberg
from napari_phenolens.plate import select_wells, well_name_of

PER_WELL = 40
MEASURED = (
    "mean_nucleus_GFP", "ratio_ring_GFP", "mean_nucleus_DNA", "total_nucleus_DNA", "area_nucleus", "area_cell",
    "neighbours_cell", "contrast_cell_GFP",
)  # fmt: skip


@dataclass
class CellRun:
    """A run with cells, held in memory."""

    table: pd.DataFrame
    codes_of: csr_matrix
    measured: pd.DataFrame
    metadata: pd.DataFrame
    profile: pd.DataFrame
    counts: pd.Series
    plate_name: str = "made"
    has_cells: bool = True

    class lens:  # noqa: N801
        """What is read of a lens."""

        nuclear = "DNA"

    @property
    def n_features(self) -> int:
        return self.codes_of.shape[1]

    @property
    def wells(self) -> list[str]:
        return list(self.metadata.index)

    @property
    def controls(self) -> list[str]:
        return list(self.metadata.index[self.metadata["compound"] == "DMSO"])

    @property
    def annotations(self) -> Any:
        class Names:
            names = staticmethod(lambda: pd.Series([f"name {f}" * (f == 0) for f in range(self.n_features)]))

        return Names

    def select(self, query: Any) -> list[str]:
        return select_wells(self.metadata, query, self.wells)

    def profiles(self, per: str = "patch", kind: str = "activation") -> pd.DataFrame:
        return self.profile

    def covariates(self) -> pd.DataFrame:
        return pd.DataFrame({"cell_count": self.counts, "strength": self.counts * 2.0})

    def cells(self) -> pd.DataFrame:
        return self.table

    def cell_codes(self) -> csr_matrix:
        return self.codes_of

    def cell_measurements(self) -> pd.DataFrame:
        return self.measured

    def field_row(self, well: str, field: Any = None) -> pd.Series:
        return pd.Series({"field": "1", "h": 8, "w": 8, "y": 100, "x": 100, "scale": 12.5})


@pytest.fixture(scope="module")
def run() -> CellRun:
    """48 wells: 16 untreated, 24 in a dose series of drug, 8 of other.

    Feature 0 sees GFP in the nucleus of each cell, which the drug raises. Feature 1 is raised by other, in whatever
    cell; other enlarges cells as well, so that nothing but the treatment joins the two. Feature 2 sees DNA. The rest is
    noise, some of it the wells' own.
    """
    rng = np.random.default_rng(0)
    wells = [well_name_of(r, c) for r in range(6) for c in range(8)]
    order = rng.permutation(48)
    dose = np.zeros(48)
    dose[order[16:40]] = np.repeat([1.0, 3.0, 10.0, 30.0], 6)
    other = np.zeros(48)
    other[order[40:]] = 1.0
    compound = np.full(48, "DMSO", object)
    compound[order[16:40]], compound[order[40:]] = "drug", "other"
    n = 48 * PER_WELL
    well = np.repeat(np.arange(48), PER_WELL)
    own = {name: rng.normal(size=48)[well] * 0.3 for name in MEASURED}
    measured = pd.DataFrame({name: own[name] + rng.normal(size=n) for name in MEASURED})
    measured["mean_nucleus_GFP"] += 0.8 * np.log1p(dose)[well]
    measured["area_cell"] += 2.5 * other[well]
    measured["total_nucleus_DNA"] = 1000 * np.where(rng.random(n) < 0.6, 1.0, 2.0) * np.exp(0.06 * rng.normal(size=n))
    measured["mean_nucleus_DNA"] = 50 + rng.normal(size=n)
    codes = np.maximum(rng.normal(size=(n, 30)) + 0.3 * rng.normal(size=(48, 30))[well], 0.0)
    codes[:, 0] = np.maximum(measured["mean_nucleus_GFP"] + 0.5 * rng.normal(size=n), 0.0)
    codes[:, 1] = np.maximum(rng.normal(size=n) + 2.0 * other[well], 0.0)
    codes[:, 2] = np.maximum(measured["total_nucleus_DNA"] / 1000 - 0.5 + 0.2 * rng.normal(size=n), 0.0)
    codes[:, 3] = 0.0  # a feature that never speaks
    measured.loc[::17, "area_cell"] = np.nan
    names = np.array(wells)
    table = pd.DataFrame({"well": names[well], "field": "1", "label": np.tile(np.arange(1, PER_WELL + 1), 48),
                          "y": rng.uniform(0, 100, n), "x": rng.uniform(0, 100, n)})  # fmt: skip
    metadata = pd.DataFrame({"compound": compound, "dose": np.where(other > 0, np.nan, dose), "dose_unit": "uM",
                             "Row": [w[0] for w in wells]},
                            index=pd.Index(wells, name="well"))  # fmt: skip
    profile = pd.DataFrame(codes).groupby(well).mean().set_axis(metadata.index)
    counts = pd.Series(PER_WELL + rng.normal(size=48), metadata.index)
    return CellRun(table, csr_matrix(codes), measured, metadata, profile, counts)


@pytest.fixture(scope="module")
def found(run: CellRun) -> pd.DataFrame:
    return concepts(run, permutations=400)  # type: ignore[arg-type]


def test_the_planted_concept_comes_first_and_names_its_feature(found: pd.DataFrame) -> None:
    first = found[found["rank"] == 1].set_index(["feature", "kind"])
    assert first.loc[(0, "measured"), "concept"] == "mean_nucleus_GFP"
    assert first.loc[(0, "dose"), "concept"] == "drug dose"
    labels = found.attrs["labels"]
    looks, treatment = labels[0].split("; ")
    assert looks.startswith("brighter GFP in the nucleus, AUROC 0.")
    assert treatment.startswith("follows drug dose, rho 0.9")
    assert found.attrs["tests"] == found.attrs["concepts"] * 29
    assert found.loc[found["feature"] == 3].empty
    assert "strength" not in set(found["concept"])


def test_a_label_that_rests_on_the_treatment_alone_says_so(found: pd.DataFrame) -> None:
    labels, table = found.attrs["labels"], found.set_index(["feature", "concept"])
    assert table.loc[(1, "area_cell"), "support"] == CONTRAST
    assert table.loc[(1, "area_cell"), "q"] < 0.05
    assert labels[1].startswith("changes together with larger cells")
    assert "stronger in compound other" in labels[1]
    own = table.loc[(0, "mean_nucleus_GFP")]
    assert own["support"] == WITHIN_WELLS
    assert own["r_cells_controls"] > 0.5 and own["p_cells_controls"] < 0.001


def test_noise_has_no_label_and_q_does_not_depend_on_what_is_asked_for(run: CellRun, found: pd.DataFrame) -> None:
    named = [f for f, words in found.attrs["labels"].items() if words]
    assert {0, 1} <= set(named) and len(named) <= 4
    some = concepts(run, [0, 7], permutations=400)  # type: ignore[arg-type]
    assert set(some["feature"]) == {0, 7}
    pd.testing.assert_frame_equal(
        some[some["feature"] == 0].reset_index(drop=True), found[found["feature"] == 0].reset_index(drop=True)
    )
    assert concepts(run, 0, permutations=400, most=1).shape[0] == 2  # type: ignore[arg-type]


def test_labels_say_what_is_known_and_no_more() -> None:
    looks = {
        "kind": "measured",
        "name": "n",
        "words": "brighter GFP in the nucleus",
        "support": WITHIN_WELLS,
        "concept": "mean_nucleus_GFP",
        "same_as": "",
        "tied": False,
    }
    first = {**looks, "q": 0.01, "r": 0.9, "rho": 0.9, "auroc": 0.97}
    dose = {"kind": "dose", "words": "", "support": "treatment", "auroc": 0.9, "q": 0.01, "same_as": "", "tied": False,
            "concept": "some dose"}  # fmt: skip
    doses = [{**dose, "name": "W dose", "r": 0.9, "rho": 0.95}, {**dose, "name": "L dose", "r": 0.8, "rho": 0.85},
             {**dose, "name": "M dose", "r": -0.8, "rho": -0.85}]  # fmt: skip
    table = pd.DataFrame([first, *doses])
    assert label(table) == "brighter GFP in the nucleus, AUROC 0.97; follows W dose, rho 0.95 and L dose, rho 0.85"
    assert label(table.iloc[3:]) == "falls with M dose, rho -0.85"
    assert label(table.assign(rho=0.4)) == "brighter GFP in the nucleus, AUROC 0.97"
    assert label(table.assign(q=0.2)) == ""
    # cells that do not bear out the wells: no AUROC that says the opposite
    assert label(table.assign(auroc=0.3)[:1]) == "brighter GFP in the nucleus, rho 0.90"
    assert label(table.assign(support=CONTRAST)[:1]).startswith("changes together with brighter")
    assert label(table.assign(q=np.nan, r=0.4)) == ""
    # what says the same stands beside it, the best of it alone
    again = [
        {**first, "words": said, "concept": said, "same_as": of}
        for said, of in (("dimmer DNA", ""), ("more GFP", "mean_nucleus_GFP"), ("much GFP", "mean_nucleus_GFP"))
    ]
    assert label(pd.DataFrame([first, *again])) == "brighter GFP in the nucleus (more GFP), AUROC 0.97"
    unsure = pd.DataFrame([first, *again]).assign(q=[0.01, 0.01, 0.2, 0.2])
    assert label(unsure) == "brighter GFP in the nucleus, AUROC 0.97"


def test_concepts_that_say_the_same_are_told_from_those_that_a_treatment_joins() -> None:
    rng = np.random.default_rng(7)
    control = np.arange(30) < 15
    base, treated = rng.normal(size=30), np.where(control, 0.0, 20.0)
    count = base + treated
    columns = {
        "count": count, "share": 2 * count + 0.1 * rng.normal(size=30), "loss": -count + 0.1 * rng.normal(size=30),
        "treated too": rng.normal(size=30) + treated, "other": rng.normal(size=30),
    }  # fmt: skip
    matrix = np.stack(list(columns.values()), axis=1)
    matrix[3, 1] = np.nan
    same = synonyms(matrix, control)
    assert np.corrcoef(count, matrix[:, 3])[0, 1] > 0.95  # by the treatment alone
    expected = np.zeros((5, 5), bool)
    expected[:3, :3] = ~np.eye(3, dtype=bool)
    np.testing.assert_array_equal(same, expected)
    assert not synonyms(matrix, np.arange(30) < 3).any()
    rank = np.array([[2, 1, 3, 5, 4], [1, 5, 4, 2, 3]])
    np.testing.assert_array_equal(grouped(same, rank, np.zeros(5)), [[1, -1, 1, -1, -1], [-1, 0, 0, -1, -1]])
    # never over the border of two families
    np.testing.assert_array_equal(grouped(same, rank, np.array([0, 1, 0, 0, 0]))[0], [-1, -1, 0, -1, -1])


def test_the_sides_themselves_explain_nothing(run: CellRun, found: pd.DataFrame) -> None:
    treatment = {"dose", "plate map"}
    assert found.attrs["question"] == ["compound DMSO"]
    assert "compound DMSO" not in set(found["concept"]) and "compound other" in set(found["concept"])
    asked = concepts(run, perturbed="compound == 'other'", permutations=99)  # type: ignore[arg-type]
    assert asked.attrs["question"] and not set(asked["kind"]) & treatment
    assert all("in compound" not in words for words in asked.attrs["labels"].values())
    told = phenotype(run, None, "compound == 'other'")  # type: ignore[arg-type]
    scored = concepts(run, told, permutations=99, most=50)  # type: ignore[arg-type]
    assert "compound other" in scored.attrs["question"] and "compound other" not in set(scored["concept"])
    assert "drug dose" in set(scored["concept"])


def test_cell_cycle_classes_are_concepts(found: pd.DataFrame) -> None:
    table = found.set_index(["feature", "concept"])
    assert table.loc[(2, "cycle_G1"), "auroc"] < 0.1
    assert table.loc[(2, "cycle_G2"), "auroc"] > 0.9
    assert table.loc[(2, "cycle_G2"), "words"] == "more cells in G2"


def test_correlations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(1)
    values, matrix = rng.normal(size=(24, 6)), rng.normal(size=(24, 4))
    matrix[:, 0] += values[:, 0]
    matrix[[3, 9], 1] = np.nan
    matrix[:, 2] = np.round(matrix[:, 2])
    values[:, 5] = 7.0
    control, group = np.arange(24) < 8, np.repeat(np.arange(6), 4)
    found = link_wells(values, matrix, control, group, permutations=2000)
    for i in range(5):
        for j in range(4):
            rows = np.isfinite(matrix[:, j])
            x, y = values[rows, i], matrix[rows, j]
            assert found.r[i, j] == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-5)
            assert found.rho[i, j] == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-5)
            # sampled, against the p of normal values
            assert found.p[i, j] == pytest.approx(stats.pearsonr(x, y)[1], abs=0.06)
            here = control[rows]
            assert found.controls[i, j] == pytest.approx(stats.spearmanr(x[here], y[here])[0], abs=1e-5)
            within = [stats.rankdata(v[group[rows] == g]) for v in (x, y) for g in range(6)]
            a, b = (np.concatenate([(r - r.mean()) / len(r) for r in part]) for part in (within[:6], within[6:]))
            assert found.within[i, j] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), abs=1e-5)
    assert np.isnan([m[5] for m in (found.r, found.p, found.rho, found.within)]).all()
    assert found.p[0, 0] < 0.01


def test_ties_bound_p_from_below() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(20, 200))
    values[:, 0] = [1, 1] + [0] * 18
    matrix = values[:, [0, 1]].copy()
    found = link_wells(values, matrix, np.zeros(20, bool), np.arange(20), permutations=300)
    assert orders(matrix)[0] == pytest.approx(190)
    assert found.p[0, 0] >= 1 / 190
    # of 20 different numbers there are more orders than shuffles; those of all features count
    assert found.p[1, 1] < 1 / 1000
    assert np.isnan(found.within).all()


def test_comparisons_of_cells_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(3)
    codes = np.where(rng.random((600, 5)) < 0.4, rng.normal(0.5, 1.0, (600, 5)), 0.0)
    label = (codes[:, 0] + rng.normal(size=600) > 0.5).astype(float)
    other = (rng.random(600) < 0.3).astype(float)
    other[:50] = np.nan
    auroc, effect = with_against_without(csr_matrix(codes).tocsc(), np.stack([label, other], axis=1))
    for j in range(5):
        assert auroc[j, 0] == pytest.approx(roc_auc_score(label, codes[:, j]))
        assert auroc[j, 1] == pytest.approx(roc_auc_score(other[50:], codes[50:, j]))
        a, b = codes[label == 1, j], codes[label == 0, j]
        pooled = np.sqrt((len(a) * a.var() + len(b) * b.var()) / 598)
        assert effect[j, 0] == pytest.approx((a.mean() - b.mean()) / pooled)
    well = np.repeat(np.arange(6), 100)
    numbers = np.stack([codes[:, 1] + rng.normal(size=600), rng.normal(size=600)], axis=1)
    numbers[::7, 1] = np.nan
    found = link_cells(csr_matrix(codes), well, numbers, np.zeros(2, bool), np.arange(6) < 5)
    for j in range(5):
        strong = np.zeros(600, bool)
        strong[np.argsort(-codes[:, j])[:30]] = True
        for k in range(2):
            known = np.isfinite(numbers[:, k])
            assert strong[known].sum() >= 20
            assert found.auroc[j, k] == pytest.approx(roc_auc_score(strong[known], numbers[known, k]))
            each = []
            for w in range(6):
                rows = known & (well == w)
                each.append(stats.pearsonr(codes[rows, j], stats.rankdata(numbers[rows, k]))[0])
            assert found.within[j, k] == pytest.approx(np.mean(each))
            assert found.within_controls[j, k] == pytest.approx(np.mean(each[:5]))
            assert found.p_controls[j, k] == pytest.approx(stats.ttest_1samp(each[:5], 0)[1], rel=1e-6)


def test_comparisons_of_wells() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(4)
    values = rng.normal(size=(20, 3))
    given = np.r_[np.ones(6), np.zeros(14)]
    number = values[:, 0] + rng.normal(size=20)
    auroc, effect = compare_wells(values, np.stack([given, number], axis=1), np.array([True, False]))
    for j in range(3):
        assert auroc[j, 0] == pytest.approx(roc_auc_score(given, values[:, j]))
        top = np.argsort(np.argsort(values[:, j])) >= 15
        assert auroc[j, 1] == pytest.approx(roc_auc_score(top, number))
    a, b = values[:6, 0], values[6:, 0]
    assert effect[0, 0] == pytest.approx((a.mean() - b.mean()) / np.sqrt((6 * a.var() + 14 * b.var()) / 18))


def test_null_plates_rarely_have_a_concept(run: CellRun) -> None:
    """Whole wells permuted; 100 repeats are in tests/benchmarks/bench_concepts.py."""
    rng = np.random.default_rng(5)
    well = np.repeat(np.arange(48), PER_WELL)
    matrix = run.measured.groupby(well).mean().to_numpy()
    # classes with few wells, and features that only few wells have, are where ties could make p too small
    matrix = np.column_stack([matrix, np.eye(48)[:, :3] + np.eye(48)[:, 3:6], run.metadata["compound"] == "other"])
    values = np.column_stack([run.profile.to_numpy(), np.where(rng.random((48, 60)) < 0.05, 1.0, 0.0)])
    group = pd.factorize(run.metadata["compound"].astype(str) + run.metadata["dose"].astype(str))[0].astype(np.intp)
    hits = 0
    for repeat in range(40):
        order = rng.permutation(48)
        found = link_wells(values[order], matrix, np.zeros(48, bool), group, permutations=200, seed=repeat)
        hits += bool((benjamini_hochberg(found.p.ravel()) < 0.05).any())
    # 10 % of repeats are allowed; more than 9 of 40 would be seen once in 70 such tests at that rate
    assert hits <= 9


def test_the_callers_own_labels_tables_and_gene_sets(run: CellRun) -> None:
    rng = np.random.default_rng(6)
    n = len(run.table)
    kind = np.where(run.codes_of[:, [5]].toarray()[:, 0] > 1.0, "round", "flat").astype(object)
    kind[::50] = None
    over_wells = pd.DataFrame({"Well": [w.lower() for w in run.wells], "viability": run.profile[6].to_numpy()})
    table = concepts(run, [5, 6], labels=pd.Series(kind), annotations=over_wells, permutations=400)  # type: ignore[arg-type]
    first = table[(table["rank"] == 1) & (table["kind"].isin(["label", "annotation"]))].set_index("feature")
    assert first.loc[5, "words"] == "label round" or first.loc[5, "words"] == "not label flat"
    assert abs(first.loc[5, "auroc"] - 0.5) > 0.45 and first.loc[5, "auroc_of"] == "cells"
    assert first.loc[6, "concept"] == "viability" and first.loc[6, "r"] == pytest.approx(1)
    over_cells = run.table[["well", "field", "label"]].assign(score=run.codes_of[:, [7]].toarray()[:, 0])
    table = concepts(run, 7, annotations=over_cells.sample(n - 100, random_state=1), permutations=200)  # type: ignore[arg-type]
    assert table.iloc[0]["concept"] == "score" and table.iloc[0]["auroc_of"] == "cells"
    genes = run.metadata.assign(gene=np.where(run.metadata["compound"] == "other", "Abc1", rng.permutation(48)))
    screened = CellRun(**{**vars(run), "metadata": genes})
    sets = {"complex": ["ABC1", "XYZ"], "none of it": ["QQQ"]}
    table = concepts(screened, 1, gene_sets=sets, permutations=400)  # type: ignore[arg-type]
    assert "set complex" in set(table["concept"]) or "compound other" in set(table["concept"])
    assert table[table["kind"] != "measured"].iloc[0]["auroc"] == pytest.approx(1.0)


def test_gene_sets_are_read_from_files(run: CellRun, tmp_path: Any) -> None:
    from napari_phenolens.analysis.concept_tables import gene_concepts

    genes = run.metadata.assign(Gene_Symbol=[f"g{i % 12}" for i in range(48)])
    screened: Any = CellRun(**{**vars(run), "metadata": genes})
    (tmp_path / "sets.gmt").write_text("A\tabout\tG1\tG2\nB\tabout\tG5\n", encoding="utf-8")
    pd.DataFrame({"Set": ["A", "A", "B"], "Gene": ["G1", "G2", "G5"]}).to_csv(tmp_path / "sets.csv", index=False)
    for name in ("sets.gmt", "sets.csv"):
        found = list(gene_concepts(screened, run.wells, tmp_path / name))
        assert [c.key for c in found] == ["set A", "set B"]
        assert [c.wells.sum() for c in found] == [8, 4]
    with pytest.raises(AnalysisError, match="none of the gene sets"):
        list(gene_concepts(screened, run.wells, {"C": ["nothing"]}))
    with pytest.raises(AnalysisError, match="no column"):
        list(gene_concepts(run, run.wells, {"C": ["nothing"]}))  # type: ignore[arg-type]


def test_wrong_input_is_named(run: CellRun) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"labels": [1, 2]}, "do not fit"),
        ({"labels": pd.Series(["a"], index=[10**6])}, "does not hold"),
        ({"annotations": pd.DataFrame({"plate": [1]})}, "no column of wells"),
        ({"annotations": pd.DataFrame({"well": ["A01", "A01"], "x": [1, 2]})}, "A01 stands twice"),
        ({"annotations": pd.DataFrame({"well": ["H12"], "x": [1]})}, "say nothing"),
        ({"features": [99]}, "99"),
        ({"perturbed": "compound == 'nothing'"}, "perturbed"),
    ]
    for given, message in wrong:
        with pytest.raises(AnalysisError, match=message):
            concepts(run, **{"permutations": 99, **given})  # type: ignore[arg-type]
    alone: Any = CellRun(**{**vars(run), "has_cells": False})
    table = concepts(alone, permutations=99)
    assert set(table["kind"]) <= {"covariate", "dose", "plate map"}
    assert "phenolens cells" in table.attrs["warnings"][0]
    with pytest.raises(AnalysisError, match="holds none"):
        concepts(alone, labels=np.zeros(len(run.table)), permutations=99)


def test_some_wells_alone(run: CellRun) -> None:
    table = concepts(run, 1, perturbed="compound == 'other'", permutations=200)  # type: ignore[arg-type]
    assert len(table.attrs["wells"]) == 24
    assert table.iloc[0]["concept"] == "area_cell"
    assert not table["concept"].str.contains("drug").any()


def test_a_phenotype_is_named_without_q(run: CellRun) -> None:
    score = phenotype(run, run.controls, "dose == 30", most=1)  # type: ignore[arg-type]
    assert score.features == (0,)
    table = concepts(run, score, permutations=99)  # type: ignore[arg-type]
    assert table["p"].isna().all() and table["q"].isna().all() and table.attrs["tests"] == 0
    assert set(table["feature"]) == {"phenotype"}
    assert table.attrs["labels"]["phenotype"].startswith("brighter GFP in the nucleus, AUROC")
    same = concepts(run, 0, permutations=99)  # type: ignore[arg-type]
    assert table["concept"].tolist() == same["concept"].tolist()
    # a score is the feature brought to other units
    np.testing.assert_allclose(table["r"], same["r"], atol=1e-5)


def test_channels_are_called_as_the_plate_map_calls_them(run: CellRun) -> None:
    from types import SimpleNamespace

    from napari_phenolens.analysis.concept_values import channel_names, covariate_concepts

    named: Any = CellRun(**{**vars(run), "metadata": run.metadata.assign(
        file_gfp=[f"C:\\images\\Channel1-{w}.tif" for w in run.wells],
        FileName_tubulin=[f"Channel10-{w}.tif" for w in run.wells],
    )})  # fmt: skip
    named.lens = SimpleNamespace(channels=("Channel1", "Channel10"), nuclear=None)
    assert channel_names(named) == {"Channel1": "GFP", "Channel10": "tubulin"}
    assert channel_names(run) == {}
    table = run.covariates().assign(background_Channel1=1.0)
    named.covariates = lambda: table
    said = {c.key: c.more for c in covariate_concepts(named, run.wells, None)}
    assert said["background_Channel1"] == "brighter background of GFP"


# -- the other way round -----------------------------------------------------------------------------------------------


def test_features_that_tell_cells_apart_hold_on_other_wells(run: CellRun) -> None:
    table = distinguish(run, concept="mean_nucleus_GFP")
    about = table.attrs
    assert table.index[0] == 0 and table.iloc[0]["name"] == "name 0"
    assert table.loc[0, "held_out"] > 0.95 and table.loc[0, "auroc_within"] > 0.95
    assert about["held_out_best"] > 0.95 and about["held_out"]["low"] > 0.9
    assert about["folds"] == 5 and about["warnings"] == []
    assert about["cells_inside"] == about["cells_outside"] == len(run.table) // 4
    noise = table.loc[range(8, 30)]
    assert (noise["held_out"] - 0.5).abs().max() < 0.12
    pd.testing.assert_frame_equal(table, distinguish(run, concept="GFP in the nucleus"))


def test_a_random_gate_has_a_held_out_score_of_a_half(run: CellRun) -> None:
    mask = np.random.default_rng(7).random(len(run.table)) < 0.1
    table = distinguish(run, mask)
    held = table.attrs["held_out"]
    assert held["low"] < 0.5 < held["high"]
    assert abs(table.attrs["held_out_best"] - 0.5) < 0.1
    # the best of thirty is better than that where it was chosen: this is why there is a held-out score
    assert abs(table.iloc[0]["auroc"] - 0.5) > 0.04


def test_cells_by_condition_region_and_against(run: CellRun) -> None:
    by_words = distinguish(run, "mean_nucleus_GFP > 1.5", against="mean_nucleus_GFP < 0")
    inside = (run.measured["mean_nucleus_GFP"] > 1.5).to_numpy()
    outside = (run.measured["mean_nucleus_GFP"] < 0).to_numpy()
    pd.testing.assert_frame_equal(by_words.iloc[:, :6], distinguish(run, inside, against=outside).iloc[:, :6])
    well = run.wells[0]
    square = [(0, 0), (0, 60), (100, 60), (100, 0)]
    drawn = distinguish(run, region=(well, "1", square))
    here = run.table["well"] == well
    assert drawn.attrs["cells_inside"] == int((here & (run.table["x"] < 60)).sum())
    assert drawn.attrs["cells_inside"] + drawn.attrs["cells_outside"] == PER_WELL
    assert drawn["held_out"].isna().all() and "one well" in drawn.attrs["warnings"][0]
    two = distinguish(run, region=[(well, None, square), (run.wells[1], None, square)])
    assert two.attrs["folds"] == 2 and two["held_out"].notna().any()
    whole_wells = distinguish(run, "well in ['A01', 'A02']")
    assert "No well holds cells of both kinds" in whole_wells.attrs["warnings"][-1]
    assert whole_wells["auroc_within"].isna().all()


def test_wrong_choices_are_named(run: CellRun) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "one way"),
        ({"cells": np.ones(3, bool)}, "rows of run.cells"),
        ({"cells": "nothing > 3"}, "cannot be asked"),
        ({"cells": "area_cell + 1"}, "no condition"),
        ({"cells": "area_cell > 1e9"}, "no cell"),
        ({"cells": "label == 1 and well == 'A01'"}, "at least"),
        ({"concept": "mean_nucleus_GPF"}, "mean_nucleus_GFP"),
        ({"region": ("A01", None, [(0, 0), (1, 1)])}, "three corners"),
    ]
    for given, message in wrong:
        with pytest.raises(AnalysisError, match=message):
            distinguish(run, **given)
    with pytest.raises(AnalysisError, match="holds no cells"):
        distinguish(CellRun(**{**vars(run), "has_cells": False}), concept="area_cell")


def test_the_table_is_plain(found: pd.DataFrame) -> None:
    from napari_phenolens.cli.output import records
    from napari_phenolens.export import plain

    assert json.loads(json.dumps(plain({**found.attrs, "rows": records(found)})))["rows"][0]["feature"] == 0


def test_wells_treated_alike() -> None:
    from napari_phenolens.analysis.concept_values import map_concepts

    wells = [well_name_of(0, c) for c in range(12)]
    plate_map = pd.DataFrame(
        {
            "compound": ["DMSO"] * 4 + [f"c{i}" for i in range(8)], "batch": ["a", "b"] * 6, "serial": range(100, 112),
            "Column": range(12), "Replicate": range(12), "file_gfp": [f"{w}.tif" for w in wells],
        },
        index=wells,
    )  # fmt: skip
    run: Any = CellRun(None, None, None, plate_map, None, None)  # type: ignore[arg-type]
    found, group = map_concepts(run, wells, wells[:4])
    # each compound in a well of its own is no class, yet no two of these wells were treated alike
    assert {c.key for c in found} == {"batch a", "batch b", "serial"}
    assert group[0] == group[2] != group[1] == group[3]
    assert len(np.unique(group)) == 10


def test_doses_in_two_units_are_one_series() -> None:
    from napari_phenolens.analysis.concept_values import map_concepts

    wells = [well_name_of(0, c) for c in range(8)]
    plate_map = pd.DataFrame(
        {
            "compound": ["DMSO"] * 2 + ["x"] * 6, "dose": [0, 0, 100, 500, 1, 5, 10, 50],
            "dose_unit": ["uM", "uM", "nM", "nM", "uM", "uM", "uM", "uM"],
        },
        index=wells,
    )  # fmt: skip
    run: Any = CellRun(None, None, None, plate_map, None, None)  # type: ignore[arg-type]
    found, _ = map_concepts(run, wells, wells[:2])
    assert found[0].key == "x dose" and found[0].unit == "uM"
    # steps of 0, 0.1, 0.5, 1 ... uM
    np.testing.assert_allclose(found[0].wells, [0, 0, 1, 2, 3, 4, 5, 6])
