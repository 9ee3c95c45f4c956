"""The score that `compare` ranks by, under any weighting of the wells."""

from __future__ import annotations

import numpy as np

from napari_phenolens.analysis.bootstrap import weighted_moments
from napari_phenolens.analysis.effects import divide
from napari_phenolens.analysis.moderated import squeeze_variances
from napari_phenolens.analysis.protocol import Bools, Floats


def moderated_ranking(values: Floats, side: Bools, weights: Floats) -> Floats:
    """Give the moderated effect of every feature under one weighting of the wells: the score that `compare` ranks by.

    Parameters
    ----------
    values : ndarray (n, m)
        Plate-adjusted well means.
    side : ndarray (n,) bool
        True for perturbed wells.
    weights : ndarray (n,)
        0 leaves a well out.

    Returns
    -------
    ndarray (m,)
        Signed effects.
    """
    origin = values.mean(axis=0)
    mean0, var0, df0 = weighted_moments((values - origin)[~side], weights[None, ~side])
    mean1, var1, df1 = weighted_moments((values - origin)[side], weights[None, side])
    df = float(df0[0] + df1[0])
    pooled = (
        (np.nan_to_num(var0[0]) * df0[0] + np.nan_to_num(var1[0]) * df1[0]) / df
        if df > 0
        else np.full_like(origin, np.nan)
    )
    mean = origin + (weights @ (values - origin)) / weights.sum()
    difference: Floats = mean1[0] - mean0[0]
    effect = divide(difference, np.sqrt(squeeze_variances(pooled, df, mean).variance))
    effect[difference == 0] = 0.0
    return effect
