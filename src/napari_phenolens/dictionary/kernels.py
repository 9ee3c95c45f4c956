"""Numba kernels over sparse codes: sums of atoms, inner products, gradients, refits, Adam."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_phenolens.dictionary.reference import RIDGE
from napari_phenolens.dictionary.selection import jit, part


@part
def solve(a: Any, b: Any) -> None:
    """Solve the small positive definite system in place (Cholesky, float64); the answer is left in b."""
    n = b.shape[0]
    for j in range(n):
        s = a[j, j]
        for q in range(j):
            s -= a[j, q] * a[j, q]
        inverse = 1.0 / np.sqrt(max(s, 1e-12))
        a[j, j] = inverse
        for i in range(j + 1, n):
            s = a[i, j]
            for q in range(j):
                s -= a[i, q] * a[j, q]
            a[i, j] = s * inverse
        s = b[j]
        for q in range(j):
            s -= a[j, q] * b[q]
        b[j] = s * inverse
    for i in range(n - 1, -1, -1):
        s = b[i]
        for q in range(i + 1, n):
            s -= a[q, i] * b[q]
        b[i] = s * a[i, i]


@part
def dot(a: Any, b: Any) -> Any:
    """Inner product, in float32."""
    total = np.float32(0.0)
    for j in range(a.shape[0]):
        total += a[j] * b[j]
    return total


@jit
def decode_rows(index: Any, value: Any, atoms: Any, out: Any) -> None:
    """Add the coded sum of atoms to each row of out (n, p)."""
    p = atoms.shape[1]
    for t in range(index.shape[0]):
        row = out[t]
        for s in range(index.shape[1]):
            v = value[t, s]
            if v != 0.0:
                w = atoms[index[t, s]]
                for j in range(p):
                    row[j] += v * w[j]


@jit
def sampled_dots(index: Any, value: Any, rows: Any, atoms: Any, out: Any) -> None:
    """out[t, s] = <rows[t], atoms[index[t, s]]> where value[t, s] is not 0, else 0."""
    for t in range(index.shape[0]):
        row = rows[t]
        for s in range(index.shape[1]):
            out[t, s] = dot(row, atoms[index[t, s]]) if value[t, s] != 0.0 else np.float32(0.0)


@jit
def bucket(index: Any, value: Any, starts: Any, entries: Any) -> None:
    """Sort the non-zero code entries by atom, keeping token order (counting sort).

    starts (m + 1,) int64 comes as zeros; entries (n * k,) int64 takes flat places into index.
    """
    n, k = index.shape
    for t in range(n):
        for s in range(k):
            if value[t, s] != 0.0:
                starts[index[t, s] + 1] += 1
    for a in range(1, starts.shape[0]):
        starts[a] += starts[a - 1]
    at = starts[:-1].copy()
    for t in range(n):
        for s in range(k):
            if value[t, s] != 0.0:
                a = index[t, s]
                entries[at[a]] = t * k + s
                at[a] += 1


@jit
def scatter_rows(value: Any, rows: Any, starts: Any, entries: Any, scale: float, grad: Any, lo: int, hi: int) -> None:
    """grad[a] += scale * sum of value * rows[token] over the entries of atoms lo..hi, in token order."""
    k = value.shape[1]
    p = rows.shape[1]
    for a in range(lo, hi):
        g = grad[a]
        for e in range(starts[a], starts[a + 1]):
            t = entries[e] // k
            v = np.float32(scale * value[t, entries[e] % k])
            row = rows[t]
            for j in range(p):
                g[j] += v * row[j]


@jit
def adam_rows(w: Any, grad: Any, first: Any, second: Any, lr: float, step: int, unit: bool, lo: int, hi: int) -> None:
    """One Adam step on rows lo..hi of w (Kingma and Ba, 2015); `unit` norms the rows afterwards."""
    p = w.shape[1]
    b1, b2, one = np.float32(0.9), np.float32(0.999), np.float32(1.0)
    rate = np.float32(lr / (1.0 - 0.9**step))
    correction = np.float32(1.0 / np.sqrt(1.0 - 0.999**step))
    for a in range(lo, hi):
        norm = 0.0
        for j in range(p):
            g = grad[a, j]
            m1 = b1 * first[a, j] + (one - b1) * g
            m2 = b2 * second[a, j] + (one - b2) * g * g
            first[a, j] = m1
            second[a, j] = m2
            new = w[a, j] - rate * m1 / (np.sqrt(m2) * correction + np.float32(1e-8))
            w[a, j] = new
            norm += new * new
        if unit and norm > 0.0:
            shrink = np.float32(1.0 / np.sqrt(norm))
            for j in range(p):
                w[a, j] *= shrink


@jit
def quantise(gram: Any, unit: float, out: Any) -> None:
    """Entries of a Gram matrix as 16-bit whole numbers, rounded to the nearest."""
    scale, half = np.float32(unit), np.float32(0.5)
    for i in range(gram.shape[0]):
        for j in range(gram.shape[1]):
            out[i, j] = np.int16(np.floor(gram[i, j] * scale + half))


@jit
def refit_rows(x: Any, atoms: Any, index: Any, value: Any, used: Any) -> None:
    """Fit rows x (n, p) anew on all the atoms that their codes hold, by joint least squares with the ridge."""
    k = index.shape[1]
    a = np.empty((k, k), np.float64)
    b = np.empty(k, np.float64)
    for t in range(x.shape[0]):
        size = used[t]
        for i in range(size):
            w = atoms[index[t, i]]
            b[i] = dot(w, x[t])
            for s in range(i + 1):
                a[i, s] = dot(w, atoms[index[t, s]])
            a[i, i] += RIDGE
        solve(a[:size, :size], b[:size])
        for i in range(size):
            value[t, i] = b[i]
