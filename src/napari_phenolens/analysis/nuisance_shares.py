"""How much of every feature's spread over untreated wells goes with plate, row, column, edge and cell count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from napari_phenolens.analysis.contrast import centre_by
from napari_phenolens.analysis.protocol import Floats, Ints, RunLike
from napari_phenolens.analysis.technical import places, shuffles

PLACE = ("row", "column", "edge", "plate")
NUISANCES = (*PLACE, "count")
_CHUNK = 64


@dataclass(frozen=True)
class Nuisances:
    """The shares of all nuisances.

    Attributes
    ----------
    features : DataFrame
        A row a feature: ``<nuisance>_r2`` (adjusted R2), ``<nuisance>_p``; NaN where it cannot be told.
    mean, null, p : dict of str to float
        Mean share over features, its mean under shuffled wells, and the chance of so much.
    reasons : dict of str to str
        Why a nuisance cannot be told.
    wells : int
        Untreated wells.
    """

    features: pd.DataFrame
    mean: dict[str, float] = field(default_factory=dict)
    null: dict[str, float] = field(default_factory=dict)
    p: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    wells: int = 0


def nuisance_shares(
    runs: Sequence[RunLike], plate: Ints, wells: Sequence[tuple[int, str]], values: Floats, *,
    permutations: int = 499, seed: int = 0,
) -> Nuisances:  # fmt: skip
    """Relate every feature to each nuisance alone, among untreated wells.

    Parameters
    ----------
    runs : sequence of Run
        The runs that the wells are of.
    plate : ndarray (n,) int
        Plate of each well.
    wells : sequence of (int, str)
        Run and name of each untreated well.
    values : ndarray (n, m)
        Their profiles.
    permutations, seed : int
        Shuffles within plates (of the plate itself: over plates).

    Returns
    -------
    Nuisances
        Row, column and cell count are straight lines, the edge one contrast, plates have a mean each; never more terms
        than a quarter of the wells.
    """
    n, m = values.shape
    out = Nuisances(pd.DataFrame(index=pd.RangeIndex(m, name="feature")), wells=n)
    names = [well for _, well in wells]
    at = positions(runs, wells)
    count = _cell_count(runs, wells)
    for name in NUISANCES:
        within = name != "plate"
        term = (plate[:, None] == np.unique(plate)[1:]).astype(float) if name == "plate" else None
        if term is None:
            term = (count if name == "count" else at[name])[:, None]
        blocks = plate if within else np.zeros_like(plate)
        reason = _reason(name, term, blocks, names)
        if reason:
            out.reasons[name] = reason
            out.features[f"{name}_r2"], out.features[f"{name}_p"] = np.nan, np.nan
            continue
        r2, p, mean, null = _shares(values, blocks, term, permutations, seed)
        out.features[f"{name}_r2"], out.features[f"{name}_p"] = r2, p
        out.mean[name] = mean
        out.null[name] = float(null.mean()) if len(null) else float("nan")
        out.p[name] = float(((null >= mean - 1e-9).sum() + 1) / (len(null) + 1)) if len(null) else float("nan")
    return out


def positions(runs: Sequence[RunLike], wells: Sequence[tuple[int, str]]) -> dict[str, Floats]:
    """Row, column and edge of wells of several plates."""
    from napari_phenolens.plate import plate_format

    at = {key: np.zeros(len(wells)) for key in ("row", "column", "edge")}
    for i, run in enumerate(runs):
        here = [n for n, (r, _) in enumerate(wells) if r == i]
        shape = plate_format([*map(str, run.metadata.index), *run.wells])
        for key, found in places([wells[n][1] for n in here], shape).items():
            at[key][here] = found
    return at


def _reason(name: str, term: Floats, blocks: Ints, wells: Sequence[str]) -> str:
    """Say why a nuisance cannot be told; empty where it can."""
    n, terms = term.shape
    if name == "plate" and terms == 0:
        return "all wells are of one plate"
    if n < 4 * terms or n - len(np.unique(blocks)) - terms < 2:
        return f"{n} untreated wells are too few"
    if not np.isfinite(term).all():
        return "cells were not counted in all untreated wells: no nuclear channel is known"
    if np.abs(centre_by(term, blocks)).max() <= 1e-9 * max(float(np.abs(term).max()), 1e-300):
        same = (
            f"all untreated wells lie in one {name}" if name in ("row", "column") else "all untreated wells are alike"
        )
        return f"{same} ({', '.join(wells[:4])}{' ...' if len(wells) > 4 else ''})"
    return ""


def _shares(
    values: Floats, blocks: Ints, term: Floats, permutations: int, seed: int
) -> tuple[Floats, Floats, float, Floats]:
    """Adjusted R2 of each feature, its p, their mean, and that mean under shuffled wells."""
    n, m = values.shape
    centred = centre_by(values, blocks)
    size = np.sqrt((centred**2).sum(axis=0))
    varies = size > 1e-12 * np.maximum(np.sqrt((values**2).sum(axis=0)), 1e-300)
    unit = centred[:, varies] / size[varies]
    u, s, _ = np.linalg.svd(centre_by(term, blocks), full_matrices=False)
    basis = u[:, s > 1e-9 * s.max()]
    free = n - len(np.unique(blocks))
    ratio = free / max(free - basis.shape[1], 1)
    seen = 1 - ratio + ratio * ((basis.T @ unit) ** 2).sum(axis=0)
    rng = np.random.default_rng(seed)
    beyond, null = np.zeros(unit.shape[1], np.int64), []
    for start in range(0, permutations, _CHUNK):
        order = shuffles(blocks, min(_CHUNK, permutations - start), rng)
        drawn = 1 - ratio + ratio * ((basis[order].transpose(0, 2, 1) @ unit) ** 2).sum(axis=1)
        beyond += (drawn >= seen - 1e-9).sum(axis=0)
        null += list(drawn.mean(axis=1)) if varies.any() else []
    r2, p = np.full(m, np.nan), np.full(m, np.nan)
    r2[varies], p[varies] = seen, (beyond + 1) / (permutations + 1)
    return r2, p, float(seen.mean()) if varies.any() else float("nan"), np.array(null)


def _cell_count(runs: Sequence[RunLike], wells: Sequence[tuple[int, str]]) -> Floats:
    tables = [run.covariates() for run in runs]
    counts = [tables[i]["cell_count"].get(w, np.nan) if "cell_count" in tables[i] else np.nan for i, w in wells]
    return np.asarray(counts, np.float64)
