"""Features whose well means go together: one phenotype moves many."""

from __future__ import annotations

import numpy as np

from napari_phenolens.analysis.contrast import centre_by
from napari_phenolens.analysis.protocol import Bools, Floats, Ints


def group_features(
    values: Floats, plate: Ints, order: Ints, *, correlation: float = 0.7, most: int = 4096
) -> tuple[Ints, Bools]:
    """Group features by average linkage on 1 - |r| of their well means.

    Parameters
    ----------
    values : ndarray (n, m)
        Well means over control and perturbed wells.
    plate : ndarray (n,) int
        Plate of each; plate means are taken out first.
    order : ndarray (m,) int
        Features from the strongest effect to the weakest.
    correlation : float
        Groups are cut where the mean |r| between them falls below this.
    most : int
        So many of the strongest features are linked; the others join the representative that they follow best, at the
        same |r|, or stand alone. (Linkage takes memory with the square of their number.)

    Returns
    -------
    group : ndarray (m,) int
        1 for the group of the strongest feature, then on in the order of the strongest members; 0 for features that do
        not vary.
    representative : ndarray (m,) bool
        The strongest feature of each group.
    """
    m = values.shape[1]
    centred = centre_by(values, plate)
    size = np.sqrt((centred**2).sum(axis=0))
    varies = size > 1e-12 * np.maximum(np.sqrt((values**2).sum(axis=0)), 1e-300)
    unit = np.zeros_like(centred, dtype=np.float32)
    unit[:, varies] = centred[:, varies] / size[varies]
    ranked = np.asarray(order, dtype=np.intp)[varies[order]]
    head, tail = ranked[:most], ranked[most:]
    group = np.zeros(m, dtype=np.intp)
    representative = np.zeros(m, dtype=bool)
    if values.shape[0] - len(np.unique(plate)) < 3 or len(head) < 2:
        # Of fewer than four wells any two features correlate; nothing is grouped.
        group[ranked] = np.arange(1, len(ranked) + 1)
        representative[ranked] = True
        return group, representative
    cluster = _linked(unit[:, head], correlation)
    _, first, inverse = np.unique(cluster, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.intp)
    number[np.argsort(first)] = np.arange(1, len(first) + 1)
    group[head] = number[inverse]
    leaders = head[np.sort(first)]
    representative[leaders] = True
    if len(tail):
        follows = np.abs(unit[:, tail].T @ unit[:, leaders])
        best = follows.argmax(axis=1)
        alone = follows[np.arange(len(tail)), best] < correlation
        group[tail] = group[leaders[best]]
        group[tail[alone]] = len(first) + 1 + np.arange(int(alone.sum()))
        representative[tail[alone]] = True
    return group, representative


def _linked(unit: np.ndarray[tuple[int, ...], np.dtype[np.float32]], correlation: float) -> Ints:
    """Cluster unit columns by average linkage on 1 - |cosine|."""
    from scipy.cluster.hierarchy import fcluster, linkage

    distance = 1.0 - np.abs(unit.T @ unit)
    condensed = np.clip(distance[np.triu_indices(unit.shape[1], 1)], 0.0, 1.0)
    return np.asarray(fcluster(linkage(condensed, "average"), 1.0 - correlation, "distance"), dtype=np.intp)
