"""How much of what tokens tell about labels codes and reconstructions still tell: linear and sparse probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_phenolens.dictionary.errors import DictionaryError

FOLDS = 5


def probe(
    tokens: ArrayLike,
    codes: ArrayLike,
    reconstructions: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    sparse: Sequence[int] = (1, 2, 5),
    seed: int = 0,
) -> pd.DataFrame:
    """Balanced accuracy of class-balanced logistic probes, cross-validated.

    Dense probes on tokens, codes and reconstructions (Donhauser et al. 2025); probes on the k features whose class
    means differ most, chosen anew in each training part (SAEBench), and on the first k principal components of the
    tokens. Without the dense probe a sparse one says little ("Are sparse autoencoders useful?", arXiv 2502.16681).

    Parameters
    ----------
    tokens : array (n, p)
        A row a unit of the test, as a rule a well's mean token.
    codes : array (n, m)
    reconstructions : array (n, p)
    labels : array (n,)
    groups : array (n,), optional
        What stays together in a fold, as a rule the plate; with fewer than two groups, or where a label lies in one
        group alone, rows are dealt to five folds (or as many as the smallest class has rows), label by label.
    sparse : sequence of int
        Numbers of features of the sparse probes.
    seed : int

    Returns
    -------
    DataFrame
        A row a probe: ``on`` (tokens, codes, reconstructions, best features, principal components), ``features``,
        ``accuracy`` (mean over folds), ``sd`` (over folds), ``kept`` (accuracy above chance over that of the tokens).
        `attrs`: ``chance``, ``folds``, ``by`` ("group" or "row"), ``rows``, ``labels``.

    Raises
    ------
    DictionaryError
        Fewer than two labels with two rows each, shapes that do not fit, numbers that are not finite.
    """
    named: dict[str, NDArray[np.float64]] = {
        "tokens": np.asarray(tokens, np.float64),
        "codes": np.asarray(codes, np.float64),
        "reconstructions": np.asarray(reconstructions, np.float64),
    }
    y = np.unique(np.asarray(labels), return_inverse=True)[1]
    for name, rows in named.items():
        if rows.ndim != 2 or len(rows) != len(y):
            raise DictionaryError(f"{name} have shape {rows.shape}, labels {y.shape}; give a row for each label")
        if not np.isfinite(rows).all():
            raise DictionaryError(f"some {name} are not finite; leave out wells without foreground")
    least = int(np.bincount(y).min())
    if y.max(initial=0) < 1 or least < 2:
        raise DictionaryError("a probe needs two labels with two rows each at least")
    folds, by = _folds(y, None if groups is None else np.asarray(groups), least, seed)
    found: dict[tuple[str, int], list[float]] = {}
    for train, test in folds:
        for name, rows in named.items():
            found.setdefault((name, rows.shape[1]), []).append(_accuracy(rows, y, train, test))
        order = _most_different(named["codes"][train], y[train])
        components = _principal(named["tokens"][train], max(sparse))
        projected = (named["tokens"] - named["tokens"][train].mean(axis=0)) @ components
        for k in sparse:
            best = named["codes"][:, order[:k]]
            found.setdefault(("best features", k), []).append(_accuracy(best, y, train, test))
            if k <= projected.shape[1]:
                accuracy = _accuracy(projected[:, :k], y, train, test)
                found.setdefault(("principal components", k), []).append(accuracy)
    chance = 1 / (y.max() + 1)
    rows_out: list[dict[str, Any]] = []
    dense = float(np.mean(found["tokens", named["tokens"].shape[1]]))
    for (name, size), values in found.items():
        mean = float(np.mean(values))
        kept = (mean - chance) / (dense - chance) if dense > chance else float("nan")
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
        rows_out.append({"on": name, "features": size, "accuracy": mean, "sd": spread, "kept": kept})
    table = pd.DataFrame(rows_out)
    table.attrs = {"chance": float(chance), "folds": len(folds), "by": by, "rows": len(y), "labels": int(y.max() + 1)}
    return table


def _folds(
    y: NDArray[Any], groups: NDArray[Any] | None, least: int, seed: int
) -> tuple[list[tuple[NDArray[Any], NDArray[Any]]], str]:
    from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold

    if groups is not None and len(np.unique(groups)) > 1:
        parts = list(LeaveOneGroupOut().split(y, y, groups))
        if all(len(np.unique(y[train])) == y.max() + 1 for train, _ in parts):
            return parts, "group"
    splits: Iterator[Any] = StratifiedKFold(min(FOLDS, least), shuffle=True, random_state=seed).split(y, y)
    return list(splits), "row"


def _accuracy(x: NDArray[np.float64], y: NDArray[Any], train: NDArray[Any], test: NDArray[Any]) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x[train])
    model = LogisticRegression(class_weight="balanced", max_iter=2000)
    guess = model.fit(scaler.transform(x[train]), y[train]).predict(scaler.transform(x[test]))
    # over the labels that the test part holds
    return float(np.mean([(guess[y[test] == label] == label).mean() for label in np.unique(y[test])]))


def _most_different(codes: NDArray[np.float64], y: NDArray[Any]) -> NDArray[np.intp]:
    """Features by how much their class means differ, over their spread."""
    means = np.array([codes[y == label].mean(axis=0) for label in np.unique(y)])
    spread = codes.std(axis=0)
    gap = np.divide(means.max(axis=0) - means.min(axis=0), spread, out=np.zeros(codes.shape[1]), where=spread > 0)
    return np.argsort(-gap, kind="stable")


def _principal(x: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    return np.asarray(np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][:most].T)
