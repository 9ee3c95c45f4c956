"""The background of a channel: its mode, the spread about it, and its unevenness."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# tiles a side whose low values tell the background's shape; smaller tiles than this lie within one nucleus
_TILES = 8
_LEAST_TILE = 24
# quantile of the tiles that the surface runs through: two thirds of the field may be full of cells
_QUANTILE = 0.25


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


def background_surface(image: NDArray[Any]) -> NDArray[np.float32]:
    """Fit uneven background (vignetting, a gradient of light) with a quadratic surface.

    The tenth percentile of each of 8 x 8 tiles is taken, and a surface of second degree laid through the lower quarter
    of them (quantile regression by reweighted least squares), so that tiles full of cells do not lift it.

    Parameters
    ----------
    image : ndarray (Y, X)
        One channel, better smoothed.

    Returns
    -------
    ndarray (Y, X) float32
        To be subtracted; its own mean is zero. Zeros where the field is too small (below 96 px) to tell.
    """
    values = np.asarray(image, np.float32)
    size = np.array(values.shape)
    tiles = np.minimum(_TILES, size // _LEAST_TILE)
    if tiles.min() < 4:
        return np.zeros(values.shape, np.float32)
    n, m = (int(t) for t in tiles)
    height, width = (int(t) for t in size // tiles)
    # a dozen pixels a side of a tile are enough
    blocks = values[: n * height, : m * width].reshape(n, height, m, width)
    blocks = blocks[:, :: max(1, height // 12), :, :: max(1, width // 12)]
    low = np.percentile(blocks, 10, axis=(1, 3)).astype(np.float64).ravel()
    # tile centres and pixels on the same axes, -1 to 1 over the field
    y, x = (
        (np.arange(count) + 0.5) * (step / (length / 2)) - 1.0
        for count, step, length in zip((n, m), (height, width), values.shape, strict=True)
    )
    design = _quadratic(np.repeat(y, m), np.tile(x, n))
    reach = float(np.ptp(low))
    if reach <= 0.0:
        return np.zeros(values.shape, np.float32)
    weight = np.ones(low.size)
    for _ in range(30):
        root = np.sqrt(weight)
        coefficient = np.linalg.lstsq(design * root[:, None], low * root, rcond=None)[0]
        rest = low - design @ coefficient
        weight = np.where(rest < 0, 1 - _QUANTILE, _QUANTILE) / np.maximum(np.abs(rest), 1e-3 * reach)
    y, x = (np.linspace(-1 + 1 / length, 1 - 1 / length, length) for length in values.shape)
    c = coefficient
    surface = (c[1] * y + c[3] * y**2)[:, None] + c[2] * x + c[4] * x**2 + np.outer(c[5] * y, x)
    return np.asarray(surface - surface.mean(), np.float32)


def _quadratic(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.ones_like(y), y, x, y**2, x**2, y * x], axis=1)
