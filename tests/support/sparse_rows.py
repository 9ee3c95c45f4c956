"""Rows made of a few atoms, and codes laid out: what the tests of coders and of fitting share."""

from __future__ import annotations

import numpy as np


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def dense(codes: tuple[np.ndarray, np.ndarray], m: int) -> np.ndarray:
    index, value = codes
    out = np.zeros((len(index), m))
    for s in range(index.shape[1]):
        out[np.arange(len(index)), index[:, s]] += value[:, s]
    return out


def planted(n: int, m: int = 64, p: int = 32, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(m, p))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    x = 0.02 * rng.normal(size=(n, p))
    picks = rng.random((n, m)).argsort(axis=1)[:, :k]
    for s in range(k):
        x += rng.uniform(0.5, 1.5, (n, 1)) * atoms[picks[:, s]]
    return x.astype(np.float32), atoms
