"""Features like a given one: atoms that point the same way, and features that are active in the same places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.places import check_feature
from napari_phenolens.analysis.protocol import RunLike
from napari_phenolens.progress import CancelCallback, check_cancelled

MOST_PATCHES = 200_000
ORDERS = ("either", "cosine", "coactivation")


@dataclass(frozen=True, eq=False)
class ActivitySample:
    """Which features are active in a fixed sample of patches.

    Attributes
    ----------
    active : scipy.sparse.csc_array (n, m)
        Ones where a feature is active.
    counts : ndarray (m,)
        In how many of the patches.
    fields : int
        So many fields, spread evenly over the plate.
    """

    active: Any
    counts: npt.NDArray[np.float64]
    fields: int

    @property
    def n(self) -> int:
        """Patches."""
        return int(self.active.shape[0])


def activity_sample(run: RunLike, most: int = MOST_PATCHES, cancel: CancelCallback | None = None) -> ActivitySample:
    """Take the coded patches of as many fields as hold about `most` of them, spread evenly over all fields of the run.

    Parameters
    ----------
    run : Run
        The run; for units other than the patch, those.
    most : int
        Patches; one field at least is taken whole.
    cancel : callable, optional
        Asked before each field.

    Returns
    -------
    ActivitySample
    """
    from scipy.sparse import csc_array

    every = [(well, field) for well in run.wells for field in run.fields(well)]
    if not every:
        raise AnalysisError(f"the run of {run.plate_name} has no fields yet")
    per_field = max(1, len(run.codes(*every[0])[0]))
    taken = np.unique(np.linspace(0, len(every) - 1, min(len(every), max(1, most // per_field))).astype(int))
    rows, columns, n = [], [], 0
    for i in taken:
        check_cancelled(cancel)
        index, value = run.codes(*every[i])
        patch, slot = np.nonzero(value)
        coded, place = np.unique(patch, return_inverse=True)  # background has no code
        rows.append(n + place)
        columns.append(np.asarray(index)[patch, slot])
        n += len(coded)
    row, column = np.concatenate(rows), np.concatenate(columns)
    active = csc_array((np.ones(len(row), np.float32), (row, column)), shape=(n, run.n_features))
    return ActivitySample(active, np.asarray(active.sum(axis=0), dtype=np.float64).ravel(), len(taken))


def similar_features(
    run: RunLike,
    feature: int,
    count: int = 10,
    by: str = "either",
    *,
    sample: ActivitySample | None = None,
) -> pd.DataFrame:
    """Find the features that are most like one.

    Parameters
    ----------
    run : Run
        The run.
    feature : int
        The 0-based atom.
    count : int
        So many of each kind.
    by : {"either", "cosine", "coactivation"}
        Which list; "either" joins the two.
    sample : ActivitySample, optional
        One that was taken before, to save reading codes again.

    Returns
    -------
    DataFrame
        Index ``feature``, without the feature itself. ``name`` (`Run.annotations`); ``cosine`` of the two atoms, what
        they stand for in the model's whitened space; ``coactivation``, the phi coefficient (Pearson's correlation of
        active or not over foreground patches): 1 always together, 0 as by chance, NaN where either is never or always
        active in the sample; ``together``, the share of this feature's patches in which the other one is active too;
        ``density``. Sorted by `by`, of "either" by the larger of cosine and coactivation. `attrs`: ``patches`` and
        ``fields`` of the sample.

    Raises
    ------
    AnalysisError
        Where there is no such feature, or `by` is unknown.

    Notes
    -----
    A dictionary shuns atoms of nearly the same direction (pairs above 0.9 are redrawn in fitting), so cosines stay
    low; two features that answer to one structure show in the co-activation instead.
    """
    if by not in ORDERS:
        raise AnalysisError(f"no order {by!r}; choose one of {', '.join(ORDERS)}")
    feature = check_feature(run, feature)
    sample = sample if sample is not None else activity_sample(run)
    atoms = np.asarray(run.lens.dictionary.atoms, dtype=np.float64)
    cosine = atoms @ atoms[feature]
    n, counts = sample.n, sample.counts
    mine = np.asarray(sample.active[:, [feature]].todense(), dtype=np.float32).ravel()
    both = np.asarray(sample.active.T @ mine, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(counts[feature] * (n - counts[feature]) * counts * (n - counts))
        phi = np.where(spread > 0, (n * both - counts[feature] * counts) / spread, np.nan)
        together = both / counts[feature] if counts[feature] else np.full(len(both), np.nan)
    table = pd.DataFrame(
        {
            "name": run.annotations.names().to_numpy(),
            "cosine": cosine,
            "coactivation": phi,
            "together": together,
            "density": run.density.reindex(range(len(atoms))).to_numpy(),
        },
        index=pd.RangeIndex(len(atoms), name="feature"),
    ).drop(index=feature)
    lists = [table[key].dropna().nlargest(count).index for key in ORDERS[1:] if by in ("either", key)]
    kept = table.loc[lists[0].union(lists[-1])]
    rank = kept[["cosine", "coactivation"]].max(axis=1) if by == "either" else kept[by]
    found = kept.loc[rank.sort_values(ascending=False, kind="stable").index]
    found.attrs = {"patches": n, "fields": sample.fields}
    return found
