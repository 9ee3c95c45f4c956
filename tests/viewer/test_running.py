"""Running from the dock: what is asked of the engine, what comes back, what is refused."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import Progress, check_cancelled
from napari_phenolens.viewer import running
from napari_phenolens.viewer.running import RunSettings


@pytest.fixture
def plate_bench(bench: Any, plate_folder: Path, settle: Any) -> Any:
    bench.opening.plate(plate_folder)
    settle(bench)
    return bench


def test_the_engine_is_asked_for_what_was_chosen(
    plate_bench: Any, run_folder: Path, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import napari_phenolens.run as room

    asked = {}

    def run_plate(plate: Any, out: Any, **options: Any) -> None:
        asked.update(options, plate=plate, out=out)
        options["progress"](Progress("encode", 1, 2, eta=3.0))

    monkeypatch.setattr(room, "run_plate", run_plate, raising=False)
    plate = plate_bench.session.plate
    plate_bench.running.start(RunSettings(str(run_folder), atoms=64, rounds=3, per_round=2, device="cpu"))
    settle(plate_bench)
    assert asked["plate"] is plate
    assert asked["controls"] == "control_type == 'negcon'"
    assert (asked["encoder"], asked["atoms"], asked["sparsity"], asked["device"]) == ("camae-micro", 64, (3, 2), "cpu")
    assert not asked["cancel"]()
    assert plate_bench.session.run is not None  # what was run is opened
    assert plate_bench.session.plate is plate


def test_controls_by_hand_go_as_wells(plate_bench: Any, run_folder: Path, settle: Any, monkeypatch: Any) -> None:
    import napari_phenolens.run as room

    asked = {}
    monkeypatch.setattr(room, "run_plate", lambda plate, out, **options: asked.update(options), raising=False)
    plate_bench.mark(("A01",), "excluded")
    plate_bench.running.start(RunSettings(str(run_folder)))
    settle(plate_bench)
    assert asked["controls"] == ["A02", "B01", "B02", "C01", "C02", "D01", "D02"]


def test_a_run_can_be_cancelled(plate_bench: Any, tmp_path: Path, monkeypatch: Any) -> None:
    import napari_phenolens.run as room

    def run_plate(plate: Any, out: Any, *, progress: Any, cancel: Any, **options: Any) -> None:
        for i in range(1000):
            check_cancelled(cancel)
            progress(Progress("encode", i, 1000))
            time.sleep(0.01)

    monkeypatch.setattr(room, "run_plate", run_plate, raising=False)
    plate_bench.running.start(RunSettings(str(tmp_path / "out")))
    time.sleep(0.1)
    start = time.monotonic()
    assert plate_bench.cancel()
    assert plate_bench.jobs.wait(5)
    assert time.monotonic() - start < 0.5
    assert plate_bench.session.run is None
    assert plate_bench.session.problem is None


def test_a_run_of_one_plate_never_lands_on_another(
    plate_bench: Any, run_folder: Path, settle: Any, fakes: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    import threading

    import napari_phenolens.run as room

    gate = threading.Event()
    monkeypatch.setattr(room, "run_plate", lambda *args, **options: gate.wait(10), raising=False)
    plate_bench.running.start(RunSettings(str(run_folder)))
    other = fakes.write_plate(tmp_path / "other", rows=2, columns=3, fields=1)
    plate_bench.opening.plate(other)
    deadline = time.monotonic() + 20
    while plate_bench.session.plate.name != "other" and time.monotonic() < deadline:
        plate_bench.jobs.pump()
    gate.set()
    settle(plate_bench)
    assert plate_bench.session.plate.name == "other"
    assert plate_bench.session.run is None
    assert str(run_folder) in plate_bench.session.status


def test_what_is_missing_is_said(bench: Any, plate_folder: Path, settle: Any) -> None:
    with pytest.raises(PhenoLensError, match="step 1"):
        bench.running.start(RunSettings("out"))
    bench.opening.plate(plate_folder)
    settle(bench)
    with pytest.raises(PhenoLensError, match="folder for the results"):
        bench.running.start(RunSettings(" "))
    bench.set_queries(control="")
    with pytest.raises(PhenoLensError, match="step 3"):
        bench.running.estimate(RunSettings("out"), print)


def test_the_estimate_in_words(plate_bench: Any, settle: Any, monkeypatch: Any) -> None:
    import napari_phenolens.run as room

    guess = SimpleNamespace(tiles=9600, seconds=240.0, bytes=38_000_000)
    monkeypatch.setattr(room, "estimate", lambda plate, **options: guess, raising=False)
    said = []
    plate_bench.running.estimate(RunSettings("out"), said.append)
    settle(plate_bench)
    assert said == ["9,600 tiles, about 4 min; 38 MB on disk. Learning the features comes on top."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("DNA, GFP", ["DNA", "GFP"]),
        ("DNA=Channel2, GFP = Channel1", {"DNA": "Channel2", "GFP": "Channel1"}),
    ],
)
def test_channels(text: str, expected: object) -> None:
    assert running.channel_choice(text) == expected
    assert running.options(RunSettings("out", channels=text), ["A01"]).get("channels") == expected


@pytest.mark.parametrize("text", ["DNA=", "DNA=Channel2, GFP", "=Channel1"])
def test_channels_that_say_nothing(text: str) -> None:
    with pytest.raises(PhenoLensError, match="DNA=Channel2"):
        running.channel_choice(text)


def test_sizes() -> None:
    assert [running.size(value) for value in (1e5, 38e6, 2.5e9)] == ["1 MB", "38 MB", "2.5 GB"]


def test_the_default_folder_is_the_users() -> None:
    assert running.default_out("P1") == Path.home() / "phenolens" / "P1"


def test_encoders_are_listed_without_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from napari_phenolens.viewer.running import encoder_choices; "
        "print([n for n, *_ in encoder_choices()][0], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["camae-micro", "False"]
