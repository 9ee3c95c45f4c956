"""Cells of a large run: how long it takes to read them, to find the one clicked, and to tell what they look like.

    python tests/benchmarks/bench_cells.py [--cells 200000] [--active 200]

The demo plate's run is given that many cells, with codes drawn at random (so that nothing can be told apart: the fit
takes longest). Prints seconds, and the most memory that the process held.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from napari_phenolens import looks, open_run, subpopulations
from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED, demo_run_path
from napari_phenolens.run.cell_layout import FOLDER, TABLE, CellPlan, create_cells, first_row, open_cells
from napari_phenolens.run.json_file import write_json

MEASUREMENTS = 90


def fill(folder: Path, cells: int, active: int) -> None:
    """Store random cells with a run."""
    run = open_run(folder)
    wells = list(run.plan.wells)
    each = -(-cells // len(wells))
    side = int(np.ceil(np.sqrt(each)))
    edge = max(1, 256 // side)
    plan = CellPlan(
        {"kind": "random"}, len(wells), 1, (256, 256), run.n_features, tuple(f"m{i}" for i in range(MEASUREMENTS))
    )
    create_cells(run.path / FOLDER, plan)
    plan.save(run.path / FOLDER)
    arrays = open_cells(run.path / FOLDER, plan, "r+")
    rng = np.random.default_rng(0)
    grid = np.arange(256) // edge
    image = grid[:, None] * (256 // edge) + grid[None, :] + 1
    image[(image > each) | (grid[:, None] >= 256 // edge) | (grid[None, :] >= 256 // edge)] = 0
    for number, well in enumerate(wells):
        table = np.ones((each, len(TABLE)))
        table[:, TABLE.index("label")] = np.arange(1, each + 1)
        table[:, 0] = 0
        row, column = np.divmod(np.arange(each), 256 // edge)
        place = {"y0": row, "x0": column, "y1": row + 1, "x1": column + 1, "y": row + 0.5, "x": column + 0.5}
        for name, at in place.items():
            table[:, TABLE.index(name)] = at * edge
        table[:, TABLE.index("area")] = edge**2
        table[:, TABLE.index("border")] = 0
        index = np.sort(np.argsort(rng.random((each, run.n_features)), axis=1)[:, :active], axis=1)
        parts = {
            "table": table, "measured": rng.random((each, MEASUREMENTS), dtype=np.float32),
            "count": np.full(each, index.shape[1]), "index": index.ravel(),
            "value": rng.random(index.size, dtype=np.float32),
        }  # fmt: skip
        for name, values in parts.items():
            start = first_row(plan, name, number)
            arrays[name][start : start + len(values)] = values
        arrays["labels"][number] = image
        field = {"name": "1", "place": 0, "cells": each, "codes": int(index.size)}
        write_json(run.path / FOLDER / "done" / f"{well}.json", {"well": well, "fields": [field], "skipped": []})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=200_000)
    parser.add_argument("--active", type=int, default=200, help="features of a cell with a code")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = shutil.copytree(demo_run_path(), Path(scratch) / "run")
        fill(folder, asked.cells, asked.active)
        run = open_run(folder)

        def timed(what: str, call):
            began = time.perf_counter()
            found = call()
            print(f"{what:40} {time.perf_counter() - began:8.3f} s", flush=True)
            return found

        print(f"{len(timed('table of cells', run.cells))} cells")
        codes = timed("codes", run.cell_codes)
        print(f"{codes.nnz / 1e6:.1f} million codes, {(codes.data.nbytes + codes.indices.nbytes) / 2**20:.0f} MiB")
        timed("measurements", run.cell_measurements)
        timed("the first click in a field", lambda: run.cell_at("B08", None, (40.0, 77.0)))
        rng = np.random.default_rng(1)
        places = rng.uniform(0, 250, (200, 2))
        seconds = []
        for y, x in places:
            began = time.perf_counter()
            run.cell_at("B08", None, (y, x))
            seconds.append(time.perf_counter() - began)
        print(f"{'further clicks, 95th percentile':40} {np.percentile(seconds, 95) * 1e3:8.2f} ms")
        found = timed("looks", lambda: looks(run, DEMO_CONTROLS, DEMO_PERTURBED["translocation"]))
        print(f"  balanced accuracy {found.accuracy} (random codes)")
        timed(
            "subpopulations of it",
            lambda: subpopulations(run, None, None, wells=DEMO_PERTURBED["mixed translocation"], found=found),
        )
        print(f"most memory held: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
