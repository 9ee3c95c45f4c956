"""Half an hour of random hands on all docks while a job runs: nothing breaks, leaks or grows.

PHENOLENS_SOAK_SECONDS says how long (40 in the suite, 120 in CI, 1800 before a release), PHENOLENS_SOAK_SEED with
which hands, PHENOLENS_SOAK_RUN on which finished run (the demo plate's with its cells).
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import re
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDockWidget, QFileDialog, QInputDialog, QMainWindow, QMessageBox
from random_hands import RandomHands

SECONDS = float(os.environ.get("PHENOLENS_SOAK_SECONDS", "40"))
SEED = int(os.environ.get("PHENOLENS_SOAK_SEED", "0"))
GROWTH = 0.10  # of memory, over the second half
RUN_SECONDS = 20.0
MOST_POOLED = 16  # threads of the engine's pools: as many as there are, never more


@pytest.fixture
def demo_copy(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Give a finished run with cells that may be written into."""
    run = os.environ.get("PHENOLENS_SOAK_RUN") or request.getfixturevalue("demo_with_cells")
    return Path(shutil.copytree(run, tmp_path / "run"))


@pytest.fixture
def no_dialogs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, demo_copy: Path) -> Random:
    """Answer the file dialogs at random, and keep all that is written below the test's folder."""
    rng = Random(SEED + 1)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def save(_parent: Any = None, _title: str = "", name: str = "", kinds: str = "", *_: Any, **__: Any) -> Any:
        return (str(tmp_path / Path(name).name), kinds.split(";;")[0]) if rng.random() < 0.5 else ("", "")

    def load(_parent: Any = None, title: str = "", *_: Any, **__: Any) -> Any:
        saved = sorted(tmp_path.glob("*.phenolens*")) if "session" in title.lower() else []
        return (str(rng.choice(saved)), "") if saved and rng.random() < 0.5 else ("", "")

    def folder(*_: Any, **__: Any) -> str:
        return rng.choice(["", "", str(demo_copy), str(tmp_path)])

    monkeypatch.setattr(QFileDialog, "getSaveFileName", save)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", load)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", folder)
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("another name", rng.random() < 0.5))
    for name in ("question", "information", "warning", "critical"):
        monkeypatch.setattr(QMessageBox, name, lambda *_, **__: QMessageBox.StandardButton.No)
    return rng


@pytest.fixture
def slow_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, demo_copy: Path) -> None:
    """Let the engine work like a run without an encoder: arithmetic, reports, and well after well of a finished run."""
    import napari_phenolens.run as room
    from napari_phenolens.errors import PhenoLensError
    from napari_phenolens.progress import Progress, check_cancelled
    from napari_phenolens.run.json_file import write_json
    from napari_phenolens.viewer import following

    matrix = np.random.default_rng(0).normal(size=(200, 200)).astype(np.float32)

    def work(folder: Path, progress: Any, cancel: Any, seconds: float) -> None:
        marks = sorted((demo_copy / "done").glob("*.json"))
        passes = [(mark, partial) for partial in (True, False) for mark in marks]
        start, n = time.monotonic(), 0
        end = start + seconds
        while time.monotonic() < end:
            check_cancelled(cancel)
            while passes and len(passes) > 2 * len(marks) * (end - time.monotonic()) / seconds:
                mark, partial = passes.pop(0)
                write_json(folder / "done" / mark.name, {**json.loads(mark.read_text()), "partial": partial})
            np.linalg.svd(matrix)
            n += 1
            if progress is not None:
                progress(Progress("encode", min(n, 999), 1000, "B07", eta=end - time.monotonic()))
            time.sleep(0.01)

    def run_plate(_plate: Any, out: Any, *, progress: Any = None, cancel: Any = None, **_: Any) -> None:
        folder = Path(out).expanduser().resolve()
        if not folder.is_relative_to(tmp_path):
            raise PhenoLensError(f"{folder}: cannot be written; choose another folder")
        if folder == demo_copy:
            return  # the hands chose the finished run's own folder: there is nothing to do
        if not (folder / "run.json").exists():
            shutil.copytree(demo_copy, folder, ignore=shutil.ignore_patterns("done"), dirs_exist_ok=True)
        work(folder, progress, cancel, RUN_SECONDS)
        shutil.copytree(demo_copy / "done", folder / "done", dirs_exist_ok=True)

    def no_time(*_: Any, **__: Any) -> Any:
        time.sleep(0.2)
        raise PhenoLensError("the weights are not here; choose another model")

    monkeypatch.setattr(room, "run_plate", run_plate)
    monkeypatch.setattr(following, "PAUSE", 1.0)  # so that a short run too is followed
    monkeypatch.setattr(room, "estimate", no_time)
    monkeypatch.setattr("napari_phenolens.run.block_tokens.block_tokens", no_time)


@pytest.fixture
def desk(qtbot: Any, no_dialogs: Random, slow_engine: None, demo_copy: Path) -> Iterator[Any]:
    """Give a window with all four docks on the demo plate's run."""
    from napari.components import ViewerModel

    from napari_phenolens.viewer.workbench import workbench_for
    from napari_phenolens.widgets.cell_dock import CellDock
    from napari_phenolens.widgets.charts_dock import ChartsDock
    from napari_phenolens.widgets.dock import PhenoLensDock
    from napari_phenolens.widgets.feature_dock import FeatureDock

    viewer = ViewerModel()
    window = QMainWindow()
    window.bench, window.viewer = workbench_for(viewer), viewer
    window.docks = [kind(viewer) for kind in (PhenoLensDock, ChartsDock, FeatureDock, CellDock)]
    for widget in window.docks:
        frame = QDockWidget(type(widget).__name__, window)
        frame.setFeatures(QDockWidget.DockWidgetFeature.NoDockWidgetFeatures)
        frame.setWidget(widget)
        window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, frame)
    docks = window.findChildren(QDockWidget)
    for left, right in itertools.pairwise(docks):
        window.splitDockWidget(left, right, Qt.Orientation.Horizontal)
    qtbot.addWidget(window)
    window.resize(1590, 950)
    window.show()
    window.activateWindow()
    window.bench.opening.run(demo_copy)
    qtbot.waitUntil(lambda: not window.bench.jobs.running, timeout=60_000)
    assert window.bench.session.problem is None, window.bench.session.problem
    yield window
    window.bench.close()
    assert window.bench.jobs.wait(60)


def threads() -> tuple[list[str], list[str]]:
    """Name our living threads: those of jobs, and those of the engine's pools, which stay and are numbered."""
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("phenolens-")]
    pools = [name for name in names if re.search(r"_\d+$", name)]
    return [name for name in names if name not in pools], pools


def check_layers(viewer: Any) -> None:
    """Every layer is one of the fixed ones, and each of these is there once."""
    from napari_phenolens.viewer.images import role_of

    roles = [role_of(layer) for layer in viewer.layers]
    assert None not in roles, [layer.name for layer in viewer.layers]
    assert len(roles) == len(set(roles)), roles
    assert len(roles) < 40, roles


def act_on_the_plate(desk: Any, rng: Random) -> str:
    """Do what is done on the canvas or by the palette rather than in a dock."""
    bench = desk.bench
    s = bench.session
    wells = s.wells
    if not wells:
        return "nothing"
    features = s.run.n_features if s.run is not None else 1
    y, x = (rng.randrange(0, 400) for _ in range(2))
    actions = {
        "well": lambda: bench.showing.well(rng.choice(wells)),
        "view": lambda: bench.showing.view(rng.choice(["field", "field", "well", "plate"])),
        "feature": lambda: bench.showing.feature(rng.randrange(features), rng.randrange(3)),
        "side by side": bench.showing.side_by_side,
        "end side by side": bench.showing.end_side_by_side,
        "place": lambda: bench.picking.at((y, x)),
        "select": lambda: bench.selecting.select(tuple(rng.sample(wells, 3))),
        "mark": lambda: bench.mark((rng.choice(wells),), rng.choice(["control", "perturbed", "excluded", None])),
        "undo": bench.undo,
        "redo": bench.redo,
        "run": lambda: bench.running.start(_settings()),
        "the plate without results": lambda: bench.opening.take({"plate": s.plate.path}),
    }
    barred = {"run"} if bench.jobs.heavy is not None else set()
    if s.plate is None or s.run is None:
        barred.add("the plate without results")
    name = rng.choice([name for name in actions if name not in barred])
    bench.attempt(name, actions[name])
    return name


def _settings() -> Any:
    from napari_phenolens.viewer.running import RunSettings

    return RunSettings(out=str(Path.cwd() / "results"))


def memory() -> float:
    """Give the memory of this process in MB."""
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def test_random_hands_do_no_harm(desk: Any, qtbot: Any) -> None:
    rng = Random(SEED)
    hands = RandomHands(desk.docks, rng)
    bench = desk.bench
    unforeseen: list[str] = []
    said: list[str] = []
    bench.session.events.provisional.connect(said.append)
    bench.jobs.failed.connect(lambda _job, problem: problem.details and unforeseen.append(problem.details))
    start = time.monotonic()
    sizes: list[tuple[float, float]] = []
    steps, slowest = 0, (0.0, "")
    with qtbot.captureExceptions() as raised:
        while (now := time.monotonic() - start) < SECONDS:
            begun = time.monotonic()
            if rng.random() < 0.2:
                hands.trail.append(act_on_the_plate(desk, rng))
            else:
                hands.act()
            qtbot.wait(rng.choice((0, 5, 20, 60)))
            steps += 1
            slowest = max(slowest, (time.monotonic() - begun, hands.trail[-1] if hands.trail else ""))
            trail = "\n".join(hands.trail)
            assert not raised, f"after {steps} steps, {now:.0f} s\n{trail}\n{raised}"
            assert not unforeseen, f"after {steps} steps, {now:.0f} s\n{trail}\n{unforeseen[0]}"
            if steps % 20 == 0:
                check_layers(desk.viewer)
            if not sizes or now - sizes[-1][0] > SECONDS / 24:
                gc.collect()
                sizes.append((now, memory()))
        hands.stop()
        bench.attempt("Back", bench.showing.end_side_by_side)
        bench.cancel()
        ended = bench.jobs.wait(60)
    assert ended, f"a minute after they were cancelled there still run {[job.title for job in bench.jobs.running]}"
    assert not raised, raised
    check_layers(desk.viewer)
    assert QApplication.activePopupWidget() is None
    jobs, pools = threads()
    assert jobs == []
    assert len(pools) <= MOST_POOLED, pools
    assert steps >= 10, f"{steps} actions in {SECONDS:.0f} s are no soak"
    second = [size for at, size in sizes if at > SECONDS / 2]
    third = max(1, len(second) // 3)
    before, after = statistics.median(second[:third]), statistics.median(second[-third:])
    print(f"{steps} actions in {SECONDS:.0f} s; {before:.0f} MB at half time, {after:.0f} MB at the end")
    print(f"{sum(map(bool, said))} looks at a run that went on")
    print(f"slowest: {slowest[0]:.1f} s, {slowest[1]}")
    assert after < (1 + GROWTH) * before, f"{before:.0f} MB at half time, {after:.0f} MB at the end"
