"""How far probabilities can be taken at their word: expected calibration error and its interval, by well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.analysis.bootstrap import Interval, percentile_interval, resample_weights
from napari_phenolens.analysis.protocol import Floats

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Predicted against observed.

    Attributes
    ----------
    error : Interval
        Expected calibration error: the mean over bins, by weight, of how far the mean probability lies from the share
        that was so. 95 % interval over wells. Of few cells it is above 0 by chance alone.
    bins : DataFrame
        A row a bin: ``predicted`` (mean probability), ``observed`` (share), ``cells``.
    """

    error: Interval
    bins: pd.DataFrame


def calibration(
    probability: npt.ArrayLike,
    outcome: npt.ArrayLike,
    well: npt.ArrayLike,
    *,
    stratum: npt.ArrayLike | None = None,
    bins: int = BINS,
    draws: int = 500,
    seed: int = 0,
) -> Calibration:
    """Compare probabilities with what was so, both outcomes weighing the same (a prior of 50:50).

    Parameters
    ----------
    probability : array (n,)
        Predicted, of cells that the model never saw.
    outcome : array (n,) bool
        What was so.
    well : array (n,)
        Well of each; wells are drawn with replacement for the interval.
    stratum : array (n,), optional
        Wells are drawn among those of the same stratum (the side of a well); default: among all.
    bins : int
        Bins of equal numbers of cells.
    draws, seed : int
        Resamples.

    Returns
    -------
    Calibration

    Notes
    -----
    Naeini et al. 2015, with bins of equal numbers as in Nixon et al. 2019.
    """
    p, so = np.asarray(probability, np.float64), np.asarray(outcome, bool)
    _, place = np.unique(np.asarray(well).astype(str), return_inverse=True)
    edges = np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]) if len(p) else np.zeros(0)
    number = np.searchsorted(edges, p, side="right").astype(np.intp)
    # sums per well and bin: a resample of wells is then a product of small matrices
    shape = (int(place.max(initial=-1)) + 1, bins)
    sums = np.zeros((2, 2, *shape))  # outcome; count, sum of probabilities
    for k in (0, 1):
        mine = so == k
        np.add.at(sums[k, 0], (place[mine], number[mine]), 1.0)
        np.add.at(sums[k, 1], (place[mine], number[mine]), p[mine])
    strata = np.zeros(shape[0], np.intp)
    if stratum is not None:
        strata[place] = np.unique(np.asarray(stratum), return_inverse=True)[1]
    once = _error(sums, np.ones((1, shape[0])))
    many = _error(sums, resample_weights(strata, draws, seed)) if shape[0] > 1 else np.zeros(0)
    count = sums[:, 0].sum((0, 1))
    weight = _fair(sums[:, 0].sum(1)[:, None])[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        total = (weight * sums[:, 0].sum(1)).sum(0)
        predicted = (weight * sums[:, 1].sum(1)).sum(0) / total
        observed = weight[1] * sums[1, 0].sum(0) / total
    table = pd.DataFrame({"predicted": predicted, "observed": observed, "cells": count.astype(np.int64)})
    return Calibration(percentile_interval(many, float(once[0])), table[table["cells"] > 0].reset_index(drop=True))


def _fair(count: Floats) -> Floats:
    """Weight of a cell of each outcome, ``(2, B, 1)`` of counts ``(2, B, bins)``: both outcomes weigh one half."""
    total = count.sum(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        out: Floats = np.where(total > 0, 0.5 / total, np.nan)
    return out


def _error(sums: Floats, weights: Floats) -> Floats:
    """Expected calibration error for many weightings of the wells ``(B, wells)``; NaN where an outcome is missing."""
    count, amount = (np.einsum("bw,kwj->kbj", weights, sums[:, i]) for i in (0, 1))
    fair = _fair(count)
    gap = (fair * amount).sum(0) - fair[1] * count[1]
    out: Floats = np.abs(gap).sum(-1)
    return out
