"""`distinguish`: which features tell some cells from others, with a score on wells that were not looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.bootstrap import Interval, percentile_interval
from napari_phenolens.analysis.cell_choice import Gate, Region, choose_cells
from napari_phenolens.analysis.concept_cells import with_against_without
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.protocol import Bools, Floats, Ints

if TYPE_CHECKING:
    from scipy.sparse import csc_matrix, csr_matrix

FOLDS = 5
LEAST_CELLS = 10  # of either kind: a region of one field holds few
DRAWS = 200  # of wells, for the interval
_MOST_CELLS = 20_000  # to train on
_IN_WELL = 5  # cells a side from which a well says something by itself


def distinguish(
    run: Any,
    cells: Gate | None = None,
    *,
    concept: str | None = None,
    region: Region | Sequence[Region] | None = None,
    against: Gate | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Find the features that tell some cells of a run from others.

    Parameters
    ----------
    run : Run
        A run with cells (`add_cells`).
    cells : array of bool, Series or str, optional
        The cells: true or false for each row of ``run.cells()``, or a condition over the columns of ``run.cells()`` and
        ``run.cell_measurements()``, such as ``"area_nucleus > 300"``.
    concept : str, optional
        A measured concept (a column of ``run.cell_measurements()`` or its name in words, or ``cycle_G1`` ...): the
        quarter of the cells with most of it, against the quarter with least.
    region : tuple (well, field, corners) or sequence of them, optional
        Cells whose centre lies in a polygon, corners (y, x) in field pixels, against the other cells of these fields.
    against : as `cells`, optional
        What to hold them against; all other cells where it is not given.
    seed : int
        Seed of folds and resamples.

    Returns
    -------
    DataFrame
        Index ``feature``, the most telling first: ``auroc`` (chance that the feature is stronger in a chosen cell than
        in another; in-sample), ``held_out`` (the same over cells of wells that its direction was not taken from, 0.5
        and less for a feature that does not hold), ``auroc_within`` (mean over wells that hold both kinds: wells, so
        treatments, cannot make it), ``effect`` (Cohen's d), ``active_inside``, ``active_outside`` (share of cells that
        have the feature), ``name`` (what the feature was called). ``attrs``: ``chosen`` (in words), ``cells_inside``,
        ``cells_outside``, ``wells_inside``, ``wells_outside``, ``held_out`` (AUROC of all features together, a logistic
        regression, over cells of held-out wells, with a 95 % interval over wells), ``held_out_best`` (of the one
        feature that is best in the other wells), ``folds``, ``warnings``. There is no p: the cells were picked.

    Raises
    ------
    AnalysisError
        Where the run has no cells, the choice names nothing, or there are fewer than 10 cells on a side.
    """
    choice = choose_cells(run, cells, concept, region, against)
    rows = np.flatnonzero(choice.inside | choice.outside)
    inside = choice.inside[rows]
    counts = int(inside.sum()), int((~inside).sum())
    if min(counts) < LEAST_CELLS:
        raise AnalysisError(
            f"{counts[0]} cells are chosen ({choice.said}) and {counts[1]} held against them; at least {LEAST_CELLS} "
            "of each are needed: choose more"
        )
    names, well = np.unique(run.cells()["well"].to_numpy()[rows], return_inverse=True)
    well = well.astype(np.intp)
    codes = run.cell_codes()[rows]
    columns = codes.tocsc()
    one = inside.astype(np.float64)[:, None]
    auroc, effect = (found[:, 0] for found in with_against_without(columns, one, LEAST_CELLS))
    active = columns.copy()
    active.data = (active.data != 0).astype(np.float64)
    share = [np.asarray(active.T @ side) / side.sum() for side in (one[:, 0], 1.0 - one[:, 0])]
    table = pd.DataFrame({"auroc": auroc, "held_out": np.nan, "auroc_within": _within(columns, well, inside),
                          "effect": effect, "active_inside": share[0], "active_outside": share[1]})  # fmt: skip
    table["name"] = run.annotations.names().to_numpy()
    table.index.name = "feature"
    folds = _folds(inside, well, seed)
    warnings, together, best = _notes(names, well, inside, folds), Interval(np.nan, np.nan, np.nan), float("nan")
    if folds:
        table["held_out"], best, together = _held_out(codes, columns, inside, well, folds, seed)
    order = np.argsort(-np.nan_to_num(np.abs(table["auroc"].to_numpy() - 0.5)), kind="stable")
    table = table.iloc[order]
    table.attrs = {
        "chosen": choice.said, "cells_inside": counts[0], "cells_outside": counts[1],
        "wells_inside": list(map(str, names[np.unique(well[inside])])),
        "wells_outside": list(map(str, names[np.unique(well[~inside])])),
        "held_out": {"value": together.value, "low": together.low, "high": together.high},
        "held_out_best": best, "folds": len(folds), "seed": seed, "warnings": warnings,
    }  # fmt: skip
    return table


def _folds(inside: Bools, well: Ints, seed: int) -> list[tuple[Ints, Ints]]:
    from napari_phenolens.analysis.probes import divide

    kinds = [len(np.unique(well[inside == side])) for side in (False, True)]
    return divide(inside.astype(np.intp), well, FOLDS, seed) if min(kinds) >= 2 else []


def _notes(names: Any, well: Ints, inside: Bools, folds: list[tuple[Ints, Ints]]) -> list[str]:
    both = [w for w in range(len(names)) if inside[well == w].any() and not inside[well == w].all()]
    found = []
    if not folds:
        found.append(
            "The chosen cells, or those held against them, lie in one well: nothing can be held out, and the AUROCs "
            "are in-sample figures of that well."
        )
    if not both:
        found.append(
            "No well holds cells of both kinds: what tells them apart may be the wells (treatment, place, stain) and "
            "not the cells."
        )
    return found


def _within(codes: csc_matrix, well: Ints, inside: Bools) -> Floats:
    """Mean over wells with both kinds of the AUROC over their cells; NaN where there is none."""
    rows = codes.tocsr()
    found = []
    for w in np.unique(well):
        here = np.flatnonzero(well == w)
        one = inside[here]
        if min(one.sum(), (~one).sum()) >= _IN_WELL:
            part = rows[here].tocsc()
            found.append(with_against_without(part, one.astype(np.float64)[:, None], _IN_WELL)[0][:, 0])
    return np.mean(found, axis=0) if found else np.full(codes.shape[1], np.nan)


def _held_out(
    codes: csr_matrix, columns: csc_matrix, inside: Bools, well: Ints, folds: list[tuple[Ints, Ints]], seed: int
) -> tuple[Floats, float, Interval]:
    """Score every feature, the best one and all together over cells of wells that were not trained on."""
    m = columns.shape[1]
    one = inside.astype(np.float64)[:, None]
    sums, counts = np.zeros(m), np.zeros(m)
    of_best: list[float] = []
    score = np.full(len(inside), np.nan)
    for train, test in folds:
        learnt = np.nan_to_num(with_against_without(codes[train].tocsc(), one[train], 2)[0][:, 0], nan=0.5)
        tested = with_against_without(codes[test].tocsc(), one[test], 2)[0][:, 0]
        turned = np.where(learnt >= 0.5, tested, 1.0 - tested)
        known = np.isfinite(turned)
        sums[known] += turned[known]
        counts += known
        best = turned[int(np.argmax(np.abs(learnt - 0.5)))]
        of_best += [float(best)] if np.isfinite(best) else []
        # scores of models differ in scale: ranks among the fold's cells do not
        score[test] = _scored(codes, inside, train, test, seed)
    mean = np.divide(sums, counts, out=np.full(m, np.nan), where=counts > 0)
    return mean, float(np.mean(of_best)) if of_best else float("nan"), _over_wells(score, inside, well, seed)


def _scored(codes: csr_matrix, inside: Bools, train: Ints, test: Ints, seed: int) -> Floats:
    """Rank the held-out cells by a logistic regression on all features, from 0 to 1."""
    from scipy.sparse import diags
    from scipy.stats import rankdata
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    from napari_phenolens.analysis.looks import STRENGTH

    if len(train) > _MOST_CELLS:
        train = np.sort(np.random.default_rng(seed).choice(train, _MOST_CELLS, replace=False))
    known = codes[train]
    mean = np.asarray(known.mean(axis=0)).ravel()
    spread = np.sqrt(np.maximum(np.asarray(known.multiply(known).mean(axis=0)).ravel() - mean**2, 0.0))
    scale = diags(np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0))
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=2000)
    with threadpool_limits(1, user_api="blas"):
        model.fit(known @ scale, inside[train])
        found = model.decision_function(codes[test] @ scale)
    return np.asarray(rankdata(found) / len(found), np.float64)


def _over_wells(score: Floats, inside: Bools, well: Ints, seed: int) -> Interval:
    """AUROC of all held-out cells with its interval over wells."""
    places = [np.flatnonzero(well == w) for w in np.unique(well)]
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(DRAWS):
        rows = np.concatenate([places[w] for w in rng.integers(len(places), size=len(places))])
        draws.append(_auroc(score[rows], inside[rows]))
    return percentile_interval(draws, _auroc(score, inside))


def _auroc(score: Floats, inside: Bools) -> float:
    from scipy.stats import rankdata

    n1 = int(inside.sum())
    n0 = len(inside) - n1
    if not n1 or not n0:
        return float("nan")
    return float((rankdata(score)[inside].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))
