"""How often concepts that go equally well with a feature are told apart: `concept_ties` and the usual test, simulated.

    python tests/benchmarks/bench_ties.py [--repeats 1000] [--json FILE]

Wells are what is simulated: a feature and concepts that all show the same thing (normal values, a phenotype in a ninth
of the wells, or a dose series with a third of the wells untreated) with noise of their own, scattered evenly, or more
where the thing is strong, or with heavy tails. Told apart, two concepts should be in 5 % of cases.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from napari_phenolens.analysis.concept_ties import LEVEL, tied_with_first

THINGS, SCATTERS = ("normal", "a ninth", "doses"), ("even", "with the thing", "heavy tails")
NOISE = 0.3  # of the feature and of each concept, in standard deviations of the thing
WEAKER = (0.4, 0.6, 1.0)  # noise of a second concept that goes less well


def thing(kind: str, wells: int, rng: np.random.Generator) -> np.ndarray:
    """Draw what a well shows, (wells, 1), before it is standardised."""
    if kind == "normal":
        return rng.normal(size=(wells, 1))
    if kind == "a ninth":
        return 3.0 * (np.arange(wells) < max(3, wells // 9))[:, None]
    return np.where(np.arange(wells) < wells // 3, 0.0, np.linspace(0, 3, wells))[:, None]


def noise(kind: str, shown: np.ndarray, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Draw noise of variance one."""
    if kind == "heavy tails":
        return rng.standard_t(5, size=(len(shown), columns)) * np.sqrt(3 / 5)
    spread = 0.5 + np.abs(shown) if kind == "with the thing" else np.ones_like(shown)
    return rng.normal(size=(len(shown), columns)) * spread / np.sqrt((spread**2).mean())


def williams_tells(x: np.ndarray, two: np.ndarray) -> bool:
    """Williams's t of two correlations with the same variable (T2 of Steiger 1980), at the same level."""
    n = len(x)
    jk, jh, kh = np.corrcoef(np.c_[x, two], rowvar=False)[[0, 0, 1], [1, 2, 2]]
    left = 1 - jk**2 - jh**2 - kh**2 + 2 * jk * jh * kh
    below = 2 * left * (n - 1) / (n - 3) + ((jk + jh) / 2) ** 2 * (1 - kh) ** 3
    return bool(abs(jk - jh) * np.sqrt((n - 1) * (1 + kh) / below) > stats.t.isf(LEVEL / 2, n - 3))


def simulate(wells: int, kind: str, scatter: str, repeats: int) -> dict[str, Any]:
    """Count over repeats."""
    rng = np.random.default_rng([wells, THINGS.index(kind), SCATTERS.index(scatter)])
    told = usual = missed = 0
    weaker = np.zeros(len(WEAKER))
    for _ in range(repeats):
        shown = thing(kind, wells, rng)
        base = (shown - shown.mean()) / shown.std()
        x = base + NOISE * noise(scatter, shown, 1, rng)
        equal = base + NOISE * noise(scatter, shown, 6, rng)
        told += not tied_with_first(x, equal[:, :2], np.zeros(2)).any()
        usual += williams_tells(x, equal[:, :2])
        r = np.abs(np.corrcoef(np.c_[x, equal], rowvar=False)[0, 1:])
        missed += r.argmax() != 0 and not tied_with_first(x, equal, np.zeros(6))[0, 0]
        for i, size in enumerate(WEAKER):
            less = base + size * noise(scatter, shown, 1, rng)
            weaker[i] += not tied_with_first(x, np.c_[equal[:, 0], less], np.zeros(2)).any()
    return {
        "wells": wells, "thing": kind, "scatter": scatter, "two_equal_told_apart": told / repeats,
        "by_williams": usual / repeats, "one_of_six_missed": missed / repeats,
        "weaker_told_apart": dict(zip(map(str, WEAKER), (weaker / repeats).tolist(), strict=True)),
    }  # fmt: skip


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--wells", type=int, nargs="+", default=[6, 12, 36, 96, 384])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = []
    for wells in given.wells:
        for kind in THINGS:
            for scatter in SCATTERS:
                found.append(simulate(wells, kind, scatter, given.repeats))
                print(json.dumps(found[-1]), flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
