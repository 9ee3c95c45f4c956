"""Cells of a large run: how long it takes to read them, to tell what they look like, and from a click to its card.

    python tests/benchmarks/bench_cells.py [--cells 200000] [--active 200] [--clicks 100] [--run FOLDER]

The demo plate's run is made once more, so that its tokens are in a token store (with --run a copy of one that was made
so is taken), and given that many cells, with codes drawn at random (so that nothing can be told apart: the fit takes
longest). A click is: the cell found at a place in any field, the whole card with its embedding, and the pictures of
the cell and its twelve likes (aim: 150 ms in 95 of 100). Prints seconds, and the most memory that the process held.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from napari_phenolens import apply_lens, cell_card, cell_reference, looks, open_plate, open_run, subpopulations
from napari_phenolens.analysis import cell_crops
from napari_phenolens.analysis.card import with_tokens
from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED, demo_plate_path, demo_run_path
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


def clicks(run, told, count: int) -> None:
    """Time clicks at places of fields drawn at random, each part by itself."""
    began = time.perf_counter()
    reference = cell_reference(run, DEMO_CONTROLS, DEMO_PERTURBED["translocation"], looks=told)
    print(f"{'what a card is measured against, once':40} {time.perf_counter() - began:8.3f} s")
    plate = run.plate()
    rng = np.random.default_rng(2)
    parts: dict[str, list[float]] = {name: [] for name in ("cell", "card", "with its embedding", "pictures", "all")}
    for click in range(count + 3):  # the first few load modules and the encoder's offsets
        at = run.cells().iloc[int(rng.integers(len(run.cells())))]
        marks = [time.perf_counter()]
        cell = run.cell_at(at["well"], at["field"], (at["y"], at["x"]))
        marks.append(time.perf_counter())
        card = cell_card(reference, cell, tokens=False)
        marks.append(time.perf_counter())
        card = with_tokens(reference, card)
        marks.append(time.perf_counter())
        near = pd.concat([run.cells().loc[[cell]], *card.neighbours.values()])
        crops = cell_crops(run, near, plate=plate)
        marks.append(time.perf_counter())
        assert len(crops) == 13 and card.features["alignment"].notna().all(), card.notes
        if click >= 3:
            for name, seconds in zip(parts, [*np.diff(marks), marks[-1] - marks[0]], strict=True):
                parts[name].append(1000 * seconds)
    for name, took in parts.items():
        print(f"a click: {name:31} {np.median(took):8.1f} ms, 95th percentile {np.percentile(took, 95):.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=200_000)
    parser.add_argument("--active", type=int, default=200, help="features of a cell with a code")
    parser.add_argument("--clicks", type=int, default=100)
    parser.add_argument("--run", type=Path, help="a finished run of a demo plate whose tokens are stored")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, pictures = Path(scratch) / "run", demo_plate_path()
        if asked.run is not None:
            shutil.copytree(asked.run, folder, ignore=shutil.ignore_patterns("cells"))
        else:
            plate = open_plate(pictures, pictures / "platemap.csv")
            apply_lens(open_run(demo_run_path()).lens, plate, folder, tokens=Path(scratch) / "tokens", device="cpu")
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
        clicks(run, found, asked.clicks)
        print(f"most memory held: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
