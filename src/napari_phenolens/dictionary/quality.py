"""How well a dictionary renders tokens it was not fitted on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from napari_phenolens.dictionary.coder import unit_rows
from napari_phenolens.dictionary.errors import DictionaryError
from napari_phenolens.dictionary.model import Dictionary
from napari_phenolens.dictionary.reference import finite_rows

_BLOCK = 8192
DENSE = 0.1  # an atom active in a larger share of tokens than this is called dense


def reconstruction(dictionary: Dictionary, x: ArrayLike) -> dict[str, float]:
    """Measure a dictionary on held-out tokens, normed to one each (rows without direction are left out).

    Parameters
    ----------
    dictionary : Dictionary
    x : array (n, p)

    Returns
    -------
    dict
        ``cosine``: mean cosine of token and reconstruction. ``fvu``: squared error over the variance about the mean
        of each dimension. ``l0``: mean entries of a code that are not zero. ``dead``: share of atoms that no token of
        x activates; ``dense``: share of atoms active in more than a tenth of them. ``shrinkage``: mean norm of the
        reconstruction. ``n``: tokens measured.

    Raises
    ------
    DictionaryError
        Another width, numbers that are not finite, or no token with a direction.
    """
    tokens = np.asarray(x)
    if tokens.ndim != 2 or tokens.shape[1] != dictionary.p:
        raise DictionaryError(f"x has shape {tokens.shape}; this dictionary takes (n, {dictionary.p})")
    n, error, squares, cosine, entries, norm = 0, 0.0, 0.0, 0.0, 0, 0.0
    total = np.zeros(dictionary.p)
    used = np.zeros(dictionary.m, np.int64)
    for lo in range(0, len(tokens), _BLOCK):
        rows = unit_rows(finite_rows(tokens[lo : lo + _BLOCK], lo))
        rows = rows[rows.any(axis=1)]
        index, value = dictionary.encode(rows)
        back = dictionary.decode(index, value).astype(np.float64)
        active = value != 0
        used += np.bincount(index[active], minlength=dictionary.m)
        entries += int(active.sum())
        error += float(((rows - back) ** 2).sum())
        squares += float((rows.astype(np.float64) ** 2).sum())
        total += rows.sum(axis=0, dtype=np.float64)
        length = np.linalg.norm(back, axis=1)
        dots = np.einsum("np,np->n", rows, back)
        cosine += float(np.divide(dots, length, out=np.zeros_like(dots), where=length > 0).sum())
        norm += float(length.sum())
        n += len(rows)
    if n == 0:
        raise DictionaryError("x holds no token with a direction (n = 0, or all rows are zero)")
    variance = squares - float(total @ total) / n
    return {
        "cosine": cosine / n,
        "fvu": error / variance if variance > 0 else float("nan"),
        "l0": entries / n,
        "dead": float((used == 0).mean()),
        "dense": float((used > DENSE * n).mean()),
        "shrinkage": norm / n,
        "n": float(n),
    }
