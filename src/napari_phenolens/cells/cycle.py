"""Classes of the cell cycle from the DNA that a nucleus holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_phenolens.cells.errors import CellsError

CLASSES = ("G1", "S", "G2", "M", "other")
# nuclei below which no peak is believed
LEAST_NUCLEI = 50
# DNA over that of the G1 peak: below the first is debris, then G1, S, G2 and M, above the last more than two sets
_BOUNDS = (0.7, 1.3, 1.7, 2.6)
# light of a condensed nucleus over the median nucleus of the G1 peak
_CONDENSED = 2.0


def cell_cycle(content: pd.Series, brightness: pd.Series, reference: NDArray[np.bool_] | None = None) -> pd.Series[Any]:
    """Class cells by the DNA of their nuclei.

    The G1 peak is the highest of the smoothed histogram of log2 content of the reference cells. Content of 0.7 to 1.3
    of it is G1, to 1.7 S, to 2.6 G2, or M where the nucleus is more than twice as bright as those of the peak
    (condensed chromatin); the rest is ``other``. Bounds of this kind are approximate: look at the histogram.

    Parameters
    ----------
    content : Series
        Total light of the nuclear channel in each nucleus, above background; NaN stays without a class.
    brightness : Series
        Mean light of the nuclear channel in each nucleus, same index.
    reference : ndarray of bool, optional
        The cells whose G1 peak is taken, those of control wells for example; all of them where not given.

    Returns
    -------
    Series
        Categorical ``G1``, ``S``, ``G2``, ``M``, ``other``; missing where there is no content.

    Raises
    ------
    CellsError
        Where fewer than 50 reference cells have a content above 0.
    """
    values = content.to_numpy(dtype=np.float64)
    known = np.isfinite(values) & (values > 0)
    chosen = known if reference is None else known & np.asarray(reference, np.bool_)
    if chosen.sum() < LEAST_NUCLEI:
        raise CellsError(
            f"{int(chosen.sum())} nuclei are too few to find the G1 peak of DNA content ({LEAST_NUCLEI} are needed); "
            "take more wells as reference"
        )
    peak = _peak(np.log2(values[chosen]))
    share = np.divide(values, peak, out=np.full(len(values), np.nan), where=known)
    light = brightness.to_numpy(dtype=np.float64)
    of_peak = chosen & (share > _BOUNDS[0]) & (share <= _BOUNDS[1])
    usual = float(np.median(light[of_peak]))
    kind: NDArray[np.int64] = np.array([4, 0, 1, 2, 4])[np.searchsorted(_BOUNDS, np.nan_to_num(share))]
    kind[(kind == 2) & (light > _CONDENSED * usual)] = 3
    kind[~np.isfinite(values)] = -1
    return pd.Series(pd.Categorical.from_codes(kind, categories=pd.Index(CLASSES)), index=content.index, name="cycle")


def _peak(log: NDArray[np.float64]) -> float:
    """Give the content at the mode of its log, by a kernel estimate of 0.1 octave."""
    from scipy import ndimage as ndi

    low, high = np.percentile(log, (1, 99))
    edges = np.arange(low - 0.5, high + 0.5, 0.02)
    counts = np.histogram(log, edges)[0].astype(np.float64)
    at = int(np.argmax(ndi.gaussian_filter1d(counts, 5.0, mode="constant")))
    return float(2.0 ** ((edges[at] + edges[at + 1]) / 2))
