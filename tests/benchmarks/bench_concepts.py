"""How often `concepts` finds something where nothing is, and how long it takes, on a finished run with cells.

    python tests/benchmarks/bench_concepts.py RUN [--repeats 100] [--permutations 1000] [--json FILE]

A repeat gives the features of whole wells to other wells (cells of a well stay together, as do all features and all
concepts) and counts the pairs at q < 0.05. At most 10 of 100 repeats may have one.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import napari_phenolens as ph
from napari_phenolens.analysis.concept_wells import link_wells
from napari_phenolens.analysis.permutation import benjamini_hochberg


def null_repeats(run: object, repeats: int, permutations: int) -> dict[str, object]:
    """Count the repeats in which any pair of feature and concept has q < 0.05."""
    import importlib

    inside = importlib.import_module("napari_phenolens.analysis.concepts")
    wells, values, control, _ = inside._wells(run, None, None, "patch", "activation")
    cells = inside.find_cells(run, wells)
    listed, _ = inside._concepts(run, wells, control, cells, None, None, None, None)
    group = np.arange(len(wells))  # no two treated alike: correlations within treatments are not in q, and left out
    matrix = np.stack([concept.wells for concept in listed], axis=1)
    real = benjamini_hochberg(link_wells(values, matrix, control, group, permutations=permutations).p.ravel())
    hits, pairs, smallest = 0, [], []
    for repeat in range(repeats):
        order = np.random.default_rng([1, repeat]).permutation(len(wells))
        p = link_wells(values[order], matrix, control, group, permutations=permutations, seed=repeat).p.ravel()
        found = int((benjamini_hochberg(p) < 0.05).sum())
        hits += found > 0
        pairs.append(found)
        smallest.append(float(np.nanmin(p)))
        if repeat % 10 == 9:
            print(f"{repeat + 1} repeats, {hits} with a concept at q < 0.05", flush=True)
    return {
        "wells": len(wells), "cells": 0 if cells is None else len(cells.rows), "features": values.shape[1],
        "concepts": len(listed), "permutations": permutations, "repeats": repeats, "repeats_with_q_below_0.05": hits,
        "pairs_in_those": [n for n in pairs if n], "median_smallest_p": float(np.median(smallest)),
        "real_pairs_at_q_below_0.05": int((real < 0.05).sum()),
    }  # fmt: skip


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    run = ph.open_run(given.run)
    run.cells(), run.cell_codes(), run.cell_measurements()
    start = time.process_time()
    ph.concepts(run, permutations=given.permutations)
    seconds = time.process_time() - start
    found = {"seconds_of_cpu": round(seconds, 2), **null_repeats(run, given.repeats, given.permutations)}
    print(json.dumps(found, indent=1))
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
