"""Sessions saved and opened again: all that was chosen comes back; what is gone is said; nothing in a file is run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_phenolens.viewer import compat, session_file
from napari_phenolens.viewer.saving import open_session, save_session
from napari_phenolens.viewer.session_file import SavedContrast, SavedSession, SessionError
from napari_phenolens.viewer.workbench import workbench_for


@pytest.fixture
def other() -> Any:
    """Give the workbench of another fresh viewer."""
    from napari.components import ViewerModel

    viewer = ViewerModel()
    made = workbench_for(viewer)
    yield made
    made.close()
    assert made.jobs.wait(20)
    del viewer


@pytest.fixture
def chosen(opened: Any, fakes: Any, settle: Any) -> Any:
    """Give a workbench on which much was chosen."""
    bench, s = opened, opened.session
    bench.contrasting.by_values("compound", "DMSO", "compound 3")
    settle(bench)
    bench.contrasting.rename(s.contrasts[-1], "third compound")
    bench.showing.well("B04", "2")
    settle(bench)
    bench.showing.feature(fakes.PLANTED)
    bench.showing.feature(7, 1, "alignment")
    bench.showing.feature(fakes.PLANTED, 2, "phenotype")
    settle(bench)
    s.feature = fakes.PLANTED
    bench.mark(("C03",), "excluded")
    bench.showing.set_opacity(0.55)
    bench.slots.layer(0).contrast_limits = (0.1, 0.42)
    bench.images.layers[0].contrast_limits = (150, 900)
    bench.images.layers[1].visible = False
    s.colour_by = "feature"
    s.kept_cells = (4, 2)
    camera = compat.camera(bench.viewer)
    camera.center, camera.zoom = (0.0, 11.0, 17.0), 3.5
    assert s.problem is None
    return bench


FIELDS = (
    "control_query", "perturbed_query", "positive_query", "excluded_query", "hand_roles", "roles", "feature", "slots",
    "well", "field_name", "view", "colour_by", "kept_cells", "pairs",
)  # fmt: skip


def test_a_session_comes_back_whole(chosen: Any, other: Any, tmp_path: Path) -> None:
    """Checklist 13: all that was open and chosen, in another viewer."""
    file = chosen.saving.save(tmp_path / "afternoon")
    assert file == tmp_path / "afternoon.phenolens.json"
    assert other.saving.open_and_wait(file) == ()
    before, after = chosen.session, other.session
    assert after.problem is None
    assert after.plate.path == before.plate.path
    assert after.run is before.run
    for name in FIELDS:
        assert getattr(after, name) == getattr(before, name), name
    assert [c.name for c in after.contrasts] == ["Perturbed vs control", "third compound"]
    for old, new in zip(before.contrasts, after.contrasts, strict=True):
        assert (new.controls, new.perturbed, new.about["by"]) == (old.controls, old.perturbed, old.about["by"])
        assert new.features.equals(old.features)
    assert after.comparison is after.contrasts[1]
    for i in range(3):
        old, new = chosen.slots.layer(i), other.slots.layer(i)
        assert np.array_equal(new.data, old.data)
        assert tuple(new.contrast_limits) == pytest.approx(tuple(old.contrast_limits))
        assert new.opacity == 0.55
        assert new.visible
    assert tuple(other.slots.layer(0).contrast_limits) == (0.1, 0.42)
    pictures = zip(chosen.images.layers, other.images.layers, strict=True)
    for old, new in pictures:
        assert np.array_equal(new.data, old.data)
        assert tuple(new.contrast_limits) == tuple(old.contrast_limits)
        assert new.visible == old.visible
    assert compat.camera(other.viewer).zoom == 3.5
    assert tuple(compat.camera(other.viewer).center) == (0.0, 11.0, 17.0)
    assert json.loads(file.read_text()) == {**json.loads(other.saving.save(tmp_path / "b").read_text())}


def test_the_overview_and_the_mosaic_come_back(opened: Any, other: Any, settle: Any, tmp_path: Path) -> None:
    for view in ("well", "plate"):
        opened.showing.view(view)
        settle(opened)
        assert other.saving.open_and_wait(opened.saving.save(tmp_path / view)) == ()
        assert other.session.view == view
        assert other.session.well == opened.session.well


def test_side_by_side_comes_back(opened: Any, other: Any, settle: Any, tmp_path: Path) -> None:
    opened.showing.side_by_side()
    settle(opened)
    assert other.saving.open_and_wait(opened.saving.save(tmp_path / "pair")) == ()
    assert other.session.side_by_side
    assert len(other.side.layers) == len(opened.side.layers)


def test_a_contrast_picked_after_looking_gets_no_p_by_reopening(
    opened: Any, other: Any, settle: Any, tmp_path: Path
) -> None:
    s = opened.session
    picked = [w for w in s.wells if w[1:] in {"03", "04"}]
    opened.contrasting.by_selection(s.comparison.controls, picked, picked_after=True)
    settle(opened)
    opened.mark(("C03",), "excluded")
    file = opened.saving.save(tmp_path / "picked")
    other.saving.open_and_wait(file)
    first, second = other.session.contrasts
    assert first.features["p"].notna().any()
    assert "p" not in second.features or second.features["p"].isna().all()
    assert other.contrasting.picked_after  # the well that was excluded by hand after looking
    values = json.loads(file.read_text())
    del values["contrasts"][0]["picked_after"], values["marked_after"]
    file.write_text(json.dumps(values))
    other.saving.open_and_wait(file)
    assert not any(c.features["p"].notna().any() for c in other.session.contrasts if "p" in c.features)


def test_the_public_functions(opened: Any, plate_folder: Path, tmp_path: Path) -> None:
    from napari.components import ViewerModel

    viewer, again = ViewerModel(), ViewerModel()
    file = opened.saving.save(tmp_path / "s")
    assert open_session(viewer, file) == ()
    second = save_session(viewer, tmp_path / "t")
    assert open_session(again, second) == ()
    assert json.loads(second.read_text()) == json.loads(file.read_text())
    for each in (viewer, again):
        workbench_for(each).close()


def test_opening_again_counts_no_contrast_twice(opened: Any, other: Any, tmp_path: Path) -> None:
    from napari_phenolens.run import contrasts_tried

    tried = len(contrasts_tried(opened.session.run))
    file = opened.saving.save(tmp_path / "same")
    other.saving.open_and_wait(file)
    assert len(contrasts_tried(opened.session.run)) == tried


# ---- what is gone ----
def test_a_plate_that_is_gone_is_said_and_the_rest_comes_back(chosen: Any, other: Any, tmp_path: Path) -> None:
    saved = replace(chosen.saving.gather(), plate=str(tmp_path / "moved away"))
    file = session_file.write(tmp_path / "s", saved)
    notes = other.saving.open_and_wait(file)
    assert len(notes) == 1
    assert str(tmp_path / "moved away") in notes[0]
    assert "Open its folder where it is now" in notes[0]
    assert other.session.problem.message == notes[0]
    assert other.session.plate is None
    assert other.session.well == "B04"
    assert other.session.slots == chosen.session.slots
    assert len(other.session.contrasts) == 2


def test_a_run_that_is_gone(chosen: Any, other: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import napari_phenolens.run as room

    file = chosen.saving.save(tmp_path / "s")

    def gone(path: Any) -> Any:
        raise room.RunError(f"{path}: no run here")

    monkeypatch.setattr(room, "open_run", gone)
    notes = other.saving.open_and_wait(file)
    assert any("no run here" in note and "Open results" in note for note in notes)
    assert other.session.run is None
    assert other.session.plate.name == "small plate"
    assert other.session.roles == chosen.session.roles
    assert all(slot.feature is None for slot in other.session.slots)


def test_nothing_is_left(chosen: Any, other: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = session_file.write(tmp_path / "s", SavedSession(plate=str(tmp_path / "gone")))
    with pytest.raises(SessionError, match="gone"):
        other.saving.open_and_wait(file)
    with pytest.raises(SessionError, match="nothing is open"):
        other.saving.save(tmp_path / "t")


def test_another_lens_means_other_features(chosen: Any, other: Any, tmp_path: Path) -> None:
    file = session_file.write(tmp_path / "s", replace(chosen.saving.gather(), lens="another"))
    notes = other.saving.open_and_wait(file)
    assert any("another lens" in note for note in notes)
    assert all(slot.feature is None for slot in other.session.slots)
    assert other.session.kept_cells == ()
    assert len(other.session.contrasts) == 2  # wells are wells


def test_wells_and_queries_that_no_longer_fit(chosen: Any, other: Any, tmp_path: Path) -> None:
    saved = replace(
        chosen.saving.gather(),
        contrasts=(SavedContrast(("A01", "Z99"), ("A03",), "lost", "roles", False),),
        hand_roles={"Z99": "control", "C03": "excluded"},
        queries={"control": "gone_column == 1"},
        well="Z99",
    )
    notes = other.saving.open_and_wait(session_file.write(tmp_path / "s", saved))
    text = " ".join(notes)
    for word in ("“lost” was left out", "Z99", "The control wells could not be found again", "gone_column"):
        assert word in text
    assert other.session.hand_roles == {"C03": "excluded"}
    assert other.session.well == other.session.wells[0]
    assert other.session.contrasts == ()


def test_moved_together_they_are_found(opened: Any, other: Any, plate_folder: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(plate_folder, old / "plate")
    saved = SavedSession(plate=str(old / "plate"), platemap=str(old / "plate" / "platemap.csv"), well="B02")
    session_file.write(old / "s", saved)
    old.rename(new)
    assert other.saving.open_and_wait(new / "s.phenolens.json") == ()
    assert Path(other.session.plate.path) == new / "plate"
    assert other.opening.platemap == new / "plate" / "platemap.csv"


def test_how_the_plate_was_opened_is_kept(
    other: Any, bench: Any, plate_folder: Path, settle: Any, tmp_path: Path
) -> None:
    pattern = "{well}_f{field}_{channel}.tif"
    bench.opening.plate(plate_folder, options={"pattern": pattern})
    settle(bench)
    assert other.saving.open_and_wait(bench.saving.save(tmp_path / "s")) == ()
    assert other.session.plate.options["pattern"] == pattern
    other.opening.map(plate_folder / "platemap.csv")
    settle(other)
    assert other.session.plate.options["pattern"] == pattern


# ---- the file ----
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "damaged"),
        ("[" * 200_000, "damaged"),
        ("[]", "no PhenoLens session"),
        ('{"format": "other"}', "no PhenoLens session"),
        ('{"format": "phenolens-session", "version": 2}', "newer"),
        ('{"format": "phenolens-session"}', "newer"),
    ],
)
def test_what_is_no_session_is_refused(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "x.phenolens.json"
    file.write_text(text)
    with pytest.raises(SessionError, match=why):
        session_file.read(file)


def test_parts_of_the_wrong_kind_are_left_out_and_named(tmp_path: Path) -> None:
    good = session_file.write(tmp_path / "s", SavedSession(plate="/p", feature=3, well="A01"))
    values = json.loads(good.read_text())
    wrong = {
        "feature": "3", "slots": [{"limits": [2, 1]}], "camera": [[0, 0, 0], -1, [0, 0, 90]], "queries": ["x"],
        "hand_roles": {"A01": 5}, "contrasts": [{"controls": "A01"}], "kept_cells": [True], "opacity": float("nan"),
        "side_by_side": 1,
    }  # fmt: skip
    good.write_text(json.dumps({**values, **wrong}))
    read = session_file.read(good)
    assert {note.split("“")[1].split("”")[0] for note in read.notes} == set(wrong)
    assert (read.plate, read.well, read.feature, read.slots, read.camera) == ("/p", "A01", None, (), None)


def test_a_query_in_a_file_runs_no_code(chosen: Any, other: Any, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    query = f"@__import__('pathlib').Path({str(trap)!r}).touch()"
    file = session_file.write(tmp_path / "s", replace(chosen.saving.gather(), queries={"control": query}))
    notes = other.saving.open_and_wait(file)
    assert not trap.exists()
    assert any("could not be found again" in note for note in notes)


def test_a_file_is_written_whole_or_not_at_all(chosen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    file = chosen.saving.save(tmp_path / "s")
    before = file.read_bytes()

    def full(*_args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SessionError, match="No space left"):
        chosen.saving.save(file)
    assert file.read_bytes() == before


def test_another_plate_opened_meanwhile_wins(chosen: Any, other: Any, plate_folder: Path, tmp_path: Path) -> None:
    file = chosen.saving.save(tmp_path / "s")
    other.saving.open(file)
    other.opening.plate(plate_folder)
    assert other.jobs.wait(60)
    assert other.session.run is None
    assert other.session.contrasts == ()
