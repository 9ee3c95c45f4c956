"""Numba kernels: pursuit specialised for L, top-k selection, sparse products, Adam.

None is parallel: a second Python thread would abort the process on numba's workqueue layer. They release the GIL and
are spread over our own threads by `blocks.run_blocks`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, cast

import numba
import numpy as np

from napari_phenolens.dictionary.reference import RIDGE

FOLD = 16
BLOCK = FOLD * FOLD  # correlation buffers are padded to a multiple of it
_LOWEST = np.float32(-3.0e38)  # finite, as the kernels are compiled for finite numbers

F = TypeVar("F", bound=Callable[..., Any])


def _jit(function: F) -> F:
    # nnan lets LLVM vectorise the maxima; input is checked to be finite before it comes here.
    flags = {"nnan", "nsz", "reassoc", "contract", "arcp"}
    try:
        return cast(F, numba.njit(cache=True, nogil=True, fastmath=flags)(function))
    except RuntimeError:  # neither the package's nor the user's cache folder can be written
        return cast(F, numba.njit(nogil=True, fastmath=flags)(function))


# Selection. Columns are folded onto s = mp / 16 lanes, lane b standing for the columns b, s + b, 2 s + b, ..., and
# the lanes again onto 16 tops, so that all maxima are taken between vectors, and a pick costs some 5 x 16 comparisons.


@_jit
def _larger(a: Any, b: Any) -> Any:
    return a if a > b else b


@_jit
def _fold_lanes(row: Any, lanes: Any, tops: Any) -> None:
    s = lanes.shape[0]
    for i in range(0, FOLD, 4):
        r0, r1 = row[i * s : (i + 1) * s], row[(i + 1) * s : (i + 2) * s]
        r2, r3 = row[(i + 2) * s : (i + 3) * s], row[(i + 3) * s : (i + 4) * s]
        if i == 0:
            for b in range(s):
                lanes[b] = _larger(_larger(r0[b], r1[b]), _larger(r2[b], r3[b]))
        else:
            for b in range(s):
                lanes[b] = _larger(lanes[b], _larger(_larger(r0[b], r1[b]), _larger(r2[b], r3[b])))
    for j in range(FOLD):
        tops[j] = lanes[j]
    for q in range(FOLD, s, FOLD):
        for j in range(FOLD):
            tops[j] = _larger(tops[j], lanes[q + j])


@_jit
def _take_largest(row: Any, lanes: Any, tops: Any) -> tuple[int, Any]:
    """Give the lowest index of the largest entry, and that entry, which is masked in the row and its maxima."""
    s = lanes.shape[0]
    best = tops[0]
    for j in range(1, FOLD):
        best = _larger(best, tops[j])
    index = row.shape[0]
    for j in range(FOLD):
        if tops[j] == best:
            for b in range(j, s, FOLD):
                if lanes[b] == best:
                    for c in range(b, row.shape[0], s):
                        if row[c] == best:
                            index = min(index, c)
                            break
    index = min(index, row.shape[0] - 1)  # overflow alone can bring it there
    row[index] = _LOWEST
    lane = index % s
    high = row[lane]
    for c in range(lane + s, row.shape[0], s):
        high = _larger(high, row[c])
    lanes[lane] = high
    top = lane % FOLD
    for b in range(top, s, FOLD):
        high = _larger(high, lanes[b])
    tops[top] = high
    return index, best


@_jit
def _solve(a: Any, b: Any) -> None:
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


@_jit
def squeeze(index: Any, value: Any, used: int) -> int:
    """Close the gaps that zero values leave in one code, keeping the order; unused slots become zero."""
    kept = 0
    for s in range(used):
        if value[s] != 0.0:
            index[kept] = index[s]
            value[kept] = value[s]
            kept += 1
    for s in range(kept, index.shape[0]):
        index[s] = 0
        value[s] = 0.0
    return kept


@lru_cache(maxsize=64)
def gram_kernel(per_round: int) -> Callable[..., None]:
    """Pursuit of a block of tokens by Gram updates, specialised for the picks a round.

    The kernel takes correlations c (n, mp), overwritten, the Gram matrix (mp, mp), the number of real atoms, the
    rounds, and fills index (n, k) int32 and value (n, k) float32.
    """
    L = per_round

    def pursue(c: Any, gram: Any, m: int, rounds: int, index: Any, value: Any) -> None:
        n, mp = c.shape
        lanes = np.empty(mp // FOLD, np.float32)
        tops = np.empty(FOLD, np.float32)
        picks = np.empty(L, np.int64)
        saved = np.empty(L, np.float32)
        a = np.empty((L, L), np.float64)
        v = np.empty(L, np.float64)
        slot = np.full(mp, -1, np.int64)
        for t in range(n):
            row = c[t]
            for j in range(m, mp):
                row[j] = _LOWEST
            used = 0
            for r in range(rounds):
                _fold_lanes(row, lanes, tops)
                for q in range(L):
                    picks[q], saved[q] = _take_largest(row, lanes, tops)
                for q in range(L):
                    row[picks[q]] = saved[q]
                    v[q] = saved[q]
                    for s in range(q + 1):
                        a[q, s] = gram[picks[q], picks[s]]
                    a[q, q] += RIDGE
                _solve(a, v)
                if r + 1 < rounds:
                    for q in range(0, L - L % 4, 4):
                        g0, g1, g2, g3 = gram[picks[q]], gram[picks[q + 1]], gram[picks[q + 2]], gram[picks[q + 3]]
                        v0, v1 = np.float32(v[q]), np.float32(v[q + 1])
                        v2, v3 = np.float32(v[q + 2]), np.float32(v[q + 3])
                        for j in range(mp):
                            row[j] -= v0 * g0[j] + v1 * g1[j] + v2 * g2[j] + v3 * g3[j]
                    for q in range(L - L % 4, L):
                        g0 = gram[picks[q]]
                        v0 = np.float32(v[q])
                        for j in range(mp):
                            row[j] -= v0 * g0[j]
                for q in range(L):
                    at = slot[picks[q]]
                    if at < 0:
                        slot[picks[q]] = used
                        index[t, used] = picks[q]
                        value[t, used] = v[q]
                        used += 1
                    else:
                        value[t, at] += np.float32(v[q])
            for s in range(used):
                slot[index[t, s]] = -1
            squeeze(index[t], value[t], used)

    return _jit(pursue)


@lru_cache(maxsize=64)
def residual_kernel(per_round: int) -> Callable[..., None]:
    """One round of pursuit from fresh correlations, where no Gram matrix is held; specialised for the picks a round.

    The kernel takes correlations c (n, mp), residuals (n, p), atoms (mp, p), the number of real atoms, index and
    value as far as they are filled, and used (n,), the slots taken so far. Residuals and codes are renewed in place.
    """
    L = per_round

    def one_round(c: Any, residual: Any, atoms: Any, m: int, index: Any, value: Any, used: Any) -> None:
        n, mp = c.shape
        p = atoms.shape[1]
        lanes = np.empty(mp // FOLD, np.float32)
        tops = np.empty(FOLD, np.float32)
        picks = np.empty(L, np.int64)
        a = np.empty((L, L), np.float64)
        v = np.empty(L, np.float64)
        for t in range(n):
            row = c[t]
            for j in range(m, mp):
                row[j] = _LOWEST
            _fold_lanes(row, lanes, tops)
            for q in range(L):
                picks[q], v[q] = _take_largest(row, lanes, tops)
            for q in range(L):
                wq = atoms[picks[q]]
                for s in range(q + 1):
                    ws = atoms[picks[s]]
                    dot = np.float32(0.0)
                    for j in range(p):
                        dot += wq[j] * ws[j]
                    a[q, s] = dot
                a[q, q] += RIDGE
            _solve(a, v)
            for q in range(L):
                wq = atoms[picks[q]]
                vq = np.float32(v[q])
                for j in range(p):
                    residual[t, j] -= vq * wq[j]
                at = -1
                for s in range(used[t]):
                    if index[t, s] == picks[q]:
                        at = s
                        break
                if at < 0:
                    index[t, used[t]] = picks[q]
                    value[t, used[t]] = vq
                    used[t] += 1
                else:
                    value[t, at] += vq

    return _jit(one_round)


@_jit
def squeeze_rows(index: Any, value: Any, used: Any) -> None:
    """`squeeze` for each row."""
    for t in range(index.shape[0]):
        squeeze(index[t], value[t], used[t])


@_jit
def top_k(c: Any, m: int, index: Any, value: Any) -> None:
    """Write the k largest positive entries of each row, in falling order; c (n, mp) is overwritten."""
    n, mp = c.shape
    lanes = np.empty(mp // FOLD, np.float32)
    tops = np.empty(FOLD, np.float32)
    for t in range(n):
        row = c[t]
        for j in range(m, mp):
            row[j] = _LOWEST
        _fold_lanes(row, lanes, tops)
        index[t] = 0
        value[t] = 0.0
        for s in range(min(index.shape[1], m)):
            at, best = _take_largest(row, lanes, tops)
            if best <= 0.0:
                break
            index[t, s] = at
            value[t, s] = best


@_jit
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


@_jit
def sampled_dots(index: Any, value: Any, rows: Any, atoms: Any, out: Any) -> None:
    """out[t, s] = <rows[t], atoms[index[t, s]]> where value[t, s] is not 0, else 0."""
    p = atoms.shape[1]
    for t in range(index.shape[0]):
        row = rows[t]
        for s in range(index.shape[1]):
            dot = np.float32(0.0)
            if value[t, s] != 0.0:
                w = atoms[index[t, s]]
                for j in range(p):
                    dot += row[j] * w[j]
            out[t, s] = dot


@_jit
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


@_jit
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


@_jit
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
