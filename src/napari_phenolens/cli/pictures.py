"""Pictures of heatmaps over the cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_phenolens.analysis import Heatmap

Picture = npt.NDArray[np.uint8]

# From silent (clear) to strong; dark red to yellow stands out on grey cells and prints in grey.
RAMP = np.array([[120, 0, 60], [220, 50, 30], [255, 160, 20], [255, 245, 120]], dtype=np.float64)
OPACITY = 0.7
GAP = 8  # white pixels between two pictures
LEAST_HEIGHT = 512


def grey(image: npt.NDArray[Any], limits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Give all channels of a field as one grey picture.

    Parameters
    ----------
    image : ndarray (C, Y, X)
        The field.
    limits : ndarray (C, 2)
        Black and white of each channel.

    Returns
    -------
    ndarray (Y, X)
        0 to 1: the channels' mean.
    """
    low, high = limits[:, :1, None], limits[:, 1:, None]
    return np.asarray(np.clip((image - low) / np.maximum(high - low, 1e-12), 0, 1).mean(0))


def joint_limits(images: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    """Give black and white of each channel, shared by pictures that are held against each other."""
    channels = zip(*images, strict=True)
    return np.array([np.percentile(np.concatenate([c.ravel() for c in those]), (1, 99.7)) for those in channels])


def overlay(picture: npt.NDArray[np.float64], mapped: Heatmap, limits: tuple[float, float]) -> Picture:
    """Lay a heatmap over a grey picture of its field.

    Parameters
    ----------
    picture : ndarray (Y, X)
        0 to 1.
    mapped : Heatmap
        Its squares are drawn as they were computed, without smoothing.
    limits : (float, float)
        Where colours begin and end; those of the run, shared by all wells.

    Returns
    -------
    ndarray (Y, X, 3) uint8
    """
    shape = picture.shape
    rows, columns = (
        np.clip(np.round((np.arange(n) - t) / s).astype(int), 0, size - 1)
        for n, t, s, size in zip(shape, mapped.translate, mapped.scale, mapped.values.shape, strict=True)
    )
    low, high = limits
    strength = np.clip((mapped.values[np.ix_(rows, columns)] - low) / max(high - low, 1e-12), 0, 1)
    stops = np.linspace(0, 1, len(RAMP))
    colour = np.stack([np.interp(strength, stops, RAMP[:, i]) for i in range(3)], axis=-1)
    alpha = (OPACITY * np.sqrt(strength))[..., None]
    return np.asarray((1 - alpha) * 255 * picture[..., None] + alpha * colour, dtype=np.uint8)


def write_side_by_side(path: Path, pictures: Sequence[Picture]) -> None:
    """Write pictures of one height side by side as a PNG; small ones are enlarged, pixel by pixel."""
    import imagecodecs

    times = max(1, LEAST_HEIGHT // pictures[0].shape[0])
    pictures = [picture.repeat(times, 0).repeat(times, 1) for picture in pictures]
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, dtype=np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)][1:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(imagecodecs.png_encode(np.concatenate(parts, axis=1)))
