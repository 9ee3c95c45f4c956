"""What a dictionary is worth: against planted truth, and the reason wherever a figure cannot be had."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted_run import ATOMS, MIXING, OF_A, OF_B, OF_COLUMN, TRUE, PlantedRun, unit

from napari_phenolens import compare_lenses, dictionary_report
from napari_phenolens.analysis.metrics import METRICS, Findings
from napari_phenolens.analysis.telling import tell_labels
from napari_phenolens.dictionary import Whitening, fit_dictionary, reconstruction
from napari_phenolens.errors import Cancelled


@pytest.fixture(autouse=True)
def planted_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run on disk keeps of its fields, here from the run in memory."""
    monkeypatch.setattr("napari_phenolens.run.field_facts.field_covariates", lambda run: run.field_covariates())
    monkeypatch.setattr("napari_phenolens.run.field_facts.mean_tokens", lambda run: run.mean_tokens())


@pytest.fixture(scope="module")
def run() -> PlantedRun:
    return PlantedRun()


def test_figures_against_planted_truth(run: PlantedRun) -> None:
    found = dictionary_report(run, column="kind", fields=12, permutations=60)
    table, features = found.table, found.features
    assert list(table.index) == list(METRICS)
    # reconstruction: the very figures of the dictionary over those tokens
    rows = np.concatenate([run.tokens(w, f)[run.foreground(w)] for _, w, f in found.rendering.places])
    direct = reconstruction(run.lens.dictionary, rows)
    for name in ("cosine", "fvu", "shrinkage"):
        assert table.loc[name, "value"] == pytest.approx(direct[name], abs=2e-3)
        assert table.loc[name, "low"] < table.loc[name, "value"] < table.loc[name, "high"]
    assert "in-sample" in table.loc["cosine", "note"] and "12 fields" in table.loc["cosine", "note"]
    white = run.lens.whitening
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    back = white.inverse(run.lens.dictionary.decode(*run.lens.dictionary.encode(rows)) * size).astype(float)
    tokens = white.inverse(rows).astype(float)
    error = ((tokens - back) ** 2).sum() / ((tokens - tokens.mean(axis=0)) ** 2).sum()
    assert table.loc["fvu_tokens", "value"] == pytest.approx(error, rel=1e-2)
    assert table.loc["l0", "value"] == pytest.approx(run.density.sum())
    assert table.loc["atoms", "value"] == TRUE and found.usage["atoms"].sum() == TRUE
    # labels
    assert features.loc[OF_A, "label"] == "a" and features.loc[OF_B, "label"] == "b"
    assert features["selectivity"].nlargest(2).index.tolist() in ([OF_A, OF_B], [OF_B, OF_A])
    assert features.loc[[OF_A, OF_B], "selective"].all() and features.loc[[OF_A, OF_B], "held_out_auroc"].min() > 0.95
    passing = features["selective"] & (features["density"] <= 0.1) & (features["technical"] != "yes")
    assert (features["interpretable"] == passing).all() and table.loc["interpretable", "value"] == passing.sum()
    telling = table.loc["telling"]
    assert telling["null"] < 0.5 * telling["value"] and telling["low"] <= telling["value"] <= telling["high"]
    assert table.loc["largest_selectivity", "value"] > 2 * table.loc["largest_selectivity", "null"]
    assert table.loc["kept_codes", "value"] > 0.8 and table.loc["probe_tokens", "value"] > 0.9
    # technical: the one that rises with the column, no other of the planted
    assert features["column_r2"].idxmax() == OF_COLUMN and features.loc[OF_COLUMN, "technical"] == "yes"
    assert not features.loc[OF_COLUMN, "interpretable"]
    assert features.loc[OF_COLUMN, "column_p"] < 0.05
    assert table.loc["column_share", "value"] == pytest.approx(features["column_r2"].mean())
    # monosemantic by measurements that follow label a
    assert features["monosemanticity"].idxmax() == OF_A and features.loc[OF_A, "monosemanticity_p"] < 0.05
    # and what cannot be had says why
    for name, words in [
        ("plate_share", "one plate"), ("stability", "another seed"), ("lift", "not nested"),
        ("cosine_set_aside", "does not say"),
    ]:  # fmt: skip
        assert np.isnan(table.loc[name, "value"]) and words in table.loc[name, "note"].replace("of another", "another")
    assert (table["value"].notna() | (table["note"] != "")).all() and not table["note"].eq("not measured").any()
    assert found.facts["labels"] == {"a": 12, "b": 12, "control": 12}


def test_reasons_where_tokens_or_labels_lack(run: PlantedRun) -> None:
    bare = PlantedRun()
    bare._codes  # noqa: B018 - what is on disk stays there
    bare.has_tokens = False
    found = dictionary_report(bare, permutations=20)
    assert np.isnan(found.table.loc["cosine", "value"]) and "not stored" in found.table.loc["cosine", "note"]
    assert any("not stored" in note for note in found.facts["notes"])
    for name in ("telling", "selective", "kept_codes"):
        assert np.isnan(found.table.loc[name, "value"]) and "no column" in found.table.loc[name, "note"]
    assert np.isfinite(found.table.loc["technical", "value"]) and "selectivity" not in found.features
    crops = PlantedRun()
    crops.unit = "crop"
    note = dictionary_report(crops, permutations=20).table.loc["fvu", "note"]
    assert "crop" in note
    run.metadata["one"] = "same"
    note = dictionary_report(run, column="one", fields=0, permutations=20).table.loc["selective", "note"]
    assert "'same' alone" in note
    with pytest.raises(ValueError, match="no column 'dose'; it has kind"):
        dictionary_report(run, column="dose")
    with pytest.raises(ValueError, match="whole numbers"):
        dictionary_report(run, fields=-1)
    with pytest.raises(Cancelled):
        dictionary_report(run, cancel=lambda: True)


def test_held_out_wells_are_preferred_and_said(run: PlantedRun) -> None:
    lens = run.lens
    lens.facts = {"fit_on": [f"P1/{w}" for w in run.wells[:30]], "held_out": {"cosine": 0.9, "fvu": 0.2, "n": 77.0}}
    found = dictionary_report(run, fields=8, permutations=20)
    assert {w for _, w, _ in found.rendering.places} <= set(run.wells[30:])
    assert "held out: wells" in found.table.loc["cosine", "note"]
    assert found.table.loc["cosine_set_aside", "value"] == 0.9 and "77" in found.table.loc["cosine_set_aside", "note"]
    assert not any("in-sample" in note for note in found.facts["notes"])
    lens.plates, lens.facts = ("another",), {}
    assert "other plates" in dictionary_report(run, fields=2, permutations=20).table.loc["cosine", "note"]
    lens.plates = ("P1",)


def test_stability_across_seeds(run: PlantedRun) -> None:
    atoms = run.lens.dictionary.atoms
    rng = np.random.default_rng(0)
    other = atoms.copy()
    other[12:] = unit(rng.normal(size=(12, atoms.shape[1])))
    again = PlantedRun(other[rng.permutation(TRUE)])
    elsewhere = PlantedRun(seed=5)  # another whitening
    found = dictionary_report(run, others=[again, elsewhere.lens], fields=0, permutations=20)
    stable = found.features["stability"]
    assert stable[:12].min() > 0.999 and stable[12:].max() < 0.95
    row = found.table.loc["stability"]
    assert row["value"] == pytest.approx(stable.mean()) and row["null"] < row["value"] - 0.2
    assert "1 of the other lenses were fitted over another whitening" in row["note"]
    assert found.table.loc["stable_share", "value"] >= 0.5
    refit = dictionary_report(run, refits=1, fields=8, permutations=20)
    assert refit.table.loc["stability", "value"] > refit.table.loc["stability", "null"]
    assert "sampled tokens" in refit.table.loc["stability", "note"]
    with pytest.raises(ValueError, match="neither a run"):
        dictionary_report(run, others=[3.0])


def test_nested_dictionaries_have_their_tree(run: PlantedRun) -> None:
    rows = np.concatenate([run.tokens(w, "1").reshape(-1, 16) for w in run.wells])
    nested = PlantedRun(fit_dictionary(rows, atoms=48, sparsity=(4, 1), method="nested", steps=150))
    found = dictionary_report(nested, fields=24, permutations=30)
    table = found.table
    assert table.loc["lift", "value"] > 1 and 0 < table.loc["tree_excess", "p"] <= 1
    assert np.isfinite(table.loc[["excess", "inclusion", "tau"], "value"].to_numpy(float)).all()
    assert set(found.features["level"]) == {0, 1, 2} and len(found.tree) > 10
    assert found.features["lift"].notna().sum() == len(found.tree)


def test_telling_is_held_out() -> None:
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], 12)
    rates = rng.random((36, 400))
    nothing = tell_labels(rates, label, np.zeros(36, int))
    assert nothing.count.value < 400 * 0.03 and abs(nothing.count.value - nothing.null) < 6
    rates[label == 1, :5] += 2
    something = tell_labels(rates, label, np.zeros(36, int))
    assert something.auroc[:5].min() == 1.0 and something.count.value - nothing.count.value == pytest.approx(5, abs=1)
    rates[:, 7] = 0
    assert np.isnan(tell_labels(rates, label, np.zeros(36, int)).auroc[7])


def shuffled(run: PlantedRun, seed: int = 3) -> tuple[PlantedRun, np.ndarray]:
    order = np.random.default_rng(seed).permutation(TRUE)
    return PlantedRun(run.lens.dictionary.atoms[order]), order


def test_lenses_of_one_space_are_matched_by_their_atoms(run: PlantedRun) -> None:
    other, order = shuffled(run)
    found = compare_lenses(run, other, column="kind", fields=8, permutations=20)
    assert found.matching["by"] == "atoms" and found.matching["mean"] == pytest.approx(1.0)
    assert found.matching["chance"] < 0.8 and found.matching["above_0.7"] == TRUE
    assert (order[found.pairs["feature_b"]] == found.pairs["feature_a"]).all()
    assert found.pairs["wells"].min() > 0.99, "the same atoms have the same profiles"
    for name in ("cosine", "fvu", "telling"):
        row = found.table.loc[name]
        assert row["difference"] == pytest.approx(0, abs=1e-6) and row["better"] == ""
    assert found.verdict.startswith("Neither lens")


def test_the_better_lens_is_found(run: PlantedRun) -> None:
    blurred = run.lens.dictionary.atoms.copy()
    mixed = np.random.default_rng(8).normal(size=(TRUE, TRUE))
    worse = PlantedRun(unit(mixed @ blurred))  # every atom a bit of all
    found = compare_lenses(run, worse, column="kind", fields=12, permutations=20)
    row = found.table.loc["cosine"]
    assert row["better"] == "a" and row["high"] < 0 and row["difference"] == pytest.approx(row["b"] - row["a"])
    telling = found.table.loc["telling"]
    gaps = found.b.telling.counts - found.a.telling.counts
    assert telling["difference"] == pytest.approx(gaps.mean())
    assert telling["high"] - telling["low"] == pytest.approx(2 * 1.96 * gaps.std(ddof=1))
    assert found.a.facts["wells"] == found.b.facts["wells"] == 36
    assert "Intervals are over wells" in found.notes[-1]
    assert "cannot be told" in compare_lenses(run, worse, fields=0, permutations=20).verdict


def test_lenses_of_two_spaces_are_matched_by_what_they_do(run: PlantedRun) -> None:
    rotated = Whitening.fit(
        [run.lens.whitening.inverse(run.tokens(w, "1").reshape(-1, 16)) for w in run.controls], kind="tvn", floor=0.01
    )
    order = np.random.default_rng(6).permutation(TRUE)
    other = PlantedRun(unit(ATOMS @ MIXING @ rotated.matrix)[order], fit=rotated)
    found = compare_lenses(run, other, column="kind", fields=24, permutations=20)
    assert found.matching["by"] == "activity" and found.matching["mean"] > found.matching["chance"] + 0.3
    hits = (order[found.pairs["feature_b"]] == found.pairs["feature_a"]).mean()
    assert hits > 0.9 and {"wells", "places"} <= set(found.pairs)
    assert np.isnan(found.table.loc["cosine", "difference"]) and "not comparable" in found.table.loc["cosine", "note"]
    assert np.isfinite(found.table.loc["fvu_tokens", "difference"])


def test_lenses_of_two_plates(run: PlantedRun) -> None:
    other = PlantedRun(seed=9, name="P2")
    found = compare_lenses(run, other, column="kind", fields=4, permutations=20)
    assert found.pairs.empty and "different spaces" in found.matching["reason"]
    assert any("two plates" in note for note in found.notes)
    row = found.table.loc["telling"]
    assert row["low"] <= row["difference"] <= row["high"]
    with pytest.raises(ValueError, match="the same"):
        compare_lenses(run, run)


def test_two_runs_of_one_lens_are_two_plates(run: PlantedRun) -> None:
    second = PlantedRun(run.lens.dictionary, seed=11, name="P2", fit=run.lens.whitening)
    second.lens.plates = run.lens.plates
    found = dictionary_report([run, second], column="kind", fields=6, permutations=20)
    assert np.isfinite(found.table.loc["plate_share", "value"]) and found.facts["wells"] == 72
    assert "held out: wells" in found.table.loc["cosine", "note"], "the second plate took no part in the fit"
    assert "by plate" in found.table.loc["kept_codes", "note"]


def test_every_metric_is_explained_and_none_is_silent() -> None:
    for name, metric in METRICS.items():
        assert len(metric.meaning) > 20 and metric.title and metric.better in ("higher", "lower", ""), name
    findings = Findings()
    findings.add("cosine", 0.5)
    findings.lack("because", "cosine", "fvu")
    table = findings.table()
    assert table.loc["cosine", "value"] == 0.5 and table.loc["fvu", "note"] == "because"
    assert isinstance(table, pd.DataFrame) and (table["note"] != "").sum() == len(METRICS) - 1


def test_embeddings_of_ones_own(run: PlantedRun) -> None:
    rng = np.random.default_rng(0)
    own: Any = pd.DataFrame(rng.normal(size=(36, 4)), index=run.wells)
    own[0] += 6 * (run.metadata["kind"] == "b").to_numpy()
    own[1] += 6 * (run.metadata["kind"] == "b").to_numpy()
    found = dictionary_report(run, embeddings=own, fields=0, permutations=60)
    assert found.features["monosemanticity"].idxmax() == OF_B
    assert "36 images by the embeddings given" in found.table.loc["monosemanticity", "note"]
    few = dictionary_report(run, embeddings=own.iloc[:5], fields=0, permutations=20)
    assert "too few" in few.table.loc["monosemantic", "note"]
