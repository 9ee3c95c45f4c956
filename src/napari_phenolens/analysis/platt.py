"""From scores to probabilities: a sigmoid through scores of held-out wells, no steeper than the wells bear out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_phenolens.analysis.protocol import Bools, Floats, Ints


@dataclass(frozen=True)
class Sigmoid:
    """Probability ``1 / (1 + exp(-(slope * score + intercept)))``.

    Attributes
    ----------
    slope, intercept : float
        Slope 0: the scores say nothing, and every probability is one half.
    kept : float
        Share of the fitted slope that was kept, 0 to 1.
    """

    slope: float
    intercept: float
    kept: float

    def __call__(self, score: Floats) -> Floats:
        """Give the probability of each score."""
        from scipy.special import expit

        return np.asarray(expit(self.slope * score + self.intercept), np.float64)


def fit_sigmoid(score: Floats, outcome: Bools, weight: Floats, well: Ints) -> Sigmoid:
    """Fit a sigmoid, its slope shrunk by how far it varies over wells.

    Parameters
    ----------
    score : ndarray (n,)
        Scores of cells by models that did not see their wells.
    outcome : ndarray (n,) bool
        Whether a cell's well is a perturbed one; both there.
    weight : ndarray (n,)
        What each cell counts; both outcomes weigh the same.
    well : ndarray (n,) int
        Well of each cell.

    Returns
    -------
    Sigmoid

    Notes
    -----
    Platt 1999, targets smoothed as he does. His sigmoid takes cells for independent. Cells of one well share what is
    odd about it, so that a handful of wells gives a steep slope by chance, and where nothing is to be told, sure and
    wrong answers. So the slope ``a`` is multiplied by ``max(0, 1 - V / a^2)``: the positive part of James and Stein's
    estimator in one dimension, with V its variance by wells (the sandwich of Liang and Zeger 1986 with the factor
    G / (G - 1) for G wells). A slope below 0 becomes 0. The intercept is fitted anew for the slope that is left.
    """
    from scipy.optimize import brentq
    from scipy.special import expit
    from sklearn.linear_model import LogisticRegression

    spread = float(score.std())
    if spread == 0:
        return Sigmoid(0.0, 0.0, 0.0)
    centre = float(score.mean())
    z = (score - centre) / spread
    yes, no = float(weight[outcome].sum()), float(weight[~outcome].sum())
    target = np.where(outcome, (yes + 1) / (yes + 2), 1 / (no + 2))
    # a target between 0 and 1 is a cell of each outcome, by weight
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(
        np.concatenate([z, z])[:, None], np.repeat([1, 0], len(z)),
        sample_weight=np.concatenate([weight * target, weight * (1 - target)]),
    )  # fmt: skip
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        return Sigmoid(0.0, 0.0, 0.0)
    design = np.stack([z, np.ones_like(z)], axis=1)
    p = expit(slope * z + intercept)
    bread = np.linalg.inv((design * (weight * p * (1 - p))[:, None]).T @ design)
    _, place = np.unique(well, return_inverse=True)
    wells = int(place.max()) + 1
    pulls = np.zeros((wells, 2))
    np.add.at(pulls, place, design * (weight * (target - p))[:, None])
    variance = float((bread @ (pulls.T @ pulls) @ bread)[0, 0]) * wells / (wells - 1)
    kept = max(0.0, 1 - variance / slope**2)
    if kept == 0:
        return Sigmoid(0.0, 0.0, 0.0)
    slope *= kept
    far = float(np.abs(slope * z).max()) + 50
    intercept = float(brentq(lambda b: float(weight @ (target - expit(slope * z + b))), -far, far))
    return Sigmoid(slope / spread, intercept - slope * centre / spread, kept)
