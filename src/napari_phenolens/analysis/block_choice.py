"""From wells told right or wrong at every block to a curve with its band, and to the block that it suggests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_phenolens.analysis.bootstrap import resample_weights
from napari_phenolens.analysis.protocol import Bools, Floats, Ints

DRAWS = 2000
SPLITS = 200
SPLIT_DRAWS = 200
LEAST_TO_SPLIT = 4  # groups of every class, so that each half has two


@dataclass(frozen=True)
class Curve:
    """Balanced accuracy of every block.

    Attributes
    ----------
    score : ndarray (blocks,)
        Balanced accuracy.
    low, high : ndarray (blocks,)
        95 % bootstrap band, wells (or their groups) drawn within classes.
    se : ndarray (blocks,)
        Standard error, see `standard_error`.
    """

    score: Floats
    low: Floats
    high: Floats
    se: Floats


def group_weights(label: Ints, group: Ints, draws: int, seed: int = 0) -> Floats:
    """Draw groups of wells with replacement, among those that hold the same classes.

    Parameters
    ----------
    label, group : ndarray (n,) int
        Class and group of each well.
    draws : int
        Number of resamples.
    seed : int
        Seed.

    Returns
    -------
    ndarray (draws, n)
        How often each well was drawn: as often as its group. With every well a group of its own, wells are drawn
        within classes.
    """
    groups, place = np.unique(group, return_inverse=True)
    held = np.zeros((len(groups), int(label.max()) + 1), dtype=bool)
    held[place, label] = True
    _, strata = np.unique(held, axis=0, return_inverse=True)
    return np.asarray(resample_weights(strata.ravel(), draws, seed)[:, place])


def scores(right: Floats, label: Ints, weights: Floats | None = None) -> Floats:
    """Give balanced accuracies under weightings of the wells.

    Parameters
    ----------
    right : ndarray (blocks, n)
        How often each well was told right, 0 to 1.
    label : ndarray (n,) int
        Class of each well.
    weights : ndarray (draws, n), optional
        Weights of the wells; default: one each.

    Returns
    -------
    ndarray (draws, blocks)
        NaN where a class has no weight.
    """
    if weights is None:
        weights = np.ones((1, len(label)))
    parts = []
    for c in np.unique(label):
        rows = label == c
        total = weights[:, rows].sum(1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            parts.append(weights[:, rows] @ right[:, rows].T / total)
    return np.asarray(np.mean(parts, axis=0))


def curve(right: Floats, label: Ints, group: Ints, *, draws: int = DRAWS, seed: int = 0) -> Curve:
    """Give every block's balanced accuracy with its band; one draw serves all blocks.

    Parameters
    ----------
    right : ndarray (blocks, n)
        See `probe`.
    label, group : ndarray (n,) int
        Class and group of each well.
    draws, seed : int
        Of the bootstrap.

    Returns
    -------
    Curve
        The band says how much the figure hangs on which wells were tested; the probes are not trained again.
    """
    drawn = scores(right, label, group_weights(label, group, draws, seed))
    low, high = np.nanquantile(drawn, (0.025, 0.975), axis=0)
    return Curve(scores(right, label)[0], low, high, standard_error(right, label, drawn))


def standard_error(right: Floats, label: Ints, drawn: Floats) -> Floats:
    """Give the standard error of every block's figure.

    Parameters
    ----------
    right : ndarray (blocks, n)
        See `probe`.
    label : ndarray (n,) int
        Class of each well.
    drawn : ndarray (draws, blocks)
        Balanced accuracies of bootstrap draws.

    Returns
    -------
    ndarray (blocks,)
        Standard deviation over the draws, but no less than with one more well told right and one more told wrong in
        each class (Agresti and Coull 1998): where no well is told wrong the bootstrap has no spread, and a block that
        missed one well would count as worse beyond doubt.
    """
    variances = []
    for c in np.unique(label):
        n = int((label == c).sum())
        share = (right[:, label == c].sum(1) + 1) / (n + 2)
        variances.append(share * (1 - share) / (n + 2))
    least = np.sqrt(np.sum(variances, axis=0)) / len(variances)
    return np.asarray(np.maximum(np.nanstd(drawn, axis=0, ddof=1), least))


def within_one_se(score: Floats, se: Floats) -> Bools:
    """Which blocks lie within one standard error of the best (Breiman et al. 1984)."""
    best = int(np.argmax(score))
    return np.asarray(score >= score[best] - se[best] - 1e-12)


def choose(score: Floats, se: Floats, own: int | None, guess: float = 0.0) -> int:
    """Choose a block: the earliest within one standard error of the best.

    An earlier block costs less time and its tokens are more local, so the later one must be worth it. Where every block
    is within one standard error the question does not tell the blocks apart, and where none is above guessing it tells
    nothing of them: the encoder's own stays.

    Parameters
    ----------
    score, se : ndarray (blocks,)
        Balanced accuracy and its standard error.
    own : int or None
        Place of the encoder's own block; None where it is not among them.
    guess : float
        What a block must be above to be more than a guess, see `guessing_limit`.

    Returns
    -------
    int
        Place of the block.
    """
    near = within_one_se(score, se)
    if own is not None and (near.all() or score.max() <= guess):
        return own
    return int(np.argmax(near))


def chosen_on_halves(
    right: Floats, label: Ints, group: Ints, own: int | None, *, splits: int = SPLITS, seed: int = 0
) -> float:
    """Give the balanced accuracy of the chosen block on wells that took no part in its choice.

    The wells of each class are divided into halves by group, the block is chosen on one half and quoted on the other.

    Parameters
    ----------
    right : ndarray (blocks, n)
        See `probe`.
    label, group : ndarray (n,) int
        Class and group of each well.
    own : int or None
        See `choose`.
    splits, seed : int
        Number of divisions, both ways each, and their seed.

    Returns
    -------
    float
        Mean over the divisions; NaN where a class has fewer than four groups. What is divided are the wells' outcomes:
        the probes themselves were trained on wells of both halves.
    """
    if min(len(np.unique(group[label == c])) for c in np.unique(label)) < LEAST_TO_SPLIT:
        return float("nan")
    groups, place = np.unique(group, return_inverse=True)
    # The first class of a group deals it out; where groups hold several classes, halves differ a little in size.
    first = np.array([label[place == i].min() for i in range(len(groups))])
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(splits):
        half = np.zeros(len(groups), dtype=bool)
        for c in np.unique(first):
            dealt = rng.permutation(np.flatnonzero(first == c))
            half[dealt[: len(dealt) // 2]] = True
        for side in (half[place], ~half[place]):
            if min(len(np.unique(label[side])), len(np.unique(label[~side]))) < len(np.unique(label)):
                continue
            mine, theirs = (right[:, side], label[side]), (right[:, ~side], label[~side])
            drawn = scores(*mine, group_weights(mine[1], group[side], SPLIT_DRAWS, seed))
            guess = guessing_limit(mine[1], draws=SPLIT_DRAWS, seed=seed)
            chosen = choose(scores(*mine)[0], standard_error(*mine, drawn), own, guess)
            found.append(float(scores(*theirs)[0, chosen]))
    return float(np.mean(found)) if found else float("nan")


def guessing_limit(label: Ints, *, draws: int = DRAWS, seed: int = 0) -> float:
    """Give the balanced accuracy that mere guessing stays below in 95 % of plates with so many wells."""
    rng = np.random.default_rng(seed)
    classes = np.unique(label)
    right = [rng.binomial((label == c).sum(), 1 / len(classes), draws) / (label == c).sum() for c in classes]
    return float(np.quantile(np.mean(right, axis=0), 0.95, method="higher"))
