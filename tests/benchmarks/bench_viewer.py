"""How long the viewer keeps its user waiting: a generated 384-well run with 1,024 features and 2160 x 2160 fields.

    xvfb-run -a -s "-screen 0 1920x1080x24 +extension GLX" \
        python tests/benchmarks/bench_viewer.py [--wells 384] [--features 1024] [--side 2160] [--cells 200000] \
        [--parts table,alone,opening,switching,stalls,cards] [--keep FOLDER]

A handful of distinct fields are written and hard-linked to all wells; the codes are drawn at random and go through the
engine's own writer. All is opened in a real napari window with the dock. Prints p50 and p95 in milliseconds beside the
bars of the issue; how much of it OpenGL took to draw: without a graphics card that is the CPU's work (Mesa), with one
next to nothing; and what CPU time the main thread took, which other work on the machine changes little. Before that,
napari alone: the same layers in a window without us, a heatmap's numbers and limits changed, a dock of the same width
drawn anew. No plugin is quicker than that on the same machine. With --keep
FOLDER the generated run is kept, and used again; --parts measures some of it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bench_cells
import numpy as np
import pandas as pd
from bench_feature_table import made_table
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_phenolens import cell_card, cell_reference, looks, open_plate, open_run
from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED, demo_plate_path, demo_run_path
from napari_phenolens.dictionary import Dictionary
from napari_phenolens.plate import well_name_of
from napari_phenolens.run.apply import _write
from napari_phenolens.run.layout import PLATEMAP_INDEX, RunPlan, create_arrays, open_arrays
from napari_phenolens.run.units import Scene, Units
from napari_phenolens.run.well import WellBuilder
from napari_phenolens.viewer.running import RunSettings, perform

DISTINCT, PATCH = 6, 16
WAIT = 600.0
PARTS = ("table", "alone", "opening", "switching", "stalls", "cards")
DRAWN: list[float] = []  # milliseconds of every drawing of the canvas since it was emptied last
WATCHED: list[bool] = []
MISSED: list[str] = []


def write_plate(folder: Path, wells: int, side: int) -> None:
    """Write a handful of fields and link them to all wells; every eighth column holds controls."""
    import tifffile

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    columns = 24 if wells > 96 else 12
    names = [well_name_of(i // columns, i % columns) for i in range(wells)]
    for i, well in enumerate(names):
        for channel in ("DNA", "GFP"):
            path = folder / f"{well}_f1_{channel}.tif"
            if i < DISTINCT:
                image = rng.normal(300, 20, (side, side))
                for y, x in rng.integers(0, side - 30, (side * side // 12_000 + 1, 2)):
                    image[y : y + 30, x : x + 30] += 1500
                tifffile.imwrite(path, image.clip(0, 65535).astype(np.uint16))
            else:
                os.link(folder / f"{names[i % DISTINCT]}_f1_{channel}.tif", path)
    table = pd.DataFrame({"well": names, "dose": np.arange(wells) % columns})
    table["control_type"] = np.where(np.arange(wells) % 8 == 0, "negcon", "trt")
    table.to_csv(folder / "platemap.csv", index=False)


def write_run(folder: Path, plate_folder: Path, features: int, side: int) -> None:
    """Write a finished run with random codes through the engine's own writer."""
    plate = open_plate(plate_folder, plate_folder / "platemap.csv")
    known = open_run(demo_run_path()).lens
    rng = np.random.default_rng(1)
    atoms = rng.normal(size=(features, known.whitening.p)).astype(np.float32)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    controls = plate.select("control_type == 'negcon'")
    lens = replace(
        known, dictionary=Dictionary(atoms, "icfl", (10, 2)), channels=tuple(plate.channels), patch=PATCH,
        plates=(plate.name,), controls=tuple(f"{plate.name}/{well}" for well in controls), nuclear=None,
    )  # fmt: skip
    grid = side // PATCH
    numbers = replace(lens.normalisation, low=(0.0,) * 2, high=(2000.0,) * 2, mean=(0.0,) * 2, sd=(1.0,) * 2)
    plan = RunPlan(
        lens=lens.fingerprint, unit="patch",
        plate={"name": plate.name, "path": str(plate_folder), "options": dict(plate.options)},
        wells=tuple(plate.wells), fields=1, patches=grid * grid, features=features, k=20, dim=known.whitening.p,
        sources=tuple(plate.channels), normalisation=numbers.to_dict(), controls=tuple(controls), recentre=False,
        tokens="", tokens_folder="", pixel_size=plate.pixel_size,
    )  # fmt: skip
    folder.mkdir(parents=True)
    lens.save(folder / "lens.safetensors")
    plan.save(folder)
    plate.metadata.rename_axis(PLATEMAP_INDEX).to_csv(folder / "platemap.csv")
    create_arrays(folder, plan)
    arrays = open_arrays(folder, plan, "r+")
    popular = rng.dirichlet(np.full(features, 0.3))
    tokens = rng.normal(size=(grid * grid, known.whitening.p)).astype(np.float32)
    scene = Scene(np.zeros((2, 1, 1)), np.ones((grid, grid), bool), None, {"intensity_DNA": 1.0, "intensity_GFP": 1.0})
    for well in plan.wells:
        gain = rng.gamma(20, 0.05, features)

        def encode(x: Any, gain: Any = gain) -> tuple[Any, Any]:
            index = rng.choice(features, (len(x), 20), p=popular)
            return index, (rng.gamma(4, 0.05, index.shape) * gain[index]).astype(np.float32)

        drawn = SimpleNamespace(
            unit="patch", whitening=lambda x: x, dictionary=SimpleNamespace(encode=encode, atoms=atoms)
        )
        builder: Any = WellBuilder(plan, drawn, None)  # type: ignore[arg-type]
        builder.add("1", 0, (side, side), 1.0, scene, Units(tokens, np.ones(len(tokens), bool), (grid, grid)))
        _write(folder, plan, arrays, well, builder.finish(), partial=False)


def pump(until: Callable[[], bool]) -> None:
    """Let Qt work until something is true."""
    end = time.perf_counter() + WAIT
    while not until():
        QApplication.processEvents()
        if time.perf_counter() > end:
            raise SystemExit(f"waited {WAIT:.0f} s in vain")
        time.sleep(0.0005)


def settle(bench: Any, seconds: float = 0.08) -> None:
    """Wait for all jobs and let the canvas draw what is left, so that no action pays for the one before."""
    pump(lambda: not bench.jobs.running)
    end = time.perf_counter() + seconds
    pump(lambda: time.perf_counter() > end)


def watch_drawing() -> None:
    """Take the time of every drawing of a canvas from now on; vispy must have chosen its backend by now."""
    from vispy.app.backends import _qt

    if WATCHED:
        return
    WATCHED.append(True)
    for kind in {kind for kind in vars(_qt).values() if isinstance(kind, type) and "paintGL" in vars(kind)}:
        draw = kind.paintGL

        def timed_draw(self: Any, draw: Any = draw) -> None:
            start = time.perf_counter()
            draw(self)
            DRAWN.append(1000 * (time.perf_counter() - start))

        kind.paintGL = timed_draw


@dataclass(frozen=True)
class Took:
    """Milliseconds of one action, those of them that OpenGL took, and those that the main thread worked."""

    all: float
    drawing: float = 0.0
    cpu: float = 0.0


def say(what: str, took: list[Took], bar: float | None, by: float = 95) -> None:
    """Print p50 and p95 beside the bar, where there is one."""
    whole, drawing = [one.all for one in took], [one.drawing for one in took]
    high = float(np.percentile(whole, by))
    rest = float(np.percentile([one.all - one.drawing for one in took], by))
    cpu = [one.cpu for one in took]
    high_cpu = float(np.percentile(cpu, by))
    missed = bar is not None and high > bar
    MISSED.extend([what] if missed else [])
    print(
        f"{what:<44} p50 {np.percentile(whole, 50):8.1f} ms   p{by:.0f} {high:8.1f} ms"
        + (f"   bar {bar:6.0f} ms" if bar is not None else "")
        + f"{'   MISSED' if missed else ''}"
        + (f"   drawing p50 {np.percentile(drawing, 50):.1f} ms, p{by:.0f} without it {rest:.1f} ms" * any(drawing))
        + (f"   CPU of the main thread p50 {np.percentile(cpu, 50):.1f} ms, p{by:.0f} {high_cpu:.1f} ms" * any(cpu)),
        flush=True,
    )


def timed(action: Callable[[], object], until: Callable[[], bool] = lambda: True) -> Took:
    """Give the milliseconds of an action, of waiting for what it brings and of drawing that."""
    DRAWN.clear()
    start, cpu = time.perf_counter(), time.thread_time()
    action()
    pump(until)
    QApplication.processEvents()
    return Took(1000 * (time.perf_counter() - start), sum(DRAWN), 1000 * (time.thread_time() - cpu))


def seen(layer: Any, action: Callable[[], object]) -> Took:
    """Give the milliseconds until a layer shows other data."""
    changed: list[bool] = []
    note = lambda _event=None: changed.append(True)  # noqa: E731 - connected and disconnected
    layer.events.data.connect(note)
    took = timed(action, lambda: bool(changed))
    layer.events.data.disconnect(note)
    return took


def measure_napari_alone(side: int, repeats: int) -> None:
    """Measure what napari itself takes, with layers like ours and nothing of ours in the window."""
    import napari
    from qtpy.QtWidgets import QLabel

    viewer = napari.Viewer()
    watch_drawing()
    rng = np.random.default_rng(4)
    for colour in ("blue", "green"):
        pixels = rng.integers(0, 4000, (side, side)).astype(np.uint16)
        viewer.add_image(pixels, contrast_limits=(0, 4000), blending="additive", colormap=colour)
    maps = rng.random((repeats, side // PATCH, side // PATCH), dtype=np.float32)
    heat = viewer.add_image(maps[0], scale=(PATCH, PATCH), blending="translucent_no_depth", opacity=0.8)
    dock = QLabel("nothing")
    dock.setMinimumWidth(430)
    viewer.window.add_dock_widget(dock, name="nothing")
    quiet = SimpleNamespace(jobs=SimpleNamespace(running=()))
    settle(quiet, 1.0)

    def change(i: int) -> None:
        heat.data = maps[i]
        heat.contrast_limits = (0.0, 0.5 + i / (2 * repeats))

    actions: dict[str, Callable[[int], object]] = {
        "napari alone: a heatmap's data and limits": change,
        "napari alone: the same with its colour bar": change,
        "napari alone: a dock drawn anew": lambda i: dock.setText(str(i)),
    }
    for what, action in actions.items():
        heat.colorbar.visible = "bar" in what
        settle(quiet, 0.5)
        took = []
        for i in range(repeats):
            took.append(timed(lambda i=i, action=action: action(i)))
            settle(quiet)
        say(what, took, None)
    viewer.close()


def measure_viewer(run_folder: Path, parts: Sequence[str], repeats: int, stall_seconds: float, scratch: Path) -> None:
    """Measure what the window does."""
    import napari

    from napari_phenolens.widgets.dock import PhenoLensDock

    viewer = napari.Viewer()
    watch_drawing()
    dock = PhenoLensDock(viewer)
    viewer.window.add_dock_widget(dock, name="PhenoLens")
    QApplication.processEvents()
    bench, s = dock.bench, dock.bench.session
    took = [timed(lambda: bench.opening.run(run_folder), lambda: s.run is not None)]
    start = time.perf_counter()
    pump(lambda: not bench.jobs.running)
    print(f"   (its wells were compared {time.perf_counter() - start:.1f} s later)", flush=True)
    if s.problem is not None or s.comparison is None:
        raise SystemExit(f"not compared: {s.problem}")
    if "opening" in parts:
        for _ in range(2):  # each is followed by a comparison
            before = s.run
            took.append(timed(lambda: bench.opening.run(run_folder), lambda before=before: s.run is not before))
            settle(bench)
        say("opening a finished run", took, 1000)
    if "switching" in parts:
        measure_switching(viewer, bench, repeats)
    if "stalls" in parts:
        measure_stalls(bench, stall_seconds, scratch)
    bench.close()
    viewer.close()


def measure_switching(viewer: Any, bench: Any, repeats: int) -> None:
    """Measure from one feature, well or colouring to the next."""
    from napari_phenolens.viewer.images import find_layer

    s = bench.session
    rng = np.random.default_rng(2)
    bench.showing.feature(0)
    settle(bench)
    slot, image = find_layer(viewer, ("slot", 0)), bench.images.layers[0]
    took = []
    for feature in rng.permutation(np.arange(1, s.run.n_features))[:repeats]:
        took.append(seen(slot, lambda f=int(feature): bench.showing.feature(f)))
        settle(bench)
    say("feature switch", took, 100)
    took = []
    for well in rng.permutation([w for w in s.wells if w != s.well])[:repeats]:
        took.append(seen(image, lambda w=str(well): bench.showing.well(w)))
        settle(bench)
    say("well switch to first pixels", took, 300)
    keys = [key for key, _ in bench.comparing.choices()]
    took = []
    for i in range(repeats):
        key = keys[i % len(keys)]
        took.append(timed(lambda k=key: setattr(s, "colour_by", k)))
        settle(bench)
    say(f"recolouring the plate map ({len(keys)} choices)", took, 50)


def measure_stalls(bench: Any, seconds: float, scratch: Path) -> None:
    """Measure how long the main thread is held up at most while a run goes on beside it."""
    s = bench.session
    stalls: list[Took] = []
    work_in: list[float] = []  # CPU of the whole process between two beats: far less than the time where others had it
    last = [time.perf_counter(), time.process_time()]

    def beat() -> None:
        now, worked = time.perf_counter(), time.process_time()
        stalls.append(Took(1000 * (now - last[0])))
        work_in.append(1000 * (worked - last[1]))
        last[:] = now, worked

    probe = QTimer()
    probe.setInterval(5)
    probe.timeout.connect(beat)
    folder = demo_plate_path()
    plate = open_plate(folder, folder / "platemap.csv")

    def work(job: Any) -> Any:
        return perform(plate, RunSettings(out=str(scratch / "other run"), atoms=256), DEMO_CONTROLS, job)

    bench.jobs.start("run", work, title="Running", heavy=True)
    last[:] = time.perf_counter(), time.process_time()
    probe.start()
    end = time.perf_counter() + seconds
    pump(lambda: time.perf_counter() > end or bench.jobs.heavy is None)
    probe.stop()
    if s.problem is not None:
        raise SystemExit(f"the run failed: {s.problem}")
    print(f"   (while a run went on for {seconds:.0f} s: {len(stalls)} beats)")
    say("longest stall of the main thread", stalls, 200, by=100)
    worst = sorted(range(len(stalls)), key=lambda i: -stalls[i].all)[:8]
    told = ", ".join(f"{stalls[i].all:.0f} ({work_in[i]:.0f})" for i in worst)
    print(f"   (the longest in ms, and the process's CPU in each: {told})")
    bench.cancel()
    pump(lambda: not bench.jobs.running)


def measure_table(features: int, repeats: int) -> None:
    """Measure sorting and filtering; `bench_feature_table.py` tells every column apart."""
    from napari_phenolens.widgets.feature_model import FeatureModel
    from napari_phenolens.widgets.feature_table import FeatureTable

    model = FeatureModel()
    view = FeatureTable(model)
    view.resize(900, 400)
    view.show()
    model.set_table(made_table(features), None)
    columns = [i for i, column in enumerate(model.columns) if column.key != "wells"]
    down, up = Qt.SortOrder.DescendingOrder, Qt.SortOrder.AscendingOrder
    took = [
        timed(lambda i=i, o=o: model.sort(i, o))
        for _ in range(max(1, repeats // 10))
        for i in columns
        for o in (down, up)
    ]
    say(f"sorting {features:,} features", took, 50)
    texts = ("effect > 1", "q < 0.05, |effect| > 1", "starred", "technical", "12", "")
    took = [timed(lambda t=t: model.set_filter(t)) for _ in range(max(1, repeats // 3)) for t in texts]
    say(f"filtering {features:,} features", took, 50)
    view.close()


def measure_cards(scratch: Path, cells: int, repeats: int) -> None:
    """Measure a click on a cell until its card is complete."""
    folder = shutil.copytree(demo_run_path(), scratch / "run with cells")
    bench_cells.fill(folder, cells, 200)
    run = open_run(folder)
    perturbed = DEMO_PERTURBED["translocation"]
    reference = cell_reference(run, DEMO_CONTROLS, perturbed, looks=looks(run, DEMO_CONTROLS, perturbed))
    rng = np.random.default_rng(3)
    wells = list(dict.fromkeys(reference.cells["well"]))
    took = []
    for i in range(repeats + 1):
        well, (y, x) = wells[int(rng.integers(len(wells)))], rng.uniform(0, 200, 2)
        start = time.perf_counter()
        cell = run.cell_at(well, None, (y, x))
        if cell is None:
            continue
        cell_card(reference, cell, tokens=False)  # what the dock shows first; tokens are encoded where not stored
        if i:  # the first click makes what the others use
            took.append(Took(1000 * (time.perf_counter() - start)))
    say(f"click to card, {cells:,} cells", took, 150)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wells", type=int, default=384)
    parser.add_argument("--features", type=int, default=1024)
    parser.add_argument("--side", type=int, default=2160)
    parser.add_argument("--cells", type=int, default=200_000)
    parser.add_argument("--table", type=int, default=10_000, help="features of the table that is sorted")
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--stall-seconds", type=float, default=60)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--keep", type=Path, help="folder for the generated plate and run, made where it is missing")
    asked = parser.parse_args()
    parts = [part.strip() for part in asked.parts.split(",")]
    if set(parts) - set(PARTS):
        parser.error(f"--parts: there are {', '.join(PARTS)}")
    app = QApplication.instance() or QApplication([])
    with tempfile.TemporaryDirectory() as made:
        scratch = Path(made)
        base = asked.keep or scratch
        in_window = set(parts) & {"opening", "switching", "stalls"}
        if in_window and not (base / "run" / "run.json").is_file():
            start = time.perf_counter()
            write_plate(base / "plate", asked.wells, asked.side)
            write_run(base / "run", base / "plate", asked.features, asked.side)
            print(f"generated in {time.perf_counter() - start:.0f} s", flush=True)
        if "table" in parts:
            measure_table(asked.table, asked.repeats)
        if "alone" in parts:
            measure_napari_alone(asked.side, asked.repeats)
        if in_window:
            measure_viewer(base / "run", parts, asked.repeats, asked.stall_seconds, scratch)
        if "cards" in parts:
            measure_cards(scratch, asked.cells, asked.repeats)
    app.quit()
    print("all bars held" if not MISSED else f"missed: {', '.join(MISSED)}")


if __name__ == "__main__":
    main()
