"""Planted atoms under a dense nuisance: what whitening and ICFL find of them, beside TopK tuned as well as we can.

Run: ``python tests/benchmarks/bench_recovery.py [--seeds 3] [--part sweep|controls|along|null] [--steps 2500]``.
Numbers are shown as they come out. The truth: 96 unit atoms in 64 dimensions, half of which are active under
perturbation alone, under a nuisance of rank 12 that control and perturbed tokens share. Whitening sees 20,000 control
tokens, the dictionary 100,000 perturbed ones (tests/support/planted_tokens.py). Parts:

sweep     nuisance 0, 1, 3: TopK (with the auxiliary loss) and ICFL, raw and whitened, each at the learning rate of the
          best held-out cosine out of four. At nuisance 0 no arm should win by much: the negative control.
controls  few control tokens: half, one, two and ten times the dimensions, nuisance 3, floors 0.001 and "oas", with the
          truncation of the default and without.
along     every perturbation-only atom lies along an axis in which controls vary most: whitening should hurt.
null      how well the best feature tells a perturbation-only atom (AUROC, chosen on one half and scored on the other),
          and the same with the truth shuffled.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

import planted_tokens as planted

RATES = (1e-3, 3e-3, 1e-2, 3e-2)
COLUMNS = ("mmcs", "mmcs_perturbed", "recovered", "recovered_perturbed", "cosine", "dead")


def data(world: planted.World, seed: int, n_control: int) -> list[np.ndarray]:
    """Control tokens, tokens to learn on, and fresh ones with their truth."""
    control, _ = world.tokens(n_control, seed, perturbed=False)
    tokens, _ = world.tokens(planted.N_TOKENS, seed, perturbed=True)
    fresh, active = world.tokens(10_000, seed + 500, perturbed=True)
    return [control, tokens, fresh, active]


def tuned(arm: planted.Arm, nuisance: float, steps: int) -> planted.Arm:
    """The arm at the learning rate of the best held-out cosine (blind to the truth), on a seed of its own."""
    world, seed = planted.World.draw(1000, nuisance), 1000
    control, tokens, *_ = data(world, seed, planted.N_CONTROL)
    scores = {}
    for lr in RATES:
        _, fitted = planted.fit(replace(arm, lr=lr), control, tokens, seed, steps=steps)
        scores[lr] = float(fitted.history["cosine"].iloc[-1])
    return replace(arm, lr=max(scores, key=scores.__getitem__))


def measured(
    arm: planted.Arm, world: planted.World, seed: int, steps: int, n: int = planted.N_CONTROL, **white: Any
) -> tuple[dict[str, float], planted.Whitening, planted.Dictionary]:
    from napari_phenolens.dictionary import reconstruction

    control, tokens, fresh, _ = data(world, seed, n)
    whitening, fitted = planted.fit(arm, control, tokens, seed, steps=steps, **white)
    quality = reconstruction(fitted, whitening(fresh))
    found = planted.recovery(world.atoms, planted.directions(whitening, fitted))
    return found | {"cosine": quality["cosine"], "dead": quality["dead"]}, whitening, fitted


def show(name: str, rows: list[dict[str, float]]) -> None:
    cells = []
    for column in COLUMNS:
        values = [row[column] for row in rows]
        cells.append(f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})")
    print(f"  {name:38s} " + "  ".join(f"{cell:>20s}" for cell in cells), flush=True)


def heading(title: str) -> None:
    print(f"\n{title}\n  {'mean (least-most over seeds)':38s} " + "  ".join(f"{c:>20s}" for c in COLUMNS))


def sweep(seeds: int, steps: int) -> None:
    for nuisance in (0.0, 1.0, 3.0):
        heading(f"nuisance {nuisance:g}")
        for arm in planted.ARMS:
            chosen = tuned(arm, nuisance, steps)
            rows = [measured(chosen, planted.World.draw(s, nuisance), s, steps)[0] for s in range(seeds)]
            show(chosen.name + (f" (lr {chosen.lr:g})" if chosen.lr else ""), rows)


def controls(seeds: int, steps: int) -> None:
    heading("few controls, nuisance 3, ICFL whitened")
    arm = replace(planted.ARMS[3], lr=3e-3)
    for times in (0.5, 1, 2, 10):
        n = int(times * planted.D)
        for options in ({}, {"keep": planted.D}, {"keep": planted.D, "floor": "oas"}):
            said = ", ".join(f"{k} {v}" for k, v in options.items()) or "defaults"
            rows = [measured(arm, planted.World.draw(s, 3.0), s, steps, n, **options)[0] for s in range(seeds)]
            show(f"{n} control tokens ({times:g} d), {said}", rows)


def along(seeds: int, steps: int) -> None:
    heading("perturbation along the axes in which controls vary most, nuisance 1")
    for arm in (replace(arm, lr=3e-3) for arm in planted.ARMS):
        rows = [measured(arm, planted.World.draw(s, 1.0).along_the_nuisance(), s, steps)[0] for s in range(seeds)]
        show(arm.name, rows)


def null(seeds: int, steps: int) -> None:
    print("\nAUROC of the best feature for a perturbation-only atom, nuisance 3: truth, and truth shuffled")
    for arm in (replace(arm, lr=3e-3) for arm in planted.ARMS):
        true, shuffled = [], []
        for seed in range(seeds):
            world = planted.World.draw(seed, 3.0)
            _, whitening, fitted = measured(arm, world, seed, steps)
            *_, fresh, active = data(world, seed, 2)
            rows = whitening(fresh)
            true.append(planted.detection(fitted, rows, active))
            shuffled.append(planted.detection(fitted, rows, active, permute=seed))
        print(f"  {arm.name:20s} {np.mean(true):.3f}   shuffled {np.mean(shuffled):.3f}", flush=True)


PARTS = {"sweep": sweep, "controls": controls, "along": along, "null": null}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=planted.STEPS)
    parser.add_argument("--part", choices=list(PARTS), action="append")
    wanted = parser.parse_args()
    warnings.filterwarnings("ignore", message="only .* control tokens")  # the part on few controls is about that
    begun = time.perf_counter()
    for part in wanted.part or PARTS:
        PARTS[part](wanted.seeds, wanted.steps)
    print(f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
