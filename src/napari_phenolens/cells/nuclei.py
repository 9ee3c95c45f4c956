"""Nuclei from one stained channel: threshold, then a distance-transform watershed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.cells.background import background_level, background_surface
from napari_phenolens.cells.errors import CellsError

Labels = NDArray[np.int32]
Image = NDArray[Any]

# um; smallest and largest nucleus across that is believed where the pixel size is known
_DIAMETER_UM = (4.0, 60.0)
_SIGMA_UM = 0.6
# spreads of the background below which a threshold means that there are no nuclei
_STANDS_OUT = 4.0
# holes smaller than this share of a typical nucleus are filled
_HOLE = 0.25


def segment_nuclei(image: Image, pixel_size: float | None = None) -> Labels:
    """Label the nuclei of a field.

    The image is smoothed, its background flattened (`background_surface`) and subtracted, and thresholded by Otsu's
    method on a square-root scale, so that dim nuclei beside bright ones are kept; where nothing stands eight spreads of
    the background above it, the field is empty. Clumps are parted by a watershed on the smoothed distance transform,
    with a seed distance taken from the field's own nuclei; each nucleus ends where its light falls to 0.6 of its mean.
    Objects far smaller than the field's median are dropped.

    Parameters
    ----------
    image : ndarray (Y, X)
        The nuclear channel, any real dtype.
    pixel_size : float, optional
        Micrometres per pixel; scales the smoothing and the sizes believed. Without it the field's own objects tell.

    Returns
    -------
    ndarray (Y, X) int32
        0 is background, 1..n the nuclei; all zeros where there is nothing but background.

    Raises
    ------
    CellsError
        Where the image is not two-dimensional.
    """
    from scipy import ndimage as ndi
    from skimage.segmentation import watershed

    pixels = np.asarray(image)
    if pixels.ndim != 2:
        raise CellsError(
            f"nuclei are found in one channel (Y, X), this image has shape {pixels.shape}; pass one channel"
        )
    none = np.zeros(pixels.shape, np.int32)
    if min(pixels.shape) < 8:
        return none
    pixels = np.nan_to_num(pixels.astype(np.float32, copy=False))
    sigma = 1.2 if pixel_size is None else float(np.clip(_SIGMA_UM / pixel_size, 0.8, 4.0))
    light, spread = _above_background(ndi.gaussian_filter(pixels, sigma, mode="reflect"))
    cut = _threshold(light, spread)
    if cut is None:
        # few nuclei or none; single hot pixels must not pass for nuclei
        calm = ndi.gaussian_filter(ndi.median_filter(pixels, 3), sigma, mode="reflect")
        light, spread = _above_background(calm)
        cut = _threshold_of_few(light, spread)
        if cut is None:
            return none
    mask = ndi.binary_opening(light > cut, iterations=1)
    # every second pixel tells how large nuclei are, before the holes in them are filled
    half = mask[::2, ::2]
    rough = _typical_radius(half, 2.0 * ndi.distance_transform_edt(half), pixel_size)
    if rough is not None:
        mask = _without_holes(mask, rough)
    distance = ndi.distance_transform_edt(mask)
    radius = _typical_radius(mask, distance, pixel_size)
    if radius is None:
        return none
    seeds = _seeds(distance.astype(np.float32), radius)
    labels = _own_rim(watershed(-distance, seeds, mask=mask), light, radius)
    # parts of the mask whose peak was too low for a seed are debris and stay out
    return _believable(labels, radius, pixel_size)


def _above_background(smooth: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Give the light above the background, and the background's spread."""
    flat = smooth - background_surface(smooth)
    level, spread = background_level(flat)
    return np.maximum(flat - np.float32(level), np.float32(0.0)), spread


def _threshold(light: NDArray[np.float32], spread: float) -> float | None:
    """Part nuclei from background by Otsu's method; None where hardly anything stands out."""
    from skimage.filters import threshold_otsu

    scaled = np.sqrt(light)
    # a few very bright (mitotic, dead) nuclei must not set the scale
    scaled = np.minimum(scaled, np.percentile(scaled[::2, ::2], 99.5))
    if float(scaled.max()) <= 0.0:
        return None
    cut = float(threshold_otsu(scaled)) ** 2
    # what lies above must stand out twice as far as the lowest threshold, else it is noise
    least = _STANDS_OUT * spread
    sample = light[::2, ::2]
    return max(cut, least) if float(sample[sample > cut].mean()) >= 2 * least else None


def _threshold_of_few(light: NDArray[np.float32], spread: float) -> float | None:
    """Threshold where nuclei fill less than about a hundredth of the field: a quarter of their light."""
    standing = light[::2, ::2]
    standing = standing[standing > 2 * _STANDS_OUT * spread]
    if standing.size < 8:
        return None
    cut = float(np.percentile(standing, 75)) / 4
    return cut if cut >= _STANDS_OUT * spread else None


def _without_holes(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Fill holes that nucleoli leave; gaps between the nuclei of a dense field are no holes."""
    from scipy import ndimage as ndi

    gaps, n = ndi.label(~mask)
    area = np.bincount(gaps.ravel(), minlength=n + 1)
    hole = area < _HOLE * np.pi * radius**2
    hole[0] = False
    return mask | hole[gaps] if hole.any() else mask


def _own_rim(labels: Labels, light: NDArray[np.float32], radius: float) -> Labels:
    """End each nucleus where its light falls to 0.6 of its mean; one threshold for all draws bright ones too large."""
    area = np.bincount(labels.ravel())
    mean = np.bincount(labels.ravel(), weights=light.ravel()) / np.maximum(area, 1)
    least = (0.6 * mean).astype(np.float32)
    # only the rim may go: dark nucleoli would leave holes
    kept = _without_holes((labels > 0) & (light >= least[labels]), radius)
    cut: Labels = np.where(kept, labels, 0).astype(np.int32, copy=False)
    return cut


def _typical_radius(mask: NDArray[np.bool_], distance: NDArray[np.float64], pixel_size: float | None) -> float | None:
    """Median inner radius (px) of the mask's parts, weighted by area so that specks do not count."""
    from scipy import ndimage as ndi

    parts, n = ndi.label(mask)
    if n == 0:
        return None
    inside = parts > 0
    peaks = np.zeros(n + 1)
    np.maximum.at(peaks, parts[inside], distance[inside])
    low, high = (2.0, np.inf) if pixel_size is None else tuple(d / 2 / pixel_size for d in _DIAMETER_UM)
    peaks = np.sort(peaks[(peaks >= max(low, 2.0)) & (peaks <= high)])
    if peaks.size == 0:
        return None
    weight = np.cumsum(peaks**2)
    return float(peaks[np.searchsorted(weight, weight[-1] / 2)])


def _seeds(distance: NDArray[np.float32], radius: float) -> Labels:
    """One seed a nucleus: maxima of the smoothed distance at least about a radius apart."""
    from scipy import ndimage as ndi
    from skimage.feature import peak_local_max

    smooth = ndi.gaussian_filter(distance, max(1.0, radius / 5))
    peaks = peak_local_max(
        smooth, min_distance=max(2, round(0.75 * radius)), threshold_abs=0.3 * radius, exclude_border=False
    )
    seeds = np.zeros(distance.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return seeds


def _believable(labels: Labels, radius: float, pixel_size: float | None) -> Labels:
    """Drop what is far smaller than the field's median nucleus and number the rest 1..n."""
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    if not areas.any():
        return np.zeros(labels.shape, np.int32)
    least = (
        0.25 * float(np.median(areas[areas > 0.5 * np.pi * radius**2]))
        if (areas > 0.5 * np.pi * radius**2).any()
        else 0.0
    )
    if pixel_size is not None:
        least = max(least, np.pi * (_DIAMETER_UM[0] / 2 / pixel_size) ** 2)
    keep = areas > max(least, 12.0)
    number = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return number[labels]


def nuclear_diameter(labels: Labels) -> float:
    """Median diameter (px) of a circle as large as each nucleus, rim nuclei left out; NaN where there are none."""
    areas = np.bincount(labels.ravel()).astype(np.float64)
    areas[0] = 0
    rim = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    inner = areas.copy()
    inner[rim] = 0
    chosen = inner[inner > 0] if (inner > 0).any() else areas[areas > 0]
    return float(np.median(2.0 * np.sqrt(chosen / np.pi))) if chosen.size else float("nan")
