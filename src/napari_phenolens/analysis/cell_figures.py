"""Figures of cells with intervals over wells: sums per well first, so that a resample of wells costs little."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_phenolens.analysis.bootstrap import Interval, percentile_interval, resample_weights
from napari_phenolens.analysis.protocol import Bools, Floats, Ints


def ranks_among(values: Floats, reference: Floats) -> Floats:
    """Give the share of the reference below each value, ties counted half; NaN without a reference."""
    if not len(reference):
        return np.full(len(values), np.nan)
    ordered = np.sort(reference)
    below, upto = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    out: Floats = (below + upto) / (2.0 * len(ordered))
    return out


def accuracy_over_wells(right: Bools, well: Ints, side_of: Bools, *, draws: int, seed: int) -> Interval:
    """Give the mean over both sides of the share of cells that is right.

    Parameters
    ----------
    right : ndarray (n,) bool
        Whether a cell was told right.
    well : ndarray (n,) int
        Its well's place in `side_of`.
    side_of : ndarray (wells,) bool
        Side of each well; wells are drawn within their side.
    draws, seed : int
        Resamples.
    """
    good, count = (np.bincount(well, weights=w, minlength=len(side_of)) for w in (right.astype(np.float64), None))

    def figure(weights: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = [(weights[:, s] @ good[s]) / (weights[:, s] @ count[s]) for s in (side_of, ~side_of)]
        return np.asarray(np.mean(parts, axis=0), np.float64)

    return _interval(figure, side_of, draws, seed)


def auroc_over_wells(score: Floats, well: Ints, side_of: Bools, *, draws: int, seed: int) -> Interval:
    """Give the chance that a cell of a perturbed well scores above one of a control well, ties counted half.

    Parameters as in `accuracy_over_wells`.
    """
    left, right = np.flatnonzero(~side_of), np.flatnonzero(side_of)
    count = np.bincount(well, minlength=len(side_of)).astype(np.float64)
    inside = side_of[well]
    wins = np.zeros((len(left), len(right)))
    column = np.searchsorted(right, well[inside])
    for i, w in enumerate(left):
        mine = score[well == w]
        above = np.nan_to_num(ranks_among(score[inside], mine)) * len(mine)
        wins[i] = np.bincount(column, weights=above, minlength=len(right))

    def figure(weights: Floats) -> Floats:
        a, b = weights[:, left], weights[:, right]
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = np.einsum("bi,ij,bj->b", a, wins, b) / ((a @ count[left]) * (b @ count[right]))
        return found

    return _interval(figure, side_of, draws, seed)


def _interval(figure: Callable[[Floats], Floats], side_of: Bools, draws: int, seed: int) -> Interval:
    once = float(figure(np.ones((1, len(side_of))))[0])
    return percentile_interval(figure(resample_weights(side_of.astype(np.intp), draws, seed)), once)
