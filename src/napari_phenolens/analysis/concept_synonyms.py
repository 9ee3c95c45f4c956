"""Concepts that say the same as another one, and those that say again what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.analysis.concept_values import LEAST_WELLS, TREATMENT, Concept
from napari_phenolens.analysis.protocol import Bools, Floats, Ints

SAME = 0.95  # |r| over wells from which two concepts are one: nine tenths of what varies is common
SAME_IN_CONTROLS = 0.8  # and over control wells, with the same sign: a treatment joins what is not the same
LEAST_CONTROLS = 4


def without_question(
    listed: Sequence[Concept], control: Bools, perturbed: Bools | None
) -> tuple[list[Concept], list[str]]:
    """Leave out the classes that are one side of the contrast itself: they explain nothing.

    Parameters
    ----------
    listed : sequence of Concept
        All concepts.
    control : ndarray (n,) bool
        Control wells among those looked at.
    perturbed : ndarray (n,) bool or None
        Perturbed wells among them; None where there is no second side.

    Returns
    -------
    kept : list of Concept
    asked : list of str
        Names of those left out.
    """
    sides = [side for side in (control, perturbed) if side is not None and 0 < side.sum() < len(side)]
    kept: list[Concept] = []
    asked: list[str] = []
    for concept in listed:
        known = np.isfinite(concept.wells)
        has = concept.wells > 0.5
        same = concept.kind in TREATMENT and concept.binary and any(
            _equal(has[known], side[known]) for side in sides
        )  # fmt: skip
        if same:
            asked.append(concept.name)
        else:
            kept.append(concept)
    return kept, asked


def _equal(has: Bools, side: Bools) -> bool:
    """Whether a class is a side or all but it."""
    return 0 < side.sum() < len(side) and (np.array_equal(has, side) or np.array_equal(has, ~side))


def synonyms(matrix: Floats, control: Bools) -> npt.NDArray[np.bool_]:
    """Tell which concepts say the same of the wells.

    Parameters
    ----------
    matrix : ndarray (n, k)
        Concepts of the wells, NaN where a well has none.
    control : ndarray (n,) bool
        Control wells.

    Returns
    -------
    ndarray (k, k) bool
        Pearson's |r| of `SAME` over all wells that have both, and of `SAME_IN_CONTROLS` with the same sign over control
        wells, so that two things that one treatment changes are not taken for one. Nothing with fewer than four control
        wells. A concept is no synonym of itself.
    """
    if control.sum() < LEAST_CONTROLS:
        return np.zeros((matrix.shape[1],) * 2, bool)
    table = pd.DataFrame(matrix)
    over = table.corr(min_periods=LEAST_WELLS).to_numpy()
    among = table[control].corr(min_periods=LEAST_CONTROLS).to_numpy()
    with np.errstate(invalid="ignore"):
        same = (np.abs(over) >= SAME) & (among * np.sign(over) >= SAME_IN_CONTROLS)
    np.fill_diagonal(same, False)
    return np.asarray(same, np.bool_)


def grouped(same: npt.NDArray[np.bool_], rank: Ints, family: Any) -> Ints:
    """Give each feature's concepts the better-ranked one of their family that says the same.

    Parameters
    ----------
    same : ndarray (k, k) bool
        From `synonyms`.
    rank : ndarray (m, k) int
        Place of each concept among those of its family, from 1.
    family : ndarray (k,)
        Family of each concept.

    Returns
    -------
    ndarray (m, k) int
        The concept that leads its synonyms; -1 for one that leads, or stands alone.
    """
    m, k = rank.shape
    leader = np.full((m, k), -1, np.intp)
    row = np.arange(m)
    for number in np.unique(family):
        columns = np.flatnonzero(family == number)
        order = columns[np.argsort(rank[:, columns], axis=1, kind="stable")]
        for place in range(len(columns)):
            first = order[:, place]
            leads = leader[row, first] < 0
            later = rank > rank[row, first][:, None]
            mine = same[first] & (family == number)[None, :] & later & (leader < 0) & leads[:, None]
            leader = np.where(mine, first[:, None], leader)
    return leader
