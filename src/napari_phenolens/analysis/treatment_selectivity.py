"""How selective each feature is for one of the plate map's treatments."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_phenolens.analysis.dose_series import compound_columns
from napari_phenolens.analysis.lens_labels import gather_wells
from napari_phenolens.analysis.protocol import RunLike

SHUFFLES = 20  # enough to see what chance gives; `dictionary.selectivity` gives p


def treatment_selectivity(run: RunLike, column: str | None = None) -> pd.DataFrame:
    """Give each feature's selectivity for its best treatment (Madan et al. 2022; Donhauser et al. 2025).

    Parameters
    ----------
    run : Run
        The run.
    column : str, optional
        The plate map's column of treatments; by default the one that is called compound, drug, treatment ...

    Returns
    -------
    DataFrame
        Index ``feature``: ``selectivity``, the share of foreground units in which it is active in wells of its best
        treatment less that share in all other wells, and ``selective_for``, that treatment. Chosen on these wells:
        in-sample. `attrs`: ``column``, ``by_chance`` (95th percentile, over 20 shuffles of the treatments, of the
        largest of all features). Empty where the map has no such column, or fewer than two treatments of two wells.

    Raises
    ------
    AnalysisError
        Where a column is named that the map does not have.
    """
    nothing = pd.DataFrame(columns=["selectivity", "selective_for"], index=pd.Index([], name="feature", dtype="int64"))
    names = [column] if column is not None else compound_columns(run.metadata)
    if not names:
        return nothing
    wells = gather_wells([run], names[0], None)
    if not wells.labels:
        return nothing
    from napari_phenolens.dictionary import selectivity

    rows = wells.labelled
    labels = np.asarray(wells.labels, dtype=object)[wells.label[rows]].astype(str)
    found = selectivity(wells.active[rows], labels, permutations=SHUFFLES)
    table = pd.DataFrame({"selectivity": found["average"], "selective_for": found["label"].astype(str)})
    table.attrs = {"column": names[0], "by_chance": float(found.attrs["null_average"])}
    return table
