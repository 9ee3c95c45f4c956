"""`subpopulations`: responders and escapers in perturbed wells, false positives of control wells taken off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.bootstrap import Interval, percentile_interval, resample_weights
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.looks import CALLED, CellRun, Looks, looks
from napari_phenolens.analysis.protocol import Bools, Floats, Ints, Query
from napari_phenolens.analysis.sides import select
from napari_phenolens.analysis.well_values import WellValues
from napari_phenolens.progress import CancelCallback, ProgressCallback

CALLED_RANK = 0.95  # of held-out control cells below it, where there is no probability


@dataclass(frozen=True)
class Subpopulations:
    """How many cells respond.

    Attributes
    ----------
    wells : DataFrame
        Index ``well``: control wells first (``side`` control; what is called perturbed there is false), then the wells
        asked for. ``cells``; ``called``: share of cells called perturbed; ``responders`` and ``escapers``: shares once
        false positives are taken off, with ``_low`` and ``_high`` (95 %), NaN for control wells.
    cells : DataFrame
        Index ``cell`` as in ``Run.cells``, of these wells: ``well``, ``field``, ``label``, ``state``: ``responder`` or
        ``escaper``, in control wells ``false positive`` or ``control``.
    false_positives : Interval
        Share of cells of held-out control wells called perturbed; interval over control wells.
    responders, escapers : Interval
        Over all cells of the wells asked for, intervals over wells.
    looks : Looks
        What the calls rest on.
    rule : str
        What calls a cell perturbed.
    """

    wells: pd.DataFrame
    cells: pd.DataFrame
    false_positives: Interval
    responders: Interval
    escapers: Interval
    looks: Looks
    rule: str

    def well_values(self) -> WellValues:
        """Give every well's share of escapers, to colour a plate map by; control wells have none and say why."""
        said = {}
        for well, row in self.wells.iterrows():
            called = f"{row['called']:.1%} of {row['cells']} cells called perturbed"
            if row["side"] == "control":
                said[str(well)] = f"control, held out: {called}, falsely"
            else:
                between = f"{row['escapers_low']:.0%} to {row['escapers_high']:.0%}"
                said[str(well)] = f"escapers: {row['escapers']:.0%} (95 %: {between}); {called}"
        low, high = (f"{v:.1%}" for v in (self.false_positives.low, self.false_positives.high))
        note = (
            f"Share of cells that still look like control. {self.false_positives.value:.1%} of the cells of held-out "
            f"control wells (95 %: {low} to {high}) are called perturbed, falsely, and are taken off."
        )
        return WellValues("Escapers", values=self.wells["escapers"], limits=(0.0, 1.0), note=note, told=said)

    def summary(self) -> dict[str, Any]:
        """Give what stands over the table, as plain values."""
        figures = {name: getattr(self, name) for name in ("false_positives", "responders", "escapers")}
        return {
            "rule": self.rule,
            **{name: {"value": f.value, "low": f.low, "high": f.high} for name, f in figures.items()},
            "looks": self.looks.summary(),
        }


def subpopulations(
    run: CellRun,
    controls: Query | None = None,
    perturbed: Query | None = None,
    *,
    wells: Query | None = None,
    found: Looks | None = None,
    draws: int = 2000,
    seed: int = 0,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> Subpopulations:
    """Count responders and escapers (cells that still look like control) in wells.

    Parameters
    ----------
    run : Run
        A run with cells.
    controls, perturbed : query
        The wells that say what control and perturbed look like, see `looks`.
    wells : query, optional
        The wells to count in, none of them a control; default: the perturbed ones.
    found : Looks, optional
        What `looks` gave of these sides, where it is there already.
    draws, seed : int
        Resamples.
    progress, cancel : callable, optional
        See `napari_phenolens.progress`.

    Returns
    -------
    Subpopulations

    Raises
    ------
    AnalysisError
        As `looks`; where a control well is to be counted in, or a well has no cells.

    Notes
    -----
    A cell is called perturbed by a model that never saw its well. With the share ``f`` so called in held-out control
    wells, a share ``c`` so called becomes ``(c - f) / (1 - f)`` responders (not below 0): the same share of the cells
    that do not respond is called perturbed in a perturbed well. Cells that respond too weakly to be told from control
    count as escapers. A well's interval takes its cells for a sample (Jeffreys) and draws the control wells again, so
    it holds for the cells that might have been imaged in this very well; the one over all wells draws wells. Cells of
    perturbed wells that look like control were told from heatmaps by Donhauser et al. 2025; here false positives count.
    """
    told = found if found is not None else looks(
        run, controls, perturbed, seed=seed, progress=progress, cancel=cancel
    )  # fmt: skip
    asked = list(told.perturbed)
    if wells is not None:
        (asked,), _ = select([run], [run.plate_name], wells, "counted")
    both = sorted(set(asked) & set(told.controls))
    if both:
        raise AnalysisError(f"control wells cannot be counted in ({', '.join(both[:6])}): choose others with wells=")
    cells = told.cells
    if told.calibrated:
        rule, called = f"probability above {CALLED:g} at a prior of 50:50", cells["probability"].to_numpy() > CALLED
    else:
        rule = f"score above {CALLED_RANK:.0%} of the cells of held-out control wells"
        called = cells["rank"].to_numpy() > CALLED_RANK
    names = [*told.controls, *asked]
    place = pd.Series(np.arange(len(names)), index=names).reindex(cells["well"]).to_numpy()
    kept = np.flatnonzero(~np.isnan(place))
    number = place[kept].astype(np.intp)
    count = np.bincount(number, minlength=len(names)).astype(np.float64)
    yes = np.bincount(number, weights=called[kept].astype(np.float64), minlength=len(names)).astype(np.float64)
    empty = [names[i] for i in np.flatnonzero(count == 0)]
    if empty:
        raise AnalysisError(
            f"no cells in {', '.join(empty[:6])}; look at run.cells_skipped(), or leave these wells out"
        )
    n = len(told.controls)
    table, false_draws = _table(names, n, count, yes, draws, seed)
    false = percentile_interval(false_draws, float(yes[:n].sum() / count[:n].sum()))
    weights = resample_weights(np.zeros(len(asked)), draws, seed + 1)
    over = _responding((weights @ yes[n:]) / (weights @ count[n:]), false_draws)
    value = float(_responding(np.array(yes[n:].sum() / count[n:].sum()), np.array(false.value)))
    return Subpopulations(
        table, _states(cells, kept, called, number < n), false, percentile_interval(over, value),
        percentile_interval(1 - over, 1 - value), told, rule,
    )  # fmt: skip


def _responding(called: Floats, false: Floats) -> Floats:
    """Take false positives off; at least 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        out: Floats = np.maximum((called - false) / (1 - false), 0.0)
    return out


def _table(names: list[str], n: int, count: Floats, yes: Floats, draws: int, seed: int) -> tuple[pd.DataFrame, Floats]:
    """Give the table of wells, and the share of false positives in resamples of control wells."""
    weights = resample_weights(np.zeros(n), draws, seed)
    false_draws: Floats = (weights @ yes[:n]) / (weights @ count[:n])
    share = yes / count
    false = yes[:n].sum() / count[:n].sum()
    table = pd.DataFrame(
        {"side": np.where(np.arange(len(names)) < n, "control", "counted"), "cells": count.astype(np.int64)},
        index=pd.Index(names, name="well"),
    )
    table["called"] = share
    responders = _responding(share, np.asarray(false))
    table["responders"] = np.where(np.arange(len(names)) < n, np.nan, responders)
    rng = np.random.default_rng(seed)
    low, high = np.full(len(names), np.nan), np.full(len(names), np.nan)
    for i in range(n, len(names)):
        drawn = rng.beta(yes[i] + 0.5, count[i] - yes[i] + 0.5, size=draws)
        interval = percentile_interval(_responding(drawn, false_draws), float(responders[i]))
        low[i], high[i] = interval.low, interval.high
    table["responders_low"], table["responders_high"] = low, high
    table["escapers"], table["escapers_low"], table["escapers_high"] = 1 - table["responders"], 1 - high, 1 - low
    return table, false_draws


def _states(cells: pd.DataFrame, kept: Ints, called: Bools, control: Bools) -> pd.DataFrame:
    table = cells.iloc[kept][["well", "field", "label"]].copy()
    yes = called[kept]
    table["state"] = np.where(
        control, np.where(yes, "false positive", "control"), np.where(yes, "responder", "escaper")
    )
    return table
