"""Numba kernels of one stage of pursuit, specialised for the picks a round and for how columns are ranked.

A stage takes correlations c (n, mp), which it overwrites, the number m of columns it may pick from, and its rounds; it
goes on filling index and value (n, k) from ``used`` (n,) slots. Three kernels do the same by other means: over a Gram
matrix in single precision, over one in 16-bit whole numbers whose candidates are rescored, and from fresh
correlations each round.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from napari_phenolens.dictionary.kernels import dot, solve
from napari_phenolens.dictionary.reference import RIDGE
from napari_phenolens.dictionary.selection import FOLD, close_columns, fold, highest, jit, part, score, take_largest

GRAM16 = 32440.0  # one, as a 16-bit entry: leaves room for atoms whose norm is off by the tolerance
_HALF_STEP = np.float32(0.51 / GRAM16)  # an entry's rounding error, at most
_NOISE = np.float32(1e-6)  # of single-precision products, relative to the residual's norm
_SPARE = 24  # candidates beyond L before correlations are computed anew


@part
def _take_off(row: Any, rows: Any, picks: Any, v: Any, unit: Any) -> None:
    """Take unit * sum of v[q] * rows[picks[q]] off row, up to five rows in one pass."""
    n, left, q = row.shape[0], picks.shape[0], 0
    while left > 0:
        g0, v0 = rows[picks[q]], np.float32(v[q] * unit)
        if left == 1:
            for j in range(n):
                row[j] -= v0 * np.float32(g0[j])
            return
        g1, v1 = rows[picks[q + 1]], np.float32(v[q + 1] * unit)
        if left == 2:
            for j in range(n):
                row[j] -= v0 * np.float32(g0[j]) + v1 * np.float32(g1[j])
            return
        g2, v2 = rows[picks[q + 2]], np.float32(v[q + 2] * unit)
        if left == 3:
            for j in range(n):
                row[j] -= v0 * np.float32(g0[j]) + v1 * np.float32(g1[j]) + v2 * np.float32(g2[j])
            return
        g3, v3 = rows[picks[q + 3]], np.float32(v[q + 3] * unit)
        if left == 5:
            g4, v4 = rows[picks[q + 4]], np.float32(v[q + 4] * unit)
            for j in range(n):
                row[j] -= (
                    v0 * np.float32(g0[j])
                    + v1 * np.float32(g1[j])
                    + v2 * np.float32(g2[j])
                    + v3 * np.float32(g3[j])
                    + v4 * np.float32(g4[j])
                )
            return
        for j in range(n):
            row[j] -= v0 * np.float32(g0[j]) + v1 * np.float32(g1[j]) + v2 * np.float32(g2[j]) + v3 * np.float32(g3[j])
        q += 4
        left -= 4


@part
def _note(picks: Any, v: Any, index: Any, value: Any, used: int, slot: Any) -> int:
    """Add a round's picks to a code: a re-pick at its first place."""
    for q in range(picks.shape[0]):
        at = slot[picks[q]]
        if at < 0:
            slot[picks[q]] = used
            index[used] = picks[q]
            value[used] = v[q]
            used += 1
        else:
            value[at] += np.float32(v[q])
    return used


@lru_cache(maxsize=64)
def gram_kernel(per_round: int, absolute: bool = False) -> Callable[..., None]:
    """A stage by updates from a float32 Gram matrix, of which the first (mp, mp) entries are used."""
    L = per_round

    def pursue(c: Any, gram: Any, m: int, rounds: int, index: Any, value: Any, used: Any) -> None:
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
            close_columns(row, m)
            for s in range(used[t]):
                slot[index[t, s]] = s
            for r in range(rounds):
                fold(row, lanes, tops, absolute)
                for q in range(L):
                    picks[q], saved[q] = take_largest(row, lanes, tops, absolute)
                for q in range(L):
                    row[picks[q]] = saved[q]
                    v[q] = saved[q]
                    for s in range(q + 1):
                        a[q, s] = gram[picks[q], picks[s]]
                    a[q, q] += RIDGE
                solve(a, v)
                if r + 1 < rounds:
                    _take_off(row, gram, picks, v, 1.0)
                used[t] = _note(picks, v, index[t], value[t], used[t], slot)
            for s in range(used[t]):
                slot[index[t, s]] = -1

    return jit(pursue)


@part
def _rank_in(exact: Any, drawn: Any, count: int, new: Any, at: int, absolute: bool) -> int:
    """Insert a candidate: the best first, ties to the lowest index."""
    rank = score(new, absolute)
    s = count
    while s > 0:
        other = score(exact[s - 1], absolute)
        if other > rank or (other == rank and drawn[s - 1] < at):
            break
        exact[s], drawn[s] = exact[s - 1], drawn[s - 1]
        s -= 1
    exact[s], drawn[s] = new, at
    return count + 1


@lru_cache(maxsize=64)
def candidate_kernel(per_round: int, absolute: bool = False) -> Callable[..., None]:
    """A stage by updates from a 16-bit Gram matrix, which proposes candidates that are scored anew in float32.

    Correlations drift by at most half a step of the matrix's entries times the coefficients taken off. Candidates are
    drawn, and their inner products with the residual computed, until the L-th best of them exceeds all that is left by
    more than this bound; the L best are then those of the exact rule. Where 24 candidates more do not suffice (a
    residual so small that its correlations drown in the drift), all correlations are computed anew.

    Beside the arguments of `gram_kernel` it takes the residuals (n, p), renewed in place, the atoms (mp, p) and their
    squared norms.
    """
    L = per_round
    MOST = L + _SPARE

    def pursue(
        c: Any,
        gram: Any,
        residual: Any,
        atoms: Any,
        squares: Any,
        m: int,
        rounds: int,
        index: Any,
        value: Any,
        used: Any,
    ) -> None:
        n, mp = c.shape
        lanes = np.empty(mp // FOLD, np.float32)
        tops = np.empty(FOLD, np.float32)
        drawn = np.empty(MOST, np.int64)  # candidates, the best first
        exact = np.empty(MOST, np.float32)
        picks = np.empty(L, np.int64)
        a = np.empty((L, L), np.float64)
        v = np.empty(L, np.float64)
        slot = np.full(mp, -1, np.int64)
        for t in range(n):
            row, r = c[t], residual[t]
            drift = _NOISE * np.sqrt(dot(r, r))
            if drift == 0.0:
                continue  # nothing to render
            close_columns(row, m)
            for s in range(used[t]):
                slot[index[t, s]] = s
            for turn in range(rounds):
                fold(row, lanes, tops, absolute)
                count, fresh = 0, False
                while count < min(MOST, m):
                    if count >= L and (fresh or score(exact[L - 1], absolute) > highest(tops) + drift):
                        break
                    at, entry = take_largest(row, lanes, tops, absolute)
                    count = _rank_in(exact, drawn, count, entry if fresh else dot(atoms[at], r), at, absolute)
                    if count == MOST and not fresh:
                        for j in range(m):
                            row[j] = dot(atoms[j], r)
                        drift = _NOISE * np.sqrt(dot(r, r))
                        fold(row, lanes, tops, absolute)
                        count, fresh = 0, True
                for s in range(count):
                    row[drawn[s]] = exact[s]
                for q in range(L):
                    picks[q] = drawn[q]
                    v[q] = exact[q]
                    for s in range(q):
                        a[q, s] = dot(atoms[picks[q]], atoms[picks[s]])
                    a[q, q] = squares[picks[q]] + RIDGE
                solve(a, v)
                size = np.float32(0.0)
                for q in range(L):
                    size += np.float32(abs(v[q]))
                _take_off(r, atoms, picks, v, 1.0)
                if turn + 1 < rounds:
                    _take_off(row, gram, picks, v, 1.0 / GRAM16)
                    drift += size * _HALF_STEP
                used[t] = _note(picks, v, index[t], value[t], used[t], slot)
            for s in range(used[t]):
                slot[index[t, s]] = -1

    return jit(pursue)


@lru_cache(maxsize=64)
def residual_kernel(per_round: int, absolute: bool = False) -> Callable[..., None]:
    """One round from fresh correlations c (n, mp) of residuals (n, p), where no Gram matrix is held.

    Residuals and codes are renewed in place.
    """
    L = per_round

    def one_round(c: Any, residual: Any, atoms: Any, m: int, index: Any, value: Any, used: Any) -> None:
        n, mp = c.shape
        lanes = np.empty(mp // FOLD, np.float32)
        tops = np.empty(FOLD, np.float32)
        picks = np.empty(L, np.int64)
        a = np.empty((L, L), np.float64)
        v = np.empty(L, np.float64)
        slot = np.full(mp, -1, np.int64)
        for t in range(n):
            row = c[t]
            close_columns(row, m)
            for s in range(used[t]):
                slot[index[t, s]] = s
            fold(row, lanes, tops, absolute)
            for q in range(L):
                picks[q], v[q] = take_largest(row, lanes, tops, absolute)
            for q in range(L):
                for s in range(q + 1):
                    a[q, s] = dot(atoms[picks[q]], atoms[picks[s]])
                a[q, q] += RIDGE
            solve(a, v)
            _take_off(residual[t], atoms, picks, v, 1.0)
            used[t] = _note(picks, v, index[t], value[t], used[t], slot)
            for s in range(used[t]):
                slot[index[t, s]] = -1

    return jit(one_round)


@jit
def matching_pursuit(c: Any, gram: Any, residual: Any, atoms: Any, m: int, picks: Any, values: Any) -> None:
    """Pursue one atom a round, and keep every pick in its order; residuals (n, p) are renewed in place.

    c (n, mp) holds their correlations, gram (mp, mp) is float32; picks and values (n, k) are filled.
    """
    n, mp = c.shape
    lanes = np.empty(mp // FOLD, np.float32)
    tops = np.empty(FOLD, np.float32)
    for t in range(n):
        row, r = c[t], residual[t]
        close_columns(row, m)
        for turn in range(picks.shape[1]):
            fold(row, lanes, tops, False)
            at, v = take_largest(row, lanes, tops, False)
            row[at] = v
            picks[t, turn] = at
            values[t, turn] = v
            g, w = gram[at], atoms[at]
            for j in range(mp):
                row[j] -= v * g[j]
            for j in range(r.shape[0]):
                r[j] -= v * w[j]


@jit
def pursue_back(residual: Any, atoms: Any, picks: Any, values: Any, scale: float, grad: Any, bias: Any) -> None:
    """Add the gradient of scale / 2 times the squared residuals to grad (m, p) and bias (p,), back through all rounds.

    A round leaves r' = r - (w . r) w; with g the gradient by r', that by w is -(w . r) g - (g . w) r, and that by r is
    g - (g . w) w. The residuals before each round come back from those after it, which are left as they are.
    """
    p = residual.shape[1]
    r, g = np.empty(p, np.float32), np.empty(p, np.float32)
    for t in range(residual.shape[0]):
        for j in range(p):
            r[j] = residual[t, j]
            g[j] = np.float32(scale) * r[j]
        for turn in range(picks.shape[1] - 1, -1, -1):
            w, v = atoms[picks[t, turn]], values[t, turn]
            along = dot(g, w)
            to = grad[picks[t, turn]]
            for j in range(p):
                before = r[j] + v * w[j]
                to[j] -= v * g[j] + along * before
                g[j] -= along * w[j]
                r[j] = before
        for j in range(p):
            bias[j] -= g[j]
