"""Cells of the demo plate, whose state is known: what is told of them, on the command line too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_phenolens import looks, open_run, subpopulations
from napari_phenolens.analysis import Looks
from napari_phenolens.analysis.calibration import calibration
from napari_phenolens.cli import main
from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED, demo_run_path, demo_truth
from napari_phenolens.run import Run

TRANSLOCATION, MIXED = DEMO_PERTURBED["translocation"], DEMO_PERTURBED["mixed translocation"]


@pytest.fixture(scope="module")
def run(demo_with_cells: Path) -> Run:
    return open_run(demo_with_cells)


@pytest.fixture(scope="module")
def found(run: Run) -> Looks:
    return looks(run, DEMO_CONTROLS, TRANSLOCATION)


@pytest.fixture(scope="module")
def responding(run: Run) -> pd.Series:
    """Whether each cell responds; cells of which the truth knows no nucleus, or several, are left out."""
    cells, truth = run.cells(), demo_truth().cells
    at = [run.cell_at(c.well, None, (c.y, c.x)) for c in truth.itertuples()]
    hit = truth.assign(cell=at).dropna(subset="cell")
    once = hit[~hit["cell"].duplicated(keep=False)]
    assert len(once) > 0.9 * len(cells)
    return pd.Series(once["responding"].to_numpy(bool), index=once["cell"].to_numpy(int))


def test_clicked_cells_are_told_right(run: Run, found: Looks, responding: pd.Series) -> None:
    cells = found.cells.loc[responding.index]
    right = (cells["probability"] > 0.5) == responding
    mixed = cells["well"].isin(run.select(MIXED))
    told = cells["side"] != ""
    assert mixed.sum() >= 45 and told.sum() >= 400
    # every cell by models that never saw its well; those of the mixed wells are in no training at all
    for of in (mixed & responding, mixed & ~responding, told & responding, told & ~responding):
        assert right[of].mean() >= 0.9


def test_escapers_of_every_mixed_well_are_counted(run: Run, found: Looks) -> None:
    wells = run.select(MIXED)
    counted = subpopulations(run, DEMO_CONTROLS, TRANSLOCATION, wells=MIXED, found=found)
    truth = demo_truth().cells
    for well in wells:
        # the planted share of all cells that lie in the field, those that no segmentation found too
        planted = 1 - truth[truth["well"] == well]["responding"].mean()
        assert counted.wells.loc[well, "escapers"] == pytest.approx(planted, abs=0.08)
        assert counted.wells.loc[well, "escapers_low"] < planted < counted.wells.loc[well, "escapers_high"]
    full = subpopulations(run, DEMO_CONTROLS, TRANSLOCATION, found=found)
    assert full.escapers.value <= 0.08  # at the top dose every cell responds
    assert counted.false_positives.value <= 0.05


def test_probabilities_can_be_taken_at_their_word(run: Run, found: Looks, responding: pd.Series) -> None:
    assert found.calibration is not None
    assert found.calibration.error.value <= 0.05
    # and against what was planted, in wells of both states that no model was trained on
    mixed = found.cells.loc[responding.index]
    mixed = mixed[mixed["well"].isin(run.select(MIXED))]
    planted = calibration(mixed["probability"], responding[mixed.index], mixed["well"], bins=5)
    assert planted.error.value <= 0.10  # of 50 cells: 0.05 by chance alone


@pytest.mark.parametrize("name", ["nuclear size", "actin texture"])
def test_other_phenotypes_are_told_and_calibrated(run: Run, name: str) -> None:
    found = looks(run, DEMO_CONTROLS, DEMO_PERTURBED[name])
    assert found.accuracy.value >= 0.85 and found.auroc.value >= 0.93
    assert found.calibration is not None and found.calibration.error.value <= 0.05


def test_control_wells_among_themselves_tell_nothing(run: Run) -> None:
    wells = run.select(DEMO_CONTROLS)
    rng = np.random.default_rng(0)
    accuracy = []
    for _ in range(6):
        drawn = list(rng.permutation(wells))
        accuracy.append(looks(run, drawn[:6], drawn[6:], draws=20).accuracy.value)
    assert np.mean(accuracy) == pytest.approx(0.5, abs=0.1)


def test_the_command_line_says_the_same(run: Run, found: Looks, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> dict:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--json"])
        assert ended.value.code == 0
        return json.loads(capsys.readouterr().out)

    out = Path(run.path) / "cells.csv"
    query = ["--controls", DEMO_CONTROLS, "--perturbed", TRANSLOCATION, "--wells", MIXED, "--out", str(out)]
    got = said("subpopulations", str(run.path), *query)
    known = subpopulations(run, DEMO_CONTROLS, TRANSLOCATION, wells=MIXED, found=found)
    assert got["escapers"]["value"] == known.escapers.value
    assert got["looks"]["calibration_error"]["value"] == found.calibration.error.value
    rows = pd.DataFrame(got["rows"]).set_index("well")
    np.testing.assert_array_equal(rows["responders"].dropna(), known.wells["responders"].dropna())
    written = pd.read_csv(out, index_col="cell")
    assert written["state"].tolist() == known.cells["state"].tolist()
    np.testing.assert_allclose(written["probability"], found.cells.loc[written.index, "probability"])


def test_cells_from_a_folder_of_labels(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import tifffile

    folder = tmp_path / "labels"
    folder.mkdir()
    for well in ("A04", "D08"):
        tifffile.imwrite(folder / f"{well}_f1_DNA_cp_masks.tif", run.cell_labels(well).astype(np.uint16))
    again = shutil.copytree(demo_run_path(), tmp_path / "run")

    def ended(*words: str) -> int:
        with pytest.raises(SystemExit) as end:
            main(["cells", str(again), *words])
        return int(end.value.code or 0)

    out = tmp_path / "cells.csv"
    assert ended("--labels", str(folder), "--out", str(out), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    cells = run.cells()
    mine = cells[cells["well"].isin(["A04", "D08"])].reset_index(drop=True)
    assert said["cells"] == len(mine) and [row["well"] for row in said["rows"]] == ["A04", "D08"]
    assert said["source"]["kind"] == "folder" and len(said["skipped"]) == 34
    written = pd.read_csv(out, index_col="cell")
    pd.testing.assert_frame_equal(
        written[list(mine.columns)], mine.astype({"field": int}), check_dtype=False, check_names=False
    )
    opened = open_run(again)
    rows = cells.index[cells["well"].isin(["A04", "D08"])]
    assert abs(opened.cell_codes() - run.cell_codes()[rows]).max() < 1e-7
    assert len(opened.cell_measurements().columns) > 50
    assert written["area_nucleus"].notna().mean() > 0.5
    # other cells do not slip in, and the message says what to type
    assert ended() == 1
    assert "--replace" in capsys.readouterr().err
    assert ended("--labels", str(folder), "--reach", "3") == 2
