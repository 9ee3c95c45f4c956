"""`phenolens dictionary report` and `compare-lenses`: the very numbers of Python, as tables, JSON and pages."""

from __future__ import annotations

import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import napari_phenolens as ph
from napari_phenolens.analysis import METRICS, DictionaryReport, LensComparison
from napari_phenolens.cli import main
from napari_phenolens.demo import demo_run_path
from napari_phenolens.export import ExportError, export_dictionary_report, export_lens_comparison
from napari_phenolens.run.field_facts import field_covariates, mean_tokens


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second run of the same plate, here by the same lens."""
    folder = tmp_path_factory.mktemp("other") / "run"
    shutil.copytree(demo_run_path(), folder)
    return folder


@pytest.fixture(scope="module")
def comparison(other: Path) -> LensComparison:
    return ph.compare_lenses(
        ph.open_run(demo_run_path()), ph.open_run(other), column="compound", fields=0, permutations=20
    )


@pytest.fixture(scope="module")
def report(comparison: LensComparison) -> DictionaryReport:
    """What `dictionary_report` gives: a comparison holds the reports of either run alone."""
    return comparison.a


def phenolens(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def same(rows: list[dict[str, Any]], table: pd.DataFrame) -> None:
    told = pd.DataFrame(rows).set_index(table.index.name)
    assert list(told.index) == list(table.index)
    for column in table.select_dtypes("number"):
        np.testing.assert_allclose(told[column].astype(float), table[column], rtol=1e-9)


def test_the_command_says_what_python_says(report: DictionaryReport, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--column", "compound", "--fields", 0, "--permutations", 20)
    code, out, _ = phenolens(capsys, "dictionary", "report", demo_run_path(), *options, "--json")
    assert code == 0
    told = json.loads(out)
    same(told["rows"], report.table)
    same(told["features"], report.features)
    assert sum(row["atoms"] for row in told["usage"]) == 256 and told["tree"] is None
    assert len(told["spectrum"]) == len(report.spectrum) and told["probes"][0]["on"] == "tokens"
    assert told["labels"]["DMSO"] == 12 and told["notes"] == report.facts["notes"]
    code, _, err = phenolens(capsys, "dictionary", "report", demo_run_path(), "--column", "drug", "--fields", 0)
    assert code == 1 and "no column 'drug'; it has" in err


def test_pages_and_tables(report: DictionaryReport, tmp_path: Path) -> None:
    page = export_dictionary_report(report, tmp_path / "r.html")[0].read_text(encoding="utf-8")
    shown = unescape(page)
    for metric in METRICS.values():
        assert metric.title in shown and metric.meaning in shown
    assert page.count("<svg") == 2 and "not nested" in page and re.search(r"<td class=\"n\">256</td>", page)
    text = export_dictionary_report(report, tmp_path / "r.md")[0].read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count(" | ") for line in lines[:5]}) == 1 and text.startswith("# Dictionary of")
    files = export_dictionary_report(report, tmp_path / "r.csv")
    assert [f.name for f in files] == ["r.csv", "r.json", "r_features.csv"]
    same(pd.read_csv(files[0]).to_dict("records"), report.table)
    assert len(pd.read_csv(files[2])) == 256
    assert json.loads(files[1].read_text(encoding="utf-8"))["column"] == "compound"
    with pytest.raises(ExportError, match=r"\.html, \.md or \.csv"):
        export_dictionary_report(report, tmp_path / "r.pdf")


def test_two_lenses(
    comparison: LensComparison, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert comparison.matching["by"] == "atoms" and comparison.matching["mean"] == pytest.approx(1.0)
    assert (comparison.pairs["feature_a"] == comparison.pairs["feature_b"]).all()
    assert comparison.table.loc["telling", "difference"] == 0 and comparison.verdict.startswith("Neither")
    page = export_lens_comparison(comparison, tmp_path / "c.html")[0].read_text(encoding="utf-8")
    assert comparison.verdict.split(".")[0] in page and "256 features matched one to one" in page
    assert "## Matched features" in export_lens_comparison(comparison, tmp_path / "c.md")[0].read_text(encoding="utf-8")
    options = ("--column", "compound", "--fields", 0, "--permutations", 20)
    code, out, _ = phenolens(
        capsys, "compare-lenses", demo_run_path(), other, *options, "--out", tmp_path / "c.csv", "--json"
    )
    assert code == 0
    told = json.loads(out)
    same(told["rows"], comparison.table)
    assert told["verdict"] == comparison.verdict and len(told["pairs"]) == 256
    assert len(pd.read_csv(tmp_path / "c_pairs.csv")) == 256
    code, _, err = phenolens(capsys, "compare-lenses", other, other, *options)
    assert code == 1 and "the same" in err


def test_what_a_run_keeps_of_its_fields() -> None:
    run = ph.open_run(demo_run_path())
    tokens = mean_tokens(run)
    # the alignment of a well is the product of its mean token and the atoms
    np.testing.assert_allclose(
        tokens.to_numpy() @ run.lens.dictionary.atoms.T, run.profiles(kind="alignment").to_numpy(), atol=1e-4
    )
    covariates = field_covariates(run)
    assert list(covariates.index) == list(run.field_profiles().index) and "strength" not in covariates
    by_well = covariates.groupby(level="well").mean()
    known = run.covariates()
    np.testing.assert_allclose(by_well["cell_count"].loc[known.index], known["cell_count"])
