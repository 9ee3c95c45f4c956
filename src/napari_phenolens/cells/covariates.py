"""Plain numbers of a field that stand beside the features: cells, foreground, focus, intensities."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.cells.background import background_level
from napari_phenolens.cells.errors import CellsError
from napari_phenolens.cells.grid import patch_of, patch_share


def field_covariates(
    image: NDArray[Any],
    channels: Sequence[str],
    nuclear: str | None,
    nuclei_labels: NDArray[np.integer[Any]] | None,
    foreground: NDArray[np.bool_],
    *,
    patch: int | None = None,
    pixel_size: float | None = None,
) -> dict[str, float]:
    """Measure a field's covariates.

    Parameters
    ----------
    image : ndarray (C, Y, X)
        The field.
    channels : sequence of str
        Channel names.
    nuclear : str or None
        The nuclear channel.
    nuclei_labels : ndarray (Y, X) int or None
        The field's nuclei; segmented here where a nuclear channel is named and none are given.
    foreground : ndarray (h, w) bool
        The field's foreground patches.
    patch : int, optional
        Edge of a patch in pixels; told from the shapes where not given.
    pixel_size : float, optional
        Micrometres per pixel, for the segmentation.

    Returns
    -------
    dict of str to float
        ``cell_count``, ``nuclear_area`` (median, px; both NaN without a nuclear channel), ``foreground_share``,
        ``focus`` (of the nuclear or first channel), and per channel ``intensity_<channel>`` (mean over foreground
        above the field's background, NaN without foreground), ``background_<channel>`` and ``focus_<channel>``:
        log10 of the foreground's fine (1-2 px) over its coarse (2-4 px) variance, which neither brightness nor the
        number of cells enters.

    Raises
    ------
    CellsError
        Where shapes or names do not fit.
    """
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[0] != len(channels):
        raise CellsError(
            f"a field of shape {pixels.shape} does not fit the {len(channels)} channels {', '.join(channels)}; "
            "pass (C, Y, X)"
        )
    if nuclear is not None and nuclear not in channels:
        raise CellsError(
            f"nuclear channel {nuclear!r} is not among the channels {', '.join(channels)}; name one of them"
        )
    edge = patch_of(pixels.shape, (foreground.shape[0], foreground.shape[1])) if patch is None else patch
    result: dict[str, float] = {"cell_count": float("nan"), "nuclear_area": float("nan")}
    if nuclear is not None:
        if nuclei_labels is None:
            from napari_phenolens.cells.nuclei import segment_nuclei

            nuclei_labels = segment_nuclei(pixels[list(channels).index(nuclear)], pixel_size)
        areas = np.bincount(np.asarray(nuclei_labels).ravel())[1:]
        areas = areas[areas > 0]
        result["cell_count"] = float(areas.size)
        result["nuclear_area"] = float(np.median(areas)) if areas.size else float("nan")
    result["foreground_share"] = float(np.mean(foreground))
    focus = [_focus(channel, foreground, edge) for channel in pixels]
    result["focus"] = focus[0 if nuclear is None else list(channels).index(nuclear)]
    for name, channel, sharp in zip(channels, pixels, focus, strict=True):
        level, _ = background_level(channel)
        inside = patch_share(channel, edge)[foreground]
        result[f"intensity_{name}"] = float(inside.mean()) - level if inside.size else float("nan")
        result[f"background_{name}"] = level
        result[f"focus_{name}"] = sharp
    return result


def _focus(channel: NDArray[Any], foreground: NDArray[np.bool_], patch: int) -> float:
    """log10 of fine over coarse band energy on foreground; NaN where there is none."""
    if not foreground.any():
        return float("nan")
    from scipy import ndimage as ndi

    levels = [
        ndi.gaussian_filter(channel.astype(np.float32), sigma, mode="reflect", truncate=3.0)
        for sigma in (1.0, 2.0, 4.0)
    ]
    fine, coarse = (float(patch_share((a - b) ** 2, patch)[foreground].mean()) for a, b in itertools.pairwise(levels))
    if fine <= 0.0 or coarse <= 0.0:
        return float("nan")
    return float(np.log10(fine / coarse))
