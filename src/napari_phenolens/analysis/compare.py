"""`compare`: which features differ between control and perturbed wells, with everything needed to judge it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis import effects
from napari_phenolens.analysis.bootstrap import zprime_interval
from napari_phenolens.analysis.contrast import Design, estimate
from napari_phenolens.analysis.grouping import group_features
from napari_phenolens.analysis.moderated import Moderated, squeeze_variances
from napari_phenolens.analysis.notes import comparison_notes, side_summary
from napari_phenolens.analysis.permutation import Relabelling, benjamini_hochberg, relabelling_test
from napari_phenolens.analysis.position import tile_position_share
from napari_phenolens.analysis.protocol import Bools, Floats, Query, RunLike
from napari_phenolens.analysis.sides import Sides, are_positive_controls, gather
from napari_phenolens.analysis.technical import places, strongest_link, technical_flags
from napari_phenolens.analysis.tested import withhold_p
from napari_phenolens.errors import PhenoLensError

VIEWS = ("patch", "cell", "field")
COUNTS = ("cell_count", "foreground_share")
LEAST_WELLS = 3
TILE_SHARE = 0.05


def compare(
    runs: RunLike | Sequence[RunLike],
    controls: Query | None = None,
    perturbed: Query | None = None,
    *,
    per: str = "patch",
    kind: str = "activation",
    seed: int = 0,
    permutations: int = 20_000,
    covariates: bool = True,
    positive: bool | None = None,
    picked_after: bool = False,
) -> pd.DataFrame:
    """Rank the features between control and perturbed wells; the well is the unit.

    Parameters
    ----------
    runs : Run or sequence of Run
        One plate or several, all made with one lens. With several, plate means are taken out and labels change places
        only within plates.
    controls : str, list of wells or None
        A pandas query over the plate map, or well names; None takes the wells that each run was made with as controls.
    perturbed : str or list of wells
        The wells to hold against them.
    per : {"patch", "cell", "field"}
        What a well's mean is taken over.
    kind : {"activation", "alignment", "active"}
        What is averaged.
    seed : int
        Seed of sampled relabellings, shuffles and the bootstrap.
    permutations : int
        Up to so many relabellings are all used, above so many are drawn.
    covariates : bool
        Append the runs' covariates (cell count, foreground share, focus, intensities ...) as rows of ``type``
        "covariate".
    positive : bool or None
        Whether the perturbed wells are positive controls, so that Z' has a meaning; None asks the plate map's role
        columns (control_type, role, pert_type ...) whether they call every one of them positive.
    picked_after : bool
        Whether wells were picked after feature values had been seen: such a comparison carries no p and no q.

    Returns
    -------
    DataFrame
        Index ``feature`` (the 0-based atom, or a covariate's name); features first, then covariates, the largest
        effects of either sign on top. The columns are explained one by one in docs/statistics.md. ``attrs`` holds
        ``warnings`` (sentences), ``controls`` and ``perturbed`` (wells), ``sides`` (wells, cell count and foreground of
        either), ``excluded``, ``p_method``, ``d0``, ``technical`` ...

    Raises
    ------
    AnalysisError
        Where a side is empty, the sides share wells, lenses differ or no plate holds both sides.
    """
    if perturbed is None:
        from napari_phenolens.analysis.errors import AnalysisError

        raise AnalysisError(
            'compare needs the perturbed wells; pass perturbed=QUERY, such as "control_type == \'poscon\'" or ["A12"]'
        )
    sides, values = gather(runs, controls, perturbed, per=per, kind=kind)
    design = sides.design
    is_positive = are_positive_controls(sides) if positive is None else positive
    table, tested, moderated = measure(values, design, permutations=permutations, seed=seed, positive=is_positive)
    table.insert(0, "type", "feature")
    table.insert(1, "name", _names(sides))
    order = np.argsort(-table["effect"].abs().fillna(-1).to_numpy(), kind="stable")
    table["q"] = benjamini_hochberg(table["p"].to_numpy())
    table["active_difference"] = _difference(sides, per=per, kind="active")
    table["density"] = np.mean(
        [run.density.reindex(range(len(table))).to_numpy(dtype=np.float64) for run in sides.runs], axis=0
    )
    group, representative = group_features(values, design.plate, order)
    table["group"] = pd.array(group, dtype="Int64")
    table["representative"] = pd.array(representative, dtype="boolean")
    table["sign_stable"] = pd.array(
        _sign_stable(sides, table["mean_difference"].to_numpy(), per, kind), dtype="boolean"
    )
    about_technical = _technical(table, sides, values, seed)
    measured = sides.table([run.covariates() for run in sides.runs])
    _count_linked(table, design, values, measured, seed)
    table = table.iloc[order]
    if covariates:
        rows = _covariate_rows(measured, design, permutations=permutations, seed=seed, positive=is_positive)
        if len(rows):
            table = _append(table, rows)
    table.index.name = "feature"
    n0, n1 = design.counts
    sides_summary = side_summary(measured, design)
    table.attrs = {
        "plates": list(sides.plates),
        "per": per,
        "kind": kind,
        "seed": seed,
        "controls": sides.names(False),
        "perturbed": sides.names(True),
        "excluded": list(sides.excluded),
        "n_controls": n0,
        "n_perturbed": n1,
        "positive_controls": is_positive,
        "sides": sides_summary,
        "d0": moderated.d0,
        "df": moderated.df,
        "p_method": f"exact, {tested.n} relabellings"
        if tested.exact
        else f"{tested.n} sampled relabellings, seed {seed}",
        "p_floor": tested.floor,
        "technical": about_technical,
    }
    table.attrs["warnings"] = comparison_notes(sides, sides_summary, table, tested, about_technical)
    return withhold_p(table) if picked_after else table


def measure(
    values: Floats, design: Design, *, permutations: int, seed: int, positive: bool, moderate: bool = True
) -> tuple[pd.DataFrame, Relabelling, Moderated]:
    """Compute every figure that needs nothing but well means and sides.

    Parameters
    ----------
    values : ndarray (n, m)
        Well means without NaN.
    design : Design
        Sides and plates.
    permutations, seed : int
        See `compare`.
    positive : bool
        Whether to give Z'.
    moderate : bool
        Whether to shrink the variances to their trend (False for covariates, which are no family).

    Returns
    -------
    table : DataFrame (m rows)
    tested : Relabelling
    moderated : Moderated
    """
    found = estimate(values, design)
    moderated = (
        squeeze_variances(found.variance, design.df, found.mean)
        if moderate
        else Moderated(found.variance, found.variance, 0.0, float(design.df))
    )
    effect, low, high, parametric = effects.moderated_effect(found, moderated, design)
    var0, var1 = effects.side_variances(found, design)
    tested = relabelling_test(values, design, permutations=permutations, seed=seed)
    n0, n1 = design.counts
    few = min(n0, n1) < LEAST_WELLS
    nothing = np.full(values.shape[1], np.nan)
    constant = np.isnan(tested.p)
    z, z_low, z_high = nothing, nothing, nothing
    if positive:
        z = effects.zprime(found.difference, var0, var1)
        z_low, z_high = zprime_interval(found.adjusted, design, seed=seed)
        z_low, z_high = (np.where(np.isnan(z), np.nan, end) for end in (z_low, z_high))
    table = pd.DataFrame(
        {
            "effect": effect,
            "effect_low": low,
            "effect_high": high,
            "mean_difference": found.difference,
            "mean_control": values[~design.side].mean(axis=0),
            "mean_perturbed": values[design.side].mean(axis=0),
            "hedges_g": effects.hedges_g(found, design),
            "ssmd": effects.ssmd(found.difference, var0, var1),
            "robust_z": effects.robust_z(found, design),
            "zprime": z,
            "zprime_low": z_low,
            "zprime_high": z_high,
            "auroc": effects.auroc(values, design),
            "p": nothing if few else tested.p,
            "p_parametric": nothing if few else np.where(constant, np.nan, parametric),
            "q": nothing,
            "p_floor": tested.floor,
            "active_difference": nothing,
            "n_controls": n0,
            "n_perturbed": n1,
        }
    )
    return table, tested, moderated


def _names(sides: Sides) -> list[str]:
    """Give the features' names: of the first run that has one."""
    every = [run.annotations.names() for run in sides.runs]
    return [next((name for name in names if name), "") for names in zip(*every, strict=True)]


def _difference(sides: Sides, *, per: str, kind: str) -> Floats:
    """Difference of well means of another view, on the wells that have it."""
    stacked = sides.table([run.profiles(per=per, kind=kind) for run in sides.runs]).to_numpy(dtype=np.float64)
    known = np.isfinite(stacked).all(axis=1)
    side, plate = sides.design.side[known], sides.design.plate[known]
    design = Design(side, np.unique(plate, return_inverse=True)[1].astype(np.intp))
    if not side.any() or side.all() or design.information == 0:
        return np.full(stacked.shape[1], np.nan)
    return estimate(stacked[known], design).difference


def _sign_stable(sides: Sides, difference: Floats, per: str, kind: str) -> list[bool | None]:
    """Whether the difference has one sign per patch, per cell and per field; None where there is no second view."""
    stable: Bools = np.ones(len(difference), dtype=bool)
    seen = 0
    for view in VIEWS:
        if view == per:
            continue
        try:
            other = _difference(sides, per=view, kind=kind)
        except PhenoLensError:  # the run has no cells
            continue
        if np.isnan(other).all():
            continue
        stable &= np.sign(other) == np.sign(difference)
        seen += 1
    return [bool(s) if seen else None for s in stable]


def _technical(table: pd.DataFrame, sides: Sides, values: Floats, seed: int) -> dict[str, Any]:
    """Add the columns technical, nuisance, nuisance_r2."""
    from napari_phenolens.plate import plate_format

    parts: list[dict[str, Floats]] = []
    for p, run in enumerate(sides.runs):
        known = [str(w) for w in run.metadata.index] + list(run.wells)
        here = [w for q, w in sides.wells if q == p]
        parts.append(places(here, plate_format(known)))
    where = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
    side = sides.design.side
    flags, about = technical_flags(
        values[~side],
        sides.design.plate[~side],
        {k: v[~side] for k, v in where.items()},
        {k: v[side] for k, v in where.items()},
        seed=seed,
    )
    for column in flags:
        table[column] = flags[column].to_numpy()
    shares = _tile_position(sides)
    if shares is not None:
        # Thousands of patches make any share significant: its size decides.
        seen = (np.nan_to_num(shares) > TILE_SHARE) & (np.nan_to_num(shares) > np.nan_to_num(table["nuisance_r2"]))
        table.loc[seen, "technical"] = "yes"
        table.loc[seen, "nuisance"] = "tile position"
        table.loc[seen, "nuisance_r2"] = shares[seen]
        finite = shares[np.isfinite(shares)]
        about["tile_position_r2"] = float(np.median(finite)) if len(finite) else None
        about["tested"] = [*about["tested"], "tile position"]
    return about


def _tile_position(sides: Sides) -> Floats | None:
    """Mean share over plates of the spread over control patches that the position in the tile explains."""
    found = []
    for p, run in enumerate(sides.runs):
        controls = [w for (q, w), s in zip(sides.wells, sides.design.side, strict=True) if q == p and not s]
        try:
            found.append(tile_position_share(run, controls).to_numpy(dtype=np.float64))
        except PhenoLensError:
            return None
    return np.asarray(np.mean(found, axis=0), dtype=np.float64)


def _count_linked(table: pd.DataFrame, design: Design, values: Floats, measured: pd.DataFrame, seed: int) -> None:
    """Add count_linked and count_r2: whether a feature follows cell count or foreground over the wells compared."""
    known = [c for c in COUNTS if c in measured.columns and np.isfinite(measured[c].to_numpy(dtype=np.float64)).all()]
    terms = [measured[c].to_numpy(dtype=np.float64) for c in known]
    terms = [t for t in terms if np.ptp(t) > 0]
    if not terms or design.n < 4:
        table["count_linked"] = pd.array([None] * len(table), dtype="boolean")
        table["count_r2"] = np.nan
        return
    links = strongest_link(values, design.plate, terms, seed=seed + 2)
    # A link of a few per cent may be sure over many wells and is still no explanation.
    linked = (np.nan_to_num(links.p, nan=1.0) < 0.05) & (np.nan_to_num(links.r2) > 0.25)
    table["count_linked"] = pd.array(linked, dtype="boolean")
    table["count_r2"] = links.r2


def _covariate_rows(
    measured: pd.DataFrame, design: Design, *, permutations: int, seed: int, positive: bool
) -> pd.DataFrame:
    """Give the rows of the covariates, ranked; a covariate is compared on the wells that have it."""
    numbers = measured.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    known = np.isfinite(numbers)
    found = []
    for pattern in np.unique(known.T, axis=0):
        columns = np.flatnonzero((known == pattern[:, None]).all(axis=0))
        part = Design(design.side[pattern], np.unique(design.plate[pattern], return_inverse=True)[1].astype(np.intp))
        if not part.n or not part.side.any() or part.side.all() or part.information == 0:
            continue
        rows, _, _ = measure(
            numbers[np.ix_(pattern, columns)],
            part,
            permutations=permutations,
            seed=seed,
            positive=positive,
            moderate=False,
        )
        rows.index = measured.columns[columns]
        found.append(rows)
    if not found:
        return pd.DataFrame()
    table = pd.concat(found)
    table.insert(0, "type", "covariate")
    table["q"] = benjamini_hochberg(table["p"].to_numpy())
    return table.iloc[np.argsort(-table["effect"].abs().fillna(-1).to_numpy(), kind="stable")]


def _append(features: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Put the covariates' rows under the features', column by column, so that every column keeps its type."""
    index = pd.Index([*features.index, *(str(c) for c in rows.index)], dtype=object)
    out: dict[str, Any] = {}
    for column in features.columns:
        above = features[column]
        if column in rows:
            below = rows[column]
        elif above.dtype == object:
            below = pd.Series([""] * len(rows), dtype=object)
        else:
            below = pd.Series(
                [pd.NA if above.dtype.name in ("boolean", "Int64") else np.nan] * len(rows), dtype=above.dtype
            )
        out[column] = pd.concat([above, below]).to_numpy() if above.dtype == object else pd.concat([above, below]).array
    return pd.DataFrame(out, index=index)
