"""How often the atoms of a dictionary are used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_phenolens.dictionary.errors import DictionaryError

DENSE = 0.1  # an atom active in a larger share of tokens than this is called dense


def density(index: NDArray[Any], value: NDArray[Any], m: int) -> NDArray[np.float64]:
    """Share of tokens in which each of m atoms is active (its value is not 0), from codes (n, k)."""
    if not len(index):
        raise DictionaryError("there are no codes (n = 0); density is a share of tokens")
    counts = np.bincount(np.asarray(index)[np.asarray(value) != 0], minlength=m)
    return np.asarray(counts / len(index))


def usage_histogram(densities: ArrayLike, per_decade: int = 2) -> pd.DataFrame:
    """Count atoms by how dense they are, in equal steps of the logarithm.

    Parameters
    ----------
    densities : array (m,)
        Share of tokens in which each atom is active.
    per_decade : int
        Steps a decade.

    Returns
    -------
    DataFrame
        ``low``, ``high`` (share of tokens; the first row holds the dead atoms, 0 to 0), ``atoms``.
    """
    shares = np.asarray(densities, np.float64)
    if shares.ndim != 1 or not ((shares >= 0) & (shares <= 1)).all():
        raise DictionaryError("densities must be shares between 0 and 1, one an atom")
    live = shares[shares > 0]
    lowest = int(np.floor(np.log10(live.min()))) if live.size else -1
    edges = np.logspace(min(lowest, -1), 0, max(1, -min(lowest, -1)) * per_decade + 1)
    counts = np.histogram(np.minimum(live, 1.0), np.append(edges[:-1], np.inf))[0]
    rows = [(0.0, 0.0, int((shares == 0).sum()))]
    rows += [(float(a), float(b), int(c)) for a, b, c in zip(edges[:-1], edges[1:], counts, strict=True)]
    return pd.DataFrame(rows, columns=["low", "high", "atoms"])


def shares_of_use(densities: ArrayLike) -> dict[str, float]:
    """Share of atoms that are ``dead`` (never active), ``rare`` (below 1e-5 of tokens), ``dense`` (above a tenth)."""
    shares = np.asarray(densities, np.float64)
    return {
        "dead": float((shares == 0).mean()),
        "rare": float((shares < 1e-5).mean()),
        "dense": float((shares > DENSE).mean()),
    }
