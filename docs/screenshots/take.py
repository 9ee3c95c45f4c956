"""Take the screenshots of the documentation: a real plate, its features, and a heatmap on the cells.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots/take.py RUN [--plate PLATE] [--well D08]

RUN is the folder of a finished run (``phenolens run ... --out RUN``). It knows its plate; ``--plate`` says where the
plate lies now if it was moved. Without RUN the demo plate is shown.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SIZE = (1600, 1000)
LARGEST = 600_000  # bytes of a picture


def wait(jobs: Any, extra: float = 0.6, limit: float = 180.0) -> None:
    """Let Qt work until no job runs, then a little longer for the canvas."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + limit
    quiet = time.monotonic() + extra
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)
        if jobs.running:
            quiet = time.monotonic() + extra
        elif time.monotonic() > quiet:
            return
    raise SystemExit(f"the viewer was still busy after {limit:.0f} s")


def scroll_to(dock: Any, section: Any) -> None:
    """Scroll the dock so that a section begins at its top."""
    dock.scroll.verticalScrollBar().setValue(section.y())


def take(viewer: Any, out: Path, name: str) -> Path:
    """Save a screenshot of the whole window."""
    from qtpy.QtWidgets import QApplication

    for _ in range(10):  # what grew is laid out in the first rounds, and on a busy machine a round takes seconds
        QApplication.processEvents()
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.png"
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    shrink(path)
    return path


def shrink(path: Path) -> None:
    """Round a picture's colours, no coarser than needed, until its file is small enough for the repository."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=float)
    for step in (1, 4, 8, 16):  # of 256; a palette of 256 colours would be smaller, and colour bars in stripes
        rounded = (np.round(pixels / step) * step).clip(0, 255).astype(np.uint8)
        Image.fromarray(rounded).save(path, optimize=True)
        if path.stat().st_size <= LARGEST:
            return
    raise SystemExit(f"{path}: {path.stat().st_size} bytes, more than {LARGEST}")


def check(bench: Any) -> None:
    """Stop with the dock's own words where something did not work."""
    if bench.session.problem is not None:
        raise SystemExit(f"{bench.session.problem.title}: {bench.session.problem.message}")


def main(arguments: list[str] | None = None) -> None:
    """Open, wait, take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path, help="folder of a finished run; the demo plate if left out")
    parser.add_argument("--plate", type=Path, help="where the plate lies, if it was moved since the run")
    parser.add_argument("--well", help="the well to show")
    parser.add_argument("--feature", type=int, help="the feature to show; the top one if left out")
    parser.add_argument(
        "--increased", action="store_true", help="the top feature of those that rise in perturbed wells"
    )
    parser.add_argument("--perturbed", help="query for the perturbed wells; all that are no control if left out")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the pictures")
    parser.add_argument("--all", action="store_true", help="also take the pictures of the single steps")
    chosen = parser.parse_args(arguments)

    import napari

    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    _, dock = viewer.window.add_plugin_dock_widget("napari-phenolens", "PhenoLens")
    bench = dock.bench
    made: list[Path] = []
    wait(bench.jobs)
    if chosen.all:
        made.append(take(viewer, chosen.out, "empty"))
    open_all(bench, chosen)
    wait(bench.jobs, extra=2.0)
    check(bench)
    steps: list[tuple[str, Callable[[], None]]] = [("main", lambda: show_main(bench, chosen))]
    if chosen.all:
        steps += [
            ("phenotype", lambda: show_phenotype(bench, dock)),
            ("heatmaps", lambda: show_explained(bench, dock)),
            ("side_by_side", lambda: show_pair(bench, dock)),
            ("overview", lambda: show_overview(bench, dock)),
        ]
    for name, prepare in steps:
        prepare()
        wait(bench.jobs, extra=1.5)
        check(bench)
        made.append(take(viewer, chosen.out, name))
    for path in made:
        sys.stdout.write(f"{path}\n")
    viewer.close()


def open_all(bench: Any, chosen: argparse.Namespace) -> None:
    """Open the run, or the demo plate."""
    if chosen.run is None:
        from napari_phenolens.viewer.sample import open_sample

        open_sample(bench)
        return
    plate = None
    if chosen.plate is not None:
        from napari_phenolens.plate import open_plate
        from napari_phenolens.viewer.opening import find_platemap

        plate = open_plate(chosen.plate, find_platemap(chosen.plate))
    bench.opening.run(chosen.run, plate)


def show_main(bench: Any, chosen: argparse.Namespace) -> None:
    """Show the plate map coloured by the feature, the table, and the heatmap on a perturbed well."""
    from napari_phenolens.viewer.comparing import FEATURE

    if chosen.perturbed:
        bench.set_queries(perturbed=chosen.perturbed)
        bench.comparing.start()
        wait(bench.jobs)
    session = bench.session
    if chosen.feature is not None:
        bench.showing.feature(chosen.feature)
        wait(bench.jobs)
    else:
        table = session.comparison.features
        table = table[table["effect"] > 0] if chosen.increased else table
        bench.showing.feature(int(table["feature"].iloc[0]))
        wait(bench.jobs)
    session.colour_by = FEATURE
    well = chosen.well
    if well is None:
        perturbed = session.wells_of("perturbed") or session.wells_of("positive")
        well = bench.comparing.typical(perturbed)
    bench.showing.well(well)


def show_phenotype(bench: Any, dock: Any) -> None:
    """Show the score of the features that go together, on the plate map and over the well that is on show."""
    from napari_phenolens.viewer.session import PHENOTYPE

    session = bench.session
    session.colour_by = PHENOTYPE
    bench.showing.feature(session.feature, 0, PHENOTYPE)
    wait(bench.jobs)
    scroll_to(dock, dock.wells)


def show_explained(bench: Any, dock: Any) -> None:
    """Show a second feature, and what is at the place where the first one is strongest."""
    import numpy as np

    from napari_phenolens.viewer.comparing import FEATURE

    session = bench.session
    session.colour_by = FEATURE
    bench.showing.feature(session.slots[0].feature, 0, "activation")
    wait(bench.jobs)
    second = session.comparison.features
    if "representative" in second.columns:
        second = second[second["representative"].fillna(False).astype(bool)]
    others = [int(f) for f in second["feature"] if int(f) != session.slots[0].feature]
    if others:
        bench.showing.feature(others[0], 1)
        wait(bench.jobs)
    values = bench.slots.layer(0).data
    i, j = np.unravel_index(int(values.argmax()), values.shape)
    patch = session.run.patch
    bench.picking.at((int(i * patch + patch // 2), int(j * patch + patch // 2)))
    wait(bench.jobs)
    scroll_to(dock, dock.slots)


def show_pair(bench: Any, dock: Any) -> None:
    """Show a typical control well beside a typical perturbed one."""
    bench.session.selected = ()
    bench.showing.side_by_side(*[None, None])
    scroll_to(dock, dock.compare)


def show_overview(bench: Any, dock: Any) -> None:
    """Show the whole plate as thumbnails, and choosing wells by the plate map."""
    from qtpy.QtCore import Qt

    bench.showing.view("plate")
    dock.roles.set_opened(True)
    chooser = dock.roles.chooser
    chooser.values.item(chooser.values.count() - 1).setCheckState(Qt.CheckState.Checked)
    wait(bench.jobs)
    scroll_to(dock, dock.wells)


if __name__ == "__main__":
    main()
