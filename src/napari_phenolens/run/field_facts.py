"""What a run keeps of every field beside its codes: plain measurements and mean tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_phenolens.run.layout import well_rows

if TYPE_CHECKING:
    from napari_phenolens.run.reader import Run


def field_covariates(run: Run) -> pd.DataFrame:
    """Give plain measurements of every field: cell count, foreground, focus, intensities.

    Returns
    -------
    DataFrame
        Index ``(well, field)``, in the order of `Run.field_profiles`. Nothing of it comes from the encoder.
    """
    rows = {(well, f["name"]): f["covariates"] for well in run.wells for f in run._mark(well)["fields"]}
    index = pd.MultiIndex.from_tuples(rows, names=["well", "field"])
    return pd.DataFrame(list(rows.values()), index=index).astype(float)


def mean_tokens(run: Run) -> pd.DataFrame:
    """Give the mean whitened token of every well's foreground units, all fields pooled.

    Returns
    -------
    DataFrame
        wells x p, index ``well``; NaN for a well without foreground.
    """
    rows = np.full((len(run.wells), run.plan.dim), np.nan)
    for i, well in enumerate(run.wells):
        part = well_rows(run.plan, "fields/token", run.plan.wells.index(well))
        count = sum(f["foreground"] for f in run._mark(well)["fields"])
        if count:
            rows[i] = np.asarray(run._arrays["fields/token"][part], np.float64).sum(axis=0) / count
    return pd.DataFrame(rows, index=pd.Index(run.wells, name="well"))
