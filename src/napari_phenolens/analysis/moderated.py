"""Variances shrunk to a trend over the mean (Smyth 2004; limma's ``eBayes(trend=TRUE)``)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_phenolens.analysis.protocol import Floats

# limma's own guard: a variance below this share of the median is offset, lest its logarithm rule the fit.
_SMALLEST_SHARE = 1e-5


@dataclass(frozen=True)
class Moderated:
    """Moderated variances of many features.

    Attributes
    ----------
    variance : ndarray (m,)
        Posterior variances, (d0 s0^2 + d s^2) / (d0 + d); NaN where the variance was NaN.
    prior : ndarray (m,)
        Prior variances s0^2 along the trend.
    d0 : float
        Prior degrees of freedom; 0 where there was nothing to learn from, inf where all features agree.
    df : float
        Degrees of freedom of a moderated t, min(d + d0, the d of all features together).
    """

    variance: Floats
    prior: Floats
    d0: float
    df: float


def trigamma_inverse(x: float) -> float:
    """Give y > 0 with trigamma(y) = x (Newton on 1 / trigamma, as in limma)."""
    from scipy.special import polygamma

    if not x > 0:
        raise ValueError(f"the inverse of trigamma needs a positive number, not {x}")
    if x > 1e7:
        return float(1.0 / np.sqrt(x))
    if x < 1e-6:
        return float(1.0 / x)
    y = 0.5 + 1.0 / x
    for _ in range(50):
        tri = float(polygamma(1, y))
        step = tri * (1.0 - tri / x) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-10:
            break
    return float(y)


def natural_spline(x: npt.ArrayLike, df: int) -> Floats:
    """Give a basis of natural cubic splines, the constant included.

    Parameters
    ----------
    x : array (n,)
        Positions; the outer knots are its limits, the inner ones its quantiles.
    df : int
        Number of columns, at least 2 (a straight line).

    Returns
    -------
    ndarray (n, df)
        Truncated powers, linear beyond the outer knots (Hastie et al., Elements of Statistical Learning, 5.2.1); spans
        the same functions as R's ``ns(x, df, intercept=TRUE)``.
    """
    x = np.asarray(x, dtype=np.float64)
    lo, hi = float(x.min()), float(x.max())
    u = (x - lo) / (hi - lo)
    basis = [np.ones_like(u), u]
    knots = np.quantile(u, np.linspace(0.0, 1.0, df))
    if df > 2:
        last = knots[-1]

        def tail(k: float) -> Floats:
            if last - k <= 1e-12:
                return np.zeros_like(u)
            out: Floats = (np.clip(u - k, 0, None) ** 3 - np.clip(u - last, 0, None) ** 3) / (last - k)
            return out

        before = tail(float(knots[-2]))
        basis += [tail(float(k)) - before for k in knots[:-2]]
    return np.stack(basis, axis=1)


def _trend_position(mean: Floats) -> Floats:
    """Where a feature lies on the trend: the log of its mean where all means are positive, else the mean itself."""
    if mean.size and mean.min() > 0:
        out: Floats = np.log(mean)
        return out
    return mean


def squeeze_variances(variance: npt.ArrayLike, df: float, mean: npt.ArrayLike | None = None) -> Moderated:
    """Shrink residual variances to a smooth trend over the mean.

    The log variances less their expected sampling bias are fitted by a natural cubic spline over the features' means
    (log means where all are positive, as of activations); what they scatter beyond trigamma(d / 2), the scatter of
    sampling, gives the prior degrees of freedom d0.

    Parameters
    ----------
    variance : array (m,)
        Residual variances; NaN and zero ones take no part in the fit.
    df : float
        Their degrees of freedom d (the same for all features).
    mean : array (m,) or None
        Mean of each feature; None for one common prior.

    Returns
    -------
    Moderated
    """
    from scipy.special import digamma, polygamma

    s2 = np.asarray(variance, dtype=np.float64)
    centre = np.zeros_like(s2) if mean is None else np.asarray(mean, dtype=np.float64)
    if df <= 0:
        return Moderated(np.full_like(s2, np.nan), np.full_like(s2, np.nan), 0.0, 0.0)
    known = np.isfinite(s2) & (s2 > 0) & np.isfinite(centre)
    n = int(known.sum())
    if n < 3:  # limma cannot fit either: no shrinkage
        return Moderated(s2.copy(), s2.copy(), 0.0, float(df))
    x = s2[known]
    x = np.maximum(x, _SMALLEST_SHARE * float(np.median(x)))
    e = np.log(x) - float(digamma(df / 2)) + float(np.log(df / 2))
    position = _trend_position(centre[known])
    columns = 1
    if mean is not None:  # limma's own choice of spline by the number of features
        columns = min(1 + (n >= 3) + (n >= 6) + (n >= 30), len(np.unique(position)))
    if columns < 2:
        fitted = np.full(n, e.mean())
        scatter = float(((e - fitted) ** 2).sum() / (n - 1))
    else:
        basis = natural_spline(position, columns)
        coefficients, _, rank, _ = np.linalg.lstsq(basis, e, rcond=None)
        fitted = basis @ coefficients
        scatter = float(((e - fitted) ** 2).sum() / max(n - int(rank), 1))
    scatter -= float(polygamma(1, df / 2))
    if scatter > 0:
        d0 = 2.0 * trigamma_inverse(scatter)
        prior_known = np.exp(fitted + float(digamma(d0 / 2)) - float(np.log(d0 / 2)))
    else:
        d0 = float("inf")
        prior_known = np.full(n, x.mean()) if columns < 2 else np.exp(fitted)
    prior = np.full_like(s2, np.nan)
    prior[known] = prior_known
    # A feature that does not vary takes the middle prior, so that its effect is a number.
    still = np.isfinite(s2) & (s2 <= 0)
    prior[still] = float(np.median(prior_known))
    used = s2.copy()
    used[known] = x
    posterior = prior if np.isinf(d0) else (d0 * prior + df * used) / (d0 + df)
    return Moderated(posterior.copy(), prior, d0, float(min(df + d0, df * n)))
