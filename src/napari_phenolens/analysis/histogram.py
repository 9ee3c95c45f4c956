"""How a feature's activations are spread over the patches of control and of perturbed wells."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.places import check_feature
from napari_phenolens.analysis.protocol import Query, RunLike


def feature_histogram(
    run: RunLike, feature: int, controls: Query | None = None, perturbed: Query | None = None
) -> pd.DataFrame:
    """Read the histogram of a feature's activations in control and in perturbed wells off the run.

    Parameters
    ----------
    run : Run
        The run.
    feature : int
        The 0-based atom.
    controls, perturbed : str, list of wells or None
        Queries over the plate map or well names; None: the run's controls, and all other wells.

    Returns
    -------
    DataFrame
        A row a bin: ``low`` and ``high`` of the activation, ``control`` and ``perturbed``: the share of that side's
        foreground patches that fall into it. Bins above the largest activation of either side are left out. `attrs`:
        ``patches`` and ``active`` (share of patches in which the feature is active) of either side, ``wells``. It
        describes patches, which are no replicates: no test belongs to it.

    Raises
    ------
    AnalysisError
        Where there is no such feature or a side has no well.
    """
    from napari_phenolens.run.sketch import ACTIVATION_STEP

    feature = check_feature(run, feature)
    left = list(run.controls) if controls is None else run.select(controls)
    left = [well for well in left if well in set(run.wells)]
    right = [w for w in run.wells if w not in set(left)] if perturbed is None else run.select(perturbed)
    shares, patches, active = {}, {}, {}
    for side, wells in (("control", left), ("perturbed", right)):
        if not wells:
            raise AnalysisError(f"there is no {side} well; pass {'controls' if side == 'control' else side}=QUERY")
        counts, total = run.histogram(feature, wells)
        shares[side] = counts / max(total, 1)
        patches[side], active[side] = int(total), float(counts.sum() / max(total, 1))
    last = max((int(np.flatnonzero(s).max(initial=-1)) for s in shares.values()), default=-1) + 1
    edges = np.arange(last + 1) * ACTIVATION_STEP
    table = pd.DataFrame({"low": edges[:-1], "high": edges[1:], **{k: v[:last] for k, v in shares.items()}})
    table.attrs = {"patches": patches, "active": active, "wells": {"control": left, "perturbed": right}}
    return table
