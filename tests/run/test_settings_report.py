"""The tool that compares settings on BBBC013: profiles as a run's, choices made on one half of the plate."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.analysis import split_half
from napari_phenolens.plate import open_plate


@pytest.fixture
def tool(repo, monkeypatch):
    if not (repo / "tools").is_dir():
        pytest.skip("the tools are not part of this copy")
    monkeypatch.syspath_prepend(str(repo / "tools"))
    import report_settings

    yield report_settings
    for name in ("report_settings", "fit_settings", "report_bbbc013"):
        sys.modules.pop(name, None)


@pytest.fixture
def fits(tool):
    return sys.modules["fit_settings"]


def test_profiles_are_those_of_a_run(tool, fits, finished, plate, tmp_path):
    found = fits.profiles_of(finished.lens, plate, Path(finished.plan.tokens_folder))
    pd.testing.assert_frame_equal(
        found, finished.profiles(), check_names=False, check_dtype=False, check_column_type=False, rtol=2e-3, atol=1e-6
    )
    fits.keep(tmp_path / "one.npz", found, {"cosine": 0.5})
    kept = tool.Kept(tmp_path / "one.npz", plate.metadata)
    assert kept.wells == list(plate.wells) and kept.facts == {"cosine": 0.5}
    assert kept.select("control_type == 'negcon'") == plate.select("control_type == 'negcon'")
    np.testing.assert_allclose(kept.profiles(), found, rtol=1e-6)


def test_what_is_there_is_not_fitted_again(tool, fits, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(fits, "open_plate", lambda *_: "plate")

    def fit(plate, controls, **settings):
        asked.append((settings["method"], settings["seed"], settings.get("fit_on"), settings["steps"]))
        raise RuntimeError("stop")

    monkeypatch.setattr(fits, "fit_lens", fit)
    monkeypatch.setattr(fits.streaming, "look", fits.streaming.look)
    args = argparse.Namespace(
        plate="", platemap="", work=tmp_path, tokens=None, seeds=2, first_seed=0, patch_steps=7,
        only=[tool.DEFAULT.name, tool.LEFT_OUT.name],
    )  # fmt: skip
    for expected in [("icfl", 0, None, 7), ("icfl", 0, "(well < 'E')", 7), ("icfl", 1, None, 7)]:
        with pytest.raises(RuntimeError):
            fits.fit_all(args, print)
        assert asked[-1] == expected
        left = tool.LEFT_OUT if expected[2] else tool.DEFAULT
        (tmp_path / f"{left.name}-{expected[1]}.npz").touch()


def test_the_best_of_one_half_is_quoted_on_the_other(tool, fits, shared_data, tmp_path, monkeypatch):
    folder = shared_data / "bbbc013"
    plate = open_plate(folder, folder / "platemap_derived.csv")
    wells = list(plate.wells)
    kind = plate.metadata["control_type"].reindex(wells)
    positive = (kind == "poscon").to_numpy()
    strength = {tool.DEFAULT: 4.0, tool.Setting("topk"): 9.0, tool.Setting(unit="crop"): 1.0, tool.LEFT_OUT: 3.0}
    for setting, effect in strength.items():
        for seed in (0, 1):
            values = np.random.default_rng([seed, 5]).normal(size=(96, 30)) + 10
            values[positive, :4] += effect
            frame = pd.DataFrame(values, index=wells)
            fits.keep(tmp_path / f"{setting.name}-{seed}.npz", frame, {"cosine": 0.5 + seed / 10, "steps": 1500})
    ratio = pd.DataFrame(
        {tool.RATIO: np.where(positive, 5.0, 1.0) + np.random.default_rng(1).normal(size=96) * 0.1}, wells
    )
    monkeypatch.setattr(tool, "translocation_ratio", lambda plate, wells: ratio)
    args = argparse.Namespace(
        plate=folder, platemap=folder / "platemap_derived.csv", work=tmp_path, seeds=5, splits=20, many=50
    )
    text = tool.report(args)
    assert text.count("TopK, whitened, patch (") == 4  # by feature and by score, on either half
    table = [line.split(" | ") for line in text.splitlines() if line.startswith("| feature SSMD")]
    assert len(table) == 5  # four choices, and the wells left out
    for row, sign in zip(table, (1, 1, 1, 1, -1), strict=True):
        this, default = (float(cell.split()[0]) for cell in row[1:3])
        assert (this - default) * sign > 0 and float(row[3].split()[0]) == pytest.approx(this - default, abs=0.011)
        low, high = (float(end) for end in row[3].split("[")[1].rstrip("]").split(", "))
        assert low < float(row[3].split()[0]) < high
    row = next(line for line in text.splitlines() if "(default)**" in line and "0.55" in line)
    assert "| 2 | 0.55 (0.50 to 0.60) |" in row
    assert tool.report(args) == text and len(list(tmp_path.glob("*.npy"))) == 4 * len(strength) * 2 - 4
    last = next(line for line in text.splitlines() if line.startswith(f"| LY294002 | {tool.RATIO}"))
    assert 0.7 < float(last.split(" | ")[2].split()[0]) < 1

    # the figures are those of split_half
    run = tool.Kept(tmp_path / f"{tool.DEFAULT.name}-0.npz", plate.metadata)
    for what in tool.WHAT:
        known = split_half(run, *tool.rows_of("Wortmannin"), splits=20, seed=0, phenotype=what == "score")
        found = tool.figures_of(run, "Wortmannin", args, what)
        assert found["Z'"] == pytest.approx(known.zprime.value) and found["SSMD"] == pytest.approx(known.ssmd.value)


def test_looks_are_remembered(fits):
    seen = []
    look = fits.remembered(lambda field, settings, rules: seen.append(field) or len(seen))
    rules = SimpleNamespace(nuclear="DNA", foreground=SimpleNamespace(to_dict=lambda: {"kind": "none"}))
    field, other = SimpleNamespace(files=["a.tif"]), SimpleNamespace(files=["b.tif"])
    assert [look(field, (), rules), look(field, (), rules), look(other, (), rules), look(field, (1,), rules)] == [
        1,
        1,
        2,
        3,
    ]
