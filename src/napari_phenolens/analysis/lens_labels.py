"""The wells of some runs with what a column of the plate map says of them, for figures that need labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.protocol import Floats, Ints, Query, RunLike
from napari_phenolens.analysis.sides import shorten

LEAST = 2  # wells of a label


@dataclass(frozen=True)
class Wells:
    """Wells with a profile.

    Attributes
    ----------
    names : tuple of (int, str)
        Run and well.
    profiles, active : ndarray (n, m)
        Mean activation, and share of units in which each feature is active.
    plate : ndarray (n,) int
        Plate (or batch) of each.
    label : ndarray (n,) int
        Label of each, -1 for none.
    labels : tuple of str
        The labels; empty where no column was named or nothing can be told apart by it.
    reason : str
        Why there are none.
    notes : tuple of str
        What was left out.
    """

    names: tuple[tuple[int, str], ...]
    profiles: Floats
    active: Floats
    plate: Ints
    label: Ints
    labels: tuple[str, ...]
    reason: str
    notes: tuple[str, ...]

    @property
    def labelled(self) -> Ints:
        """Rows with a label."""
        return np.flatnonzero(self.label >= 0)

    def of(self, runs: Sequence[RunLike], *, controls: bool) -> Ints:
        """Rows of the runs' own controls, or of all other wells."""
        sets = [set(run.controls) for run in runs]
        return np.array([n for n, (i, w) in enumerate(self.names) if (w in sets[i]) == controls], np.intp)


def gather_wells(runs: Sequence[RunLike], column: str | None, plate: str | None, chosen: Query | None = None) -> Wells:
    """Read profiles, and labels where a column is named.

    Parameters
    ----------
    runs : sequence of Run
        Runs of one lens.
    column : str or None
        The column of the plate maps whose values are the labels.
    plate : str or None
        A column that tells plates (or batches) apart; a run is a plate by default.
    chosen : query, optional
        These wells only.

    Returns
    -------
    Wells

    Raises
    ------
    AnalysisError
        Where a plate map lacks a column, or no well has a profile.
    """
    names: list[tuple[int, str]] = []
    profiles, active, batch, label = [], [], [], []
    missing = 0
    for i, run in enumerate(runs):
        values, rates = run.profiles(), run.profiles(kind="active")
        if chosen is not None:
            values = values.loc[run.select(chosen)]
        whole = np.isfinite(values.to_numpy(np.float64)).all(axis=1)
        missing += int((~whole).sum())
        wells = list(values.index[whole])
        names += [(i, str(w)) for w in wells]
        profiles.append(values.loc[wells].to_numpy(np.float64))
        active.append(rates.loc[wells].to_numpy(np.float64))
        batch += [(i, said) for said in _column(run, plate, wells)]
        label += _column(run, column, wells)
    if not names:
        raise AnalysisError(
            f"no well of {', '.join(run.plate_name for run in runs)} has a profile; look at the foreground rule"
        )
    notes = [f"{missing} wells without foreground were left out"] if missing else []
    counts = pd.Series(label, dtype=object).value_counts()
    alone = sorted(str(k) for k, n in counts.items() if n < LEAST)
    if alone:
        notes.append(f"labels with a single well were left out: {shorten(alone)}")
    kept = sorted(str(k) for k, n in counts.items() if n >= LEAST)
    reason = ""
    if column is None:
        reason = "no column of the plate map was named"
    elif len(kept) < 2:
        said = f"'{kept[0]}' alone" if kept else "no value"
        reason = f"column {column!r} gives {said} to two wells or more; name one that tells wells apart"
        kept = []
    place = {name: n for n, name in enumerate(kept)}
    return Wells(
        tuple(names), np.concatenate(profiles), np.concatenate(active),
        np.asarray(pd.factorize(pd.Series(batch, dtype=object))[0], np.intp),
        np.array([place.get(said, -1) if said is not None else -1 for said in label], np.intp),
        tuple(kept), reason, tuple(notes),
    )  # fmt: skip


def _column(run: RunLike, column: str | None, wells: Sequence[str]) -> list[str | None]:
    """A column's values as words; None where it is empty or no column was named."""
    if column is None:
        return [None] * len(wells)
    if column not in run.metadata.columns:
        there = ", ".join(map(str, run.metadata.columns)) or "no column"
        raise AnalysisError(f"{run.plate_name}: the plate map has no column {column!r}; it has {there}")
    values = run.metadata[column].reindex(list(wells))
    return [None if pd.isna(value) else str(value) for value in values]
