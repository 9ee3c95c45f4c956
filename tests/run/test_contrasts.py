"""The log of contrasts tried on a run."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from napari_phenolens.run.contrasts import FILE, contrasts_tried, note_contrast, tried_note
from napari_phenolens.run.errors import RunError


def test_the_same_wells_are_one_contrast(tmp_path: Path) -> None:
    run = SimpleNamespace(path=tmp_path)
    assert len(contrasts_tried(run)) == 0
    assert note_contrast(run, ["A01", "A02"], ["B01"], name="first", by="napari") == 1
    assert note_contrast(run, ["A02", "A01"], ["B01"], by="command line") == 1
    assert note_contrast(run, ["B01"], ["A01", "A02"], by="napari", picked_after=True) == 2
    table = contrasts_tried(tmp_path)
    assert table["times"].tolist() == [2, 1]
    assert table["name"].tolist() == ["first", ""]
    assert table["picked_after"].tolist() == [False, True]
    assert table["controls"].tolist() == [["A01", "A02"], ["B01"]]
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == [FILE]


def test_damage_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match="damaged"):
        note_contrast(tmp_path, ["A01"], ["B01"], by="napari")
    assert (tmp_path / FILE).read_text(encoding="utf-8") == "{"


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RunError, match=r"not counted|cannot be read"):
        note_contrast(tmp_path / "file", ["A01"], ["B01"], by="napari")


def test_what_is_said_of_the_number() -> None:
    assert tried_note(0) == tried_note(1) == ""
    assert "5 contrasts" in tried_note(5) and "0.01" in tried_note(5)


def test_the_file_is_json_with_a_schema(tmp_path: Path) -> None:
    note_contrast(tmp_path, ["A01"], ["B01"], by="napari")
    assert json.loads((tmp_path / FILE).read_text(encoding="utf-8"))["schema"] == 1
