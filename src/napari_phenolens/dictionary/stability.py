"""Whether dictionaries agree: atoms, or features, of two of them matched one to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_phenolens.dictionary.errors import DictionaryError


@dataclass(frozen=True)
class Matching:
    """Features of one dictionary matched with those of another.

    Attributes
    ----------
    first, second : int arrays (pairs,)
        The matched features.
    similarity : float array (pairs,)
        Of each pair.
    best_first, best_second : float arrays
        The largest similarity of each feature of either side with any of the other's, matched or not.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    similarity: NDArray[np.float64]
    best_first: NDArray[np.float64]
    best_second: NDArray[np.float64]

    def summary(self) -> dict[str, float]:
        """Give the mean matched similarity, the share of pairs above 0.9, and the mean of the best both ways."""
        return {
            "matched": float(self.similarity.mean()),
            "matched_above_0.9": float((self.similarity > 0.9).mean()),
            "best": float((self.best_first.mean() + self.best_second.mean()) / 2),
        }


def match(similarity: ArrayLike) -> Matching:
    """Match rows with columns one to one so that the sum of their similarities is largest (the Hungarian method).

    Parameters
    ----------
    similarity : array (a, b)

    Raises
    ------
    DictionaryError
        Where a side is empty, or a number is not finite.
    """
    from scipy.optimize import linear_sum_assignment

    table = np.asarray(similarity, np.float64)
    if table.ndim != 2 or 0 in table.shape:
        raise DictionaryError(f"similarities have shape {table.shape}; both sides need a feature at least")
    if not np.isfinite(table).all():
        raise DictionaryError("some similarities are not finite; leave out features that never vary")
    first, second = linear_sum_assignment(table, maximize=True)
    return Matching(first, second, table[first, second], table.max(axis=1), table.max(axis=0))


def match_atoms(a: ArrayLike, b: ArrayLike, *, absolute: bool = False) -> Matching:
    """Match unit atoms (m, p) of two dictionaries over the same whitened space by cosine.

    Parameters
    ----------
    a, b : arrays (m, p), (m', p)
    absolute : bool
        By the size of the cosine, where signs have no meaning.

    Raises
    ------
    DictionaryError
        Atoms of different dimensions: of different whitenings.
    """
    one, two = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if one.ndim != 2 or two.ndim != 2 or one.shape[1] != two.shape[1]:
        raise DictionaryError(
            f"atoms have shapes {one.shape} and {two.shape}; only dictionaries over the same whitened tokens can be "
            "matched by their atoms: match what they do instead (correlation of their activations)"
        )
    cosine = one @ two.T
    return match(np.abs(cosine) if absolute else cosine)


def match_activations(a: ArrayLike, b: ArrayLike) -> Matching:
    """Match features by the correlation of their activations over the same places.

    Parameters
    ----------
    a, b : arrays (n, m), (n, m')
        Rows are the same wells, fields or patches. A feature that does not vary has correlation 0 with all.
    """
    return match(correlations(a, b))


def correlations(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Correlations (m, m') of the columns of two tables over the same rows, 0 for columns that do not vary.

    Raises
    ------
    DictionaryError
        Other rows, or fewer than three.
    """
    one, two = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if one.ndim != 2 or two.ndim != 2 or len(one) != len(two) or len(one) < 3:
        raise DictionaryError(f"activations have shapes {one.shape} and {two.shape}; give the same three rows or more")
    units = []
    for side in (one, two):
        centred = side - side.mean(axis=0)
        size = np.linalg.norm(centred, axis=0)
        steady = size <= 1e-9 * np.maximum(np.linalg.norm(side, axis=0), 1e-300)
        units.append(np.divide(centred, size, out=np.zeros_like(centred), where=~steady))
    return np.asarray(units[0].T @ units[1])


def seed_stability(dictionaries: Sequence[NDArray[np.float32]]) -> pd.DataFrame:
    """How well each atom comes back under other seeds.

    Parameters
    ----------
    dictionaries : sequence of arrays (m, p)
        Atoms fitted on the same tokens with different seeds, two or more.

    Returns
    -------
    DataFrame
        A row an atom of the first dictionary: ``matched``, its Hungarian-matched cosine, mean over the others;
        ``lowest``, the least of them; ``best``, the mean of its largest cosine with any atom of each other.
    """
    if len(dictionaries) < 2:
        raise DictionaryError("stability needs dictionaries of two seeds at least")
    matched, best = [], []
    for other in dictionaries[1:]:
        found = match_atoms(dictionaries[0], other)
        values = np.full(len(dictionaries[0]), np.nan)
        values[found.first] = found.similarity
        matched.append(values)
        best.append(found.best_first)
    table = np.array(matched)
    index = pd.RangeIndex(table.shape[1], name="feature")
    return pd.DataFrame(
        {"matched": table.mean(axis=0), "lowest": table.min(axis=0), "best": np.mean(best, axis=0)}, index=index
    )
