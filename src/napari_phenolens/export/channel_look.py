"""How channels look, on screen and in pictures: a colour by the channel's name, limits from the control wells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import CancelCallback, check_cancelled

Colour = tuple[float, float, float]
Limits = tuple[float, float]

LIMIT_WELLS = 6
_LOW, _HIGH = 0.5, 99.9

# The conventions of fluorescence microscopy, by name; orange is left to the heatmaps.
_BY_NAME: tuple[tuple[str, str], ...] = (
    (r"dna|dapi|hoechst|draq|nuc|h33342", "bop blue"),
    (r"gfp|fitc|alexa.?488|488|\ber\b|concanavalin", "green"),
    (r"actin|phalloidin|agp|wga|golgi", "magenta"),
    (r"mito|cy5|647|far.?red|tubulin", "red"),
    (r"rna|syto|rfp|cy3|tritc|mcherry|568|594|555", "yellow"),
    (r"bright|phase|bf\b|dic", "gray"),
)
_CYCLE = ("green", "magenta", "cyan", "yellow", "red", "bop blue")

# The brightest colour of napari's colormaps of these names (a test compares them).
RGB: dict[str, Colour] = {
    "bop blue": (0.125, 0.678, 0.973),
    "cyan": (0.0, 1.0, 1.0),
    "gray": (1.0, 1.0, 1.0),
    "green": (0.0, 1.0, 0.0),
    "magenta": (1.0, 0.0, 1.0),
    "red": (1.0, 0.0, 0.0),
    "yellow": (1.0, 1.0, 0.0),
}


def colours(names: Sequence[str]) -> tuple[str, ...]:
    """Choose a colour (a colormap of napari) for each channel from its name; none twice while others are free."""
    if len(names) == 1:
        return ("gray",)
    chosen: list[str | None] = []
    for name in names:
        hit = next((colour for pattern, colour in _BY_NAME if re.search(pattern, name, re.I)), None)
        chosen.append(hit if hit is not None and hit not in chosen else None)
    free = [colour for colour in _CYCLE if colour not in chosen]
    return tuple(c if c is not None else (free.pop(0) if free else "gray") for c in chosen)


def label(channel: str, labels: Mapping[str, str]) -> str:
    """Name a channel for people: its label with the file's own name behind it."""
    known = labels.get(channel, "")
    return channel if not known or known.lower() == channel.lower() else f"{known} ({channel})"


def channel_labels(plate: Any, channels: Sequence[str]) -> tuple[str, ...]:
    """Name a plate's channels for people, see `label`."""
    known = getattr(plate, "channel_labels", {}) or {}
    return tuple(label(channel, known) for channel in channels)


def shared_limits(plate: Any, controls: Sequence[str], cancel: CancelCallback | None = None) -> dict[str, Limits]:
    """Find contrast limits that all wells share, from a fixed sample of the control wells.

    Parameters
    ----------
    plate : Plate
        The plate.
    controls : sequence of str
        Control wells; where empty, wells spread over the plate.
    cancel : callable, optional
        Asked before each well.

    Returns
    -------
    dict
        Channel to ``(low, high)``: the 0.5 and 99.9 percentiles over at most `LIMIT_WELLS` wells.
    """
    pool = [well for well in controls if well in plate.wells] or list(plate.wells)
    take = np.unique(np.linspace(0, len(pool) - 1, min(LIMIT_WELLS, len(pool))).astype(int))
    values: dict[str, list[npt.NDArray[Any]]] = {channel: [] for channel in plate.channels}
    for i in take:
        check_cancelled(cancel)
        with suppress(PhenoLensError):  # one damaged file must not keep the others from being seen
            field = plate.field(pool[i])
            channels = [c for c in plate.channels if c in field.channels]
            for channel, image in zip(channels, field.read(channels), strict=True):
                values[channel].append(image[::3, ::3].ravel())
    limits = {}
    for channel, parts in values.items():
        if parts:
            low, high = np.percentile(np.concatenate(parts), (_LOW, _HIGH))
            limits[channel] = (float(low), float(max(high, low + 1e-6 * max(1.0, abs(low)))))
    return limits


def blend(pixels: npt.NDArray[Any], colours: Sequence[Colour], limits: Sequence[Limits]) -> npt.NDArray[np.uint8]:
    """Add up channels in their colours, as napari's additive layers do.

    Parameters
    ----------
    pixels : ndarray (C, h, w)
        Any numbers.
    colours : sequence of (r, g, b)
        The colour of each channel at its upper limit, 0 to 1; black hides a channel.
    limits : sequence of (low, high)
        Black and full colour of each channel.

    Returns
    -------
    ndarray (h, w, 3) uint8
    """
    total = np.zeros((*pixels.shape[1:], 3))
    for plane, colour, (low, high) in zip(pixels, colours, limits, strict=True):
        share = np.clip((plane.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1)
        total += share[..., None] * np.asarray(colour, dtype=np.float64)
    return np.asarray(np.clip(total, 0, 1) * 255 + 0.5, dtype=np.uint8)
