"""How a feature is spread over wells, fields or cells of both sides of a comparison; for patches see `histogram`.

Only wells are replicates. Fields and cells of one well share its history: their spread is shown and never tested.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.places import check_feature
from napari_phenolens.analysis.protocol import Query, RunLike
from napari_phenolens.analysis.sides import gather

UNITS = ("well", "field", "cell")


def distribution(
    run: RunLike, feature: int, controls: Query | None, perturbed: Query, *, of: str = "well"
) -> pd.DataFrame:
    """Give a feature's values on both sides of a comparison.

    Parameters
    ----------
    run : Run
        The run.
    feature : int
        The feature.
    controls, perturbed : query
        The sides, see `compare`.
    of : {"well", "field", "cell"}
        What is listed: means of wells or of fields over their foreground, or of cells by the area of their patches (the
        cells stored with the run).

    Returns
    -------
    DataFrame
        A row a well, field or cell: ``well``, ``field`` ("" for wells), ``side`` ("control", "perturbed") and
        ``value``. ``attrs``: ``of``, ``feature``, ``plate``, ``warnings``. No p, on purpose: that of the well means
        stands in `compare`.

    Raises
    ------
    AnalysisError
        Where `of` or the feature is unknown, the sides cannot be compared, or no cells are stored.
    """
    if of not in UNITS:
        raise AnalysisError(f"of={of!r}: give one of {', '.join(UNITS)}; for patches see feature_histogram")
    feature = check_feature(run, feature)
    sides, values = gather(run, controls, perturbed)
    side = {w: ("perturbed" if s else "control") for (_, w), s in zip(sides.wells, sides.design.side, strict=True)}
    if of == "well":
        found = pd.DataFrame({"well": list(side), "field": "", "value": values[:, feature]})
    else:
        found = _fields(run, feature) if of == "field" else _cells(run, feature)
        found = found[found["well"].isin(list(side)) & np.isfinite(found["value"])]
    found.insert(2, "side", found["well"].map(side))
    table = found.sort_values("side", kind="stable").reset_index(drop=True)
    warnings = list(sides.notes)
    if of != "well":
        warnings.append(
            f"{of.capitalize()}s of one well are no replicates: their spread is shown and never tested. "
            "The comparison's p is that of the well means."
        )
        gone = sorted(set(side) - set(table["well"]))
        if gone:
            warnings.append(f"{len(gone)} wells have no {of}s to show: {', '.join(gone[:6])}.")
    table.attrs = {"of": of, "feature": feature, "plate": run.plate_name, "warnings": warnings}
    return table


def _fields(run: Any, feature: int) -> pd.DataFrame:
    """Give every field's mean."""
    means = run.field_profiles()[feature]
    well, field = (means.index.get_level_values(i).astype(str) for i in (0, 1))
    return pd.DataFrame({"well": well, "field": field, "value": means.to_numpy(dtype=np.float64)})


def _cells(run: Any, feature: int) -> pd.DataFrame:
    """Give every stored cell's mean."""
    if not getattr(run, "has_cells", False):
        raise AnalysisError(
            f"no cells are stored with the run of {run.plate_name}: find them with `phenolens cells`, or look at "
            "fields or patches"
        )
    cells = run.cells()
    value = np.asarray(run.cell_codes()[:, [feature]].todense(), dtype=np.float64).ravel()
    return pd.DataFrame({"well": cells["well"].astype(str), "field": cells["field"].astype(str), "value": value})
