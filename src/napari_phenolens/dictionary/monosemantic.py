"""Whether the images that a feature responds to look alike to somebody else."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_phenolens.dictionary.errors import DictionaryError


def monosemanticity(
    activations: ArrayLike, embeddings: ArrayLike, *, permutations: int = 100, seed: int = 0
) -> pd.DataFrame:
    """Monosemanticity score of each feature (Pach et al. 2025, arXiv 2504.02821).

    With a the activations of a feature over images, scaled to 0 .. 1, and e the images' unit embeddings by an
    *independent* encoder: the mean cosine of pairs of images, weighted by a_i a_l. Computed exactly in one pass
    (Nasiri-Sarvi et al. 2026, arXiv 2602.12403): (|sum a_i e_i|^2 - sum a_i^2) / ((sum a_i)^2 - sum a_i^2).

    Parameters
    ----------
    activations : array (n, m)
        A row an image (field, crop); a feature without any variation scores NaN.
    embeddings : array (n, d)
        Of the same images; centred and normed here, so that a score of 0 is what unrelated images have.
    permutations : int
        Shuffles of the images for the null.
    seed : int

    Returns
    -------
    DataFrame
        A row a feature: ``score``, ``null`` (its mean under shuffling), ``z`` (how many standard deviations of the null
        lie between), ``p``. `attrs`: ``images``, ``mean`` and ``above_null`` (features with p at its floor or below
        0.05, whichever is more).

    Raises
    ------
    DictionaryError
        Shapes that do not fit, numbers that are not finite, fewer than three images.
    """
    a, e = np.asarray(activations, np.float64), np.asarray(embeddings, np.float64)
    if a.ndim != 2 or e.ndim != 2 or len(a) != len(e) or len(a) < 3:
        raise DictionaryError(f"activations {a.shape} and embeddings {e.shape} must have the same three rows or more")
    if not (np.isfinite(a).all() and np.isfinite(e).all()):
        raise DictionaryError("some activations or embeddings are not finite; leave out images without foreground")
    low, high = a.min(axis=0), a.max(axis=0)
    varies = high > low
    scaled = np.divide(a - low, high - low, out=np.zeros_like(a), where=varies)
    e = e - e.mean(axis=0)
    size = np.linalg.norm(e, axis=1, keepdims=True)
    e = np.divide(e, size, out=np.zeros_like(e), where=size > 0)
    score = _score(scaled, e)
    rng = np.random.default_rng(seed)
    null = np.array([_score(scaled, e[rng.permutation(len(e))]) for _ in range(permutations)]).reshape(-1, a.shape[1])
    score[~varies] = np.nan
    mean = null.mean(axis=0) if permutations else np.full(a.shape[1], np.nan)
    spread = null.std(axis=0, ddof=1) if permutations > 1 else np.full(a.shape[1], np.nan)
    p = np.where(varies, ((null >= score - 1e-12).sum(axis=0) + 1) / (permutations + 1), np.nan)
    z = np.divide(score - mean, spread, out=np.full_like(score, np.nan), where=spread > 0)
    table = pd.DataFrame(
        {"score": score, "null": np.where(varies, mean, np.nan), "z": z, "p": p},
        index=pd.RangeIndex(a.shape[1], name="feature"),
    )
    table.attrs = {
        "images": len(a),
        "mean": float(np.nanmean(score)) if varies.any() else float("nan"),
        "above_null": int((p <= max(0.05, 1 / (permutations + 1))).sum()),
    }
    return table


def _score(a: NDArray[np.float64], e: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = (a**2 * (e**2).sum(axis=1, keepdims=True)).sum(axis=0)
    top = ((a.T @ e) ** 2).sum(axis=1) - squares
    bottom = a.sum(axis=0) ** 2 - (a**2).sum(axis=0)
    return np.asarray(np.divide(top, bottom, out=np.full(a.shape[1], np.nan), where=bottom > 0))
