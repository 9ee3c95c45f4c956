"""How selective features are for labels, against labels shuffled within plates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_phenolens.dictionary.errors import DictionaryError


def selectivity(
    active: ArrayLike, labels: ArrayLike, plates: ArrayLike | None = None, *, permutations: int = 500, seed: int = 0
) -> pd.DataFrame:
    """Selectivity of each feature for its best label, average and maximal (Madan et al. 2022; Donhauser et al. 2025).

    For feature j and label c, with P the mean share of a well's units in which j is active: the average selectivity is
    P(j | c) - P(j | other labels), all wells of those pooled, and the maximal P(j | c) minus the largest of P(j | c')
    over the other labels. A feature's figure is the largest over labels. The null shuffles labels among the wells of
    each plate.

    Parameters
    ----------
    active : array (n, m)
        A row a well: share of its units in which each feature is active.
    labels : array (n,)
    plates : array (n,), optional
        One plate by default.
    permutations : int
    seed : int

    Returns
    -------
    DataFrame
        A row a feature: ``label`` (the best by average selectivity), ``average``, ``maximal``, and for both the chance
        ``p_average``, ``p_maximal`` of as much under shuffled labels. `attrs`: ``null_average``, ``null_maximal`` (the
        95th percentile over shuffles of the largest of all features), ``above_null_average``, ``above_null_maximal``
        (features beyond it), ``above_0.2``, ``above_0.5`` (by average), ``p_floor``, ``labels``, ``wells``.

    Raises
    ------
    DictionaryError
        Fewer than two labels, shapes that do not fit, numbers that are not finite.
    """
    rates = np.asarray(active, np.float64)
    names = np.asarray(labels)
    if rates.ndim != 2 or names.shape != (len(rates),):
        raise DictionaryError(f"active has shape {rates.shape}, labels {names.shape}; give (n, m) and (n,)")
    if not np.isfinite(rates).all():
        raise DictionaryError("some shares are not finite; leave out wells without foreground")
    where = np.zeros(len(rates), np.intp) if plates is None else np.unique(np.asarray(plates), return_inverse=True)[1]
    if where.shape != names.shape:
        raise DictionaryError(f"plates have shape {where.shape}; give one for each of the {len(names)} wells")
    levels, code = np.unique(names, return_inverse=True)
    if len(levels) < 2:
        raise DictionaryError("selectivity needs two labels at least; all wells have the same")
    average, maximal, which = _selectivities(rates, code, len(levels))
    rng = np.random.default_rng(seed)
    beyond = np.zeros((2, rates.shape[1]), np.int64)
    largest = np.empty((2, permutations))
    for b in range(permutations):
        shuffled = code.copy()
        for plate in np.unique(where):
            wells = np.flatnonzero(where == plate)
            shuffled[wells] = code[rng.permutation(wells)]
        drawn = _selectivities(rates, shuffled, len(levels))[:2]
        for row, (null, seen) in enumerate(zip(drawn, (average, maximal), strict=True)):
            beyond[row] += null >= seen - 1e-12
            largest[row, b] = null.max()
    p = (beyond + 1) / (permutations + 1)
    table = pd.DataFrame(
        {
            "label": levels[which],
            "average": average,
            "maximal": maximal,
            "p_average": p[0],
            "p_maximal": p[1],
        },
        index=pd.RangeIndex(rates.shape[1], name="feature"),
    )
    null = np.quantile(largest, 0.95, axis=1) if permutations else np.full(2, np.nan)
    table.attrs = {
        "null_average": float(null[0]),
        "null_maximal": float(null[1]),
        "above_null_average": int((average > null[0]).sum()),
        "above_null_maximal": int((maximal > null[1]).sum()),
        "above_0.2": int((average > 0.2).sum()),
        "above_0.5": int((average > 0.5).sum()),
        "p_floor": 1 / (permutations + 1),
        "labels": [str(name) for name in levels],
        "wells": len(rates),
    }
    return table


def _selectivities(
    rates: NDArray[np.float64], code: NDArray[Any], levels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    count = np.bincount(code, minlength=levels).astype(np.float64)[:, None]
    sums = np.zeros((levels, rates.shape[1]))
    np.add.at(sums, code, rates)
    inside = sums / count
    outside = (sums.sum(axis=0) - sums) / (len(code) - count)
    differences = inside - outside
    ordered = np.sort(inside, axis=0)
    return differences.max(axis=0), ordered[-1] - ordered[-2], differences.argmax(axis=0)
