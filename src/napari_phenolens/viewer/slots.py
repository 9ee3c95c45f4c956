"""Up to three fixed heatmap layers over the cells; their data is swapped, layers are never added per feature."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from psygnal import Signal

from napari_phenolens.viewer import compat
from napari_phenolens.viewer.images import KEY, find_layer, put, role_of
from napari_phenolens.viewer.session import PHENOTYPE, SLOTS
from napari_phenolens.viewer.settings import preferences

# Okabe and Ito's hues, told apart by colour-blind eyes; each ramp starts clear, so that nothing hides the cells.
HUES = ((0.98, 0.62, 0.05), (0.35, 0.80, 1.0), (0.95, 0.45, 0.80))
HUE_NAMES = ("orange", "sky blue", "pink")
OPACITY = 0.8
BAR_ON_LIGHT = (0.5, 0.5, 0.5)  # contrast of 4 to 5 with white and with black
Limits = tuple[float, float]
Subject = tuple[int | None, str, int]  # what a heatmap maps: feature, kind, number of the comparison
CHANNEL = "channel:"  # the kinds "channel:DNA": what that channel gives to the alignment

# Below zero. White is far from all slots and from the channels' colours, for colour-blind eyes too (blue is DNA's, and
# magenta to some); over grey pictures blue is. A test measures it.
NEGATIVES = {"white": (0.95, 0.95, 0.88), "blue": (0.25, 0.4, 1.0)}


def is_signed(kind: str) -> bool:
    """Whether a kind of heatmap lies about zero."""
    return kind in ("alignment", PHENOTYPE) or kind.startswith(CHANNEL)


@dataclass(frozen=True)
class Overlay:
    """What a slot shows: a heatmap with its place and its limits.

    Attributes
    ----------
    values : ndarray (h, w)
        One value a patch, exactly as the run holds them.
    scale, translate : tuple of float
        Row and column pitch, and the centre of patch (0, 0), in field pixels.
    limits : tuple of float
        Shared by all wells.
    feature : int
    kind : str
    name : str
        What the layer is called.
    pixel_size : float or None
    well, field : str
    comparison : int
        Number of the comparison that a phenotype was found in; 0 for the other kinds.
    """

    values: np.ndarray
    scale: tuple[float, float]
    translate: tuple[float, float]
    limits: tuple[float, float]
    feature: int
    kind: str
    name: str
    pixel_size: float | None
    well: str
    field: str
    comparison: int = 0

    @property
    def subject(self) -> Subject:
        """What is mapped, wherever: with another subject other limits and colours belong."""
        return self.feature, self.kind, self.comparison


def slot_of(layer: Any) -> int:
    """Give the slot that a layer belongs to; -1 for all other layers."""
    role = role_of(layer) or ("",)
    return int(role[1]) if role[0] == "slot" else -1


def subject_of(layer: Any) -> Subject:
    """Give what a slot's layer shows, see `Overlay.subject`."""
    note = layer.metadata.get(KEY, {})
    return note.get("feature"), note.get("kind", ""), note.get("comparison", 0)


def limits_of(layer: Any) -> Limits:
    """Give a layer's contrast limits as plain numbers."""
    low, high = layer.contrast_limits
    return float(low), float(high)


def limits_by_hand(layer: Any) -> Limits | None:
    """Give a heatmap's limits where the user moved them; None where they are those that all wells share."""
    shared = layer.metadata.get(KEY, {}).get("limits")
    now = limits_of(layer)
    return None if shared is None or now == (float(shared[0]), float(shared[1])) else now


def put_limits(layer: Any, limits: Limits) -> None:
    """Set limits that may lie outside what the layer's slider reaches."""
    low, high = layer.contrast_limits_range
    layer.contrast_limits_range = (min(low, limits[0]), max(high, limits[1]))
    layer.contrast_limits = limits


@cache
def ramp(index: int, kind: str, negative: str = "white") -> Any:
    """Give the colormap of a slot: clear at zero; below zero, for the kinds that have a sign, one of `NEGATIVES`."""
    from napari.utils.colormaps import Colormap

    r, g, b = HUES[index % len(HUES)]
    light = tuple(1 - 0.35 * (1 - c) for c in (r, g, b))
    if is_signed(kind):
        below = NEGATIVES[negative]
        points = [[*below, 1.0], [*below, 0.0], [r, g, b, 0.0], [r, g, b, 1.0]]
        return Colormap(points, name=f"phenolens-signed-{index + 1}-{negative}", controls=[0.0, 0.5, 0.5, 1.0])
    points = [[r, g, b, 0.0], [r, g, b, 0.7], [r, g, b, 0.95], [*light, 1.0]]
    return Colormap(points, name=f"phenolens-{index + 1}", controls=[0.0, 0.35, 0.7, 1.0])


def display_limits(limits: tuple[float, float], kind: str) -> tuple[float, float]:
    """Turn a run's shared limits into contrast limits: about zero for the kinds with a sign, and never of no width."""
    low, high = float(limits[0]), float(limits[1])
    if is_signed(kind):
        reach = max(abs(low), abs(high), 1e-6)
        return -reach, reach
    return (min(low, 0.0), max(high, 1e-6))


def negative_over(viewer: Any) -> str:
    """Choose the colour below zero that stands out from the pictures on show, one of `NEGATIVES`."""
    pictures = [layer for layer in viewer.layers if (role_of(layer) or ("",))[0] == "image" and layer.visible]
    return "blue" if any(layer.colormap.name == "gray" for layer in pictures) else "white"


def overlay_options(index: int, overlay: Overlay, role: tuple[Any, ...], negative: str = "white") -> dict[str, Any]:
    """Give the options of an overlay's layer, world coordinates included."""
    size = overlay.pixel_size or 1.0
    limits = display_limits(overlay.limits, overlay.kind)
    return {
        "name": overlay.name,
        "colormap": ramp(index, overlay.kind, negative),
        "contrast_limits": limits,
        "scale": tuple(s * size for s in overlay.scale),
        "translate": tuple(t * size for t in overlay.translate),
        "units": ("um", "um") if overlay.pixel_size else ("pixel", "pixel"),
        "metadata": {
            KEY: {
                "role": role,
                "feature": overlay.feature,
                "kind": overlay.kind,
                "well": overlay.well,
                "field": overlay.field,
                "comparison": overlay.comparison,
                "limits": limits,
            }
        },
    }


def apply_overlay(layer: Any, overlay: Overlay, options: dict[str, Any]) -> None:
    """Put an overlay into a layer that is there."""
    fresh = subject_of(layer) != overlay.subject
    layer.data = overlay.values
    put(layer, **{name: options[name] for name in ("scale", "translate", "units")})
    if fresh:  # limits that the user moved stay while he walks over the wells
        put(layer, colormap=options["colormap"])
        _set_limits(layer, options["contrast_limits"])
        put(layer, name=options["name"])
    layer.metadata[KEY] = options["metadata"][KEY]


def _set_limits(layer: Any, limits: Limits) -> None:
    """Set limits and the range of their slider, and say so once: at every word of it napari draws a colour bar."""
    if limits_of(layer) == limits and tuple(layer.contrast_limits_range) == limits:
        return
    with layer.events.contrast_limits.blocker():
        layer.contrast_limits_range = limits
        layer.contrast_limits = limits
    layer.events.contrast_limits()


class HeatmapSlots:
    """The heatmap layers of a viewer.

    Attributes
    ----------
    shown : psygnal.Signal
        A slot, whose layer shows what it was given.
    busy : bool
        Whether a layer is being filled just now: what it tells of itself is not what the user did.
    """

    shown = Signal(int)

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.busy = False
        self.opacity: float | None = None  # what the slider says, for slots that are still to come
        compat.when_canvas_turns(viewer, self._colour_bars)

    def layer(self, index: int) -> Any | None:
        """Give the layer of a slot, None while it was never used."""
        return find_layer(self.viewer, ("slot", index))

    def show(self, index: int, overlay: Overlay) -> Any:
        """Show an overlay in a slot.

        Parameters
        ----------
        index : int
            0, 1 or 2.
        overlay : Overlay

        Returns
        -------
        napari.layers.Image
        """
        if not 0 <= index < SLOTS:
            raise IndexError(f"there are {SLOTS} heatmap slots, 0 to {SLOTS - 1}; got {index}")
        options = overlay_options(index, overlay, ("slot", index), self.negative)
        layer = self.layer(index)
        with self._filling():
            if layer is None:
                layer = self._added(index, overlay, options)
            else:
                apply_overlay(layer, overlay, options)
            put(layer, visible=True)
        self.shown.emit(index)
        return layer

    @contextmanager
    def _filling(self) -> Iterator[None]:
        self.busy = True
        try:
            yield
        finally:
            self.busy = False

    def _added(self, index: int, overlay: Overlay, options: dict[str, Any]) -> Any:
        chosen = preferences()
        layer = self.viewer.add_image(
            overlay.values,
            **options,
            opacity=self.opacity if self.opacity is not None else chosen.opacity,
            blending="translucent_no_depth",
            interpolation2d=chosen.interpolation,
        )
        layer.colorbar.position = "bottom_left"  # the caption and the scale bar have the corners above and beside it
        layer.colorbar.box = False  # the box makes napari build two shaders anew whenever the limits change
        layer.colorbar.color = self._bar_colour
        layer.colorbar.visible = True
        self._to_its_place(index)
        return layer

    @property
    def _bar_colour(self) -> tuple[float, float, float] | None:
        """The colour of a bar's numbers; napari's own (None) is lost where a light canvas has dark pictures on it."""
        return BAR_ON_LIGHT if compat.on_light_canvas(self.viewer) else None

    def _colour_bars(self) -> None:
        for layer in self.layers:
            layer.colorbar.color = self._bar_colour

    def _to_its_place(self, index: int) -> None:
        """Move a slot's new layer below those of higher slots: jobs may end in any order."""
        above = next((i for i, other in enumerate(self.viewer.layers) if index < slot_of(other)), None)
        if above is not None:
            self.viewer.layers.move(len(self.viewer.layers) - 1, above)

    def clear(self, index: int) -> None:
        """Empty a slot: its layer stays, hidden, for the next feature."""
        layer = self.layer(index)
        if layer is not None:
            with self._filling():
                layer.visible = False
                layer.data = np.zeros_like(layer.data)
                layer.name = f"Heatmap {index + 1} (empty)"
                layer.metadata[KEY] = {"role": ("slot", index)}

    def set_opacity(self, opacity: float) -> None:
        """Set the opacity of all slots, 0 to 1."""
        self.opacity = float(opacity)
        for layer in self.layers:
            layer.opacity = self.opacity

    @property
    def negative(self) -> str:
        """The name of the colour below zero over the pictures on show."""
        return negative_over(self.viewer)

    @property
    def layers(self) -> list[Any]:
        """The slot layers that are there, in the order of the slots."""
        return sorted((layer for layer in self.viewer.layers if slot_of(layer) >= 0), key=slot_of)

    def remove(self) -> None:
        """Take all slot layers out, in one batch."""
        compat.remove_layers(self.viewer, self.layers)
