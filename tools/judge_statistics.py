"""Statistics of ``judge_encoder.py``: position on the control axis against dose, nearest neighbours, intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]
RESAMPLES = 2000
DISTANCES = ("standardised", "cosine")


@dataclass(frozen=True)
class Share:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def spearman_rows(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Give Spearman's rho of each row of `a` with the same row of `b`, ties at mean ranks; NaN for a constant row."""
    x, y = (rankdata(np.atleast_2d(v), axis=1) for v in (a, b))
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    norm = np.sqrt((x**2).sum(1) * (y**2).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        rho: Floats = np.where(norm > 0, (x * y).sum(1) / norm, np.nan)
    return rho


def axis_positions(wells: Floats, negative: Floats, positive: Floats) -> Floats:
    """Project wells ``(n, d)`` on the axis from mean negative (0) to mean positive (1) control."""
    start = negative.mean(0)
    axis = positive.mean(0) - start
    length = float(axis @ axis)
    result: Floats = (wells - start) @ axis / length if length > 0 else np.zeros(len(wells))
    return result


def resampled_spearman(
    dosed: Floats,
    doses: npt.ArrayLike,
    negative: Floats,
    positive: Floats,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Floats:
    """Give Spearman's rho of dose with the position on the control axis, for wells drawn with replacement.

    Dosed, negative and positive wells are each drawn anew, so that the axis is uncertain too. The same seed draws the
    same wells, so that two representations can be compared draw by draw.

    Parameters
    ----------
    dosed : ndarray
        ``(n, d)`` vectors of the dosed wells.
    doses : array
        ``(n,)`` their concentrations.
    negative, positive : ndarray
        ``(k, d)`` vectors of the control wells that make the axis.
    resamples, seed : int
        How many draws, and from where.

    Returns
    -------
    ndarray
        ``(resamples,)``.
    """
    rng = np.random.default_rng(seed)
    picked = rng.integers(0, len(dosed), (resamples, len(dosed)))
    weights = [rng.multinomial(len(c), np.full(len(c), 1 / len(c)), resamples) / len(c) for c in (positive, negative)]
    # Inner products of dosed wells with controls are all that a resampled axis needs.
    origin = np.concatenate([negative, positive]).mean(0)
    along = weights[0] @ ((positive - origin) @ (dosed - origin).T) - weights[1] @ (
        (negative - origin) @ (dosed - origin).T
    )
    return spearman_rows(np.take_along_axis(along, picked, 1), np.asarray(doses, np.float64)[picked])


def interval(draws: Floats) -> tuple[float, float]:
    """Give the 2.5 and 97.5 percentiles of what is defined."""
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return float(low), float(high)


def dose_spearman(dosed: Floats, doses: npt.ArrayLike, negative: Floats, positive: Floats) -> Share:
    """Give Spearman's rho of dose with the position on the control axis, see `resampled_spearman`."""
    value = float(spearman_rows(axis_positions(dosed, negative, positive), np.asarray(doses, np.float64))[0])
    return Share(value, *interval(resampled_spearman(dosed, doses, negative, positive)))


def nearest_neighbour_hits(vectors: Floats, labels: npt.ArrayLike, distance: str) -> int:
    """Count wells whose nearest other well has the same label.

    Parameters
    ----------
    vectors : ndarray
        ``(n, d)``.
    labels : array
        ``(n,)``.
    distance : str
        ``standardised``: Euclidean after each dimension has mean 0 and spread 1 over these wells; ``cosine``: of the
        vectors minus their mean. Neither looks at the labels.
    """
    names = np.asarray(labels)
    x = vectors - vectors.mean(0)
    if distance == "standardised":
        spread = x.std(0)
        x = x[:, spread > 0] / spread[spread > 0]
        d = ((x[:, None] - x[None]) ** 2).sum(2)
    elif distance == "cosine":
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        d = 1 - x @ x.T
    else:
        raise ValueError(f"distance {distance!r} is unknown; choose one of {', '.join(DISTANCES)}")
    np.fill_diagonal(d, np.inf)
    return int((names[d.argmin(1)] == names).sum())


def wilson(hits: int, n: int) -> Share:
    """Give a share with its 95 % Wilson score interval."""
    z = 1.959963984540054
    p = hits / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return Share(p, max(0.0, middle - half), min(1.0, middle + half))
