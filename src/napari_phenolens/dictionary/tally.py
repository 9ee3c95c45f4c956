"""Sums over tokens and their reconstructions, part by part, from which the quality of any weighing of them is told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Tally:
    """Sums from which the quality of reconstructions is told; those of parts (wells, say) can be weighed anew.

    Parameters
    ----------
    p : int
        Dimensions of a row.
    m : int
        Atoms.

    Attributes
    ----------
    n : int
        Rows added.
    error, squares, cosine, norm : float
        Sums over rows: squared error, squared length, cosine with the reconstruction, length of the reconstruction.
    entries : int
        Entries of the codes that are not zero.
    total : float64 array (p,)
        Sum of the rows.
    used : int64 array (m,)
        Rows in which each atom is active.
    """

    def __init__(self, p: int, m: int) -> None:
        self.n, self.entries = 0, 0
        self.error, self.squares, self.cosine, self.norm = 0.0, 0.0, 0.0, 0.0
        self.total = np.zeros(p)
        self.used = np.zeros(m, np.int64)

    def add(self, rows: ArrayLike, back: ArrayLike, index: ArrayLike, value: ArrayLike) -> None:
        """Add rows (n, p), their reconstructions (n, p) and codes (n, k)."""
        x, y, active = np.asarray(rows), np.asarray(back, np.float64), np.asarray(value) != 0
        self.used += np.bincount(np.asarray(index)[active], minlength=len(self.used))
        self.entries += int(active.sum())
        self.error += float(((x - y) ** 2).sum())
        self.squares += float((x.astype(np.float64) ** 2).sum())
        self.total += x.sum(axis=0, dtype=np.float64)
        size, length = np.linalg.norm(x.astype(np.float64), axis=1), np.linalg.norm(y, axis=1)
        dots, both = np.einsum("np,np->n", x, y), size * length
        self.cosine += float(np.divide(dots, both, out=np.zeros_like(dots), where=both > 0).sum())
        self.norm += float(length.sum())
        self.n += len(x)


def weighed(tallies: Sequence[Tally], weights: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Give cosine, FVU, L0 and shrinkage of weighed tallies.

    Parameters
    ----------
    tallies : sequence of Tally, (t,)
    weights : array (B, t)
        How often each counts.

    Returns
    -------
    dict of str to float64 array (B,)
        ``cosine``, ``fvu`` (NaN where nothing varies), ``l0``, ``shrinkage``; see `reconstruction`.
    """
    w = np.asarray(weights, np.float64)
    sums = np.array([(t.n, t.error, t.squares, t.cosine, t.norm, t.entries) for t in tallies], np.float64)
    n, error, squares, cosine, norm, entries = (w @ sums).T
    total = w @ np.stack([t.total for t in tallies])
    variance = squares - (total**2).sum(axis=1) / n
    varies = variance > 1e-12 * np.maximum(squares, 1e-300)
    return {
        "cosine": cosine / n,
        "fvu": np.divide(error, variance, out=np.full(len(n), np.nan), where=varies),
        "l0": entries / n,
        "shrinkage": norm / n,
    }
