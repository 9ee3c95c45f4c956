"""``phenolens dose``, ``positions`` and ``contrasts`` on the demo plate: the numbers of Python, the planted EC50."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import napari_phenolens as ph
from napari_phenolens.cli import main
from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED, demo_run_path
from napari_phenolens.demo.phenotypes import EC50

PERTURBED = DEMO_PERTURBED["translocation"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the demo plate's run that may be written to."""
    return Path(shutil.copytree(demo_run_path(), tmp_path_factory.mktemp("demo") / "run"))


@pytest.fixture(scope="module")
def leading(folder: Path) -> int:
    table = ph.compare(ph.open_run(folder), DEMO_CONTROLS, PERTURBED, covariates=False)
    return int(table.index[0])


def typed(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main([str(arg) for arg in args])
    printed = capsys.readouterr()
    assert not ended.value.code, printed.err
    return printed.out


def numbers(rows: list[dict[str, Any]], table: pd.DataFrame) -> None:
    """Check rows of JSON against a table."""
    expected = table.reset_index()
    assert [list(row) for row in rows] == [list(expected.columns)] * len(expected)
    for row, (_, other) in zip(rows, expected.iterrows(), strict=True):
        for name, value in row.items():
            assert (value is None and pd.isna(other[name])) or value == other[name], name


def test_the_planted_dose_series(
    folder: Path, leading: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ph.open_run(folder)
    table = ph.dose_curves(run, leading, controls=DEMO_CONTROLS)
    out = tmp_path / "curves.svg"
    said = json.loads(
        typed(capsys, "dose", folder, "--feature", leading, "--controls", DEMO_CONTROLS, "--out", out, "--json")
    )
    numbers(said["rows"], table)
    assert out.read_text(encoding="utf-8").startswith("<svg")
    series = table[table["n_doses"] >= 4]
    assert len(series) == 1
    row = series.iloc[0]
    assert np.isfinite(row["ec50"]) == (row["reason"] == "")
    if row["reason"] == "":  # a feature need not be linear in the strength of the phenotype
        assert EC50 / 4 < row["ec50"] < EC50 * 4
    text = typed(capsys, "dose", folder, "--feature", leading, "--controls", DEMO_CONTROLS)
    assert ("EC50" in text) and str(series.index[0]) in text


def test_position_effects(folder: Path, leading: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "positions.csv"
    said = json.loads(typed(capsys, "positions", folder, "--feature", leading, "--out", out, "--json"))
    expected = ph.position_effects(ph.open_run(folder), leading)
    numbers(said["rows"], expected)
    assert pd.read_csv(out)["effect"].tolist() == ["row", "column", "edge"]


def test_contrasts_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["compare", folder, "--controls", DEMO_CONTROLS, "--top", 1]
    assert "were tried" not in typed(capsys, *asked, "--perturbed", PERTURBED)
    typed(capsys, *asked, "--perturbed", PERTURBED)
    others = sorted(set(ph.open_run(folder).select(PERTURBED)))[:3]
    said = typed(capsys, *asked, "--perturbed", ",".join(others), "--picked-after", "--how")
    assert "2 contrasts were tried on this run" in said.replace("\n  ", " ")
    assert "No p and no q" in said
    rows = json.loads(typed(capsys, "contrasts", folder, "--json"))
    assert [(row["times"], row["picked_after"], row["by"]) for row in rows] == [
        (2, False, "command line"),
        (1, True, "command line"),
    ]
    assert rows[1]["perturbed"] == others
