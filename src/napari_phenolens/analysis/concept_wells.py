"""Features against concepts over wells: correlations, and p by moving whole wells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_phenolens.analysis.protocol import Bools, Floats, Ints
from napari_phenolens.progress import CancelCallback, check_cancelled

_BINS = 4000  # of |r|, in which the null is counted
_AT_ONCE = 16  # shuffles


@dataclass(frozen=True)
class WellLinks:
    """Features against concepts, each ndarray (m, k).

    Attributes
    ----------
    r : ndarray
        Pearson's correlation over the wells that have the concept; NaN where either does not vary.
    p : ndarray
        Of r, two-sided, from whole wells changing places.
    rho : ndarray
        Spearman's rank correlation over the same wells.
    controls : ndarray
        The rank correlation over control wells alone; NaN with fewer than four.
    within : ndarray
        The rank correlation over wells that were treated alike, pooled over treatments; NaN where no two are.
    p_within : ndarray
        Of `within`, two-sided, from wells changing places within treatments.
    """

    r: Floats
    p: Floats
    rho: Floats
    controls: Floats
    within: Floats
    p_within: Floats


def link_wells(
    values: Floats, concepts: Floats, control: Bools, group: Ints, *, permutations: int = 1000, seed: int = 0,
    cancel: CancelCallback | None = None,
) -> WellLinks:  # fmt: skip
    """Correlate the well means of features with those of concepts, and test every pair.

    Parameters
    ----------
    values : ndarray (n, m)
        Features, without NaN.
    concepts : ndarray (n, k)
        Concepts; wells that are NaN in one are left out of its tests.
    control : ndarray (n,) bool
        Control wells.
    group : ndarray (n,) int
        Treatment of each well.
    permutations, seed : int
        Shuffles of the wells.
    cancel : callable, optional
        Asked now and then.

    Returns
    -------
    WellLinks

    Notes
    -----
    Whole wells are shuffled: all features of a well stay together, as do all concepts, so that the null keeps how
    features and concepts go together among themselves. 1,000 shuffles cannot give a pair a p below 0.001, and a
    hundred thousand pairs are tested. All pairs of one concept and any feature have the same null but for ties, so
    their shuffles are pooled. Ties are taken care of: p is never below the pair's own share of shuffles that reach it,
    nor below one over the number of different orders that the pair's ties leave.

    The test is of r and not of rho: where four wells of 36 show a phenotype, ranks are mostly the noise of the other
    32. A single odd well makes r large, but as often in the shuffles.
    """
    m, k = values.shape[1], concepts.shape[1]
    out = {name: np.full((m, k), np.nan) for name in ("r", "p", "rho", "controls", "within", "p_within")}
    known = np.isfinite(concepts)
    patterns, pattern = np.unique(known, axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        rows, columns = patterns[:, number], np.flatnonzero(pattern.ravel() == number)
        rng = np.random.default_rng(seed)
        x, y = values[rows], concepts[np.ix_(rows, columns)]
        whole = np.zeros(int(rows.sum()), np.intp)
        a, b = unit(x), unit(y)
        r = (a.T @ b).astype(np.float64)
        blank = _blank(a, b)
        beyond, pooled = _shuffled(a, b, r, whole, permutations, rng, pool=True, cancel=cancel)
        floor = 1.0 / np.minimum(orders(x)[:, None], orders(y)[None, :])
        p = np.maximum(np.maximum(pooled, beyond / (permutations + 1)), floor)
        out["r"][:, columns], out["p"][:, columns] = r + blank, np.minimum(p, 1.0) + blank
        out["rho"][:, columns] = ranks(x, whole).T @ ranks(y, whole) + blank
        here = control[rows]
        if here.sum() >= 4:
            alone = np.zeros(int(here.sum()), np.intp)
            c, d = ranks(x[here], alone), ranks(y[here], alone)
            out["controls"][:, columns] = c.T @ d + _blank(c, d)
        alike = np.unique(group[rows], return_inverse=True)[1].ravel().astype(np.intp)
        if len(np.unique(alike)) < len(alike):
            c, d = ranks(x, alike), ranks(y, alike)
            within = (c.T @ d).astype(np.float64)
            beyond, _ = _shuffled(c, d, within, alike, permutations, rng, pool=False, cancel=cancel)
            blank = _blank(c, d)
            out["within"][:, columns] = within + blank
            out["p_within"][:, columns] = (beyond + 1) / (permutations + 1) + blank
    return WellLinks(**out)


def unit(values: Floats) -> npt.NDArray[np.float32]:
    """Give `standard` in single precision."""
    return standard(values).astype(np.float32)


def standard(values: Floats) -> Floats:
    """Centre each column and bring it to length one; zeros where nothing varies but rounding."""
    centred = values - values.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    varies = length > 1e-9 * np.maximum(np.sqrt((values**2).sum(axis=0)), 1e-300)
    return np.asarray(np.divide(centred, length, out=np.zeros_like(centred), where=varies), np.float64)


def ranks(values: Floats, group: Ints) -> npt.NDArray[np.float32]:
    """Rank each column within groups, centred there, columns of length one (zeros where nothing varies)."""
    from scipy.stats import rankdata

    out = np.zeros(values.shape)
    for g in np.unique(group):
        rows = group == g
        size = int(rows.sum())
        if size > 1:
            out[rows] = (rankdata(values[rows], axis=0) - (size + 1) / 2) / size
    length = np.sqrt((out**2).sum(axis=0))
    return np.asarray(np.divide(out, length, out=np.zeros_like(out), where=length > 1e-9), np.float32)


def orders(values: Floats) -> Floats:
    """Number of different orders of each column's values, ties being one value (inf above what floats hold)."""
    from scipy.special import gammaln

    ordered = np.sort(values, axis=0)
    out = np.full(values.shape[1], gammaln(len(values) + 1.0))
    for j in range(values.shape[1]):
        out[j] -= gammaln(np.diff(np.flatnonzero(np.r_[True, np.diff(ordered[:, j]) > 0, True])) + 1.0).sum()
    return np.asarray(np.exp(np.minimum(out, 600.0)), np.float64)


def _blank(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> Floats:
    """NaN where a feature or a concept does not vary, else 0."""
    vary = np.abs(a).max(axis=0)[:, None] * np.abs(b).max(axis=0)[None, :] > 0
    return np.where(vary, 0.0, np.nan)


def _shuffled(
    a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], seen: Floats, block: Ints, n: int,
    rng: np.random.Generator, *, pool: bool, cancel: CancelCallback | None,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Count shuffles within blocks that reach each pair's correlation; and the p of each against all of its concept's.

    Returns
    -------
    beyond : ndarray (m, k)
    pooled : ndarray (m, k)
        Ones where not asked for.
    """
    from napari_phenolens.analysis.technical import shuffles

    m, k = seen.shape
    size = (np.abs(seen) - 1e-5).astype(np.float32)[:, None, :]
    beyond = np.zeros(seen.shape, np.int64)
    counts = np.zeros(k * _BINS, np.int64)
    column = (np.arange(k) * _BINS).astype(np.int32)
    varies = np.abs(a).max(axis=0) > 0
    orders_of = shuffles(block, n, rng)
    for start in range(0, n, _AT_ONCE):
        check_cancelled(cancel)
        part = orders_of[start : start + _AT_ONCE]
        # one product of matrices for several shuffles
        many = b[part].transpose(1, 0, 2).reshape(len(block), -1)
        drawn = np.abs(a.T @ many).reshape(m, len(part), k)
        beyond += (drawn >= size).sum(axis=1)
        if pool:
            place = np.minimum(drawn[varies] * _BINS, _BINS - 1).astype(np.int32) + column
            counts += np.bincount(place.ravel(), minlength=len(counts))
    if not pool:
        return beyond.astype(np.float64), np.ones(seen.shape)
    reached = np.cumsum(counts.reshape(k, _BINS)[:, ::-1], axis=1)[:, ::-1]
    at = np.clip((np.abs(seen) * _BINS).astype(np.int64), 0, _BINS - 1)
    pooled = (np.take_along_axis(reached, at.T, axis=1).T + 1) / (n * max(int(varies.sum()), 1) + 1)
    return beyond.astype(np.float64), pooled


def compare_wells(values: Floats, concepts: Floats, binary: Bools, share: float = 0.25) -> tuple[Floats, Floats]:
    """Give AUROC and difference in pooled SDs between wells.

    Of a binary concept: of the feature, wells that have it against wells that have not. Of a number: of the concept,
    the quarter of the wells where the feature is strongest against the others.

    Parameters
    ----------
    values : ndarray (n, m)
        Features.
    concepts : ndarray (n, k)
        Concepts; wells that are NaN in one are left out.
    binary : ndarray (k,) bool
        Which are binary.
    share : float
        Share of the wells in which a feature counts as strong.

    Returns
    -------
    auroc, effect : ndarray (m, k)
    """
    from scipy.stats import rankdata

    from napari_phenolens.analysis.concept_cells import cohens_d

    m, k = values.shape[1], concepts.shape[1]
    auroc, effect = np.full((m, k), np.nan), np.full((m, k), np.nan)
    for j in range(k):
        rows = np.isfinite(concepts[:, j])
        x, y, n = values[rows], concepts[rows, j], int(rows.sum())
        if binary[j]:
            inside, measured, rank = np.tile(y, (m, 1)), x.T, rankdata(x, axis=0).T
        else:
            last = rankdata(x, axis=0, method="ordinal").T
            inside = (last > n - np.ceil(share * n)).astype(np.float64)
            measured, rank = np.tile(y, (m, 1)), np.tile(rankdata(y), (m, 1))
        n1 = inside.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            auroc[:, j] = ((inside * rank).sum(axis=1) - n1 * (n1 + 1) / 2) / (n1 * (n - n1))
        measured = measured - measured.mean(axis=1, keepdims=True)
        effect[:, j] = cohens_d(
            (inside * measured).sum(1), (inside * measured**2).sum(1), n1, measured.sum(1), (measured**2).sum(1),
            np.full(m, float(n)),
        )  # fmt: skip
    return auroc, effect
