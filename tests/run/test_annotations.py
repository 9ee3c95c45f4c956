"""Names, notes and stars: kept with the run, whole or not at all, and seen by whoever opens it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from napari_phenolens.run.annotations import FILE, Annotation, Annotations
from napari_phenolens.run.errors import RunError


@pytest.fixture
def said(tmp_path: Path) -> Annotations:
    return Annotations(tmp_path, "lens", 20)


def test_what_is_said_is_there_for_the_next_reader(said: Annotations, tmp_path: Path) -> None:
    assert not said[17]
    assert said.set(17, name="  nuclear\n GFP ", star=True) == Annotation("nuclear GFP", "", True)
    assert said.set(17, note="only in high doses") == Annotation("nuclear GFP", "only in high doses", True)
    said.set(3, name="edge")
    again = Annotations(tmp_path, "lens", 20)
    assert list(again) == [3, 17]
    assert again[17] == Annotation("nuclear GFP", "only in high doses", True)
    assert again.table().to_dict("index")[3] == {"name": "edge", "note": "", "star": False}
    assert again.names()[17] == "nuclear GFP" and again.names()[4] == "" and len(again.names()) == 20
    again.set(3, name="")
    assert 3 not in again and list(Annotations(tmp_path, "lens", 20)) == [17]


def test_two_writers_keep_each_others_words(said: Annotations, tmp_path: Path) -> None:
    other = Annotations(tmp_path, "lens", 20)
    threads = [
        threading.Thread(target=which.set, args=(feature,), kwargs={"name": f"feature {feature}"})
        for feature, which in enumerate([said, other] * 5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(Annotations(tmp_path, "lens", 20)) == list(range(10))


def test_a_write_that_fails_leaves_the_file_as_it_was(
    said: Annotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said.set(1, name="one")
    before = (tmp_path / FILE).read_text()

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_phenolens.run.json_file.os.replace", full)
    with pytest.raises(RunError, match=r"annotations\.json cannot be written: No space left"):
        said.set(1, name="other")
    assert (tmp_path / FILE).read_text() == before
    assert said[1].name == "one"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ('{"schema": 1, "lens": "lens"}', "damaged"),
        ('{"schema": 1, "lens": "lens", "features": {"2": {"colour": "red"}}}', "damaged"),
        ('{"schema": 1, "lens": "another", "features": {}}', "of another lens"),
        ('{"schema": 9, "lens": "lens", "features": {}}', "newer napari-phenolens"),
        ('{"schema": 1, "lens": "lens", "features": {"99": {}}}', "no feature 99"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(RunError, match=message):
        Annotations(tmp_path, "lens", 20)


def test_limits(said: Annotations) -> None:
    with pytest.raises(RunError, match="0 to 19"):
        said.set(20, name="x")
    with pytest.raises(RunError, match="80 are allowed"):
        said.set(2, name="x" * 81)
    assert not said


def test_of_a_run_in_comparison_and_on_the_command_line(finished, capsys: pytest.CaptureFixture[str]) -> None:
    import napari_phenolens as ph
    from napari_phenolens.cli import main

    def phenolens(*args: object) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        assert not ended.value.code
        return capsys.readouterr().out

    phenolens("name", finished.path, "rim of the nucleus", "--feature", 5, "--note", "see C02", "--star")
    rows = json.loads(phenolens("name", finished.path, "--json"))
    assert rows == [{"feature": 5, "name": "rim of the nucleus", "note": "see C02", "star": True}]
    run = ph.open_run(finished.path)
    assert run.annotations[5] == Annotation("rim of the nucleus", "see C02", True)
    table = ph.compare(run, perturbed="control_type == 'poscon'")
    assert table.loc[5, "name"] == "rim of the nucleus"
    assert set(table["name"]) == {"", "rim of the nucleus"}
    phenolens("name", finished.path, "", "--feature", 5, "--note", "", "--no-star")
    assert json.loads(phenolens("name", finished.path, "--json")) == []
