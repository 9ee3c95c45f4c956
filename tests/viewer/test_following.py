"""A run that goes on fills plate map and table, marked provisional, and leaves alone what the user looks at."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from napari_phenolens.progress import Progress, check_cancelled
from napari_phenolens.viewer import following
from napari_phenolens.viewer.running import RunSettings


class Growing:
    """A run on disk that a worker writes, well by well, as the tests say."""

    def __init__(self, fakes: Any, folder: Path, out: Path) -> None:
        self.fakes, self.folder, self.out = fakes, folder, out
        self.there = 0
        self.provisional = True
        self.gate, self.opened = threading.Event(), 0
        self.threads: set[int] = set()

    def open(self, _path: Any) -> Any:
        self.opened += 1
        self.threads.add(threading.get_ident())
        run = self.fakes.FakeRun(self.folder, self.out)
        every = list(run.wells)
        order = run.controls + [well for well in every if well not in run.controls]
        run.wells = [well for well in every if well in order[: self.there]]
        run.provisional, run.complete = self.provisional, not self.provisional
        run.marks = dict.fromkeys(run.wells, self.provisional)

        def tally() -> tuple[int, int, int]:
            return (0, len(run.wells), len(every)) if run.provisional else (len(every), 0, len(every))

        def renew(other: Any) -> None:
            run.wells, run.marks = other.wells, other.marks
            for name in ("_profiles", "field_table"):
                run.__dict__.pop(name, None)

        run.tally, run.renew = tally, renew
        return run

    def run_plate(self, _plate: Any, _out: Any, *, progress: Any, cancel: Any, **_: Any) -> None:
        n = 0
        while not self.gate.wait(0.005):
            check_cancelled(cancel)
            n += 1
            progress(Progress("first pass", n, 10_000))


@pytest.fixture
def growing(bench: Any, fakes: Any, plate_folder: Path, tmp_path: Path, settle: Any, monkeypatch: Any) -> Any:
    """Give a plate that is being run over, without any well done as yet."""
    import napari_phenolens.run as room

    out = tmp_path / "results"
    out.mkdir()
    (out / "run.json").write_text("{}", encoding="utf-8")
    made = Growing(fakes, plate_folder, out)
    monkeypatch.setattr(room, "open_run", made.open)
    monkeypatch.setattr(room, "run_plate", made.run_plate)
    monkeypatch.setattr(following, "PAUSE", 0.0)
    monkeypatch.setattr(following, "SHARE", 1e6)
    bench.opening.plate(plate_folder)
    settle(bench)
    bench.running.start(RunSettings(str(out)))
    yield made
    made.gate.set()


def until(bench: Any, true: Any) -> None:
    end = time.monotonic() + 120  # the first comparison of a process loads what it needs
    while not true():
        bench.jobs.pump()
        assert time.monotonic() < end, "in vain"
        time.sleep(0.005)


def idle(bench: Any, growing: Growing) -> None:
    """Let wells come in and time go by, and see that the disk is not read for nothing."""
    until(bench, lambda: not [job for job in bench.jobs.running if job.kind == "follow"])
    growing.there = 14
    opened = growing.opened
    for _ in range(40):
        bench.jobs.pump()
        time.sleep(0.005)
    assert growing.opened == opened


def test_wells_fill_in_while_a_run_goes_on(bench: Any, growing: Growing) -> None:
    s = bench.session
    until(bench, lambda: growing.opened > 2)
    assert s.run is None and s.provisional == ""  # no well yet

    growing.there = 4  # controls alone
    until(bench, lambda: s.run is not None)
    assert "0 of 23 wells are whole, 4 more" in s.provisional and "goes on" in s.provisional
    assert s.comparison is None and len(bench.comparing.profiles) == 4

    growing.there = 14
    until(bench, lambda: s.comparison is not None)
    run, first = s.run, s.comparison
    assert first.name == "Perturbed vs control (provisional)" and first.about["provisional"]
    assert (len(first.controls), len(first.perturbed)) == (8, 6)
    assert any("provisional" in text for text in first.warnings)
    assert s.feature is None and s.slots[0].feature is None  # nothing is chosen for the user
    assert threading.get_ident() not in growing.threads

    bench.showing.feature(7)
    bench.selecting.select(("C03", "C04"))
    until(bench, lambda: not [job for job in bench.jobs.running if job.kind.startswith("heatmap")])
    growing.there = 20
    until(bench, lambda: s.comparison is not first)
    assert s.run is run and len(run.wells) == 20 and len(bench.comparing.profiles) == 20
    assert (s.feature, s.selected, s.slots[0].feature) == (7, ("C03", "C04"), 7)
    assert s.contrasts == (s.comparison,)  # the older one is no contrast of its own

    seen = s.comparison
    opened = growing.opened
    until(bench, lambda: growing.opened > opened + 2)
    assert s.comparison is seen  # nothing new: nothing is drawn anew

    growing.there, growing.provisional = 23, False
    growing.gate.set()
    until(bench, lambda: s.provisional == "" and not bench.jobs.running)
    assert s.run is not run and s.run.complete
    assert s.comparison.name == "Perturbed vs control" and len(s.comparison.perturbed) == 12
    assert (s.feature, s.selected) == (7, ("C03", "C04"))


def test_other_results_on_show_are_left_alone(bench: Any, growing: Growing, fakes: Any, plate_folder: Path) -> None:
    s = bench.session
    other = fakes.FakeRun(plate_folder, growing.out / "other")
    s.run = other
    idle(bench, growing)
    assert s.run is other and s.comparison is None and s.provisional == ""


def test_a_contrast_of_ones_own_stays(bench: Any, growing: Growing) -> None:
    s = bench.session
    growing.there = 20
    until(bench, lambda: s.comparison is not None)
    bench.contrasting.by_values("dose", 2.0, 3.0)
    until(bench, lambda: "dose" in s.comparison.name)
    own = s.comparison
    growing.there = 23
    until(bench, lambda: len(bench.comparing.profiles) == 23)
    assert s.comparison is own and any(kept is own for kept in s.contrasts)


def test_a_cancelled_run_stays_provisional(bench: Any, growing: Growing) -> None:
    s = bench.session
    growing.there = 14
    until(bench, lambda: s.comparison is not None)
    bench.cancel()
    until(bench, lambda: not bench.jobs.running)
    assert s.run is not None and "go on with Run" in s.provisional
    opened = growing.opened
    for _ in range(20):
        bench.jobs.pump()
    assert growing.opened == opened


def test_a_run_over_another_plate_is_not_taken_up(
    bench: Any, growing: Growing, fakes: Any, tmp_path: Path, settle: Any
) -> None:
    s = bench.session
    until(bench, lambda: growing.opened > 1)
    bench.opening.plate(fakes.write_plate(tmp_path / "other", rows=2, columns=3, fields=1))
    until(bench, lambda: s.plate.name == "other")
    idle(bench, growing)
    assert s.run is None and s.provisional == ""
