"""Whether a feature follows where a well lies, or how many cells it holds: permutation tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.contrast import centre_by
from napari_phenolens.analysis.protocol import Floats, Ints

NUISANCES = ("row", "column", "edge")
_CHUNK = 64


@dataclass(frozen=True)
class Links:
    """The strongest link of every feature with one of several quantities.

    Attributes
    ----------
    which : ndarray (m,) int
        Index of the quantity with the largest R2, -1 where there is none.
    r2 : ndarray (m,)
        Its adjusted R2.
    p : ndarray (m,)
        Chance of so large a largest R2 when wells are shuffled within plates.
    detectable : float
        The adjusted R2 that the middle feature would need to be flagged at 5 %.
    """

    which: Ints
    r2: Floats
    p: Floats
    detectable: float


def strongest_link(
    values: Floats, plate: Ints, terms: Sequence[Floats], *, permutations: int = 999, seed: int = 0, within: bool = True
) -> Links:
    """Relate every feature to each of several quantities, one at a time, and test the strongest.

    Each quantity is one straight line (one term a model), so the largest R2 is compared with the largest R2 of shuffled
    wells: the test holds over all quantities together. A two-dimensional quantity (n, d) is fitted as d terms.

    Parameters
    ----------
    values : ndarray (n, m)
        Well means.
    plate : ndarray (n,) int
        Plate of each well.
    terms : sequence of ndarray (n,) or (n, d)
        The quantities.
    permutations : int
        Number of shuffles.
    seed : int
        Seed.
    within : bool
        Shuffle and centre within plates; False for the plate itself as the quantity.

    Returns
    -------
    Links
    """
    n, m = values.shape
    blocks = plate if within else np.zeros_like(plate)
    centred = centre_by(values, blocks)
    size = np.sqrt((centred**2).sum(axis=0))
    scale = np.sqrt((values**2).sum(axis=0))
    varies = size > 1e-12 * np.maximum(scale, 1e-300)
    unit = (centred[:, varies] / size[varies]).astype(np.float32)
    bases = []
    for term in terms:
        q = centre_by(np.asarray(term, dtype=np.float64).reshape(n, -1), blocks)
        u, s, _ = np.linalg.svd(q, full_matrices=False)
        bases.append(u[:, s > 1e-9 * max(float(s.max(initial=0.0)), 1e-300)].T.astype(np.float32))
    free = n - len(np.unique(blocks))
    widths = [len(b) for b in bases]

    def adjusted(rows: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Floats:
        """Adjusted R2 of each quantity, (..., quantities, features) from (..., all terms, n)."""
        # One product of two matrices: numpy would do a stack of thin ones one by one.
        squares = (rows.reshape(-1, n) @ unit).reshape(*rows.shape[:-1], unit.shape[1])
        np.square(squares, out=squares)
        parts, start = [], 0
        for width in widths:
            part = squares[..., start : start + width, :]
            r2 = part[..., 0, :] if width == 1 else part.sum(axis=-2)
            ratio = free / max(free - width, 1)
            parts.append(1.0 - ratio + ratio * r2)
            start += width
        out: Floats = np.stack(parts, axis=-2)
        return out

    which = np.full(m, -1, dtype=np.intp)
    r2, p = np.full(m, np.nan), np.full(m, np.nan)
    if not bases or sum(widths) == 0 or not varies.any() or free - max(widths) < 1:
        return Links(which, r2, p, float("nan"))
    stacked = np.concatenate(bases)
    seen = adjusted(stacked)
    which[varies] = seen.argmax(axis=0)
    best = seen.max(axis=0)
    r2[varies] = best
    rng = np.random.default_rng(seed)
    beyond = np.zeros(best.shape, dtype=np.int64)
    sample = best[None]
    for start in range(0, permutations, _CHUNK):
        order = shuffles(blocks, min(_CHUNK, permutations - start), rng)
        drawn = adjusted(np.moveaxis(stacked[:, order], 0, 1)).max(axis=-2)
        beyond += np.count_nonzero(drawn >= best - 1e-5, axis=0)
        if start == 0:
            sample = drawn
    p[varies] = (beyond + 1) / (permutations + 1)
    return Links(which, r2, p, float(np.median(np.quantile(sample, 0.95, axis=0))))


def shuffles(blocks: Ints, n: int, rng: np.random.Generator) -> Ints:
    """Give n orders of the wells, shuffled within blocks, (n, wells)."""
    order = np.tile(np.arange(len(blocks)), (n, 1))
    for b in np.unique(blocks):
        wells = np.flatnonzero(blocks == b)
        order[:, wells] = wells[np.argsort(rng.random((n, len(wells))), axis=1)]
    return order


def confounded(name: str, untreated: Floats, perturbed: Floats) -> bool:
    """Whether untreated wells cannot say what a nuisance does where the perturbed wells are.

    Parameters
    ----------
    name : str
        "edge" is a contrast of two classes, any other a straight line.
    untreated, perturbed : ndarray
        The nuisance's value in the wells of either kind.

    Returns
    -------
    bool
        True where all (two or more) perturbed wells share one level that no untreated well has, or most of them lie
        outside the untreated wells' range (of a contrast: in a class without untreated wells).
    """
    levels = np.unique(untreated)
    if len(perturbed) > 1 and len(np.unique(perturbed)) == 1 and perturbed[0] not in levels:
        return True
    outside = ~np.isin(perturbed, levels) if name == "edge" else (perturbed < levels[0]) | (perturbed > levels[-1])
    return bool(outside.mean() > 0.5)


def technical_flags(
    values: Floats,
    plate: Ints,
    untreated: Mapping[str, Floats],
    perturbed: Mapping[str, Floats],
    *,
    alpha: float = 0.05,
    permutations: int = 999,
    seed: int = 0,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Flag features that follow the well's place among untreated wells.

    Parameters
    ----------
    values : ndarray (n, m)
        Untreated wells' means.
    plate : ndarray (n,) int
        Their plates.
    untreated, perturbed : mappings name -> ndarray
        Each nuisance's value in the untreated and in the perturbed wells.
    alpha : float
        Share of features that are flagged where nothing is technical.
    permutations, seed : int
        Shuffles of the null.

    Returns
    -------
    flags : DataFrame (m rows)
        ``technical`` ("yes", "no", "not estimable"), ``nuisance``, ``nuisance_r2``.
    about : dict
        ``tested``, ``confounded``, ``wells``, ``detectable_r2``.
    """
    n, m = values.shape
    coincide = [name for name in untreated if confounded(name, untreated[name], perturbed[name])]
    allowed = n // 4  # never more terms than a quarter of the wells
    tested = (
        [k for k in untreated if len(np.unique(centre_by(untreated[k][:, None], plate).round(9))) > 1]
        if allowed
        else []
    )
    place = strongest_link(values, plate, [untreated[k] for k in tested], permutations=permutations, seed=seed)
    names = np.array([*tested, ""], dtype=object)[place.which]
    r2, p = place.r2, place.p
    plates = len(np.unique(plate))
    if 1 < plates <= allowed + 1:
        dummies = (plate[:, None] == np.arange(1, plates)).astype(np.float64)
        batch = strongest_link(values, plate, [dummies], permutations=permutations, seed=seed + 1, within=False)
        # Two tests, so each at half the level.
        stronger = np.nan_to_num(batch.p, nan=2.0) < np.nan_to_num(p, nan=2.0)
        names = np.where(stronger, "plate", names)
        r2 = np.where(stronger, batch.r2, r2)
        p = np.minimum(2 * np.fmin(p, batch.p), 1.0)
        tested = [*tested, "plate"]
    elif plates > 1:
        coincide.append("plate")
    if not tested:
        reason = "wells" if not allowed else "layout"
        flags = pd.DataFrame(
            {"technical": "not estimable", "nuisance": ", ".join(coincide), "nuisance_r2": np.full(m, np.nan)}
        )
        return flags, {"tested": [], "confounded": coincide, "wells": n, "detectable_r2": None, "reason": reason}
    linked = np.nan_to_num(p, nan=1.0) < alpha
    technical = np.where(linked, "yes", "not estimable" if coincide else "no")
    nuisance = np.where(linked | (not coincide), names, ", ".join(coincide))
    flags = pd.DataFrame({"technical": technical, "nuisance": nuisance, "nuisance_r2": r2})
    detectable = None if np.isnan(place.detectable) else round(place.detectable, 3)
    return flags, {"tested": tested, "confounded": coincide, "wells": n, "detectable_r2": detectable}


def places(wells: Sequence[str], shape: tuple[int, int]) -> dict[str, Floats]:
    """Row, column and edge of wells.

    Parameters
    ----------
    wells : sequence of str
        Names such as ``B07``.
    shape : (rows, columns)
        Format of the plate.

    Returns
    -------
    dict
        ``row`` and ``column`` 0-based, ``edge`` 1 on the rim.
    """
    from napari_phenolens.plate import parse_well

    at = np.array([parse_well(w) for w in wells], dtype=np.float64).reshape(-1, 2)
    row, column = at[:, 0], at[:, 1]
    rim = (row == 0) | (column == 0) | (row == shape[0] - 1) | (column == shape[1] - 1)
    return {"row": row, "column": column, "edge": rim.astype(np.float64)}
