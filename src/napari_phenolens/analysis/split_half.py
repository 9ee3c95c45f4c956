"""Figures not chosen on the wells they are quoted on: split halves, and one set's choice tested on another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from napari_phenolens.analysis.bootstrap import (
    Interval,
    percentile_interval,
    resample_weights,
    strata_of,
    weighted_moments,
)
from napari_phenolens.analysis.contrast import Design, estimate
from napari_phenolens.analysis.effects import ssmd, zprime
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.permutation import all_labels, draw_labels
from napari_phenolens.analysis.phenotype import combine
from napari_phenolens.analysis.protocol import Bools, Floats, Ints, Query, RunLike
from napari_phenolens.analysis.ranking import moderated_ranking
from napari_phenolens.analysis.sides import gather


@dataclass(frozen=True)
class SplitHalf:
    """The leading feature chosen on one half of the wells, tested on the other.

    Attributes
    ----------
    table : DataFrame
        A row a split: ``feature``, ``sign`` (of its effect in the half it was chosen on), ``zprime``, ``ssmd`` in the
        other half. A sign that does not hold makes ssmd negative and Z' -inf.
    zprime, ssmd : Interval
        Median over the splits; the ends are those of the middle 95 % of the splits.
    zprime_wells, ssmd_wells : Interval
        The same medians with 95 % bootstrap-by-well intervals (NaN where no bootstrap was asked for).
    """

    table: pd.DataFrame
    zprime: Interval
    ssmd: Interval
    zprime_wells: Interval
    ssmd_wells: Interval


def split_half(
    runs: RunLike | Sequence[RunLike],
    controls: Query | None,
    perturbed: Query,
    *,
    splits: int = 1000,
    seed: int = 0,
    per: str = "patch",
    kind: str = "activation",
    bootstrap: int = 0,
    candidates: Sequence[int] | None = None,
    phenotype: bool = False,
) -> SplitHalf:
    """Choose the leading feature (by the size of their effect) on half of the wells and test it on the other half.

    Parameters
    ----------
    runs, controls, perturbed, per, kind
        As in `compare`.
    splits : int
        All splits where there are no more than this, else so many drawn ones.
    seed : int
        Seed of splits and bootstrap.
    bootstrap : int
        Number of resamples of the wells for intervals of the medians: wells keep their half in every split, so none is
        both chosen and tested on. Each resample uses up to 100 of the splits.
    candidates : sequence of int or None
        Choose among these features only.
    phenotype : bool
        Choose the score of the leading features that go together instead, see `phenotype`; ``feature`` in the table is
        then the strongest of them.

    Returns
    -------
    SplitHalf

    Raises
    ------
    AnalysisError
        With fewer than four wells on a side: half of them have no spread.
    """
    sides, values = gather(runs, controls, perturbed, per=per, kind=kind)
    n0, n1 = sides.design.counts
    if min(n0, n1) < 4:
        raise AnalysisError(
            f"split halves need four wells on either side; there are {n0} control and {n1} perturbed wells"
        )
    values = estimate(values, sides.design).adjusted
    features = np.arange(values.shape[1]) if candidates is None else np.asarray(list(candidates), dtype=np.intp)
    return split_values(
        values[:, features], sides.design, features, splits=splits, seed=seed, bootstrap=bootstrap, phenotype=phenotype
    )


def split_values(
    values: Floats,
    design: Design,
    features: Ints,
    *,
    splits: int = 1000,
    seed: int = 0,
    bootstrap: int = 0,
    phenotype: bool = False,
) -> SplitHalf:
    """Do what `split_half` does with any table of well values, such as one hand-made column.

    Parameters
    ----------
    values : ndarray (n, m)
        Plate-adjusted well values.
    design : Design
        Sides and plates.
    features : ndarray (m,)
        Names of the columns.
    splits, seed, bootstrap, phenotype
        See `split_half`.

    Returns
    -------
    SplitHalf
    """
    rng = np.random.default_rng(seed)
    halves = _halves(design, splits, rng)
    once = np.ones(design.n)
    rows = [_one(values, design, half, once, phenotype) for half in halves]
    table = pd.DataFrame(rows, columns=["column", "sign", "zprime", "ssmd"])
    table.insert(0, "feature", features[table.pop("column").to_numpy(dtype=np.intp)])
    z, s = _median(table["zprime"].to_numpy()), _median(table["ssmd"].to_numpy())
    z_draws: list[float] = []
    s_draws: list[float] = []
    if bootstrap:
        some = halves if len(halves) <= 100 else halves[rng.choice(len(halves), 100, replace=False)]
        for weights in resample_weights(strata_of(design), bootstrap, rng):
            found = np.array([_one(values, design, half, weights, phenotype)[2:] for half in some])
            z_draws.append(_median(found[:, 0]))
            s_draws.append(_median(found[:, 1]))
    return SplitHalf(
        table,
        percentile_interval(table["zprime"].to_numpy(), z),
        percentile_interval(table["ssmd"].to_numpy(), s),
        percentile_interval(z_draws, z),
        percentile_interval(s_draws, s),
    )


def _median(values: Floats) -> float:
    """Median of the numbers among the values; NaN where there are none."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _halves(design: Design, splits: int, rng: np.random.Generator) -> Bools:
    """Give the wells of the choosing half, (splits, n): half of each plate's side, the odd one left to the test."""
    dealt: list[Design] = []
    masks: list[Bools] = []
    total = 1
    for perturbed in (False, True):
        wells = design.side == perturbed
        chosen = np.zeros(int(wells.sum()), dtype=bool)
        plate = design.plate[wells]
        for p in np.unique(plate):
            at = np.flatnonzero(plate == p)
            chosen[at[: len(at) // 2]] = True
            total *= math.comb(len(at), len(at) // 2)
        dealt.append(Design(chosen, np.unique(plate, return_inverse=True)[1].astype(np.intp)))
        masks.append(wells)
    if total <= splits:
        first, second = all_labels(dealt[0]), all_labels(dealt[1])
        pairs = [(a, b) for a in first for b in second]
    else:
        pairs = list(zip(draw_labels(dealt[0], splits, rng), draw_labels(dealt[1], splits, rng), strict=True))
    halves = np.zeros((len(pairs), design.n), dtype=bool)
    for row, (a, b) in enumerate(pairs):
        halves[row, masks[0]] = a
        halves[row, masks[1]] = b
    return halves


def _one(
    values: Floats, design: Design, half: Bools, weights: Floats, phenotype: bool
) -> tuple[int, float, float, float]:
    """Choose on one half, test on the other: column, sign, Z', ssmd."""
    columns, share = _choose(values, design, weights * half, phenotype)
    if not len(columns):
        return 0, 0.0, float("nan"), float("nan")
    z, s = signed_separation((values[:, columns] @ share)[:, None], design.side, weights * ~half, 1.0)
    return int(columns[0]), float(np.sign(share[0])), z, s


def _choose(values: Floats, design: Design, weights: Floats, phenotype: bool) -> tuple[Ints, Floats]:
    """Choose what leads: columns, the strongest first, and what each counts in a score that should rise."""
    if phenotype:
        return combine(values, design, weights)
    effect = moderated_ranking(values, design.side, weights)
    if not np.isfinite(effect).any():
        return np.zeros(0, np.intp), np.zeros(0)
    column = int(np.nanargmax(np.abs(effect)))
    return np.array([column], np.intp), np.array([float(np.sign(effect[column])) or 1.0])


def signed_separation(value: Floats, side: Bools, weights: Floats, sign: float) -> tuple[float, float]:
    """Give Z' and ssmd of one column in the direction that was expected; against it Z' is -inf."""
    centred = value - value.mean(axis=0)
    mean0, var0, _ = weighted_moments(centred[~side], weights[None, ~side])
    mean1, var1, _ = weighted_moments(centred[side], weights[None, side])
    difference: Floats = (mean1 - mean0) * sign
    z = float(zprime(difference, var0, var1)[0, 0])
    if difference[0, 0] <= 0 and not math.isnan(z):
        z = -math.inf
    return z, float(ssmd(difference, var0, var1)[0, 0])


def separate_many(values: Floats, side: Bools, weights: Floats) -> Floats:
    """Give Z' of every column under many weightings of the wells, in either direction.

    Parameters
    ----------
    values : ndarray (n, m)
        Well values.
    side : ndarray (n,) bool
        True for perturbed wells.
    weights : ndarray (B, n)
        See `resample_weights`.

    Returns
    -------
    ndarray (B, m)
        NaN where one side has a single distinct well.
    """
    centred = values - values.mean(axis=0)
    mean0, var0, _ = weighted_moments(centred[~side], weights[:, ~side])
    mean1, var1, _ = weighted_moments(centred[side], weights[:, side])
    return zprime(mean1 - mean0, var0, var1)


@dataclass(frozen=True)
class Transfer:
    """The leading feature of one set of wells, tested on another.

    Attributes
    ----------
    feature : int
        The feature.
    sign : float
        Sign of its effect where it was chosen.
    zprime, ssmd : Interval
        In the test wells, with 95 % bootstrap-by-well intervals (the choice is held).
    """

    feature: int
    sign: float
    zprime: Interval
    ssmd: Interval


def transfer(
    runs: RunLike | Sequence[RunLike],
    chosen_on: tuple[Query | None, Query],
    tested_on: tuple[Query | None, Query],
    *,
    per: str = "patch",
    kind: str = "activation",
    bootstrap: int = 2000,
    seed: int = 0,
    phenotype: bool = False,
) -> Transfer:
    """Choose the leading feature (by the size of their effect) on some wells and test it on others.

    Parameters
    ----------
    runs, per, kind
        As in `compare`.
    chosen_on, tested_on : (controls, perturbed)
        The two sets of wells.
    bootstrap, seed : int
        Resamples of the test wells.
    phenotype : bool
        Choose the score of the leading features that go together, see `phenotype`.

    Returns
    -------
    Transfer
    """
    sides, values = gather(runs, *chosen_on, per=per, kind=kind)
    others, test = gather(runs, *tested_on, per=per, kind=kind)
    used = {(sides.plates[p], w) for p, w in sides.wells}
    both = [w for p, w in others.wells if (others.plates[p], w) in used]
    if both:
        raise AnalysisError(
            f"{len(both)} wells are both chosen and tested on ({', '.join(both[:6])} ...); give sets that share none"
        )
    values = estimate(values, sides.design).adjusted
    columns, share = _choose(values, sides.design, np.ones(len(values)), phenotype)
    if not len(columns):
        raise AnalysisError("no feature differs between the wells to choose on")
    score = estimate(test, others.design).adjusted[:, columns] @ share
    z, s = separation(score, others.design, 1.0, bootstrap=bootstrap, seed=seed)
    return Transfer(int(columns[0]), float(np.sign(share[0])), z, s)


def separation(
    value: Floats, design: Design, sign: float | None = None, *, bootstrap: int = 2000, seed: int = 0
) -> tuple[Interval, Interval]:
    """Give Z' and ssmd of one column of well values with 95 % bootstrap-by-well intervals.

    Parameters
    ----------
    value : ndarray (n,)
        A value a well.
    design : Design
        Sides and plates.
    sign : float or None
        The direction expected; None takes the one found.
    bootstrap, seed : int
        Resamples.

    Returns
    -------
    zprime, ssmd : Interval
    """
    column = np.asarray(value, dtype=np.float64)[:, None]
    once = np.ones(len(column))
    if sign is None:
        sign = float(np.sign(column[design.side].mean() - column[~design.side].mean())) or 1.0
    z, s = signed_separation(column, design.side, once, sign)
    draws = np.array([
        signed_separation(column, design.side, w, sign) for w in resample_weights(strata_of(design), bootstrap, seed)
    ])  # fmt: skip
    return percentile_interval(draws[:, 0], z), percentile_interval(draws[:, 1], s)
