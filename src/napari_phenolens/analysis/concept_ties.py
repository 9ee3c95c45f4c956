"""Concepts that the wells cannot tell from the first of a feature: their correlations do not differ significantly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.analysis.concept_values import TREATMENT
from napari_phenolens.analysis.concept_wells import standard
from napari_phenolens.analysis.protocol import Floats
from napari_phenolens.progress import CancelCallback, check_cancelled

LEVEL = 0.05  # two-sided: from here on two correlations differ
_AT_ONCE = 4_000_000  # numbers held in one array
_MOST_R = 1 - 1e-12  # Fisher's z has no end
_NOTHING = 1e-9  # share of what varies that is left without a well
_COPY = 1e-6  # difference in z below which two concepts are one and the same but for rounding


def tied_with_first(
    values: Floats, matrix: Floats, family: npt.NDArray[Any], *, cancel: CancelCallback | None = None
) -> npt.NDArray[np.bool_]:
    """Tell which concepts the wells cannot tell from a feature's first: the one of their family with the largest |r|.

    Parameters
    ----------
    values : ndarray (n, m)
        Features of the wells, without NaN.
    matrix : ndarray (n, k)
        Concepts of the wells, NaN where a well has none.
    family : ndarray (k,)
        Family of each concept; each has a first of its own.
    cancel : callable, optional
        Asked now and then.

    Returns
    -------
    ndarray (m, k) bool
        Concepts whose |r| is not significantly smaller than that of the first, at 5 %, two-sided, each on its own. The
        first itself is among them where it is not alone. Too few wells can tell nothing, nor can a feature that speaks
        in one well alone: all are tied.

    Notes
    -----
    The two correlations depend on one another, by the feature and wells that they share. Each well is left out in turn
    from both (the jackknife, on Fisher's z: D. E. Duncan and M. W. J. Layard (1973), A Monte-Carlo study of
    asymptotically robust tests for correlation coefficients, Biometrika 60:551); how much their difference changes
    gives its standard error, and the quotient is held against Student's t. Wells that have one of the concepts only
    count for that one.

    The well-known tests of two such correlations (Williams's t, Steiger's and Meng's z) take the wells for normal and
    equally scattered. Wells of a plate scatter more where a phenotype is strong; then these find a difference between
    two concepts that go equally well in 9 to 52 % of cases, and the jackknife in 3 to 10 % (docs/concepts.md).

    The first was picked as the largest of many, for which the test is two-sided, but no more is done about it: with
    several concepts that truly go equally well, one of them is missed more often than in 5 %.
    """
    from scipy.stats import t

    m, k, n = values.shape[1], matrix.shape[1], len(values)
    tied = np.zeros((m, k), np.bool_)
    wells = np.isfinite(matrix).sum(axis=0)
    limits = t.isf(LEVEL / 2, np.maximum(np.arange(n + 1) - 1, 1))  # by the number of wells
    step = max(1, _AT_ONCE // max(k * n, 1))
    for start in range(0, m, step):
        check_cancelled(cancel)
        z, pull, own = _without_each(values[:, start : start + step], matrix)
        row = np.arange(len(z))
        for one in np.unique(family):
            columns = np.flatnonzero(family == one)
            size = np.where(np.isnan(z[:, columns]), -1.0, z[:, columns])
            first = columns[np.argmax(size, axis=1)]
            apart = z[row, first][:, None] - z[:, columns]
            error = ((pull[row, first][:, None, :] - pull[:, columns]) ** 2).sum(axis=2)
            error = np.sqrt(error + own[row, first][:, None] + own[:, columns])
            limit = limits[np.minimum(wells[first][:, None], wells[columns][None, :])]
            told = (apart > _COPY) & (apart > limit * error)
            fits = ~told & (size >= 0)
            fits[fits.sum(axis=1) < 2] = False  # the first alone
            tied[start : start + step, columns] = fits
    return tied


def _without_each(values: Floats, matrix: Floats) -> tuple[Floats, Floats, Floats]:
    """Give Fisher's z of |r| of each pair, and what each well pulls it by.

    Returns
    -------
    z : ndarray (f, k)
        NaN where the feature or the concept does not vary.
    pull : ndarray (f, k, n)
        The squares of a pair's pulls add up to the variance of its z by the jackknife; 0 of wells without the concept.
    own : ndarray (f, k)
        Variance that goes with no well: of a concept that varies in one well alone, without which there is nothing
        to correlate, that of normal values; of such a feature, no end, since no well bears out what that one says.
    """
    n, k = matrix.shape
    f = values.shape[1]
    z, own, pull = np.full((f, k), np.nan), np.zeros((f, k)), np.zeros((f, k, n))
    known = np.isfinite(matrix)
    patterns, pattern = np.unique(known, axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        rows, columns = np.flatnonzero(patterns[:, number]), np.flatnonzero(pattern.ravel() == number)
        a, b = standard(values[rows]).T[:, None, :], standard(matrix[np.ix_(rows, columns)]).T[None, :, :]
        left = len(rows) / (len(rows) - 1)
        product = a * b
        r = product.sum(axis=2)
        varies = (np.abs(a).max(axis=2) > 0) & (np.abs(b).max(axis=2) > 0)
        # of what is left without a well: covariance over the root of both variances
        of_a, of_b = 1 - left * a**2, 1 - left * b**2
        usable = (of_a > _NOTHING) & (of_b > _NOTHING)
        rest = np.sqrt(np.where(usable, of_a * of_b, 1.0))
        without = np.where(usable, (r[:, :, None] - left * product) / rest, r[:, :, None])
        each = np.arctanh(np.clip(without, -_MOST_R, _MOST_R)) * np.where(r < 0, -1.0, 1.0)[:, :, None]
        each -= each.mean(axis=2, keepdims=True)
        each[~usable.all(axis=2)] = 0.0
        lone = (of_b <= _NOTHING).any(axis=2)
        own[:, columns] = np.where((of_a <= _NOTHING).any(axis=2), np.inf, lone / max(len(rows) - 3, 1))
        z[:, columns] = np.where(varies, np.arctanh(np.minimum(np.abs(r), _MOST_R)), np.nan)
        pull[np.ix_(np.arange(f), columns, rows)] = each * np.sqrt(1 / left)
    return z, pull, own


def too_few_to_tell(table: pd.DataFrame, wells: int) -> list[str]:
    """Say so where, of most features, the wells cannot tell any concept of how cells look from the first.

    Parameters
    ----------
    table : DataFrame
        All rows of `concepts`.
    wells : int
        How many were looked at.
    """
    looks = table[~table["kind"].isin(TREATMENT)].groupby("feature")["tied"]
    every = looks.all()[looks.size() > 1]
    if not every.mean() > 0.5:
        return []
    return [
        f"{wells} wells are too few to tell concepts apart: for {every.mean():.0%} of the features all of them go "
        "with it as well as the first does, so that which comes first is chance."
    ]
