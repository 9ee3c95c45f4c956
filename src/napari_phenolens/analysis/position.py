"""How much of a feature's spread over control patches the position in the encoder's tile explains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from napari_phenolens.analysis.protocol import Floats, RunLike
from napari_phenolens.errors import PhenoLensError

MOST_FIELDS = 12
_known: WeakKeyDictionary[Any, dict[tuple[str, ...], pd.Series]] = WeakKeyDictionary()


def tile_position_share(run: RunLike, wells: Sequence[str] | None = None, *, fields: int = MOST_FIELDS) -> pd.Series:
    """Give each feature's share of variance over control patches that the position in the tile explains.

    Parameters
    ----------
    run : Run
        A run of a lens of patches.
    wells : sequence of str or None
        Wells to look at; None takes the run's controls.
    fields : int
        So many fields, spread over the wells, are read.

    Returns
    -------
    Series
        Adjusted R2 of the activation over foreground patches with one mean a position in the tile (patches that several
        tiles share are left out), index ``feature``; NaN for features that are silent there. Below zero means less than
        chance.

    Raises
    ------
    PhenoLensError
        Where the lens codes no patches or the run no longer says how its tiles lay.
    """
    lens = run.lens
    if getattr(run, "unit", "patch") != "patch" or not hasattr(lens, "margin"):
        raise PhenoLensError("position in the tile is defined for lenses of patches")
    chosen = tuple(wells if wells is not None else [c for c in run.controls if c in set(run.wells)])
    cache = _known.setdefault(run, {})
    if chosen in cache:
        return cache[chosen]
    from napari_phenolens.run.geometry import plan_tiles, tile_positions

    places = [(w, f) for w in chosen for f in run.fields(w)]
    places = places[:: max(1, -(-len(places) // fields))]
    m, side = run.n_features, lens.tile // lens.patch
    total, squares = np.zeros((side**2, m)), np.zeros(m)
    count = np.zeros(side**2)
    for well, field in places:
        row = run.field_row(well, field)
        # The field as the encoder saw it, in pixels of the lens.
        shape = tuple(round(float(row[axis]) * lens.patch / float(row["scale"])) for axis in ("y", "x"))
        position = tile_positions(plan_tiles(shape, lens.patch, lens.tile, lens.margin)).ravel()
        keep = np.flatnonzero((position >= 0) & np.asarray(run.foreground(well, field)).ravel().astype(bool))
        index, value = run.codes(well, field)
        index, value = np.asarray(index)[keep].astype(np.intp), np.asarray(value, dtype=np.float64)[keep]
        at = np.repeat(position[keep], index.shape[1]) * m + index.ravel()
        total += np.bincount(at, value.ravel(), minlength=side**2 * m).reshape(side**2, m)
        squares += np.bincount(index.ravel(), value.ravel() ** 2, minlength=m)
        count += np.bincount(position[keep], minlength=side**2)
    cache[chosen] = _share(total, squares, count)
    return cache[chosen]


def _share(total: Floats, squares: Floats, count: Floats) -> pd.Series:
    """Adjusted R2 of one mean a group, from the groups' sums, the sum of squares and the groups' sizes."""
    n, groups = float(count.sum()), int((count > 0).sum())
    share = np.full(total.shape[1], np.nan)
    if n - groups > 0:
        mean = total.sum(axis=0) / n
        whole = squares - n * mean**2
        between = (total[count > 0] ** 2 / count[count > 0, None]).sum(axis=0) - n * mean**2
        varies = whole > 1e-12 * np.maximum(squares, 1e-300)
        r2 = between[varies] / whole[varies]
        share[varies] = 1 - (1 - r2) * (n - 1) / (n - groups)
    return pd.Series(share, index=pd.RangeIndex(len(share), name="feature"), name="tile_position_r2")
