"""How many features tell a label from all others, on wells that the label was not chosen on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_phenolens.analysis.bootstrap import Interval
from napari_phenolens.analysis.protocol import Bools, Floats, Ints
from napari_phenolens.analysis.technical import shuffles

AUROC = 0.9  # from here on a feature tells its label
SPLITS, NULL_SPLITS, NULLS = 60, 4, 20


@dataclass(frozen=True)
class Telling:
    """Features that tell a label.

    Attributes
    ----------
    auroc : ndarray (m,)
        Mean held-out AUROC of each feature for the label it was chosen for; NaN for features that are never active.
    counts : ndarray (splits,)
        Features at or above `AUROC` in each split, for the same wells the same splits.
    active : int
        Features that are active at all.
    count : Interval
        Mean count, with a 95 % interval over wells.
    null : float
        Mean count where labels are shuffled within plates.
    """

    auroc: Floats
    counts: Floats
    active: int
    count: Interval
    null: float


def tell_labels(active: Floats, label: Ints, plate: Ints, *, splits: int = SPLITS, seed: int = 0) -> Telling:
    """Choose each feature's label on half of the wells, and ask on the other half how well it tells that label.

    Parameters
    ----------
    active : ndarray (n, m)
        Share of each well's units in which each feature is active.
    label : ndarray (n,) int
        0-based; each with two wells at least.
    plate : ndarray (n,) int
    splits, seed : int
        The splits depend on label, plate, splits and seed alone, so that two lenses over the same wells have the same.

    Returns
    -------
    Telling

    Notes
    -----
    The halves are drawn within labels. The label is chosen by average selectivity. The spread of a figure over random
    halves is about that of the whole over new wells (half-sampling, Shao and Tu 1995, section 5), so that the interval
    is the mean and 1.96 times that spread. A half with but one well of a label makes it wide, as it should.
    """
    rng = np.random.default_rng(seed)
    halves = [_half(label, rng) for _ in range(splits)]
    rates = np.asarray(active, np.float64)
    some = (rates > 0).any(axis=0)
    found = np.stack([_held_out(rates[:, some], label, half) for half in halves])
    counts = (found >= AUROC).sum(axis=1).astype(np.float64)
    shuffled = shuffles(plate, NULLS, rng)
    null = []
    for order in shuffled:
        for half in halves[:NULL_SPLITS]:
            null.append(float((_held_out(rates[:, some], label[order], half) >= AUROC).sum()))
    auroc = np.full(rates.shape[1], np.nan)
    auroc[some] = found.mean(axis=0)
    count = half_sampled(counts)
    count = Interval(count.value, max(count.low, 0.0), min(count.high, float(some.sum())))
    return Telling(auroc, counts, int(some.sum()), count, float(np.mean(null)))


def half_sampled(values: Floats) -> Interval:
    """Give the mean of a figure over random halves of the wells with its 95 % interval."""
    mean, spread = float(values.mean()), 1.96 * float(values.std(ddof=1))
    return Interval(mean, mean - spread, mean + spread)


def _half(label: Ints, rng: np.random.Generator) -> Bools:
    """Draw half of each label's wells; of an odd number the odd one goes either way."""
    half = np.zeros(len(label), bool)
    for level in np.unique(label):
        wells = rng.permutation(np.flatnonzero(label == level))
        size = len(wells) // 2 + (len(wells) % 2 and int(rng.integers(2)))
        half[wells[:size]] = True
    return half


def _held_out(rates: Floats, label: Ints, half: Bools) -> Floats:
    """AUROC of each feature (m,) in the other half, for the label chosen in this one; one direction: more active."""
    from scipy.stats import rankdata

    levels = np.unique(label)
    one_hot = (label[:, None] == levels).astype(np.float64)
    first = one_hot[half]
    sums, size = first.T @ rates[half], first.sum(axis=0)[:, None]
    rest = half.sum() - size
    total = sums.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = sums / size - (total - sums) / rest
    chosen = np.where(np.isfinite(gap), gap, -np.inf).argmax(axis=0)
    second = one_hot[~half]
    ranks = rankdata(rates[~half], axis=0)
    inside = second.sum(axis=0)
    outside = len(second) - inside
    with np.errstate(divide="ignore", invalid="ignore"):
        every = (second.T @ ranks - (inside * (inside + 1) / 2)[:, None]) / (inside * outside)[:, None]
    every[~np.isfinite(every)] = 0.5  # shuffled labels may have no well in this half
    out: Floats = every[chosen, np.arange(rates.shape[1])]
    return out
