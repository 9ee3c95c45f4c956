"""Features against concepts over cells: how the cells differ in which a feature is strong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_phenolens.analysis.protocol import Bools, Floats, Ints

if TYPE_CHECKING:
    from scipy.sparse import csc_matrix, csr_matrix

STRONGEST = 0.05  # share of the cells in which a feature counts as strong, as far as it is active
LEAST_CELLS = 20  # strong ones, below which nothing is said
_LEAST_IN_WELL = 10
_BLOCK = 32  # concepts at a time


@dataclass(frozen=True)
class CellLinks:
    """Features against concepts, each ndarray (m, k); NaN where there are too few cells.

    Attributes
    ----------
    auroc : ndarray
        Chance that a cell in which the feature is strong has more of the concept than another cell; of a binary concept
        that the feature is stronger in a cell that has it than in one that has not.
    effect : ndarray
        The difference of the two, in pooled standard deviations (Cohen's d).
    within : ndarray
        Correlation of activation and the concept's rank over the cells of one well, mean over wells.
    within_controls : ndarray
        The same over control wells.
    p_controls : ndarray
        Two-sided p of a t-test of the control wells' correlations against 0: the well is the unit.
    """

    auroc: Floats
    effect: Floats
    within: Floats
    within_controls: Floats
    p_controls: Floats


def strongest(codes: csc_matrix, share: float = STRONGEST) -> csr_matrix:
    """Mark the cells in which each feature is strongest, (m, c) of ones; no cell where it is 0 or below."""
    from scipy.sparse import csr_matrix

    c, m = codes.shape
    most = max(1, int(np.ceil(share * c)))
    rows: list[Ints] = []
    for j in range(m):
        part = slice(codes.indptr[j], codes.indptr[j + 1])
        value, row = codes.data[part], codes.indices[part]
        chosen = np.flatnonzero(value > 0)
        if len(chosen) > most:
            chosen = chosen[np.argpartition(-value[chosen], most - 1)[:most]]
        rows.append(np.sort(row[chosen]).astype(np.intp))
    pointer = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    index = np.concatenate(rows) if rows else np.zeros(0, np.intp)
    return csr_matrix((np.ones(len(index)), index, pointer), shape=(m, c))


def link_cells(codes: csr_matrix, well: Ints, concepts: Floats, binary: Bools, control: Bools) -> CellLinks:
    """Compare cells.

    Parameters
    ----------
    codes : csr_matrix (c, m)
        Activations of the cells.
    well : ndarray (c,) int
        Well of each cell.
    concepts : ndarray (c, k)
        Values, NaN where a cell has none.
    binary : ndarray (k,) bool
        Which concepts cells have or have not.
    control : ndarray (n,) bool
        Which wells are controls.

    Returns
    -------
    CellLinks
    """
    by_feature = codes.tocsc()
    m, k = codes.shape[1], concepts.shape[1]
    auroc, effect = np.full((m, k), np.nan), np.full((m, k), np.nan)
    strong = strongest(by_feature)
    for start in range(0, k, _BLOCK):
        part = np.arange(start, min(start + _BLOCK, k))
        numbers, classes = part[~binary[part]], part[binary[part]]
        if len(numbers):
            auroc[:, numbers], effect[:, numbers] = _strong_against_others(strong, concepts[:, numbers])
        if len(classes):
            auroc[:, classes], effect[:, classes] = with_against_without(by_feature, concepts[:, classes])
    within, within_controls, p = _within_wells(codes, well, concepts, control)
    return CellLinks(auroc, effect, within, within_controls, p)


def _strong_against_others(strong: csr_matrix, values: Floats) -> tuple[Floats, Floats]:
    """AUROC and d of concepts between the cells in which each feature is strong and all others."""
    from scipy.stats import rankdata

    known = np.isfinite(values)
    ranked = np.nan_to_num(rankdata(values, axis=0, nan_policy="omit"))
    total = known.sum(axis=0)
    inside = strong @ known.astype(np.float64)
    outside = total - inside
    enough = (inside >= LEAST_CELLS) & (outside >= LEAST_CELLS)
    with np.errstate(divide="ignore", invalid="ignore"):
        auroc = (strong @ ranked - inside * (inside + 1) / 2) / (inside * outside)
    # centred, so that squares lose nothing
    centre = np.nanmean(np.where(known.any(axis=0), values, 0.0), axis=0)
    x = np.where(known, values - centre, 0.0)
    effect = cohens_d(strong @ x, strong @ x**2, inside, x.sum(axis=0), (x**2).sum(axis=0), total.astype(np.float64))
    return np.where(enough, auroc, np.nan), np.where(enough, effect, np.nan)


def with_against_without(codes: csc_matrix, inside: Floats, least: int = LEAST_CELLS) -> tuple[Floats, Floats]:
    """Give AUROC and d of each feature between the cells that are 1 and those that are 0 in each column.

    Parameters
    ----------
    codes : csc_matrix (c, m)
        Activations.
    inside : ndarray (c, k)
        1, 0, or NaN for neither.
    least : int
        Cells on a side, below which nothing is said.

    Returns
    -------
    auroc, effect : ndarray (m, k)
        NaN with fewer cells on a side.
    """
    from scipy.stats import rankdata

    c, m = codes.shape
    known = np.isfinite(inside)
    k = inside.shape[1]
    auroc, effect = np.full((m, k), np.nan), np.full((m, k), np.nan)
    patterns, pattern = np.unique(known, axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        rows, columns = np.flatnonzero(patterns[:, number]), np.flatnonzero(pattern.ravel() == number)
        part = codes if len(rows) == c else codes[rows]
        one = np.nan_to_num(inside[np.ix_(rows, columns)])
        n1, n = one.sum(axis=0), float(len(rows))
        summed = np.zeros((m, len(columns)))
        for j in range(m):
            span = slice(part.indptr[j], part.indptr[j + 1])
            value, row = part.data[span], part.indices[span]
            value, row = value[value != 0], row[value != 0]
            # ranks with the silent cells tied in the middle, as distances from the silent cells' rank
            below, silent = int((value < 0).sum()), len(rows) - len(value)
            zero = below + (silent + 1) / 2
            rank = rankdata(value) + np.where(value > 0, silent, 0)
            summed[j] = zero * n1 + (rank - zero) @ one[row]
        enough = (n1 >= least) & (n - n1 >= least)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = (summed - n1 * (n1 + 1) / 2) / (n1 * (n - n1))
        squares = part.multiply(part)
        total, total2 = (np.asarray(s.sum(axis=0), np.float64).ravel()[:, None] for s in (part, squares))
        d = cohens_d(part.T @ one, squares.T @ one, n1, total, total2, np.full(1, n))
        auroc[:, columns] = np.where(enough, found, np.nan)
        effect[:, columns] = np.where(enough, d, np.nan)
    return auroc, effect


def cohens_d(inside: Floats, inside2: Floats, n_inside: Floats, total: Floats, total2: Floats, n: Floats) -> Floats:
    """Difference of means over the pooled SD, from sums and sums of squares; NaN where nothing varies."""
    n_outside = n - n_inside
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, other = inside / n_inside, (total - inside) / n_outside
        rest = inside2 - n_inside * mean**2 + (total2 - inside2) - n_outside * other**2
        return np.asarray((mean - other) / np.sqrt(np.where(rest > 1e-12 * total2, rest, np.nan) / (n - 2)), np.float64)


def _within_wells(codes: csr_matrix, well: Ints, values: Floats, control: Bools) -> tuple[Floats, Floats, Floats]:
    """Mean over wells, and over control wells with its p, of the correlation over cells."""
    from scipy.stats import rankdata
    from scipy.stats import t as student

    m, k = codes.shape[1], values.shape[1]
    sums = [np.zeros((m, k)) for _ in range(3)]  # all wells, controls, controls squared
    counts = [np.zeros((m, k)) for _ in range(2)]
    for w in np.unique(well):
        rows = np.flatnonzero(well == w)
        if len(rows) < _LEAST_IN_WELL:
            continue
        part, here = codes[rows], values[rows]
        known = np.isfinite(here).astype(np.float64)
        n = np.maximum(known.sum(axis=0), 1.0)
        rank = np.nan_to_num(rankdata(here, axis=0, nan_policy="omit"))
        rank = (rank - rank.sum(axis=0) / n) * known
        size = np.sqrt((rank**2).sum(axis=0))
        seen = part.T @ known
        spread = part.multiply(part).T @ known - seen**2 / n
        with np.errstate(divide="ignore", invalid="ignore"):
            r = (part.T @ rank) / (np.sqrt(np.maximum(spread, 0.0)) * size)
        good = np.isfinite(r) & (spread > 1e-9) & (n >= _LEAST_IN_WELL)
        r = np.where(good, r, 0.0)
        sums[0] += r
        counts[0] += good
        if control[w]:
            sums[1] += r
            sums[2] += r**2
            counts[1] += good
    few = counts[1] < 4
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, controls = sums[0] / counts[0], sums[1] / counts[1]
        variance = np.maximum(sums[2] / counts[1] - controls**2, 1e-12) * counts[1] / (counts[1] - 1)
        p = 2 * student.sf(np.abs(controls) / np.sqrt(variance / counts[1]), counts[1] - 1)
    return np.where(counts[0] > 0, mean, np.nan), controls, np.where(few, np.nan, p)
