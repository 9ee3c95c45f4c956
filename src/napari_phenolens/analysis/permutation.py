"""Relabelling tests within plates, and the false discovery rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from napari_phenolens.analysis.contrast import Design, centre_by
from napari_phenolens.analysis.protocol import Bools, Floats

_CHUNK = 1024  # relabellings a matrix product


@dataclass(frozen=True)
class Relabelling:
    """The p-values of a relabelling test.

    Attributes
    ----------
    p : ndarray (m,)
        Two-sided; NaN for features that do not vary.
    exact : bool
        Whether every relabelling was used.
    n : int
        Number of relabellings used.
    floor : float
        The smallest p that the design allows.
    """

    p: Floats
    exact: bool
    n: int
    floor: float


def count_relabellings(design: Design) -> int:
    """Number of ways to deal the sides out within plates."""
    return math.prod(math.comb(a + b, b) for a, b in design.per_plate)


def smallest_p(design: Design, permutations: int) -> float:
    """The smallest two-sided p of a design: 1 / N, 2 / N where swapping all sides is a relabelling too.

    Parameters
    ----------
    design : Design
        Sides and plates.
    permutations : int
        The largest N taken in full; above it 1 / (permutations + 1) bounds p too.
    """
    n = count_relabellings(design)
    balanced = all(a == b for a, b in design.per_plate if a and b)
    floor = min((2.0 if balanced else 1.0) / n, 1.0)
    return floor if n <= permutations else max(floor, 1.0 / (permutations + 1))


def all_labels(design: Design) -> Bools:
    """Every relabelling within plates, (N, n) bool."""
    labels = np.zeros((1, design.n), dtype=bool)
    for p in range(design.n_plates):
        wells = np.flatnonzero(design.plate == p)
        size = int(design.side[wells].sum())
        chosen = list(combinations(range(len(wells)), size))
        part = np.zeros((len(chosen), design.n), dtype=bool)
        for row, places in enumerate(chosen):
            part[row, wells[list(places)]] = True
        labels = (labels[:, None, :] | part[None, :, :]).reshape(-1, design.n)
    return labels


def draw_labels(design: Design, n: int, rng: np.random.Generator) -> Bools:
    """Draw n relabellings within plates, (n, wells) bool."""
    labels = np.zeros((n, design.n), dtype=bool)
    for p in range(design.n_plates):
        wells = np.flatnonzero(design.plate == p)
        size = int(design.side[wells].sum())
        if size == 0:
            continue
        order = np.argsort(rng.random((n, len(wells)), dtype=np.float32), axis=1)[:, :size]
        np.put_along_axis(labels, wells[order], True, axis=1)
    return labels


def relabelling_test(values: Floats, design: Design, *, permutations: int = 20_000, seed: int = 0) -> Relabelling:
    """Test every column's difference by dealing the sides out again within plates.

    The residual sum of squares is the plate-centred total, which no relabelling changes, less the difference's own
    share. So with the prior of the variances held fixed the moderated t grows with the difference alone, and the p of
    the one is the p of the other, whatever the prior: no variance is fitted again, and the whole test is matrix
    products.

    Parameters
    ----------
    values : ndarray (n, m)
        Well means without NaN.
    design : Design
        Sides and plates.
    permutations : int
        Up to so many relabellings are all used (exact); above, so many are drawn and p = (b + 1) / (n + 1)
        (Phipson and Smyth 2010).
    seed : int
        Seed of the draws.

    Returns
    -------
    Relabelling
    """
    centred = centre_by(np.asarray(values, dtype=np.float64), design.plate)
    size = np.sqrt((centred**2).sum(axis=0))
    scale = np.sqrt((np.asarray(values, dtype=np.float64) ** 2).sum(axis=0))
    varies = size > 1e-12 * np.maximum(scale, 1e-300)
    unit = centred[:, varies] / size[varies]
    total = count_relabellings(design)
    exact = total <= permutations
    labels = all_labels(design) if exact else draw_labels(design, permutations, np.random.default_rng(seed))
    # Halving the memory traffic of a sampled test costs nothing: its draws err far more than single precision.
    kind: npt.DTypeLike = np.float64 if exact else np.float32
    # Equal differences must count as equal in spite of rounding, that of values far from zero included.
    slack = (1e-9 if exact else 1e-5) + 1e-15 * scale[varies] / size[varies]
    seen = np.abs(design.side.astype(np.float64) @ unit) - slack
    unit = unit.astype(kind)
    threshold = seen.astype(kind)
    beyond = np.zeros(unit.shape[1], dtype=np.int64)
    for start in range(0, len(labels), _CHUNK):
        sums = labels[start : start + _CHUNK].astype(kind) @ unit
        np.abs(sums, out=sums)
        beyond += np.count_nonzero(sums >= threshold, axis=0)
    p = np.full(values.shape[1], np.nan)
    p[varies] = beyond / total if exact else (beyond + 1) / (len(labels) + 1)
    return Relabelling(p, exact, len(labels), smallest_p(design, permutations))


def benjamini_hochberg(p: npt.ArrayLike) -> Floats:
    """Give the q of every p (Benjamini and Hochberg 1995); NaN stays NaN and is not counted."""
    p = np.asarray(p, dtype=np.float64)
    q = np.full_like(p, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    if len(known) == 0:
        return q
    order = known[np.argsort(p[known], kind="stable")]
    raw = p[order] * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1.0)
    return q


def features_that_must_tie(floor: float, features: int, level: float = 0.05) -> int:
    """How many features must have the smallest p before any q falls below the level (0: one is enough)."""
    if floor * features <= level:
        return 0
    return math.ceil(floor * features / level - 1e-9)


__all__ = [
    "Relabelling",
    "all_labels",
    "benjamini_hochberg",
    "count_relabellings",
    "draw_labels",
    "features_that_must_tie",
    "relabelling_test",
    "smallest_p",
]
