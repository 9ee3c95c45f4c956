"""Dose-response curves: one a compound, with an EC50 only where the series can say it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.bootstrap import percentile_interval
from napari_phenolens.analysis.dose import feature_values, value_name
from napari_phenolens.analysis.dose_series import find_doses, one_unit
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.four_parameters import Curves, Series, fit, fraction, resampled_means, search
from napari_phenolens.analysis.phenotype import Phenotype
from napari_phenolens.analysis.protocol import Query, RunLike

LEAST_DOSES = 4  # as many as the curve has numbers
REACHED = 0.8  # share of the curve's height at which a plateau counts as reached
SURE = 0.9  # share of the resamples in which it must be
WIDEST = 10.0  # factor that an EC50's interval may span
NO_RESPONSE = 0.05
DRAWN = 80  # points of a drawn curve


@dataclass
class _Row:
    """What is said of one compound; see `dose_curves` for the names."""

    unit: str
    n_wells: int
    n_doses: int
    lowest: float
    highest: float
    n_untreated: int = 0
    start: float = np.nan
    end: float = np.nan
    hill: float = np.nan
    r2: float = np.nan
    ec50: float = np.nan
    ec50_low: float = np.nan
    ec50_high: float = np.nan
    reason: str = ""
    curve: dict[str, list[float]] = field(default_factory=dict)


def dose_curves(
    run: RunLike,
    feature: int | str | pd.Series | Phenotype,
    *,
    dose: str | None = None,
    compound: str | None = None,
    controls: Query | None = None,
    wells: Query | None = None,
    per: str = "patch",
    kind: str = "activation",
    bootstrap: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Fit a four-parameter log-logistic curve to every compound's dose series; the well is the unit.

    Parameters
    ----------
    run : Run
        The run.
    feature : int, str, Series or Phenotype
        A feature, a covariate's name, values of your own indexed by well, or a phenotype whose score is used.
    dose, compound : str or None
        The plate map's columns; None takes those that are called so (dose, concentration, ...; compound, drug, ...).
        The unit is that of a column ``<dose>_unit``, else what the dose column's own name says.
    controls : query, ``[]`` or None
        Wells that stand for dose 0 of every compound; None takes the run's controls, ``[]`` none.
    wells : query or None
        Use only these treated wells; None takes all.
    per, kind : str
        Which profiles a feature is read from.
    bootstrap, seed : int
        Resamples of wells within dose.

    Returns
    -------
    DataFrame
        Index ``compound``: ``unit``, ``n_wells`` and ``n_doses`` (treated), ``lowest``, ``highest`` dose,
        ``n_untreated``, ``start`` (value at dose 0), ``end`` (at any high dose; NaN where that plateau is not reached),
        ``hill``, ``r2`` (over wells), ``ec50`` with its 95 % interval ``ec50_low``, ``ec50_high`` in `unit`, and
        ``reason``: why there is no EC50. It is NaN unless the curve explains more than a flat line, both plateaus are
        reached, and the interval spans less than a factor of ten.
        ``attrs["curves"]`` holds for each compound the curve and its 95 % band (``dose``, ``value``, ``low``,
        ``high``), ``attrs["points"]`` its wells (``well``, ``dose``, ``value``), both as lists to be drawn.

    Raises
    ------
    AnalysisError
        Where the columns, the feature or the wells are missing.
    """
    if bootstrap < 100:
        raise AnalysisError(f"bootstrap={bootstrap}: an interval needs at least 100 resamples")
    found = find_doses(run, dose, compound, controls, wells)
    values = feature_values(run, feature, per=per, kind=kind)
    values = values[np.isfinite(values.to_numpy(dtype=np.float64))]
    zero = [w for w in found.untreated if w in values.index]
    rows: dict[str, _Row] = {}
    points: dict[str, dict[str, list[Any]]] = {}
    for name, part in found.wells.groupby("compound", sort=False):
        doses, unit, problem = one_unit(part["dose"], part["unit"])
        doses = doses[doses.index.isin(values.index)]
        dosed = pd.concat([pd.Series(0.0, index=zero, dtype=np.float64), doses])
        points[str(name)] = {
            "well": list(map(str, dosed.index)),
            "dose": dosed.tolist(),
            "value": values.reindex(dosed.index).tolist(),
        }
        row = _Row(unit, len(doses), int(doses.nunique()), float(doses.min()), float(doses.max()), len(zero))
        rows[str(name)] = row
        if problem or not len(doses):
            row.reason = problem or "none of its wells has a value"
            continue
        _fit(row, Series.of(dosed.to_numpy(), values.reindex(dosed.index).to_numpy(dtype=np.float64)), bootstrap, seed)
    table = pd.DataFrame([asdict(row) for row in rows.values()], index=pd.Index(rows, name="compound"))
    curves = table.pop("curve")
    table.attrs = {
        "value": value_name(feature),
        "plate": run.plate_name,
        "dose": found.dose_column,
        "compound": found.compound_column,
        "untreated": zero,
        "per": per,
        "kind": kind,
        "bootstrap": bootstrap,
        "seed": seed,
        "curves": {str(name): curve for name, curve in curves.items() if curve},
        "points": points,
        "warnings": _notes(feature, table, zero),
    }
    return table


def _fit(row: _Row, series: Series, draws: int, seed: int) -> None:
    """Fit one compound and say its EC50, or why not."""
    if len(series.treated) < LEAST_DOSES:
        doses = len(series.treated)
        row.reason = f"{doses} dose{'s' * (doses != 1)}: a curve needs at least {LEAST_DOSES}"
        return
    total = float(((series.value - series.value.mean()) ** 2).sum())
    if total <= 1e-20 * max(float((series.value**2).sum()), 1e-300):
        row.reason = "the value is the same in all wells"
        return
    curve = fit(series)
    left = float(((series.value - curve.at(series.dose)[0][series.level]) ** 2).sum())
    resampled = search(series, resampled_means(series, curve, draws, seed))
    row.start, row.end, row.hill = float(curve.start[0]), float(curve.end[0]), float(curve.hill[0])
    row.r2 = 1 - left / total
    at = np.geomspace(series.treated[0], series.treated[-1], DRAWN)
    band = np.quantile(resampled.at(at), (0.025, 0.975), axis=0)
    row.curve = {
        "dose": at.tolist(),
        "value": curve.at(at)[0].tolist(),
        "low": band[0].tolist(),
        "high": band[1].tolist(),
    }
    first, last = _reached(series, curve), _reached(series, resampled)
    if not last[1].mean() >= SURE or not first[1][0]:
        row.end = np.nan
    row.reason = _why_not(row, series, curve, resampled, left, total)
    if not row.reason:
        interval = percentile_interval(resampled.ec50, float(curve.ec50[0]))
        row.ec50, row.ec50_low, row.ec50_high = interval.value, interval.low, interval.high


def _reached(series: Series, curves: Curves) -> tuple[Any, Any]:
    """Whether each curve has its plateau of low doses, and that of high doses, within the doses tested.

    Untreated wells are on the low plateau themselves; then it is enough that the half way lies above the lowest dose.
    """
    ends = fraction(series.treated[[0, -1]], curves.ec50, curves.hill)
    allowed = 0.5 if series.dose[0] == 0 else 1 - REACHED
    return ends[:, 0] <= allowed, ends[:, 1] >= REACHED


def _why_not(row: _Row, series: Series, curve: Curves, resampled: Curves, left: float, total: float) -> str:
    """Say why there is no EC50; empty where there is."""
    from scipy.stats import f

    free = len(series.value) - 4
    if free < 1:
        return f"{len(series.value)} wells: a curve of four numbers needs at least five"
    against = f.sf((total - left) / 3 / max(left / free, 1e-300), 3, free)
    if against > NO_RESPONSE:
        return "no response: the curve explains no more than a flat line does"
    unit = f" {row.unit}" if row.unit else ""
    low, high = _reached(series, curve)
    sure_low, sure_high = _reached(series, resampled)
    ends = fraction(series.treated[[0, -1]], curve.ec50, curve.hill)[0]
    if not low[0] or sure_low.mean() < SURE:
        return (
            f"the plateau of low doses is not reached: at the lowest dose, {row.lowest:.3g}{unit}, the curve has come "
            f"{ends[0]:.0%} of its way, and in {_rare(sure_low)} of the resamples too far to tell"
        )
    if not high[0] or sure_high.mean() < SURE:
        return (
            f"the plateau of high doses is not reached: at the highest dose, {row.highest:.3g}{unit}, the curve has "
            f"come {ends[1]:.0%} of its way, and in {_rare(sure_high)} of the resamples not far enough"
        )
    span = percentile_interval(resampled.ec50, float(curve.ec50[0]))
    if not span.high < WIDEST * span.low:
        return (
            f"the interval of the EC50, {span.low:.3g} to {span.high:.3g}{unit}, spans a factor of "
            f"{span.high / span.low:.2g}, and not less than ten"
        )
    return ""


def _rare(sure: Any) -> str:
    return f"{1 - sure.mean():.0%}"


def _notes(feature: object, table: pd.DataFrame, zero: list[str]) -> list[str]:
    """Write what one must know to read the curves."""
    notes = []
    if isinstance(feature, Phenotype):
        notes.append(
            f"The phenotype was found in {len(feature.controls)} control and {len(feature.perturbed)} perturbed wells: "
            "where these are among the series, their scores are in-sample."
        )
    if not zero:
        notes.append("No untreated wells: the plateau of low doses must be reached by the doses themselves.")
    single = table.index[(table["n_wells"] == table["n_doses"]) & (table["n_doses"] >= LEAST_DOSES)]
    if len(single):
        notes.append(
            f"One well a dose ({', '.join(map(str, single[:6]))}{', ...' if len(single) > 6 else ''}): the band comes "
            "from the wells' distances to the curve and is rough."
        )
    return notes


def say_dose(row: pd.Series) -> str:
    """Say in a sentence what a row of `dose_curves` says about its EC50."""
    unit = f" {row['unit']}" if row["unit"] else ""
    if row["reason"]:
        return f"No EC50: {row['reason']}."
    return (
        f"EC50 {row['ec50']:.3g}{unit} (95 % interval {row['ec50_low']:.3g} to {row['ec50_high']:.3g}{unit}, "
        f"{row['n_wells']} wells at {row['n_doses']} doses, slope {row['hill']:.2g})."
    )
