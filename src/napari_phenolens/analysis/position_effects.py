"""Whether a value follows where the well lies: rows, columns and the edge, among untreated wells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.dose import feature_values, value_name
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.phenotype import Phenotype
from napari_phenolens.analysis.protocol import Floats, Ints, Query, RunLike
from napari_phenolens.analysis.technical import NUISANCES, places, strongest_link

LEAST_WELLS = 4  # as for the column `technical`: never more terms than a quarter of the wells


def position_effects(
    run: RunLike,
    feature: int | str | pd.Series | Phenotype,
    wells: Query | None = None,
    *,
    per: str = "patch",
    kind: str = "activation",
    permutations: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """Relate a value of the untreated wells to their row, their column and the plate's edge.

    Parameters
    ----------
    run : Run
        The run.
    feature : int, str, Series or Phenotype
        A feature, a covariate's name, values of your own indexed by well, or a phenotype whose score is used.
    wells : query or None
        Wells that were treated alike, so that only their place can make them differ; None takes the run's controls.
    per, kind : str
        Which profiles a feature is read from.
    permutations, seed : int
        Shuffles of the wells.

    Returns
    -------
    DataFrame
        Index ``effect``: ``row``, ``column``, ``edge``. ``size``: from the first row (column) that has such wells to
        the last along a straight line, or rim minus inside, in the value's own units; ``sd``: the same in SDs of these
        wells; ``r2``: adjusted share of their spread; ``p``: chance of so large an R2 where the wells are shuffled;
        ``levels``: rows, columns or sides of the edge with such wells. NaN where there is one level only.
        ``attrs["points"]`` lists ``well``, ``row``, ``column`` (0-based), ``edge`` and ``value``.

    Raises
    ------
    AnalysisError
        Where fewer than four wells have a value.
    """
    from napari_phenolens.plate import plate_format

    chosen = [w for w in (run.controls if wells is None else run.select(wells)) if w in set(run.wells)]
    values = feature_values(run, feature, per=per, kind=kind).reindex(chosen).dropna()
    if len(values) < LEAST_WELLS:
        raise AnalysisError(
            f"{len(values)} of the {len(chosen)} wells have a value; position effects need at least {LEAST_WELLS} "
            "wells that were treated alike"
        )
    names = [str(w) for w in values.index]
    size = getattr(run, "format", None) or plate_format([str(w) for w in run.metadata.index] + list(run.wells))
    where = places(names, size)
    numbers = values.to_numpy(dtype=np.float64)
    one_plate: Ints = np.zeros(len(numbers), dtype=np.intp)
    spread = float(numbers.std(ddof=1))
    rows = {}
    for name in NUISANCES:
        levels = np.unique(where[name])
        row: dict[str, Any] = {"size": np.nan, "sd": np.nan, "r2": np.nan, "p": np.nan, "levels": len(levels)}
        if len(levels) > 1:
            link = strongest_link(numbers[:, None], one_plate, [where[name]], permutations=permutations, seed=seed)
            row["size"] = _slope(where[name], numbers) * float(levels[-1] - levels[0])
            row["sd"] = row["size"] / spread if spread > 0 else np.nan
            row["r2"], row["p"] = float(link.r2[0]), float(link.p[0])
        rows[name] = row
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("effect")
    points = {"well": names, **{k: where[k].astype(int).tolist() for k in NUISANCES}, "value": numbers.tolist()}
    table.attrs = {
        "value": value_name(feature),
        "plate": run.plate_name,
        "wells": names,
        "format": list(size),
        "per": per,
        "kind": kind,
        "seed": seed,
        "permutations": permutations,
        "points": points,
        "warnings": _notes(table, len(names)),
    }
    return table


def _slope(x: Floats, y: Floats) -> float:
    """Least-squares slope."""
    centred = x - x.mean()
    return float(centred @ y / (centred @ centred))


def _notes(table: pd.DataFrame, wells: int) -> list[str]:
    notes = []
    alone = [str(name) for name in table.index[table["levels"] == 1]]
    if alone:
        notes.append(
            f"These {wells} wells have one level of {', '.join(alone)}: what it does cannot be seen among them."
        )
    if wells < 4 * len(NUISANCES):
        notes.append(f"With {wells} wells only strong effects can be seen.")
    return notes
