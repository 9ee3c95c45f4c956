"""Resampling by well: weights for many resamples at once, and intervals from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_phenolens.analysis.contrast import Design
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.protocol import Floats, Ints


@dataclass(frozen=True)
class Interval:
    """A figure with its interval.

    Attributes
    ----------
    value : float
        The figure itself.
    low, high : float
        Ends of the interval (NaN where too few resamples gave a number).
    """

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        spec = spec or ".2f"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __str__(self) -> str:
        return format(self)


def percentile_interval(draws: npt.ArrayLike, value: float, level: float = 0.95) -> Interval:
    """Make an interval of the middle `level` of the draws; NaN draws are left out, infinite ones are kept."""
    found = np.asarray(draws, dtype=np.float64)
    found = found[~np.isnan(found)]
    if len(found) < 2:
        return Interval(float(value), float("nan"), float("nan"))
    # Order statistics, not interpolation: between -inf and a number there is nothing.
    low = np.quantile(found, (1 - level) / 2, method="lower")
    high = np.quantile(found, (1 + level) / 2, method="higher")
    return Interval(float(value), float(low), float(high))


def resample_weights(strata: npt.ArrayLike, n: int, seed: int | np.random.Generator = 0) -> Floats:
    """Draw wells with replacement within strata.

    Parameters
    ----------
    strata : array (wells,)
        Group of each well; its wells are drawn among themselves.
    n : int
        Number of resamples.
    seed : int or Generator
        Seed.

    Returns
    -------
    ndarray (n, wells)
        How often each well was drawn.
    """
    rng = np.random.default_rng(seed)
    strata = np.asarray(strata)
    weights = np.zeros((n, len(strata)))
    for s in np.unique(strata):
        wells = np.flatnonzero(strata == s)
        weights[:, wells] = rng.multinomial(len(wells), np.full(len(wells), 1 / len(wells)), size=n)
    return weights


def weighted_moments(values: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Give means and variances of the columns under many weightings of the rows.

    Parameters
    ----------
    values : ndarray (n, m)
        Rows are wells; centre the columns first for the sake of precision.
    weights : ndarray (B, n)
        Weights of the wells, 0 leaves a well out.

    Returns
    -------
    mean, variance : ndarray (B, m)
        The variance divides by V1 - V2 / V1 (V1, V2: sums of weights and of squared weights), so that wells drawn twice
        do not make it too small; it is n - 1 for weights of one. NaN where only one well has weight.
    df : ndarray (B,)
        V1 - V2 / V1.
    """
    total = weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (weights @ values) / total[:, None]
        df = total - (weights**2).sum(axis=1) / total
        squares = weights @ values**2 - total[:, None] * mean**2
        variance = np.where(df[:, None] > 1e-9, np.maximum(squares, 0.0) / df[:, None], np.nan)
    return mean, variance, df


def strata_of(design: Design) -> Ints:
    """Side and plate of each well as one number."""
    return np.asarray(design.plate * 2 + design.side, dtype=np.intp)


def zprime_interval(adjusted: Floats, design: Design, *, draws: int = 500, seed: int = 0) -> tuple[Floats, Floats]:
    """Give the 95 % bootstrap-by-well interval of every feature's Z'.

    Parameters
    ----------
    adjusted : ndarray (n, m)
        Plate-adjusted well means.
    design : Design
        Sides and plates; wells are drawn within side and plate.
    draws : int
        Number of resamples.
    seed : int
        Seed.

    Returns
    -------
    low, high : ndarray (m,)
    """
    from napari_phenolens.analysis.effects import zprime

    weights = resample_weights(strata_of(design), draws, seed)
    centred = adjusted - adjusted.mean(axis=0)
    m = centred.shape[1]
    low, high = np.full(m, np.nan), np.full(m, np.nan)
    for start in range(0, m, 1024):
        part = slice(start, start + 1024)
        mean0, var0, _ = weighted_moments(centred[~design.side, part], weights[:, ~design.side])
        mean1, var1, _ = weighted_moments(centred[design.side, part], weights[:, design.side])
        z = np.sort(zprime(mean1 - mean0, var0, var1), axis=0)  # NaN last
        count = np.count_nonzero(~np.isnan(z), axis=0)
        columns = np.arange(z.shape[1])
        enough = count >= 2
        low[part] = np.where(enough, z[np.floor(0.025 * np.maximum(count - 1, 0)).astype(int), columns], np.nan)
        high[part] = np.where(enough, z[np.ceil(0.975 * np.maximum(count - 1, 0)).astype(int), columns], np.nan)
    return low, high


def bootstrap_wells(
    statistic: Callable[..., float], *samples: Sequence[float] | npt.ArrayLike, draws: int = 2000, seed: int = 0
) -> Interval:
    """Give a statistic of one or several groups of wells with its 95 % interval.

    Parameters
    ----------
    statistic : callable
        Takes as many arrays as there are samples; each sample's rows (wells) are drawn with replacement among
        themselves.
    samples : arrays
        A row a well.
    draws : int
        Number of resamples.
    seed : int
        Seed.

    Returns
    -------
    Interval
        Percentile interval; resamples whose statistic is NaN are left out.
    """
    arrays = [np.asarray(s) for s in samples]
    if not arrays or any(len(a) == 0 for a in arrays):
        raise AnalysisError("a bootstrap by well needs at least one well in every group")
    rng = np.random.default_rng(seed)
    found = [float(statistic(*(a[rng.integers(len(a), size=len(a))] for a in arrays))) for _ in range(draws)]
    return percentile_interval(found, float(statistic(*arrays)))
