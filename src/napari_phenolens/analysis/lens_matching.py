"""Which feature of one lens is which of another: by their atoms, or by what they do in the same wells and places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.lens_labels import Wells
from napari_phenolens.analysis.protocol import Floats, RunLike
from napari_phenolens.analysis.rendering import Place
from napari_phenolens.progress import CancelCallback, check_cancelled


def by_atoms(one: Any, other: Any, seed: int = 0) -> tuple[Any, float]:
    """Match two dictionaries over one whitened space by the cosine of their atoms.

    Returns
    -------
    matching : napari_phenolens.dictionary.stability.Matching
    chance : float
        Mean matched cosine where the other's atoms are turned at random.
    """
    from napari_phenolens.dictionary import match_atoms

    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(other.p,) * 2))[0].astype(np.float32)
    chance = float(match_atoms(one.atoms, other.atoms @ turn).similarity.mean())
    return match_atoms(one.atoms, other.atoms), chance


def by_activity(
    runs: Sequence[RunLike], wells: Sequence[Wells], places: Sequence[Place], *, seed: int = 0,
    cancel: CancelCallback | None = None,
) -> tuple[Any, float, Floats, Floats]:  # fmt: skip
    """Match features by how their wells' profiles correlate and by where they are active in the same fields.

    Parameters
    ----------
    runs : (Run, Run)
        Of one plate.
    wells : (Wells, Wells)
        The same wells of both.
    places : sequence of (int, str, str)
        Fields, of both runs by the same name.
    seed : int
        Of the shuffles behind `chance`.
    cancel : callable, optional

    Returns
    -------
    matching : napari_phenolens.dictionary.stability.Matching
        By the mean of both correlations, one to one.
    chance : float
        Mean matched similarity where the other run's wells, and its patches within fields, are shuffled.
    well, spatial : ndarray (m, m')
        Both correlations.
    """
    from napari_phenolens.dictionary.stability import correlations, match

    rng = np.random.default_rng(seed)
    well = correlations(wells[0].profiles, wells[1].profiles)
    first, second, field = _activity(runs, places, cancel)
    spatial = _correlated(first, second)
    order, patches = rng.permutation(len(wells[1].profiles)), np.arange(len(field))
    for number in np.unique(field):
        here = np.flatnonzero(field == number)
        patches[here] = rng.permutation(here)
    chance = correlations(wells[0].profiles, wells[1].profiles[order]) + _correlated(first, second[patches])
    return match((well + spatial) / 2), float(match(chance / 2).similarity.mean()), well, spatial


def _activity(runs: Sequence[RunLike], places: Sequence[Place], cancel: CancelCallback | None) -> tuple[Any, Any, Any]:
    """Activations (n, m) of both runs over the same places, sparse, and the field of each place.

    A place is a patch of the run with the coarser grid; of the other run the patch over its centre is taken.
    """
    from scipy.sparse import csr_matrix, vstack

    parts: tuple[list[Any], list[Any]] = ([], [])
    field = []
    coarse = int(runs[1].patch > runs[0].patch)
    for number, (_, well, name) in enumerate(places):
        check_cancelled(cancel)
        rows = [run.field_row(well, name) for run in runs]
        h, w, scale = int(rows[coarse]["h"]), int(rows[coarse]["w"]), float(rows[coarse]["scale"])
        y, x = (
            v.ravel() for v in np.meshgrid((np.arange(h) + 0.5) * scale, (np.arange(w) + 0.5) * scale, indexing="ij")
        )
        seen, found = np.ones(len(y), bool), []
        for run, row in zip(runs, rows, strict=True):
            i = np.minimum((y / float(row["scale"])).astype(np.intp), int(row["h"]) - 1)
            j = np.minimum((x / float(row["scale"])).astype(np.intp), int(row["w"]) - 1)
            at = i * int(row["w"]) + j
            seen &= np.asarray(run.foreground(well, name), bool).ravel()[at]
            index, value = run.codes(well, name)
            found.append((np.asarray(index)[at], np.asarray(value, np.float64)[at]))
        for (index, value), run, part in zip(found, runs, parts, strict=True):
            index, value = index[seen], value[seen]
            row_of = np.repeat(np.arange(len(index)), index.shape[1])
            shape = (len(index), run.n_features)
            part.append(csr_matrix((value.ravel(), (row_of, index.ravel())), shape=shape))
        field.append(np.full(int(seen.sum()), number))
    return vstack(parts[0]).tocsr(), vstack(parts[1]).tocsr(), np.concatenate(field)


def _correlated(first: Any, second: Any) -> Floats:
    """Correlations of the columns of two sparse tables; 0 where one does not vary."""
    n = first.shape[0]
    moments = []
    for table in (first, second):
        mean = np.asarray(table.mean(axis=0)).ravel()
        spread = np.sqrt(np.maximum(np.asarray(table.multiply(table).mean(axis=0)).ravel() - mean**2, 0))
        moments.append((mean, np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-12)))
    product = np.asarray((first.T @ second).todense(), np.float64) / n
    (a, scale_a), (b, scale_b) = moments
    out: Floats = (product - np.outer(a, b)) * np.outer(scale_a, scale_b)
    return out


def paired(matching: Any, features: Sequence[pd.DataFrame], more: dict[str, Floats]) -> pd.DataFrame:
    """List matched features, the most alike first, with their labels and selectivity in either lens."""
    table = pd.DataFrame({"feature_a": matching.first, "feature_b": matching.second, "similarity": matching.similarity})
    for name, values in more.items():
        table[name] = values[matching.first, matching.second]
    for side, about in zip("ab", features, strict=True):
        for column in ("label", "selectivity", "density"):
            if column in about:
                table[f"{column}_{side}"] = about[column].to_numpy()[table[f"feature_{side}"]]
    return table.sort_values("similarity", ascending=False, kind="stable").reset_index(drop=True)
