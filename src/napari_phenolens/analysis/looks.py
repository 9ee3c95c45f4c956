"""`looks`: does a cell look perturbed or like control, told by models that never saw its well."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from napari_phenolens.analysis.bootstrap import Interval
from napari_phenolens.analysis.calibration import Calibration, calibration
from napari_phenolens.analysis.cell_figures import accuracy_over_wells, auroc_over_wells, ranks_among
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.platt import Sigmoid, fit_sigmoid
from napari_phenolens.analysis.probes import divide
from napari_phenolens.analysis.protocol import Bools, Floats, Ints, Query, RunLike
from napari_phenolens.analysis.sides import select, shorten
from napari_phenolens.progress import CancelCallback, Progress, ProgressCallback, check_cancelled

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FOLDS = 5  # divisions of the wells, at most; a side with fewer wells allows no more than it has
INNER_FOLDS = 3  # inside the training wells, for the calibration
WELLS_NEEDED = 4  # of each side, for a probability
# C of the logistic regression; 0.0001 to 0.01 did alike on demo plates of other seeds, where each feature over its own
# spread told swollen nuclei worse (balanced accuracy 0.87, not 0.91): features that are rarely active are mostly noise
STRENGTH = 0.001
MOST = 10_000  # cells that a model is trained on, spread over the wells
CALLED = 0.5
CALIBRATED = 0.05  # expected calibration error above which the reader is warned


class CellRun(RunLike, Protocol):
    """A run with cells."""

    def cells(self) -> pd.DataFrame:
        """Where the cells lie."""

    def cell_codes(self) -> csr_matrix:
        """Their codes."""


@dataclass(frozen=True)
class Looks:
    """What the cells look like.

    Attributes
    ----------
    cells : DataFrame
        Index ``cell`` as in ``Run.cells``. ``well``, ``field``, ``label``; ``side``: ``control``, ``perturbed`` or,
        for cells of other wells, empty; ``score``: decision value, above 0 towards perturbed; ``rank``: share of
        control cells (of wells that the same model never saw) with a lower score; ``probability`` of looking perturbed
        at a prior of 50:50, NaN where a side has fewer than four wells; ``fold``: the model that scored it, -1 for the
        mean of all.
    controls, perturbed : tuple of str
        The wells that were told apart.
    auroc, accuracy : Interval
        Of cells of held-out wells against the side of their well; accuracy is the mean over both sides. Intervals over
        wells.
    calibration : Calibration or None
        Probabilities of cells of held-out wells against the side of their well.
    weights : DataFrame
        features x folds: what a feature's code counts for the score.
    notes : tuple of str
        What a reader must know.
    """

    cells: pd.DataFrame
    controls: tuple[str, ...]
    perturbed: tuple[str, ...]
    auroc: Interval
    accuracy: Interval
    calibration: Calibration | None
    weights: pd.DataFrame
    notes: tuple[str, ...] = field(default=())

    @property
    def calibrated(self) -> bool:
        """Whether there are probabilities, or ranks alone."""
        return self.calibration is not None

    def summary(self) -> dict[str, Any]:
        """Give the figures as plain values."""
        held = self.cells["side"] != ""
        figures: dict[str, Any] = {
            "controls": list(self.controls), "perturbed": list(self.perturbed), "cells": int(held.sum()),
            "auroc": _plain(self.auroc), "accuracy": _plain(self.accuracy), "calibrated": self.calibrated,
            "calibration_error": None if self.calibration is None else _plain(self.calibration.error),
            "calibration_error_debiased": None if self.calibration is None else _plain(self.calibration.debiased),
            "calibration_error_by_chance": None if self.calibration is None else self.calibration.chance,
            "prior": "50:50", "notes": list(self.notes),
        }  # fmt: skip
        return figures

    def contributions(self, run: CellRun, cell: int) -> pd.Series:
        """Give what each feature of a cell adds to its score (the intercept aside), the largest amount first."""
        codes = run.cell_codes()[cell]
        fold = int(self.cells["fold"].loc[cell])
        weights = self.weights.mean(axis=1) if fold < 0 else self.weights[fold]
        parts = codes.data * weights.to_numpy()[codes.indices]
        order = np.argsort(-np.abs(parts), kind="stable")
        return pd.Series(parts[order], index=pd.Index(codes.indices[order], name="feature"), name="contribution")


def looks(
    run: CellRun,
    controls: Query | None = None,
    perturbed: Query | None = None,
    *,
    draws: int = 500,
    seed: int = 0,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> Looks:
    """Tell of every cell whether it looks perturbed or like control.

    Parameters
    ----------
    run : Run
        A run with cells (`add_cells`).
    controls, perturbed : query
        A pandas query over the plate map or a list of wells; controls None takes the run's own.
    draws, seed : int
        Resamples of wells for the intervals; seed of the divisions.
    progress, cancel : callable, optional
        See `napari_phenolens.progress`.

    Returns
    -------
    Looks
        Nothing in it is in-sample: a cell is scored by a model that never saw its well. Cells of wells on neither side
        get the mean of all models.

    Raises
    ------
    AnalysisError
        Where a side has fewer than two wells with cells, or the sides share wells.

    Notes
    -----
    Logistic regression on cell codes, all over one scale (the median spread of a feature in the training cells), both
    sides weighing the same whatever their numbers. Probabilities after Platt 1999: a sigmoid through the scores that
    models without those wells give, inside the training wells, no steeper than these wells bear out (`platt`).
    """
    if perturbed is None:
        raise AnalysisError("looks needs perturbed wells: pass perturbed=QUERY")
    cells = run.cells()
    notes: list[str] = []
    left = _with_cells(run, controls, "control", cells, notes)
    right = _with_cells(run, perturbed, "perturbed", cells, notes)
    both = sorted(set(left) & set(right))
    if both:
        raise AnalysisError(f"{len(both)} wells are both control and perturbed: {shorten(both)}; change a query")
    for what, wells in (("control", left), ("perturbed", right)):
        if len(wells) < 2:
            raise AnalysisError(
                f"one {what} well with cells ({wells[0]}): no cell of it can be scored by a model that never saw it; "
                "choose two wells or more on each side"
            )
    calibrated = min(len(left), len(right)) >= WELLS_NEEDED
    if not calibrated:
        notes.append(
            f"{len(left)} control and {len(right)} perturbed wells: with fewer than {WELLS_NEEDED} on a side there is "
            "no calibrated probability, only a rank among control cells"
        )
    told_apart = [*left, *right]
    side_of = np.repeat([False, True], [len(left), len(right)])
    # a cell's well as its place among the wells told apart, -1 for others
    place = pd.Series(np.arange(len(told_apart)), index=told_apart).reindex(cells["well"]).fillna(-1).to_numpy(np.intp)
    found = _scored(run.cell_codes(), place, side_of, calibrated, seed, progress, cancel)
    inside = place >= 0
    side = np.zeros(len(cells), bool)
    side[inside] = side_of[place[inside]]
    table = cells[["well", "field", "label"]].copy()
    table["side"] = np.where(inside, np.where(side, "perturbed", "control"), "")
    table["score"], table["rank"], table["probability"], table["fold"] = (
        found.score, found.rank, found.probability, found.fold,
    )  # fmt: skip
    told, of, at = found.rank[inside], side[inside], place[inside]
    quality = calibration(
        found.probability[inside], of, at, stratum=of, draws=draws, seed=seed
    ) if calibrated else None  # fmt: skip
    right_ones = (found.probability[inside] > CALLED) == of if calibrated else (found.score[inside] > 0) == of
    area = auroc_over_wells(told, at, side_of, draws=draws, seed=seed)
    accuracy = accuracy_over_wells(right_ones, at, side_of, draws=draws, seed=seed)
    notes += _cautions(area, quality, found.flat, len(found.weights.columns))
    return Looks(table, tuple(left), tuple(right), area, accuracy, quality, found.weights, tuple(notes))


def _cautions(area: Interval, quality: Calibration | None, flat: int, folds: int) -> list[str]:
    """Say where held-out wells show that the answers are worth little."""
    said = []
    if not area.low > 0.5:
        said.append(
            f"cells of held-out wells are not told apart (AUROC {area}): the two sides may look the same, and what is "
            "said of single cells means nothing"
        )
    if flat:
        said.append(
            f"in {flat} of {folds} divisions of the wells, scores of held-out wells differ no more between the sides "
            "than wells do: probabilities there are 50%"
        )
    if quality is not None and quality.debiased.value > CALIBRATED:
        said.append(
            f"probabilities of cells of held-out wells are off by {quality.debiased.value:.2f}, beyond what so few "
            "wells make by chance; trust ranks more"
        )
    return said


@dataclass(frozen=True)
class _Scored:
    score: Floats
    rank: Floats
    probability: Floats
    fold: Ints
    weights: pd.DataFrame
    flat: int  # models whose probabilities are all one half


def _scored(
    codes: csr_matrix, place: Ints, side_of: Bools, calibrated: bool, seed: int,
    progress: ProgressCallback | None, cancel: CancelCallback | None,
) -> _Scored:  # fmt: skip
    """Score every cell by models that never saw its well; cells of other wells by the mean of all models."""
    n = len(place)
    score, rank, probability, fold = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan), np.full(n, -1)
    others = np.flatnonzero(place < 0)
    sums = np.zeros((3, len(others)))
    weights: dict[int, Floats] = {}
    flat = 0
    folds = divide(side_of.astype(np.intp), np.arange(len(side_of)), FOLDS, seed)
    for number, (train, test) in enumerate(folds):
        check_cancelled(cancel)
        model = _fit(codes, place, side_of, train, calibrated, seed, cancel)
        asked = np.concatenate([np.flatnonzero(np.isin(place, test)), others])
        found = np.stack(model(codes[asked]))
        held = len(asked) - len(others)
        reference = found[0, :held][~side_of[place[asked[:held]]]]
        ranks = ranks_among(found[0], reference)
        score[asked[:held]], probability[asked[:held]] = found[:, :held]
        rank[asked[:held]], fold[asked[:held]] = ranks[:held], number
        sums += np.stack([found[0, held:], ranks[held:], found[1, held:]])
        weights[number] = model.weights
        flat += model.sigmoid is not None and model.sigmoid.slope == 0
        if progress is not None:
            progress(Progress("looks", number + 1, len(folds)))
    score[others], rank[others], probability[others] = sums / len(folds)
    features = pd.RangeIndex(codes.shape[1], name="feature")
    return _Scored(score, rank, probability, fold, pd.DataFrame(weights, index=features), flat)


@dataclass(frozen=True)
class _Model:
    weights: Floats
    intercept: float
    sigmoid: Sigmoid | None

    def __call__(self, codes: csr_matrix) -> tuple[Floats, Floats]:
        """Give scores and probabilities (NaN where it is not calibrated)."""
        score = np.asarray(codes @ self.weights + self.intercept, np.float64)
        return score, np.full(len(score), np.nan) if self.sigmoid is None else self.sigmoid(score)


def _fit(
    codes: csr_matrix, place: Ints, side_of: Bools, train: Ints, calibrated: bool, seed: int,
    cancel: CancelCallback | None,
) -> _Model:  # fmt: skip
    """Fit a model on some wells."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    rows = _sample(place, train, seed)
    known = codes[rows].toarray().astype(np.float32, copy=False)
    spread = known.std(0, dtype=np.float64)
    scale = float(np.median(spread[spread > 0])) if (spread > 0).any() else 1.0
    known /= scale
    well = place[rows]
    side = side_of[well]
    fair = len(rows) / 2 / np.bincount(side, minlength=2)[side.astype(np.intp)]

    def told(rows: Bools) -> Any:
        check_cancelled(cancel)
        return LogisticRegression(C=STRENGTH, max_iter=2000).fit(known[rows], side[rows], sample_weight=fair[rows])

    sigmoid = None
    with threadpool_limits(1, user_api="blas"):
        if calibrated:
            held = np.zeros(len(rows))
            for _, part in divide(side_of[train].astype(np.intp), np.arange(len(train)), INNER_FOLDS, seed):
                out = np.isin(well, train[part])
                held[out] = told(~out).decision_function(known[out])
            sigmoid = fit_sigmoid(held, side, fair, well)
        fitted = told(np.ones(len(rows), bool))
    return _Model(np.asarray(fitted.coef_[0], np.float64) / scale, float(fitted.intercept_[0]), sigmoid)


def _sample(place: Ints, train: Ints, seed: int) -> Ints:
    """Choose the cells to train on: all of them, or as many of each well as make up `MOST`."""
    rows = np.flatnonzero(np.isin(place, train))
    if len(rows) <= MOST:
        return rows
    rng = np.random.default_rng(seed)
    rows = rng.permutation(rows)
    order = np.argsort(place[rows], kind="stable")
    rows = rows[order]
    _, first, count = np.unique(place[rows], return_index=True, return_counts=True)
    number = np.arange(len(rows)) - np.repeat(first, count)
    return np.sort(rows[number < max(1, MOST // len(train))])


def _with_cells(run: CellRun, query: Query | None, what: str, cells: pd.DataFrame, notes: list[str]) -> list[str]:
    (wells,), _ = select([run], [run.plate_name], query, what)
    there = set(cells["well"])
    missing = [w for w in wells if w not in there]
    if missing:
        notes.append(f"{what} wells without cells are left out: {shorten(missing)}")
    found = [w for w in wells if w in there]
    if not found:
        raise AnalysisError(f"no {what} well has cells ({shorten(missing)}); look at run.cells_skipped()")
    return found


def _plain(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
