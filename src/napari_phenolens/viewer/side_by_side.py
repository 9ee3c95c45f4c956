"""A control well beside a perturbed well in grid mode: same contrast, same heatmap limits, all restored at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_phenolens.viewer import compat
from napari_phenolens.viewer.images import DIMMED, KEY, Picture, find_layer, layer_data, role_of
from napari_phenolens.viewer.slots import OPACITY, Overlay, apply_overlay, negative_over, overlay_options

SIDES = ("control", "perturbed")
CAPTION_PT = 8  # napari's own 10 would cut off "perturbed C12 · F376 · Wortmannin" on half a canvas at 1366 px


@dataclass(frozen=True)
class Side:
    """One half of the pair: the cells, and the heatmap over them if a feature is chosen."""

    picture: Picture
    overlay: Overlay | None
    caption: str


@dataclass(frozen=True)
class _Before:
    """What the viewer looked like before."""

    enabled: bool
    stride: int
    shape: tuple[int, int]
    spacing: float
    visible: dict[Any, bool]
    look: tuple[Any, ...]
    chosen: frozenset[Any]  # the layers that were selected


class SideBySide:
    """The pair of wells of a viewer."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self._before: _Before | None = None
        self._links: list[list[Any]] = []

    @property
    def active(self) -> bool:
        """Whether the pair is on show."""
        return self._before is not None

    @property
    def layers(self) -> list[Any]:
        """The layers of the pair."""
        return [layer for layer in self.viewer.layers if (role_of(layer) or ("",))[0] == "side"]

    def show(self, control: Side, perturbed: Side, *, slot: int = 0, dim: bool = False) -> None:
        """Show two wells beside each other; called again, it swaps the data of the layers that are there.

        Parameters
        ----------
        control, perturbed : Side
            Left and right.
        slot : int
            Whose colours the heatmaps have.
        dim : bool
            Whether the cells are drawn darker under the heatmaps.
        """
        if self._before is None:
            self._remember()
        self._unlink()
        sides = dict(zip(SIDES, (control, perturbed), strict=True))
        wanted = [role for name, side in sides.items() for role in self._roles(name, side)]
        compat.remove_layers(self.viewer, [layer for layer in self.layers if role_of(layer) not in wanted])
        for name, side in sides.items():
            self._fill(name, side, slot)
        self._order(wanted)
        grid = compat.grid(self.viewer)
        grid.stride = len(wanted) // 2
        grid.shape = (1, 2)
        grid.spacing = 0.02
        grid.enabled = True
        self._link(wanted)
        self.set_dimmed(dim)

    def end(self) -> tuple[Any, ...] | None:
        """Take the pair away and restore grid, layers and their selection as they were.

        Returns
        -------
        tuple or None
            Where the camera looked, see `compat.look`; None where no pair was on show.
        """
        if self._before is None:
            return None
        before, self._before = self._before, None
        self._unlink()
        grid = compat.grid(self.viewer)
        grid.enabled = before.enabled
        grid.stride, grid.shape, grid.spacing = before.stride, before.shape, before.spacing
        compat.remove_layers(self.viewer, self.layers)
        for layer, visible in before.visible.items():
            if layer in self.viewer.layers and not layer.visible:  # what the user has shown meanwhile stays
                layer.visible = visible
        self.viewer.layers.selection = {layer for layer in before.chosen if layer in self.viewer.layers}
        compat.look_again(self.viewer, before.look)
        return before.look

    def _layer(self, role: tuple[Any, ...]) -> Any:
        return next(layer for layer in self.viewer.layers if role_of(layer) == role)

    def _heatmaps(self) -> list[Any]:
        return [layer for layer in self.layers if (role_of(layer) or ("",))[-1] is None]

    def set_dimmed(self, dimmed: bool) -> None:
        """Draw the cells darker where heatmaps lie over them, or as bright as they are."""
        heatmaps = self._heatmaps()
        for layer in self.layers:
            if layer not in heatmaps:
                layer.opacity = DIMMED if dimmed and heatmaps else 1.0

    def set_opacity(self, opacity: float) -> None:
        """Set the opacity of the heatmaps, 0 to 1."""
        for layer in self._heatmaps():
            layer.opacity = float(opacity)

    def set_heatmaps_visible(self, visible: bool) -> None:
        """Show or hide the heatmaps."""
        for layer in self._heatmaps():
            layer.visible = visible

    def _remember(self) -> None:
        grid = compat.grid(self.viewer)
        visible = {layer: layer.visible for layer in self.viewer.layers}
        shape, chosen = tuple(grid.shape), frozenset(self.viewer.layers.selection)
        look = compat.look(self.viewer)
        self._before = _Before(grid.enabled, grid.stride, shape, grid.spacing, visible, look, chosen)
        for layer in visible:
            layer.visible = False

    @staticmethod
    def _roles(name: str, side: Side) -> list[tuple[Any, ...]]:
        roles = [("side", name, channel) for channel in side.picture.channels]
        return [*roles, ("side", name, None)] if side.overlay is not None else roles

    def _fill(self, name: str, side: Side, slot: int) -> None:
        for pixels, options, _ in layer_data(side.picture):
            channel = options["metadata"][KEY]["role"][1]
            role = ("side", name, channel)
            options["metadata"][KEY]["role"] = role
            options["name"] = f"{name}: {options['name']}"
            layer = find_layer(self.viewer, role)
            if layer is None:
                layer = self.viewer.add_image(pixels, **options)
            else:
                layer.data = pixels
                layer.scale, layer.translate = options["scale"], options["translate"]
                layer.metadata[KEY] = options["metadata"][KEY]
            if channel == side.picture.channels[0]:
                layer.name_overlay.visible = False
        if side.overlay is not None:
            role = ("side", name, None)
            options = overlay_options(slot, side.overlay, role, negative_over(self.viewer))
            options["name"] = side.caption
            layer = find_layer(self.viewer, role)
            if layer is None:
                layer = self.viewer.add_image(
                    side.overlay.values,
                    **options,
                    opacity=OPACITY,
                    blending="translucent_no_depth",
                    interpolation2d="nearest",
                )
            else:
                apply_overlay(layer, side.overlay, options)
        top = self._layer(self._roles(name, side)[-1])
        top.name = side.caption
        top.name_overlay.font_size = CAPTION_PT
        top.name_overlay.visible = True

    def _order(self, wanted: list[tuple[Any, ...]]) -> None:
        """Put the pair at the bottom of the list, where the grid's groups of ``stride`` layers begin."""
        for place, role in enumerate(wanted):
            now = next(i for i, layer in enumerate(self.viewer.layers) if role_of(layer) == role)
            if now != place:
                self.viewer.layers.move(now, place)

    def _link(self, wanted: list[tuple[Any, ...]]) -> None:
        from napari.experimental import link_layers

        half = len(wanted) // 2
        for left, right in zip(wanted[:half], wanted[half:], strict=True):
            pair = [self._layer(left), self._layer(right)]
            pair[1].contrast_limits = pair[0].contrast_limits
            link_layers(pair, attributes=("contrast_limits", "colormap", "visible", "opacity"))
            self._links.append(pair)

    def _unlink(self) -> None:
        from napari.experimental import unlink_layers

        for pair in self._links:
            unlink_layers(pair)
        self._links = []
