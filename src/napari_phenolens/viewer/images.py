"""The channels of a field as image layers: colours by channel name, limits from the control wells, fixed layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_phenolens.export.channel_look import channel_labels, colours, shared_limits
from napari_phenolens.viewer import compat

__all__ = [
    "KEY",
    "ImageLayers",
    "Picture",
    "colours",
    "find_layer",
    "layer_data",
    "put",
    "read_picture",
    "role_of",
    "shared_limits",
]

KEY = "napari-phenolens"  # the place of our notes in a layer's metadata
DIMMED = 0.7  # opacity of the cells under a heatmap


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
    step : int
        Field pixels along the side of one of its pixels: mosaics of many fields are drawn smaller.
    """

    data: np.ndarray
    channels: tuple[str, ...]
    labels: tuple[str, ...]
    colours: tuple[str, ...]
    limits: tuple[tuple[float, float], ...]
    pixel_size: float | None
    well: str
    field: str
    step: int = 1


def read_picture(plate: Any, well: str, field: str | None, limits: Mapping[str, tuple[float, float]]) -> Picture:
    """Read one field; runs in a thread."""
    place = plate.field(well, field)
    data = place.read()
    names = channel_labels(plate, place.channels)
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


def geometry(pixel_size: float | None, step: int = 1) -> dict[str, Any]:
    """Give an image layer scale, place and units (pixels where no size is known); field pixel (0, 0) is the origin."""
    size = pixel_size or 1.0
    return {
        "scale": (size * step,) * 2,
        "translate": (size * (step - 1) / 2,) * 2,
        "units": ("um", "um") if pixel_size else ("pixel", "pixel"),
    }


_UNITS = {"um": "micrometer"}  # as napari says them


def put(layer: Any, **fields: Any) -> None:
    """Set those attributes of a layer that differ: napari draws anew at every setting, whatever was there."""
    for name, value in fields.items():
        now = getattr(layer, name)
        if name == "units":
            same = tuple(map(str, now)) == tuple(_UNITS.get(unit, unit) for unit in value)
        elif name == "colormap":
            same = now.name == getattr(value, "name", value)
        elif isinstance(value, (tuple, list, np.ndarray)):
            same = np.array_equal(now, value)
        else:
            same = now == value
        if not same:
            setattr(layer, name, value)


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
                **geometry(picture.pixel_size, picture.step),
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
            put(layer, opacity=DIMMED if dimmed else 1.0)

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
                put(layer, **{name: options[name] for name in ("scale", "translate", "units")})
                layer.metadata[KEY] = options["metadata"][KEY]
                if reset_limits:
                    put(layer, contrast_limits=options["contrast_limits"])
            shown.append(layer)
        return shown
