"""Atoms carried from one whitening to another, and settings refused before there is any token."""

from __future__ import annotations

import numpy as np
import pytest

from napari_phenolens.dictionary import Dictionary, DictionaryError, Whitening, carry, check_method, fit_dictionary

RNG = np.random.default_rng(3)
MIX = RNG.normal(size=(12, 12)) * np.linspace(3, 0.3, 12)
CONTROL = (RNG.normal(size=(4000, 12)) @ MIX + 5).astype(np.float32)
DIRECTIONS = RNG.normal(size=(30, 12))
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)


def atoms_in(white: Whitening) -> Dictionary:
    atoms = DIRECTIONS @ white.matrix
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    return Dictionary(atoms.astype(np.float32), "icfl", (3, 2))


@pytest.mark.parametrize(("old", "new"), [("pca", "center"), ("center", "pca"), ("tvn", "pca"), ("pca", "tvn")])
def test_an_atom_stays_the_same_direction_of_tokens(old, new):
    a, b = Whitening.fit([CONTROL], old), Whitening.fit([CONTROL[:2000]], new)
    got = carry(atoms_in(a), a, b)
    np.testing.assert_allclose(got.atoms, atoms_in(b).atoms, atol=2e-4)
    assert got.method == "icfl"


def test_aligned_and_truncated_whitenings():
    a = Whitening.fit([CONTROL], "tvn")
    b = a.align([CONTROL * 1.3 + 1])
    np.testing.assert_allclose(carry(atoms_in(b), b, a).atoms, atoms_in(a).atoms, atol=2e-3)
    small = Whitening.fit([CONTROL], "pca", keep=4)
    got = carry(atoms_in(a), a, small)
    assert got.p == 4 and got.m <= 30
    np.testing.assert_allclose(np.linalg.norm(got.atoms, axis=1), 1, atol=1e-5)
    # an atom along the component that is dropped has no direction left
    lost = Whitening.fit([CONTROL], "pca")
    along = Dictionary(np.eye(12, dtype=np.float32)[[0, 1, 11]], "icfl", (1, 1))
    assert carry(along, lost, small).m == 2


def test_the_same_whitening_keeps_the_encoder():
    a = Whitening.fit([CONTROL], "pca")
    fitted = fit_dictionary(a(CONTROL), 24, (2, 1), "topk", 20)
    assert carry(fitted, a, a) is fitted
    assert carry(fitted, a, Whitening.fit([CONTROL], "center")).topk is None
    with pytest.raises(DictionaryError, match="12 dimensions, these have 11"):
        carry(fitted, a, Whitening.fit([CONTROL[:, :11]], "pca"))


def test_settings_are_refused_before_there_are_tokens():
    assert check_method("nested", 64, (4, 2)) == (4, 2, (4, 16, 64))
    assert check_method("icfl", 64, (4, 2)) == (4, 2, None)
    for method, atoms, sparsity, what in [
        ("kmeans", 64, (4, 2), "unknown"),
        ("nested", 64, (2, 2), "rounds"),
        ("topk", 4, (4, 2), "as many atoms"),
        ("icfl", 0, (4, 2), "atoms is 0"),
        ("icfl", 64, (0, 2), "rounds is 0"),
    ]:
        with pytest.raises(DictionaryError, match=what):
            check_method(method, atoms, sparsity)
