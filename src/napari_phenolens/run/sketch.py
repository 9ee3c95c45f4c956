"""Streaming quantile sketches: histograms on fixed bins, which add up over wells in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

ACTIVATION_BINS = 160
ACTIVATION_STEP = 0.01  # rows are coded at unit length, so that an activation seldom exceeds one
ALIGNMENT_BINS = 128
ALIGNMENT_REACH = 8.0  # in units of asinh: up to about 1,490


def activation_bin(values: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Give the bin of each activation; the first holds negative ones, the last all that lie beyond."""
    bins: npt.NDArray[np.int64] = np.clip(values // ACTIVATION_STEP, 0, ACTIVATION_BINS - 1).astype(np.int64)
    return bins


def alignment_bin(values: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Give the bin of each alignment, even steps of its inverse hyperbolic sine."""
    place = (np.arcsinh(values) / ALIGNMENT_REACH + 1) / 2 * ALIGNMENT_BINS
    bins: npt.NDArray[np.int64] = np.clip(np.floor(place), 0, ALIGNMENT_BINS - 1).astype(np.int64)
    return bins


def quantile(histogram: npt.NDArray[Any], q: float, kind: str) -> float:
    """Read a quantile off a histogram, the upper edge of its bin.

    Parameters
    ----------
    histogram : ndarray
        ``(bins,)`` counts.
    q : float
        0 to 1.
    kind : str
        ``activation`` or ``alignment``.

    Returns
    -------
    float
        The quantile; NaN where the histogram is empty.
    """
    total = int(histogram.sum())
    if total == 0:
        return float("nan")
    place = int(np.searchsorted(np.cumsum(histogram), q * total, side="left")) + 1
    if kind == "activation":
        return place * ACTIVATION_STEP
    return float(np.sinh((place / ALIGNMENT_BINS * 2 - 1) * ALIGNMENT_REACH))
