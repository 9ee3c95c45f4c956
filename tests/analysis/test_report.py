"""The BBBC013 report runs through on the real map, and finds what was planted."""

from __future__ import annotations

import argparse
import importlib.util
from types import SimpleNamespace

import numpy as np
import pandas as pd

from napari_phenolens.plate import open_plate


def test_report(repo, shared_data, make_run, monkeypatch):
    spec = importlib.util.spec_from_file_location("report_bbbc013", repo / "tools" / "report_bbbc013.py")
    report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    folder = shared_data / "bbbc013"
    plate = open_plate(folder, folder / "platemap_derived.csv")
    kinds = plate.metadata["control_type"].to_dict()
    run = make_run(kinds, m=40)
    run.metadata = plate.metadata
    rank = plate.metadata["concentration"].where(
        plate.metadata["compound"] != "LY294002", plate.metadata["concentration"] * 500
    )
    run.values[5] = np.log1p(rank.astype(float)) + 0.05 * np.random.default_rng(0).normal(size=96)
    run.extra = pd.DataFrame({"cell_count": np.arange(96.0), "foreground_share": 0.4}, index=run.values.index)
    run.lens.whitening = SimpleNamespace(kind="pca")
    run.lens.dictionary.method = "icfl"
    measured = pd.DataFrame({"mean GFP": -run.values[5], report.RATIO: run.values[5]})
    monkeypatch.setattr(report, "translocation_ratio", lambda plate, wells: measured.loc[wells])
    args = argparse.Namespace(bootstrap=60, splits=12, split_bootstrap=4, seed=0)
    text = report.report(run, plate, args)
    assert text.count("| **feature** |") == 2 and text.count("top ten: [5,") == 2
    row = next(line for line in text.splitlines() if line.startswith("| **feature**")).split("|")
    assert float(row[8].split()[0]) > 0.98  # dose, best of ten
    assert len(row) == len(report.HEAD) + 2
    assert "chosen on the other drug: 5" in text
    score = next(line for line in text.splitlines() if line.startswith("| **phenotype score**")).split("|")
    assert len(score) == len(row) and score[8].strip() == "-"
    assert np.isfinite(float(score[2].split()[0])) and text.count("features of the phenotype score: ") == 2
    ratio = report.signed(report.Interval(0.5, 0.4, 0.7), -1.0)
    assert (ratio.value, ratio.low, ratio.high) == (-0.5, -0.7, -0.4)


def test_hand_made_ratio(repo, shared_data):
    spec = importlib.util.spec_from_file_location("report_bbbc013", repo / "tools" / "report_bbbc013.py")
    report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    folder = shared_data / "bbbc013"
    plate = open_plate(folder, folder / "platemap_derived.csv")
    got = report.translocation_ratio(plate, ["A01", "A12"])[report.RATIO]
    assert got["A01"] < 1.5 and got["A12"] > 3  # cytoplasmic, nuclear
