"""How far probabilities can be taken at their word: expected calibration error and its interval, by well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.analysis.bootstrap import Interval, percentile_interval, resample_weights
from napari_phenolens.analysis.protocol import Floats, Ints

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Predicted against observed.

    Attributes
    ----------
    error : Interval
        Expected calibration error: the mean over bins, by weight, of how far the mean probability lies from the share
        that was so. 95 % interval over wells. Of few cells it is above 0 by chance alone.
    debiased : Interval
        The root mean square over bins in place of the mean, with what wells scatter by chance taken off: about 0 where
        probabilities are right, however few the wells. NaN with fewer than two wells of a stratum.
    chance : float
        What `error` would be of right probabilities, by that scatter.
    bins : DataFrame
        A row a bin: ``predicted`` (mean probability), ``observed`` (share), ``cells``.
    """

    error: Interval
    debiased: Interval
    chance: float
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
    Naeini et al. 2015, with bins of equal numbers as in Nixon et al. 2019. Debiased as by Kumar et al. 2019 (section 4;
    see also Roelofs et al. 2022): of each bin's squared gap its variance is taken off, here that over wells (a ratio of
    sums over wells, linearised) and not the binomial one, since cells of one well go together. It is never below 0, and
    no smaller than the mean of the sizes of the true gaps.
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
    gap, mass = _gaps(sums, np.ones((1, shape[0])))
    drawn = resample_weights(strata, draws, seed) if shape[0] > 1 else np.zeros((0, shape[0]))
    many, _ = _gaps(sums, drawn)
    variance = _variance(sums, strata)
    error = percentile_interval(np.abs(many).sum(-1), float(np.abs(gap).sum()))
    # a resample of the wells adds the variance once more
    debiased = percentile_interval(
        _root((many**2 - 2 * variance), mass[0]), float(_root(gap**2 - variance, mass[0])[0])
    )  # fmt: skip
    chance = float(np.sqrt(2 / np.pi * variance).sum())
    count = sums[:, 0].sum((0, 1))
    weight = _fair(sums[:, 0].sum(1)[:, None])[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        total = (weight * sums[:, 0].sum(1)).sum(0)
        predicted = (weight * sums[:, 1].sum(1)).sum(0) / total
        observed = weight[1] * sums[1, 0].sum(0) / total
    table = pd.DataFrame({"predicted": predicted, "observed": observed, "cells": count.astype(np.int64)})
    return Calibration(error, debiased, chance, table[table["cells"] > 0].reset_index(drop=True))


def _fair(count: Floats) -> Floats:
    """Weight of a cell of each outcome, ``(2, B, 1)`` of counts ``(2, B, bins)``: both outcomes weigh one half."""
    total = count.sum(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        out: Floats = np.where(total > 0, 0.5 / total, np.nan)
    return out


def _gaps(sums: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Give what each bin adds to the error, with its sign, and its mass, ``(B, bins)``, for weightings ``(B, wells)``.

    NaN where an outcome is missing.
    """
    count, amount = (np.einsum("bw,kwj->kbj", weights, sums[:, i]) for i in (0, 1))
    fair = _fair(count)
    gap: Floats = (fair * amount).sum(0) - fair[1] * count[1]
    mass: Floats = (fair * count).sum(0)
    return gap, mass


def _variance(sums: Floats, strata: Ints) -> Floats:
    """Variance of each bin's gap over wells that are drawn within strata, ``(bins,)``; NaN with one well in one."""
    count, amount = sums[:, 0], sums[:, 1]
    total = count.sum((1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.stack([amount[0], amount[1] - count[1]])
        ratio = off.sum(1) / total[:, None]
        # ratios of sums over wells, linearised
        pull = ((off - ratio[:, None] * count.sum(2)[:, :, None]) / (2 * total[:, None, None])).sum(0)
    out = np.zeros(count.shape[2])
    for stratum in np.unique(strata):
        mine = pull[strata == stratum]
        n = len(mine)
        out += n / (n - 1) * ((mine - mine.mean(0)) ** 2).sum(0) if n > 1 else np.nan
    return out


def _root(squares: Floats, mass: Floats) -> Floats:
    """Root of the mean of squared gaps over bins by mass, ``(B,)`` of ``(B, bins)``; not below 0."""
    some = mass > 0
    mean = (squares[:, some] / mass[some]).sum(-1)
    return np.asarray(np.sqrt(np.maximum(mean, 0.0)), np.float64)
