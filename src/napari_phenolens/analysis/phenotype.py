"""A phenotype: many features that go together, read as one score.

A dictionary shares one phenotype out over tens of atoms, each active in a few patches of a field, so that a single
feature is noisy in a well of few cells. Their mean is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from napari_phenolens.analysis.contrast import Design, estimate
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.grouping import group_features
from napari_phenolens.analysis.heatmap import Heatmap
from napari_phenolens.analysis.places import check_feature, find_field
from napari_phenolens.analysis.protocol import Bools, Floats, Ints, Query, RunLike
from napari_phenolens.analysis.ranking import moderated_ranking
from napari_phenolens.analysis.sides import gather

MOST = 50  # features in a score; any number between 20 and 200 did alike on rows A-D of BBBC013
LINKED = 256  # so many of the strongest are grouped


@dataclass(frozen=True)
class Phenotype:
    """Features that go together between two sides, with what makes one score of them.

    Attributes
    ----------
    features : tuple of int
        The features, the strongest effect first.
    weights : ndarray (n,)
        What a feature's value counts: the sign of its difference over the size of it, over the number of features.
    origin : ndarray (n,)
        The control mean of each feature.
    per, kind : str
        The profiles that it was found in, see ``Run.profiles``.
    controls, perturbed : tuple of str
        The wells that it was found in.
    """

    features: tuple[int, ...]
    weights: Floats
    origin: Floats
    per: str
    kind: str
    controls: tuple[str, ...] = ()
    perturbed: tuple[str, ...] = ()

    def score(self, run: RunLike) -> pd.Series:
        """Score every well of a run.

        Parameters
        ----------
        run : Run
            A run of the same lens.

        Returns
        -------
        Series
            Index ``well``: 0 is the mean of the controls and 1 that of the perturbed wells that the phenotype was found
            in; a well without a profile is NaN.
        """
        values = run.profiles(per=self.per, kind=self.kind)[list(self.features)]
        found = (values.to_numpy(dtype=np.float64) - self.origin) @ self.weights
        return pd.Series(found, index=values.index, name="phenotype")

    def table(self) -> pd.DataFrame:
        """List the features with their weights and control means."""
        return pd.DataFrame(
            {"weight": self.weights, "mean_control": self.origin}, index=pd.Index(self.features, name="feature")
        )

    def heatmap(self, run: RunLike, well: str, field: str | int | None = None) -> Heatmap:
        """Map the score over one field.

        Parameters
        ----------
        run : Run
            A run of the same lens.
        well, field : str, int or None
            The place, see `heatmap`.

        Returns
        -------
        Heatmap
            Its values average over the foreground of a well to `score` exactly, for a phenotype per patch of
            activations; background is 0, as it is in a map of activations.

        Raises
        ------
        AnalysisError
            Where the phenotype is not one of activations, or the place is unknown.
        """
        if self.kind != "activation":
            raise AnalysisError(f"a phenotype found in {self.kind} profiles has no map; find it with kind='activation'")
        place = find_field(run, well, field)
        weights = np.zeros(run.n_features)
        weights[list(self.features)] = self.weights
        values = run.weighted_activation(place.well, place.field, weights) - self.weights @ self.origin
        values[~run.foreground(place.well, place.field)] = 0  # nothing was coded there: no score, not a silent cell's
        centre = (place.scale - 1) / 2
        return Heatmap(
            values.astype(np.float32), (place.scale, place.scale), (centre, centre), None, "phenotype",
            place.well, place.field,
        )  # fmt: skip


def phenotype(
    runs: RunLike | Sequence[RunLike],
    controls: Query | None = None,
    perturbed: Query | None = None,
    *,
    feature: int | None = None,
    most: int = MOST,
    per: str = "patch",
    kind: str = "activation",
) -> Phenotype:
    """Find the features that go together with one feature between two sides, and make one score of them.

    Parameters
    ----------
    runs, controls, perturbed, per, kind
        As in `compare`.
    feature : int or None
        Whose group; None takes that of the leading feature.
    most : int
        So many of the group's strongest features are used. Each counts alike: its difference is brought to one.

    Returns
    -------
    Phenotype
        A choice made on these wells: their own scores are in-sample. `split_half` with ``phenotype=True`` quotes it on
        wells that it was not chosen on.

    Raises
    ------
    AnalysisError
        Where the wells cannot be compared, see `compare`; where the feature is unknown or does not differ.
    """
    if perturbed is None:
        raise AnalysisError(
            "a phenotype needs the perturbed wells; pass perturbed=QUERY, such as \"control_type == 'poscon'\""
        )
    sides, values = gather(runs, controls, perturbed, per=per, kind=kind)
    adjusted = estimate(values, sides.design).adjusted
    lead = None if feature is None else check_feature(sides.runs[0], feature)
    columns, weights = combine(adjusted, sides.design, np.ones(len(adjusted)), lead=lead, most=most)
    if not len(columns):
        what = "no feature differs" if lead is None else f"feature {lead} does not differ"
        raise AnalysisError(f"{what} between these {len(adjusted)} wells, so there is no phenotype to score")
    origin = values[~sides.design.side][:, columns].mean(axis=0)
    wells = tuple(sides.names(False)), tuple(sides.names(True))
    return Phenotype(tuple(int(c) for c in columns), weights, origin, per, kind, *wells)


def combine(
    values: Floats, design: Design, weights: Floats, *, lead: int | None = None, most: int = MOST
) -> tuple[Ints, Floats]:
    """Choose the features of a score and what each counts.

    Parameters
    ----------
    values : ndarray (n, m)
        Plate-adjusted well means.
    design : Design
        Sides and plates.
    weights : ndarray (n,)
        How often each well counts, 0 leaves it out.
    lead : int or None
        Whose group; None takes the strongest feature.
    most : int
        The largest number of features.

    Returns
    -------
    columns : ndarray (k,)
        The strongest first; empty where nothing differs.
    share : ndarray (k,)
        Sign over size of each one's difference, over k.
    """
    effect = moderated_ranking(values, design.side, weights)
    strength = np.abs(np.nan_to_num(effect))
    order = np.argsort(-strength, kind="stable")[:LINKED].astype(np.intp)
    if lead is not None and lead not in order:
        order = np.append(order, lead)
    lead = int(order[0]) if lead is None else lead
    if strength[lead] == 0:
        return np.zeros(0, np.intp), np.zeros(0)
    rows = np.repeat(np.arange(len(values)), weights.astype(np.intp))
    here = values[np.ix_(rows, order)]
    group, _ = group_features(here, design.plate[rows], np.arange(len(order), dtype=np.intp))
    chosen = order[(group == group[order == lead][0]) & (strength[order] > 0)][:most]
    if lead not in chosen:
        chosen[-1] = lead
    side: Bools = design.side[rows]
    part = values[np.ix_(rows, chosen)]
    difference = part[side].mean(axis=0) - part[~side].mean(axis=0)
    return chosen, 1.0 / (difference * len(chosen))
