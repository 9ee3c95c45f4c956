"""What was open lately: newest first, once each, opened again as it was; damage and absence are no end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from napari_phenolens.viewer.recent import MOST, Recent, note_recent, read_recent, recent_file


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config"
    monkeypatch.setenv("PHENOLENS_CONFIG", str(folder))
    return folder


def test_newest_first_and_once_each(config: Path) -> None:
    assert read_recent() == []
    for i in range(MOST + 3):
        note_recent(Recent("plate", f"/plates/{i}", str(i)))
    note_recent(Recent("plate", "/plates/9", "9"))
    names = [entry.name for entry in read_recent()]
    assert names == ["9", *[str(i) for i in range(MOST + 2, 2, -1) if i != 9]]
    assert recent_file().parent == config


@pytest.mark.parametrize("text", ["{", "[]", '{"recent": 5}', '{"recent": [{"kind": "plate"}]}', '{"recent": [3]}'])
def test_a_damaged_list_begins_anew(text: str, caplog: pytest.LogCaptureFixture) -> None:
    recent_file().parent.mkdir()
    recent_file().write_text(text)
    assert read_recent() == []
    assert str(recent_file()) in caplog.text
    note_recent(Recent("run", "/r"))
    assert [entry.path for entry in read_recent()] == ["/r"]


def test_a_home_that_cannot_be_written_stops_nothing(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    config.write_text("a file where the folder should be")
    note_recent(Recent("run", "/r"))
    assert "cannot be " in caplog.text


def test_what_is_gone_is_known_with_the_reason(tmp_path: Path) -> None:
    assert Recent("plate", str(tmp_path)).why_gone == ""
    assert "not there any more" in Recent("plate", str(tmp_path / "a")).why_gone
    assert Recent("run", str(tmp_path)).why_gone == "run.json is not in it any more"


def test_plates_runs_and_sessions_are_noted_and_open_again(
    bench: Any, plate_folder: Path, run_folder: Path, settle: Any, tmp_path: Path
) -> None:
    options = {"pattern": "{well}_f{field}_{channel}.tif"}
    bench.opening.plate(plate_folder, options=options)
    settle(bench)
    bench.opening.run(run_folder)
    settle(bench)
    file = bench.saving.save(tmp_path / "s")
    assert [(e.kind, e.path) for e in read_recent()] == [
        ("session", str(file)),
        ("run", str(run_folder)),
        ("plate", str(plate_folder)),
    ]
    session, run, plate = read_recent()
    assert plate.platemap == str(plate_folder / "platemap.csv")
    bench.remembering.open(plate)
    settle(bench)
    assert bench.session.plate.options["pattern"] == options["pattern"]
    assert bench.opening.platemap == plate_folder / "platemap.csv"
    for entry in (run, session):
        bench.opening.put(None, None, None)
        bench.remembering.open(entry)
        settle(bench)
        assert bench.session.run is not None
    assert read_recent()[0].kind == "session"
    assert json.loads(recent_file().read_text())["version"] == 1
