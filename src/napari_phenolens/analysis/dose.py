"""How a feature goes with the dose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from napari_phenolens.analysis.bootstrap import Interval, bootstrap_wells
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.phenotype import Phenotype
from napari_phenolens.analysis.protocol import Floats, Query, RunLike


@dataclass(frozen=True)
class DoseResponse:
    """How a feature goes with the dose.

    Attributes
    ----------
    spearman : Interval
        Rank correlation of dose and well means with its 95 % bootstrap-by-well interval.
    table : DataFrame
        ``dose`` and ``value`` of every well, index ``well``.
    """

    spearman: Interval
    table: pd.DataFrame


def spearman(dose: Floats, value: Floats) -> float:
    """Rank correlation, ties at their mean rank; NaN where either does not vary."""
    from scipy.stats import rankdata

    a, b = rankdata(dose), rankdata(value)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b / size) if size > 0 else float("nan")


def dose_response(
    run: RunLike,
    feature: int | str | pd.Series,
    column: str,
    wells: Query,
    *,
    per: str = "patch",
    kind: str = "activation",
    bootstrap: int = 2000,
    seed: int = 0,
) -> DoseResponse:
    """Correlate a feature's well means with the dose.

    Parameters
    ----------
    run : Run
        The run.
    feature : int, str or Series
        A feature, a covariate's name, or values of your own indexed by well.
    column : str
        The plate map's column of doses.
    wells : query
        The wells of the series.
    per, kind : str
        Which profiles.
    bootstrap, seed : int
        Resamples by well.

    Returns
    -------
    DoseResponse

    Raises
    ------
    AnalysisError
        Where the column is missing or holds no numbers, or fewer than four wells have both.
    """
    if column not in run.metadata.columns:
        raise AnalysisError(
            f"the plate map of {run.plate_name} has no column {column!r}; it has "
            f"{', '.join(map(str, run.metadata.columns))}"
        )
    chosen = run.select(wells)
    doses = pd.to_numeric(run.metadata[column].reindex(chosen), errors="coerce")
    values = feature_values(run, feature, per=per, kind=kind).reindex(chosen)
    table = pd.DataFrame({"dose": doses, "value": values}).dropna()
    table.index.name = "well"
    if len(table) < 4:
        raise AnalysisError(
            f"{len(table)} of the {len(chosen)} wells have both a number in {column!r} and a value; a dose series "
            "needs at least four"
        )
    pairs = table.to_numpy(dtype=np.float64)
    found = bootstrap_wells(lambda rows: spearman(rows[:, 0], rows[:, 1]), pairs, draws=bootstrap, seed=seed)
    return DoseResponse(found, table)


def feature_values(
    run: RunLike, feature: int | str | pd.Series | Phenotype, *, per: str = "patch", kind: str = "activation"
) -> pd.Series:
    """Give a value a well: a feature's means, a covariate by its name, a phenotype's score, or the Series passed."""
    if isinstance(feature, pd.Series):
        return feature.astype(np.float64)
    if isinstance(feature, Phenotype):
        return feature.score(run)
    if isinstance(feature, str):
        covariates = run.covariates()
        if feature not in covariates.columns:
            raise AnalysisError(f"no covariate {feature!r}; there are {', '.join(map(str, covariates.columns))}")
        return covariates[feature].astype(np.float64)
    if not 0 <= int(feature) < run.n_features:
        raise AnalysisError(f"no feature {feature}; the run of {run.plate_name} has features 0 to {run.n_features - 1}")
    return run.profiles(per=per, kind=kind)[int(feature)].astype(np.float64)


def value_name(feature: int | str | pd.Series | Phenotype) -> str:
    """Name what `feature_values` gives."""
    if isinstance(feature, pd.Series):
        return str(feature.name) if feature.name is not None else "value"
    if isinstance(feature, Phenotype):
        return f"phenotype of {len(feature.features)} features"
    return feature if isinstance(feature, str) else f"feature {int(feature)}"


def shift_share(group: Floats, control: Floats, perturbed: Floats, *, bootstrap: int = 2000, seed: int = 0) -> Interval:
    """Give a group's shift from the controls as a share of the perturbed wells' shift.

    Parameters
    ----------
    group, control, perturbed : arrays
        Values of the wells of each.
    bootstrap, seed : int
        Resamples by well, within each.

    Returns
    -------
    Interval
        (mean group - mean control) / (mean perturbed - mean control).
    """

    def share(g: Floats, c: Floats, p: Floats) -> float:
        effect = p.mean() - c.mean()
        return float((g.mean() - c.mean()) / effect) if effect else float("nan")

    return bootstrap_wells(share, group, control, perturbed, draws=bootstrap, seed=seed)
