"""The same settings of a fit from Python, the command line and napari."""

from __future__ import annotations

from typing import Any

import pytest
from miniplate import NEGATIVE, SETTINGS, write_plate
from typer.testing import CliRunner

from napari_phenolens import lens, run
from napari_phenolens.cli import commands
from napari_phenolens.plate import open_plate
from napari_phenolens.viewer import running
from napari_phenolens.viewer.running import RunSettings


def test_the_dock_offers_what_fit_lens_takes():
    from napari_phenolens.run.fit import METHODS, WHITENINGS

    assert set(running.METHODS) == set(METHODS) and set(running.WHITENINGS) == set(WHITENINGS)
    assert (next(iter(running.METHODS)), next(iter(running.WHITENINGS))) == (RunSettings.method, RunSettings.whitening)
    plain = running.options(RunSettings("out"), ["A01"])
    assert not {"method", "whitening", "start", "fit_on"} & set(plain)  # runs of before there was a choice go on


@pytest.mark.filterwarnings("ignore:only .* control tokens:UserWarning")
def test_python_command_line_and_napari_fit_the_same_lens(tmp_path, monkeypatch):
    folder = write_plate(tmp_path / "mini", fields=1)
    plate = open_plate(folder, folder / "platemap.csv")
    common: dict[str, Any] = {"tokens": tmp_path / "tokens", "device": "cpu"}
    asked = {"method": "nested", "whitening": "tvn", "fit_on": "well < 'D'", "block": 1, "atoms": 48}
    first = run.fit_lens(plate, NEGATIVE, **common | SETTINGS | {"steps": 5}).save(tmp_path / "first")
    # few steps for all three: napari has no box for them
    whole = run.fit_lens
    monkeypatch.setattr("napari_phenolens.run.job.fit_lens", lambda *a, **k: whole(*a, **(k | {"steps": 8})))

    python = run.run_plate(
        plate, tmp_path / "python", controls=NEGATIVE, start=first, sparsity=(4, 2), **common, **asked
    )  # fmt: skip
    words = ["run", str(folder), "--platemap", str(folder / "platemap.csv"), "--controls", NEGATIVE]
    words += ["--out", str(tmp_path / "line"), "--start-lens", str(first), "--sparsity", "4,2"]
    for name, value in {**common, **asked}.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    said = CliRunner().invoke(commands.app, words)
    assert said.exit_code == 0, said.output
    monkeypatch.setattr(running, "preferences", lambda: type("P", (), {"token_folder": str(tmp_path / "tokens")})())
    settings = RunSettings(
        str(tmp_path / "dock"), device="cpu", rounds=4, per_round=2, start=str(first),
        **{k: v for k, v in asked.items()},
    )  # fmt: skip
    job: Any = type("Job", (), {"report": None, "cancelled": staticmethod(lambda: False)})()
    dock = running.perform(plate, settings, NEGATIVE, job)

    lenses = [lens.load_lens(tmp_path / where / "lens.safetensors") for where in ("python", "line", "dock")]
    assert len({each.fingerprint for each in lenses}) == 1
    assert lenses[0].dictionary.method == "nested" and lenses[0].whitening.kind == "tvn"
    assert lenses[0].facts["start"] == lens.load_lens(first).fingerprint and len(lenses[0].facts["fit_on"]) == 6
    assert python.profiles().equals(dock.profiles())
