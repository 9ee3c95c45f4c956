"""Effect sizes of a contrast, a number a feature."""

from __future__ import annotations

import numpy as np

from napari_phenolens.analysis.contrast import Design, Estimate
from napari_phenolens.analysis.moderated import Moderated
from napari_phenolens.analysis.protocol import Floats


def divide(a: Floats, b: Floats) -> Floats:
    """Give a / b, NaN where b is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        out: Floats = np.where(b == 0, np.nan, a / np.where(b == 0, 1.0, b))
    return out


def moderated_effect(
    estimated: Estimate, moderated: Moderated, design: Design, level: float = 0.95
) -> tuple[Floats, Floats, Floats, Floats]:
    """Give effect, its interval and the parametric p of the moderated t.

    Parameters
    ----------
    estimated, moderated : Estimate, Moderated
        Differences and moderated variances.
    design : Design
        Sides and plates.
    level : float
        Coverage of the interval.

    Returns
    -------
    effect, low, high, p : ndarray (m,)
        effect = difference / moderated SD; its interval inverts the noncentral t of df d + d0, exact under limma's
        model.
    """
    from scipy import special, stats

    effect = divide(estimated.difference, np.sqrt(moderated.variance))
    effect[estimated.difference == 0] = 0.0
    root = np.sqrt(design.information)
    t = effect * root
    low, high, p = (np.full_like(effect, np.nan) for _ in range(3))
    known = np.isfinite(t)
    if moderated.df > 0 and known.any():
        tail = (1 - level) / 2
        # Beyond some thousands of degrees of freedom the noncentral t is the normal, and its inverse needs
        # no iteration.
        if moderated.df > 5000:
            z = float(stats.norm.ppf(1 - tail))
            low[known], high[known] = t[known] - z, t[known] + z
            p[known] = 2 * stats.norm.sf(np.abs(t[known]))
        else:
            low[known] = special.nctdtrinc(moderated.df, 1 - tail, t[known])
            high[known] = special.nctdtrinc(moderated.df, tail, t[known])
            p[known] = 2 * stats.t.sf(np.abs(t[known]), moderated.df)
            # Far out the inversion fails; there the large-sample error of a standardised difference serves.
            bad = known & ~(np.isfinite(low) & np.isfinite(high) & (low <= t) & (high >= t))
            wide = np.sqrt(1 + t[bad] ** 2 / (2 * moderated.df)) * float(stats.t.ppf(1 - tail, moderated.df))
            low[bad], high[bad] = t[bad] - wide, t[bad] + wide
    return effect, low / root, high / root, p


def hedges_g(estimated: Estimate, design: Design) -> Floats:
    """Difference over the pooled (unmoderated) SD, freed of its small-sample bias (Hedges 1981)."""
    from scipy.special import gammaln

    df = design.df
    if df < 2:
        return np.full_like(estimated.difference, np.nan)
    unbias = float(np.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / np.sqrt(df / 2))
    return unbias * divide(estimated.difference, np.sqrt(estimated.variance))


def side_variances(estimated: Estimate, design: Design) -> tuple[Floats, Floats]:
    """Variance of the control and of the perturbed wells, plates adjusted; NaN with fewer than two wells."""
    out = []
    for perturbed in (False, True):
        values = estimated.adjusted[design.side == perturbed]
        df = design.side_df(perturbed)
        if len(values) < 2 or df <= 0:
            out.append(np.full(values.shape[1], np.nan))
            continue
        out.append(((values - values.mean(axis=0)) ** 2).sum(axis=0) / df)
    return out[0], out[1]


def ssmd(difference: Floats, control_variance: Floats, perturbed_variance: Floats) -> Floats:
    """Strictly standardised mean difference: difference over the root of the summed variances (Zhang 2007)."""
    return divide(difference, np.sqrt(control_variance + perturbed_variance))


def zprime(difference: Floats, control_variance: Floats, perturbed_variance: Floats) -> Floats:
    """Z' = 1 - 3 (SD + SD) / |difference| (Zhang, Chung and Oldenburg 1999)."""
    spread = np.sqrt(control_variance) + np.sqrt(perturbed_variance)
    return 1.0 - 3.0 * divide(spread, np.abs(difference))


def robust_z(estimated: Estimate, design: Design) -> Floats:
    """Median of the perturbed wells less the controls', over 1.4826 times the controls' MAD; NaN where that is 0."""
    control, perturbed = estimated.adjusted[~design.side], estimated.adjusted[design.side]
    middle = np.median(control, axis=0)
    mad = 1.4826 * np.median(np.abs(control - middle), axis=0)
    return divide(np.median(perturbed, axis=0) - middle, mad)


def auroc(values: Floats, design: Design) -> Floats:
    """Chance that a perturbed well exceeds a control well of its plate, ties counted half.

    Parameters
    ----------
    values : ndarray (n, m)
        Well means as measured; only pairs within a plate are compared.
    design : Design
        Sides and plates.

    Returns
    -------
    ndarray (m,)
    """
    from scipy.stats import rankdata

    wins, pairs = np.zeros(values.shape[1]), 0
    for p, (n0, n1) in enumerate(design.per_plate):
        if n0 == 0 or n1 == 0:
            continue
        rows = design.plate == p
        ranks = rankdata(values[rows], axis=0)
        wins += ranks[design.side[rows]].sum(axis=0) - n1 * (n1 + 1) / 2
        pairs += n0 * n1
    return wins / pairs
