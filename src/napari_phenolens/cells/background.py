"""The background of a channel: its mode and the spread about it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def background_level(image: NDArray[Any]) -> tuple[float, float]:
    """Estimate the background's level and spread from the histogram's lowest broad peak.

    Parameters
    ----------
    image : ndarray (Y, X)
        One channel, better smoothed.

    Returns
    -------
    level, spread : float
        The mode of the lower half of the pixels and a standard deviation, 1.4826 times the median distance of the
        pixels below the level from it (cells only lie above, so the lower flank is background's own). The spread is at
        least a thousandth of the image's range, since smoothed flat areas of 8-bit files have none.
    """
    # every second pixel is enough for a mode, and four times faster
    values = np.asarray(image, np.float32)[::2, ::2].ravel()
    low, middle, high = (float(v) for v in np.percentile(values, (0.1, 60.0, 99.9)))
    if high <= low:
        return low, 0.0
    top = middle if middle > low else high
    counts, edges = np.histogram(values, bins=128, range=(low, top))
    # smooth the counts over five bins: quantised files leave combs
    counts = np.convolve(np.pad(counts, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    peak = int(np.argmax(counts))
    level = float((edges[peak] + edges[peak + 1]) / 2)
    below = values[values <= level]
    spread = 1.4826 * float(np.median(level - below)) if below.size else 0.0
    return level, max(spread, 1e-3 * (high - low))
