"""How well a dictionary renders tokens it was not fitted on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from napari_phenolens.dictionary.coder import unit_rows
from napari_phenolens.dictionary.errors import DictionaryError
from napari_phenolens.dictionary.model import Dictionary
from napari_phenolens.dictionary.reference import finite_rows
from napari_phenolens.dictionary.tally import Tally, weighed
from napari_phenolens.dictionary.usage import DENSE

_BLOCK = 8192


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
    tally = Tally(dictionary.p, dictionary.m)
    for lo in range(0, len(tokens), _BLOCK):
        rows = unit_rows(finite_rows(tokens[lo : lo + _BLOCK], lo))
        rows = rows[rows.any(axis=1)]
        index, value = dictionary.encode(rows)
        tally.add(rows, dictionary.decode(index, value), index, value)
    if tally.n == 0:
        raise DictionaryError("x holds no token with a direction (n = 0, or all rows are zero)")
    found = {name: float(values[0]) for name, values in weighed([tally], np.ones((1, 1))).items()}
    used = tally.used
    return {
        "cosine": found["cosine"],
        "fvu": found["fvu"],
        "l0": found["l0"],
        "dead": float((used == 0).mean()),
        "dense": float((used > DENSE * tally.n).mean()),
        "shrinkage": found["shrinkage"],
        "n": float(tally.n),
    }
