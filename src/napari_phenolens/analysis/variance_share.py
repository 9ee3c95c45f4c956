"""How much of the wells' embeddings goes with the perturbation, and how much with the plate (or scanner)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_phenolens.analysis.protocol import Floats, Ints
from napari_phenolens.analysis.technical import shuffles

PERMUTATIONS = 999
_CHUNK = 64


@dataclass(frozen=True)
class Share:
    """A factor's own share of the variance of embeddings.

    Attributes
    ----------
    r2 : float
        Epsilon squared: less what chance gives so many contrasts; about zero for a factor that does nothing, sometimes
        below; NaN where it cannot be estimated.
    p : float
        Chance of so large a share when wells are shuffled within the other factor's levels.
    """

    r2: float = float("nan")
    p: float = float("nan")


@dataclass(frozen=True)
class Shares:
    """The shares of perturbation and batch, and why one is missing.

    Attributes
    ----------
    perturbation, batch : Share
        Each over and above the other.
    reason : str
        Why figures are NaN; empty where none is.
    """

    perturbation: Share
    batch: Share
    reason: str = ""

    @property
    def robustness(self) -> float:
        """The perturbation's part of what both explain, 0 to 1; NaN where either is, or neither explains anything."""
        a, b = max(self.perturbation.r2, 0.0), max(self.batch.r2, 0.0)
        if not np.isfinite([self.perturbation.r2, self.batch.r2]).all() or a + b == 0:
            return float("nan")
        return a / (a + b)


def variance_shares(
    embeddings: npt.NDArray[np.floating],
    perturbation: Ints,
    batch: Ints,
    *,
    batch_name: str = "plate",
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Shares:
    """Share the variance of the standardised embeddings out between perturbation and batch.

    Parameters
    ----------
    embeddings : ndarray (n, d)
        One row a well.
    perturbation, batch : ndarray (n,) int
        Levels of both factors.
    batch_name : str
        What the batch is, for the reason.
    permutations, seed : int
        Shuffles of the null.

    Returns
    -------
    Shares
        The share of each factor over and above the other: R2 of both less R2 of the other alone, less the factor's
        degrees of freedom times the residual mean square of both.

    Notes
    -----
    The trace R2 over all dimensions, each standardised, is that of a redundancy analysis on Euclidean distances
    (Anderson 2001), adjusted as epsilon squared (Kelley 1935), which of one factor is the adjusted R2. The difference
    of two adjusted R2 would be too large here: a strong perturbation is noise to the plate alone. A factor's contrasts,
    centred within the other factor's levels, are shuffled there, so that the null keeps the other factor.
    Robust blocks carry much of the perturbation and little of the scanner (Le et al. 2024, whose own metric is not
    published).
    """
    n = len(perturbation)
    values = np.asarray(embeddings, np.float64)
    centre, spread = values.mean(0), values.std(0)
    keep = spread > 1e-9 * np.maximum(np.abs(centre), 1e-300)
    if not keep.any():
        return Shares(Share(), Share(), "the embeddings of all wells are the same")
    standard = (values[:, keep] - centre[keep]) / spread[keep]
    u, s, _ = np.linalg.svd(standard, full_matrices=False)
    scores = u * s / np.sqrt((s**2).sum())  # the rows' geometry in few dimensions, total variance one
    levels = len(np.unique(perturbation)), len(np.unique(batch))
    alone = levels[1] < 2
    if n - 1 - (levels[0] - 1) - (levels[1] - 1) < 1:
        return Shares(Share(), Share(), f"{n} wells are too few for {levels[0]} classes and {levels[1]} {batch_name}s")
    own, within = _contrasts(perturbation, batch), _contrasts(batch, perturbation)
    if own.shape[1] < levels[0] - 1:
        why = f"perturbation and {batch_name} coincide, so that neither's share can be told from the other's"
        return Shares(Share(), Share(), why)
    marginal = _r2(_contrasts(perturbation, np.zeros_like(batch)), scores)
    left = 1.0 - marginal - _r2(within, scores)
    noise = left / (n - 1 - (levels[0] - 1) - (levels[1] - 1))
    first = Share(
        _r2(own, scores) - (levels[0] - 1) * noise,
        _p(own, scores, batch, permutations, seed),
    )
    if alone:
        return Shares(first, Share(), f"all wells are of one {batch_name}, so its share cannot be told")
    second = Share(
        _r2(within, scores) - (levels[1] - 1) * noise, _p(within, scores, perturbation, permutations, seed + 1)
    )
    return Shares(first, second)


def _contrasts(factor: Ints, other: Ints) -> Floats:
    """Orthonormal contrasts of a factor, centred within the levels of another, (n, independent ones)."""
    dummies = (factor[:, None] == np.unique(factor)).astype(np.float64)
    for level in np.unique(other):
        rows = other == level
        dummies[rows] -= dummies[rows].mean(0)
    u, s, _ = np.linalg.svd(dummies, full_matrices=False)
    return np.asarray(u[:, s > 1e-9 * np.sqrt(len(factor))])


def _r2(contrasts: Floats, scores: Floats) -> float:
    return float(((contrasts.T @ scores) ** 2).sum())


def _p(contrasts: Floats, scores: Floats, blocks: Ints, permutations: int, seed: int) -> float:
    """Chance of so large a share when the contrasts' rows are shuffled within blocks."""
    if permutations < 1:
        return float("nan")
    rng = np.random.default_rng(seed)
    seen, beyond = _r2(contrasts, scores), 0
    for start in range(0, permutations, _CHUNK):
        order = shuffles(blocks, min(_CHUNK, permutations - start), rng)
        drawn = np.matmul(contrasts[order].transpose(0, 2, 1), scores)
        beyond += int(np.count_nonzero((drawn**2).sum((1, 2)) >= seen - 1e-12))
    return (beyond + 1) / (permutations + 1)
