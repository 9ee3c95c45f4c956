"""Nested dictionaries as a tree: which coarse atom a finer one goes with, and how consistent that is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_LEAST = 10  # tokens in which an atom must be active before it gets a parent


def activity(index: NDArray[Any], value: NDArray[Any], m: int) -> Any:
    """Codes (n, k) as a sparse matrix (n, m) of ones where an atom is active (CSR, float32)."""
    from scipy.sparse import csr_matrix

    token, slot = np.nonzero(value)
    ones = np.ones(len(token), np.float32)
    return csr_matrix((ones, (token, np.asarray(index)[token, slot])), shape=(len(index), m))


def parents(index: NDArray[Any], value: NDArray[Any], levels: Sequence[int]) -> NDArray[np.int32]:
    """The parent of each atom: the coarser one with the largest P(parent | atom) - P(parent).

    Parameters
    ----------
    index, value : arrays (n, k)
        Codes.
    levels : sequence of int
        Sizes of the nested dictionaries.

    Returns
    -------
    int32 array (m,)
        -1 for atoms of the coarsest level, and for those active in fewer than ten tokens or with no parent that they
        go with more than chance.
    """
    m = levels[-1]
    active = activity(index, value, m)
    count = np.asarray(active.sum(axis=0)).ravel()
    found = np.full(m, -1, np.int32)
    for below, size in pairwise(levels):
        joint = np.asarray((active[:, below:size].T @ active[:, :below]).todense(), dtype=np.float64)
        share = count[below:size, None]
        excess = np.divide(joint, share, out=np.zeros_like(joint), where=share > 0) - count[:below] / len(index)
        best = excess.argmax(axis=1)
        sure = (share[:, 0] >= _LEAST) & (excess[np.arange(len(best)), best] > 0)
        found[below:size][sure] = best[sure]
    return found


def consistency(
    index: NDArray[Any],
    value: NDArray[Any],
    levels: Sequence[int],
    parent: NDArray[Any],
    images: NDArray[Any] | None = None,
    *,
    permutations: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """How consistently the finer atoms of a nested dictionary are active where their parents are.

    Parameters
    ----------
    index, value : arrays (n, k)
        Codes of tokens that the tree was not read from.
    levels : sequence of int
        Sizes of the nested dictionaries.
    parent : int array (m,)
        See `parents`.
    images : array (n,), optional
        The image of each token: the null shuffles tokens within images, so that a parent which is active all over the
        image of its child proves nothing. One image by default.
    permutations, seed : int

    Returns
    -------
    DataFrame
        A row an atom with a parent and any activity, index ``feature``: ``level``, ``parent``, ``tokens`` (in which it
        is active), ``containment`` P(parent | atom), ``base`` P(parent), ``lift`` of the two, ``expected`` (containment
        if atoms were placed at random within images) and ``inclusion`` (share of the tenth of its tokens where it is
        strongest that its parent is active in). `attrs`: ``excess`` (containment less expected, mean over atoms) with
        ``null_excess`` (95th percentile under shuffled tokens) and ``p_tokens``; ``tree_excess`` (containment less
        base) with ``null_tree`` (95th percentile where atoms of a level swap parents) and ``p_tree``; ``tau``
        (Kendall's tau of coarseness and density: 1 where every coarser atom is the more general), ``p_tau``; ``atoms``,
        ``orphans`` (fine atoms without a parent).

    Notes
    -----
    Nested rounds pick from the coarse atoms first, which alone makes these dense: tau tells a dictionary from another
    one, and not a nested one from chance. Sources: the spatial measure follows SPIN (arXiv 2407.09686), the rank
    measure HierarCaps.
    """
    from scipy.sparse import csr_matrix
    from scipy.stats import kendalltau

    m, n = levels[-1], len(index)
    where = np.zeros(n, np.intp) if images is None else np.unique(np.asarray(images), return_inverse=True)[1]
    active = activity(index, value, m).tocsc()
    count = np.asarray(active.sum(axis=0)).ravel()
    level = np.searchsorted(np.asarray(levels), np.arange(m), side="right")
    child = np.flatnonzero((np.asarray(parent) >= 0) & (count > 0))
    of = np.asarray(parent)[child]
    mine, theirs = active[:, child].tocsr(), active[:, of].tocsr()
    share = np.maximum(count[child], 1)
    containment = np.asarray(mine.multiply(theirs).sum(axis=0)).ravel() / share
    base = count[of] / n
    members = np.bincount(where)
    by_image = csr_matrix((np.ones(n, np.float32), (where, np.arange(n))), shape=(len(members), n))
    per_image = np.asarray((by_image @ active).todense(), np.float64)
    expected = (per_image[:, child] * per_image[:, of] / members[:, None]).sum(axis=0) / share

    rng = np.random.default_rng(seed)
    blocks = [np.flatnonzero(where == image) for image in range(len(members))]
    token_null, tree_null = np.full(permutations, np.nan), np.full(permutations, np.nan)
    joint = (
        np.asarray((active[:, child].T @ active[:, : levels[-2]]).todense(), np.float64) if len(levels) > 1 else None
    )
    for b in range(permutations if len(child) else 0):
        order = np.arange(n)
        for block in blocks:
            order[block] = block[rng.permutation(len(block))]
        drawn = np.asarray(mine[order].multiply(theirs).sum(axis=0)).ravel() / share
        token_null[b] = (drawn - expected).mean()
        swapped = of.copy()
        for lev in np.unique(level[child]):
            same = np.flatnonzero(level[child] == lev)
            swapped[same] = of[same[rng.permutation(len(same))]]
        assert joint is not None
        tree_null[b] = (joint[np.arange(len(child)), swapped] / share - count[swapped] / n).mean()
    table = pd.DataFrame(
        {
            "level": level[child],
            "parent": of,
            "tokens": count[child].astype(np.int64),
            "containment": containment,
            "base": base,
            "lift": np.divide(containment, base, out=np.full(len(child), np.nan), where=base > 0),
            "expected": expected,
            "inclusion": _inclusion(index, value, child, theirs.tocsc()),
        },
        index=pd.Index(child, name="feature"),
    )
    excess = float((containment - expected).mean()) if len(child) else float("nan")
    tree = float((containment - base).mean()) if len(child) else float("nan")
    tau = kendalltau(-level, count)
    table.attrs = {
        "excess": excess,
        "null_excess": _upper(token_null),
        "p_tokens": _chance(token_null, excess),
        "tree_excess": tree,
        "null_tree": _upper(tree_null),
        "p_tree": _chance(tree_null, tree),
        "tau": float(tau.statistic),
        "p_tau": float(tau.pvalue),
        "atoms": len(child),
        "orphans": int(((np.asarray(parent) < 0) & (level > 0)).sum()),
    }
    return table


def _upper(null: NDArray[np.float64]) -> float:
    known = null[np.isfinite(null)]
    return float(np.quantile(known, 0.95)) if known.size else float("nan")


def _chance(null: NDArray[np.float64], seen: float) -> float:
    known = null[np.isfinite(null)]
    return float(((known >= seen - 1e-12).sum() + 1) / (known.size + 1)) if known.size else float("nan")


def _inclusion(
    index: NDArray[Any], value: NDArray[Any], child: NDArray[Any], theirs: Any, top: float = 0.1
) -> NDArray[np.float64]:
    """Share of each child's strongest tenth of tokens in which its parent (a column of `theirs`) is active."""
    place = np.full(int(index.max(initial=0)) + 1, -1)
    place[child[child < len(place)]] = np.flatnonzero(child < len(place))
    token, slot = np.nonzero(value)
    which, strength = place[index[token, slot]], value[token, slot]
    token, which, strength = token[which >= 0], which[which >= 0], strength[which >= 0]
    order = np.lexsort((-strength, which))
    starts = np.searchsorted(which[order], np.arange(len(child) + 1))
    out = np.full(len(child), np.nan)
    for i in range(len(child)):
        rows = token[order[starts[i] : starts[i + 1]]]
        rows = rows[: max(1, int(np.ceil(top * len(rows))))]
        parent_tokens = theirs.indices[theirs.indptr[i] : theirs.indptr[i + 1]]
        out[i] = np.isin(rows, parent_tokens).mean()
    return out
