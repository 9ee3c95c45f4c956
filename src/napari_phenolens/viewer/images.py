"""The channels of a field as image layers: colours by channel name, limits from the control wells, fixed layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import check_cancelled
from napari_phenolens.viewer import compat

KEY = "napari-phenolens"  # the place of our notes in a layer's metadata
LIMIT_WELLS = 6
DIMMED = 0.7  # opacity of the cells under a heatmap
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


@dataclass(frozen=True)
class Picture:
    """The pixels of one field with all that a layer needs.

    Attributes
    ----------
    data : ndarray (C, Y, X)
    channels : tuple of str
    labels : tuple of str
        What each channel's layer is called.
    colours : tuple of str
        napari colormap names.
    limits : tuple of (float, float)
        Contrast limits, the same for all wells.
    pixel_size : float or None
        um per pixel.
    well, field : str
    """

    data: np.ndarray
    channels: tuple[str, ...]
    labels: tuple[str, ...]
    colours: tuple[str, ...]
    limits: tuple[tuple[float, float], ...]
    pixel_size: float | None
    well: str
    field: str


def colours(names: Sequence[str]) -> tuple[str, ...]:
    """Choose a colormap for each channel from its name; none is used twice while others are free."""
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


def shared_limits(
    plate: Any, controls: Sequence[str], cancel: Callable[[], bool] | None = None
) -> dict[str, tuple[float, float]]:
    """Find contrast limits that all wells share, from a fixed sample of the control wells.

    Parameters
    ----------
    plate : Plate
    controls : sequence of str
        Control wells; where empty, wells spread over the plate.

    Returns
    -------
    dict
        Channel to ``(low, high)``: the 0.5 and 99.9 percentiles over at most `LIMIT_WELLS` wells.
    """
    pool = [well for well in controls if well in plate.wells] or list(plate.wells)
    take = np.unique(np.linspace(0, len(pool) - 1, min(LIMIT_WELLS, len(pool))).astype(int))
    values: dict[str, list[np.ndarray]] = {channel: [] for channel in plate.channels}
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


def read_picture(plate: Any, well: str, field: str | None, limits: Mapping[str, tuple[float, float]]) -> Picture:
    """Read one field; runs in a thread."""
    place = plate.field(well, field)
    data = place.read()
    labels = getattr(plate, "channel_labels", {}) or {}
    names = tuple(label(channel, labels) for channel in place.channels)
    fallback = (float(data.min(initial=0)), float(max(1, data.max(initial=1))))
    return Picture(
        data=data,
        channels=tuple(place.channels),
        labels=names,
        colours=colours(names),
        limits=tuple(limits.get(channel, fallback) for channel in place.channels),
        pixel_size=place.pixel_size if place.pixel_size is not None else plate.pixel_size,
        well=well,
        field=place.name,
    )


def role_of(layer: Any) -> tuple[Any, ...] | None:
    """Give what a layer is to us, e.g. ``("image", "DNA")``; None for the user's own layers."""
    note = layer.metadata.get(KEY)
    return tuple(note["role"]) if isinstance(note, dict) and "role" in note else None


def find_layer(viewer: Any, role: tuple[Any, ...]) -> Any | None:
    """Find our layer of this role."""
    return next((layer for layer in viewer.layers if role_of(layer) == role), None)


def geometry(pixel_size: float | None) -> dict[str, Any]:
    """Give the scale and units of an image layer; pixels where no size is known."""
    size = pixel_size or 1.0
    return {"scale": (size, size), "units": ("um", "um") if pixel_size else ("pixel", "pixel")}


def layer_data(picture: Picture, role: str = "image") -> list[tuple[np.ndarray, dict[str, Any], str]]:
    """Give napari layer data for a picture: what the reader and the sample hand to napari."""
    return [
        (
            picture.data[i],
            {
                "name": picture.labels[i],
                "colormap": picture.colours[i],
                "contrast_limits": picture.limits[i],
                "blending": "additive",
                "metadata": {KEY: {"role": (role, channel), "well": picture.well, "field": picture.field}},
                **geometry(picture.pixel_size),
            },
            "image",
        )
        for i, channel in enumerate(picture.channels)
    ]


class ImageLayers:
    """The image layers of the well on show; layers stay, their data changes."""

    def __init__(self, viewer: Any, role: str = "image") -> None:
        self.viewer = viewer
        self.role = role

    @property
    def layers(self) -> list[Any]:
        """Our image layers, in the order of the layer list."""
        return [layer for layer in self.viewer.layers if (role_of(layer) or ("",))[0] == self.role]

    def set_dimmed(self, dimmed: bool) -> None:
        """Draw the cells darker, or as bright as they are."""
        for layer in self.layers:
            layer.opacity = DIMMED if dimmed else 1.0

    def show(self, picture: Picture, *, reset_limits: bool = False) -> list[Any]:
        """Show a picture in the fixed layers; the user's own contrast, colour and visibility stay as they are."""
        data = layer_data(picture, self.role)
        gone = [layer for layer in self.layers if role_of(layer) not in [(self.role, c) for c in picture.channels]]
        compat.remove_layers(self.viewer, gone)
        shown = []
        for pixels, options, _ in data:
            role = options["metadata"][KEY]["role"]
            layer = find_layer(self.viewer, role)
            if layer is None:
                layer = self.viewer.add_image(pixels, **options)
                first = next(
                    (i for i, other in enumerate(self.viewer.layers) if (role_of(other) or ("",))[0] == "slot"), None
                )
                if first is not None:  # heatmaps stay above the cells
                    self.viewer.layers.move(len(self.viewer.layers) - 1, first)
            else:
                layer.data = pixels
                layer.scale, layer.units = options["scale"], options["units"]
                layer.metadata[KEY] = options["metadata"][KEY]
                if reset_limits:
                    layer.contrast_limits = options["contrast_limits"]
            shown.append(layer)
        return shown
