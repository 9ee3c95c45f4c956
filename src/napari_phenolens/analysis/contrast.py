"""The contrast of two sides over plates: differences, residual variances and plate-adjusted values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_phenolens.analysis.protocol import Bools, Floats, Ints


@dataclass(frozen=True)
class Design:
    """Which well is on which side and plate.

    Attributes
    ----------
    side : ndarray (n,) bool
        True for perturbed wells.
    plate : ndarray (n,) int
        0-based plate of each well.
    """

    side: Bools
    plate: Ints

    @property
    def n(self) -> int:
        """Number of wells."""
        return len(self.side)

    @property
    def n_plates(self) -> int:
        """Number of plates."""
        return int(self.plate.max()) + 1 if self.n else 0

    @property
    def counts(self) -> tuple[int, int]:
        """Numbers of control and of perturbed wells."""
        perturbed = int(self.side.sum())
        return self.n - perturbed, perturbed

    @property
    def per_plate(self) -> list[tuple[int, int]]:
        """Numbers of control and perturbed wells of each plate."""
        return [
            (int((~self.side[self.plate == p]).sum()), int(self.side[self.plate == p].sum()))
            for p in range(self.n_plates)
        ]

    @property
    def information(self) -> float:
        """Sum over plates of n0 n1 / (n0 + n1): one over the variance factor of the difference."""
        return float(sum(a * b / (a + b) for a, b in self.per_plate if a + b))

    @property
    def df(self) -> int:
        """Residual degrees of freedom: wells less plates less one."""
        return self.n - self.n_plates - 1

    def side_df(self, perturbed: bool) -> float:
        """Degrees of freedom of one side's variance: its wells less one and its share of the plates' means."""
        size = self.counts[1] if perturbed else self.counts[0]
        return size - 1 - (self.n_plates - 1) * size / self.n


@dataclass(frozen=True)
class Estimate:
    """Differences of many features, with plates as blocks.

    Attributes
    ----------
    difference : ndarray (m,)
        Perturbed minus control, least squares with a mean per plate.
    variance : ndarray (m,)
        Residual variance.
    adjusted : ndarray (n, m)
        Values less their plate's effect; with one plate the values themselves. Its side means differ by `difference`.
    mean : ndarray (m,)
        Mean over all wells.
    """

    difference: Floats
    variance: Floats
    adjusted: Floats
    mean: Floats


def centre_by(values: Floats, groups: Ints) -> Floats:
    """Take from each row the mean of its group's rows."""
    out = np.array(values, dtype=np.float64)
    for g in np.unique(groups):
        rows = groups == g
        out[rows] -= out[rows].mean(axis=0)
    return out


def estimate(values: Floats, design: Design) -> Estimate:
    """Estimate difference and residual variance of every column.

    Parameters
    ----------
    values : ndarray (n, m)
        Well means without NaN.
    design : Design
        Sides and plates of the n wells.

    Returns
    -------
    Estimate
        Ordinary least squares of ``value ~ plate + side``.
    """
    values = np.asarray(values, dtype=np.float64)
    side = design.side.astype(np.float64)
    centred = centre_by(values, design.plate)
    side_centred = centre_by(side[:, None], design.plate)[:, 0]
    information = design.information
    difference = side_centred @ centred / information
    residual = centred - side_centred[:, None] * difference
    df = design.df
    total = (residual**2).sum(axis=0)
    # Rounding leaves constant features a residue of 1e-32; a variance is zero below what doubles can
    # hold of the values.
    scale = (values**2).mean(axis=0)
    total[total <= 1e-24 * np.maximum(scale, 1e-300) * design.n] = 0.0
    variance = total / df if df > 0 else np.full(values.shape[1], np.nan)
    adjusted = values
    if design.n_plates > 1:
        adjusted = residual + side[:, None] * difference
        adjusted = adjusted + values[~design.side].mean(axis=0)
    return Estimate(difference, variance, adjusted, values.mean(axis=0))
