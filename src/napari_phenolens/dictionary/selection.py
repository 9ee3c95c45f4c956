"""Numba kernels that find the largest entries of correlation rows, exactly and with few comparisons.

None of our kernels is parallel: a second Python thread would abort the process on numba's workqueue layer. They
release the GIL and are spread over our own threads by `blocks.run_blocks`.

Columns are folded onto s = mp / 16 lanes, lane b standing for the columns b, s + b, 2 s + b, ..., and the lanes again
onto 16 tops, so that all maxima are taken between vectors, and a pick costs some 5 x 16 comparisons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

FOLD = 16
BLOCK = FOLD * FOLD  # correlation buffers are padded to a multiple of it
LOWEST = np.float32(-3.0e38)  # marks a column out of the running; finite, as the kernels are compiled for that
_RUNNING = np.float32(-1.0e38)

F = TypeVar("F", bound=Callable[..., Any])


# nnan lets LLVM vectorise the maxima; input is checked to be finite before it comes here.
_FLAGS = {"nnan", "nsz", "reassoc", "contract", "arcp"}


def jit(function: F) -> F:
    """Compile without the GIL; the machine code is kept in numba's cache where one can be written."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True, fastmath=_FLAGS)(function))
    except RuntimeError:  # neither the package's nor the user's cache folder can be written
        return cast(F, numba.njit(nogil=True, fastmath=_FLAGS)(function))


def part(function: F) -> F:
    """Compile as a part of the kernels that call it.

    A kernel that called another compiled function would be linked to whichever copy of it the process holds, and code
    just compiled would round differently from the same code out of the cache.
    """
    return cast(F, numba.njit(inline="always", nogil=True, fastmath=_FLAGS)(function))


@part
def _larger(a: Any, b: Any) -> Any:
    return a if a > b else b


@part
def score(x: Any, absolute: bool) -> Any:
    """What a correlation is ranked by: itself, or its size (a column out of the running stays the lowest)."""
    if absolute and x > _RUNNING:
        return abs(x)
    return x


@part
def close_columns(row: Any, m: int) -> None:
    """Take the padding behind the m real columns out of the running."""
    for j in range(m, row.shape[0]):
        row[j] = LOWEST


@part
def fold(row: Any, lanes: Any, tops: Any, absolute: bool) -> None:
    """Renew the maxima of all lanes and tops."""
    s = lanes.shape[0]
    for i in range(0, FOLD, 4):
        r0, r1 = row[i * s : (i + 1) * s], row[(i + 1) * s : (i + 2) * s]
        r2, r3 = row[(i + 2) * s : (i + 3) * s], row[(i + 3) * s : (i + 4) * s]
        if absolute:
            for b in range(s):
                x = _larger(
                    _larger(score(r0[b], True), score(r1[b], True)), _larger(score(r2[b], True), score(r3[b], True))
                )
                lanes[b] = x if i == 0 else _larger(lanes[b], x)
        elif i == 0:
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


@part
def highest(tops: Any) -> Any:
    """The largest score left."""
    best = tops[0]
    for j in range(1, FOLD):
        best = _larger(best, tops[j])
    return best


@part
def take_largest(row: Any, lanes: Any, tops: Any, absolute: bool) -> tuple[int, Any]:
    """Give the lowest index of the largest score, and its entry, which is taken out of the running."""
    s = lanes.shape[0]
    best = highest(tops)
    index = row.shape[0]
    for j in range(FOLD):
        if tops[j] == best:
            for b in range(j, s, FOLD):
                if lanes[b] == best:
                    for c in range(b, row.shape[0], s):
                        if score(row[c], absolute) == best:
                            index = min(index, c)
                            break
    index = min(index, row.shape[0] - 1)  # overflow alone can bring it there
    entry = row[index]
    row[index] = LOWEST
    lane = index % s
    high = score(row[lane], absolute)
    for c in range(lane + s, row.shape[0], s):
        high = _larger(high, score(row[c], absolute))
    lanes[lane] = high
    top = lane % FOLD
    for b in range(top, s, FOLD):
        high = _larger(high, lanes[b])
    tops[top] = high
    return index, entry


@jit
def top_k(c: Any, m: int, index: Any, value: Any) -> None:
    """Write the k largest positive entries of each row, in falling order; c (n, mp) is overwritten."""
    n, mp = c.shape
    lanes = np.empty(mp // FOLD, np.float32)
    tops = np.empty(FOLD, np.float32)
    for t in range(n):
        row = c[t]
        close_columns(row, m)
        fold(row, lanes, tops, False)
        index[t] = 0
        value[t] = 0.0
        for s in range(min(index.shape[1], m)):
            at, best = take_largest(row, lanes, tops, False)
            if best <= 0.0:
                break
            index[t, s] = at
            value[t, s] = best


@jit
def squeeze_rows(index: Any, value: Any, used: Any) -> None:
    """Close the gaps that zero values leave in each code, keeping the order; unused slots become zero."""
    for t in range(index.shape[0]):
        kept = 0
        for s in range(used[t]):
            if value[t, s] != 0.0:
                index[t, kept] = index[t, s]
                value[t, kept] = value[t, s]
                kept += 1
        for s in range(kept, index.shape[1]):
            index[t, s] = 0
            value[t, s] = 0.0
