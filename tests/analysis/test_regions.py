"""Patches inside a drawn region against others: the right patches, plain figures, and never a p."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_phenolens import open_run, region_features
from napari_phenolens.analysis import AnalysisError
from napari_phenolens.demo import demo_run_path
from napari_phenolens.run import contrasts_tried

WELL = "B08"
SQUARE = [(31.5, 31.5), (31.5, 159.5), (127.5, 159.5), (127.5, 31.5)]


@pytest.fixture(scope="module")
def run() -> Any:
    return open_run(demo_run_path())


def dense(run: Any, well: str) -> np.ndarray:
    index, value = run.codes(well, None)
    made = np.zeros((len(index), run.n_features))
    np.add.at(made, (np.arange(len(index))[:, None], np.asarray(index).astype(int)), np.asarray(value, float))
    return made


def test_the_figures_are_those_of_the_patches_inside(run: Any) -> None:
    table = region_features(run, (WELL, None, SQUARE))
    place = run.field_row(WELL)
    h, w, scale = int(place["h"]), int(place["w"]), float(place["scale"])
    y, x = (scale * np.arange(n) + (scale - 1) / 2 for n in (h, w))
    inside = ((y > 31.5) & (y < 127.5))[:, None] & ((x > 31.5) & (x < 159.5))[None]
    fore = np.asarray(run.foreground(WELL)).astype(bool)
    one, rest = (dense(run, WELL)[(fore & part).ravel()] for part in (inside, ~inside))
    assert (table.attrs["patches_inside"], table.attrs["patches_outside"]) == (len(one), len(rest))
    assert len(one) > 30
    for feature in table.index[:3]:
        a, b = one[:, feature], rest[:, feature]
        wins = (a[:, None] > b).mean() + (a[:, None] == b).mean() / 2
        row = table.loc[feature]
        assert row["auroc"] == pytest.approx(wins)
        assert (row["inside"], row["outside"]) == pytest.approx((a.mean(), b.mean()))
        assert (row["active_inside"], row["active_outside"]) == pytest.approx(((a != 0).mean(), (b != 0).mean()))
        assert np.sign(row["effect"]) == np.sign(a.mean() - b.mean())
    away = (table["auroc"].dropna() - 0.5).abs().to_numpy()
    assert (np.diff(away) <= 1e-12).all()
    assert not {"p", "q"} & set(table.columns)
    assert "no p" in " ".join(table.attrs["notes"])


def test_two_regions_count_as_one_and_overlap_once(run: Any) -> None:
    low = [(31.5, 31.5), (31.5, 159.5), (95.5, 159.5), (95.5, 31.5)]
    high = [(63.5, 31.5), (63.5, 159.5), (127.5, 159.5), (127.5, 31.5)]
    whole = region_features(run, (WELL, None, SQUARE))
    parts = region_features(run, [(WELL, None, low), (WELL, None, high)])
    pd.testing.assert_frame_equal(whole, parts)
    assert whole.attrs["sides"] == parts.attrs["sides"]


def test_against_control_wells(run: Any) -> None:
    other = next(well for well in run.wells if well not in run.controls)
    table = region_features(run, (other, None, SQUARE), against="control")
    patches = sum(int(np.asarray(run.foreground(w, f)).sum()) for w in run.controls for f in run.fields(w))
    assert table.attrs["patches_outside"] == patches
    own = region_features(run, (run.controls[0], None, SQUARE), against="control")
    assert own.attrs["patches_outside"] + own.attrs["patches_inside"] == patches  # a control's region is taken out


@pytest.mark.parametrize(
    ("region", "against", "said"),
    [
        ((WELL, None, SQUARE[:2]), "rest", "three corners"),
        ((WELL, None, [(0, 0), (0, 3), (3, 3)]), "rest", "draw a larger region"),
        ((WELL, None, SQUARE), "others", "'rest' or 'control'"),
        (("P24", None, SQUARE), "rest", "no results for well"),
        ([], "rest", "no region"),
    ],
)
def test_what_cannot_be_compared_is_said(run: Any, region: Any, against: str, said: str) -> None:
    with pytest.raises(AnalysisError, match=said):
        region_features(run, region, against=against)


def test_the_command_line_gives_the_same_numbers_and_counts_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from napari_phenolens.cli import main

    folder = shutil.copytree(demo_run_path(), tmp_path / "run")
    corners = ";".join(f"{y},{x}" for y, x in SQUARE)
    for tried in (1, 1):  # the same region again is no second contrast
        with pytest.raises(SystemExit) as ended:
            main(["region", str(folder), "--well", WELL, "--corners", corners, "--json"])
        assert not ended.value.code
        printed = json.loads(capsys.readouterr().out)
        assert printed["contrasts_tried"] == tried
    run = open_run(folder)
    table = region_features(run, (WELL, None, SQUARE))
    assert [row["feature"] for row in printed["rows"]] == list(table.index)
    np.testing.assert_array_equal([row["inside"] for row in printed["rows"]], table["inside"])
    log = contrasts_tried(run)
    assert log["picked_after"].tolist() == [True]
    assert "B08" in log["name"].iloc[0]
