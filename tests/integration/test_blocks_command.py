"""``phenolens blocks`` and ``ph.blocks`` on a real small plate: the same numbers, and how the command ends."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from miniplate import NEGATIVE, write_plate

import napari_phenolens as ph
from napari_phenolens.cli import main
from napari_phenolens.cli.blocks import say_blocks

POSITIVE = "control_type == 'poscon'"


@pytest.fixture(scope="module")
def plate_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plate(tmp_path_factory.mktemp("plates") / "mini", fields=1)


def typed(*args: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(arg) for arg in args])
    return int(ended.value.code or 0)


@pytest.mark.slow
def test_the_command_gives_the_numbers_of_python(
    plate_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = ph.blocks(
        ph.open_plate(plate_folder, plate_folder / "platemap.csv"),
        controls=NEGATIVE, perturbed=POSITIVE, device="cpu", tokens=tmp_path / "tokens",
    )  # fmt: skip
    asked = [
        "blocks", plate_folder, "--platemap", plate_folder / "platemap.csv", "--controls", NEGATIVE, "--perturbed",
        POSITIVE, "--device", "cpu", "--tokens", tmp_path / "tokens",
    ]  # fmt: skip
    capsys.readouterr()
    code = typed(*asked, "--json", "--out", tmp_path / "curve.csv", "--figure", tmp_path / "curve.svg")
    printed = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [r["block"] for r in printed["rows"]] == [1, 2, 3, 4, 5, 6]
    for row, (_, of) in zip(printed["rows"], table.iterrows(), strict=True):
        assert row["balanced_accuracy"] == of["balanced_accuracy"]
        assert row["perturbation_r2"] == of["perturbation_r2"]
        assert row["batch_r2"] is None
    assert printed["suggested"] == table.attrs["suggested"]
    assert table["balanced_accuracy"].max() == 1.0  # the planted difference is plain
    assert printed["classes"] == {"control": 4, "perturbed": 4}
    assert any("Few wells" in text for text in printed["warnings"])
    written = pd.read_csv(tmp_path / "curve.csv", index_col="block")
    assert written["balanced_accuracy"].tolist() == pytest.approx(table["balanced_accuracy"].tolist())
    assert json.loads((tmp_path / "curve.json").read_text())["suggested"] == printed["suggested"]
    assert (tmp_path / "curve.svg").read_text().startswith("<svg")

    say_blocks(table)
    words = capsys.readouterr().out
    assert f"Suggested: block {table.attrs['suggested']}" in words
    assert f"--block {table.attrs['suggested']}" in words
    assert "in-sample" in words


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ([], 2, "--column NAME"),
        (["--perturbed", POSITIVE], 2, "--controls QUERY"),
        (["--column", "control_type", "--perturbed", POSITIVE, "--controls", NEGATIVE], 2, "--column NAME"),
        (["--column", "control_type", "--figure", "curve.pdf"], 2, ".svg or .png"),
        (["--column", "colour"], 1, "no column 'colour'"),
        (["--controls", "A01,A02", "--perturbed", POSITIVE], 1, "3 wells or more"),
        (["--controls", NEGATIVE, "--perturbed", POSITIVE, "--encoder", "none"], 1, "none"),
    ],
)
def test_wrong_input_says_what_and_how(
    plate_folder: Path, args: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("blocks", plate_folder, "--platemap", plate_folder / "platemap.csv", *args) == code
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
