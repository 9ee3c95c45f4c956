"""Take the pictures that need no run: the map of a 1536-well plate, and the licence of a model's weights.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots/no_run.py

The plate is drawn into a temporary folder. Nothing is downloaded: the licence is asked for offline, so the window says
where it can be read.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from take import HERE, SIZE, check, take, wait

os.environ["HF_HUB_OFFLINE"] = "1"
ROWS, COLUMNS, SIDE = 32, 48, 24
ENCODER = "openphenom"  # its licence has to be accepted


def write_plate(folder: Path) -> Path:
    """Draw a plate of 1,536 wells but for twelve that have no images, with doses and controls on its map."""
    import numpy as np
    import pandas as pd
    import tifffile

    from napari_phenolens.plate import well_name_of

    folder.mkdir()
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:SIDE, :SIDE]
    rows = []
    for i in range(ROWS):
        for j in range(COLUMNS):
            edge = j in (0, COLUMNS - 1)
            role = "negcon" if edge else "poscon" if j in (1, COLUMNS - 2) else "trt"
            dose = 0.0 if edge else 0.001 * 4.0 ** (j % 8)
            rows.append({
                "well": well_name_of(i, j), "control_type": role, "compound": "DMSO" if edge else f"compound {i + 1}",
                "dose": dose, "dose_unit": "uM",
            })  # fmt: skip
            if i in (10, 11) and 20 <= j < 26:
                continue
            image = rng.normal(200, 10, (SIDE, SIDE))
            for y, x in rng.uniform(3, SIDE - 3, (3, 2)):
                image += 1500 * np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / 6)
            tifffile.imwrite(folder / f"{well_name_of(i, j)}_f1_DNA.tif", image.astype(np.uint16))
    pd.DataFrame(rows).to_csv(folder / "platemap.csv", index=False)
    return folder


def take_large_map(viewer: Any, bench: Any, dock: Any, out: Path) -> Path:
    """Show the map of 1,536 wells in a dock of its own, some of them selected."""
    from napari_phenolens.plate import well_name_of
    from napari_phenolens.widgets.large_map import open_large

    with tempfile.TemporaryDirectory() as made:
        bench.opening.plate(write_plate(Path(made) / "1536 wells"))
        wait(bench.jobs)
        bench.session.colour_by = "map:dose"
        bench.selecting.select([well_name_of(i, j) for i in range(2, 6) for j in range(9, 19)])
        dock.scroll.verticalScrollBar().setValue(0)
        large = open_large(bench, dock)
        viewer.window._qt_window.resizeDocks([large.parent()], [SIZE[1] // 2], _vertical())
        wait(bench.jobs, extra=1.5)
        viewer.reset_view()
        wait(bench.jobs)
        check(bench)
        path = take(viewer, out, "plate_1536")
        large.parent().close()
    return path


def _vertical() -> Any:
    from qtpy.QtCore import Qt

    return Qt.Orientation.Vertical


def take_licence(bench: Any, dock: Any, out: Path) -> Path:
    """Ask for weights whose licence has to be accepted, and decline."""
    from napari_phenolens.widgets.licence_dialog import LicenceDialog

    bench.weights.get(ENCODER)
    wait(bench.jobs)
    check(bench)
    dialog = dock.findChild(LicenceDialog)
    path = out / "licence.png"
    dialog.resize(560, 330)
    wait(bench.jobs)
    dialog.grab().save(str(path))
    bench.weights.decline()
    return path


def take_both(viewer: Any, dock: Any, out: Path) -> list[Path]:
    """Take both pictures in a viewer that is open."""
    return [take_large_map(viewer, dock.bench, dock, out), take_licence(dock.bench, dock, out)]


def main(arguments: list[str] | None = None) -> None:
    """Open, take, close."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the pictures")
    chosen = parser.parse_args(arguments)

    import napari

    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    _, dock = viewer.window.add_plugin_dock_widget("napari-phenolens", "PhenoLens")
    wait(dock.bench.jobs)
    for path in take_both(viewer, dock, chosen.out):
        print(path)
    viewer.close()


if __name__ == "__main__":
    main()
