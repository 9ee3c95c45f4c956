"""A dictionary's atoms brought from one whitening to another, to start a fit from."""

from __future__ import annotations

import numpy as np

from napari_phenolens.dictionary.errors import DictionaryError
from napari_phenolens.dictionary.model import Dictionary
from napari_phenolens.dictionary.whitening import Whitening

LEFT = 1e-3  # share of an atom's length that must lie within the other whitening's components


def carry(dictionary: Dictionary, old: Whitening, new: Whitening) -> Dictionary:
    """Bring atoms from the space of one whitening to that of another of the same tokens.

    An atom is a direction of tokens: it is taken back through the old whitening, through the new one, and normed.

    Parameters
    ----------
    dictionary : Dictionary
        In the space of `old`.
    old, new : Whitening
        Of tokens of the same width.

    Returns
    -------
    Dictionary
        The same one where both whitenings are the same. Else its atoms alone, to start from and not to code with: an
        encoder and biases belong to the tokens that they were fitted on. Atoms that lie all but outside of the new
        components are left out.

    Raises
    ------
    DictionaryError
        Where the widths differ, or no atom is left.
    """
    if old.d != new.d:
        raise DictionaryError(f"the dictionary is of tokens of {old.d} dimensions, these have {new.d}")
    if np.array_equal(old.matrix, new.matrix) and np.array_equal(old.mean, new.mean):
        return dictionary
    origin = np.zeros((1, old.p), np.float32)
    tokens = old.inverse(dictionary.atoms).astype(np.float64) - old.inverse(origin)
    unit = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    turned = unit @ new.matrix
    length = np.linalg.norm(turned, axis=1, keepdims=True)
    kept = length[:, 0] > LEFT * np.median(length)
    if not kept.any() or not np.isfinite(turned).all():
        raise DictionaryError("no atom of the dictionary lies within the components of the other whitening")
    atoms = (turned[kept] / length[kept]).astype(np.float32)
    return Dictionary(atoms, "icfl", (1, 1), dictionary.seed)
