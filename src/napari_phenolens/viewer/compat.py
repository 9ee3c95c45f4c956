"""Everything that depends on napari's version, in one place; public interfaces only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

DIST = "napari-phenolens"
DOCK = "PhenoLens"
CHARTS = "PhenoLens charts"


def unwrap(viewer: Any) -> Any:
    """Give the viewer behind napari's public-only proxy (the viewer itself where there is none)."""
    return getattr(viewer, "__wrapped__", viewer)


def grid(viewer: Any) -> Any:
    """Give the grid settings of the viewer (moved to ``viewer.canvas`` in napari 0.9)."""
    canvas = getattr(viewer, "canvas", None)
    return canvas.grid if canvas is not None and hasattr(canvas, "grid") else viewer.grid


def text_overlay(viewer: Any) -> Any:
    """Give the text overlay of the canvas (moved in napari 0.9)."""
    canvas = getattr(viewer, "canvas", None)
    overlays = getattr(canvas, "overlays", None)
    return overlays.text if overlays is not None and hasattr(overlays, "text") else viewer.text_overlay


def scale_bar(viewer: Any) -> Any:
    """Give the scale bar of the canvas (moved in napari 0.9)."""
    canvas = getattr(viewer, "canvas", None)
    overlays = getattr(canvas, "overlays", None)
    return overlays.scale_bar if overlays is not None and hasattr(overlays, "scale_bar") else viewer.scale_bar


def on_light_canvas(viewer: Any) -> bool:
    """Say whether the canvas is light, as in napari's light theme."""
    colour = getattr(getattr(viewer, "canvas", None), "background_color", None)
    return colour is not None and float(sum(colour[:3])) > 1.5


def when_canvas_turns(viewer: Any, call: Callable[[], object]) -> None:
    """Call whenever the canvas has another background colour: with another theme, mostly."""
    signal = getattr(getattr(getattr(viewer, "canvas", None), "events", None), "background_color", None)
    if signal is not None:
        signal.connect(call)


def camera(viewer: Any) -> Any:
    """Give the camera (moved to ``viewer.scene`` in napari 0.9); in grid mode every cell follows it."""
    scene = getattr(viewer, "scene", None)
    return scene.camera if scene is not None and hasattr(scene, "camera") else viewer.camera


def look(viewer: Any) -> tuple[Any, ...]:
    """Give where the camera looks."""
    now = camera(viewer)
    return tuple(now.center), float(now.zoom), tuple(now.angles)


def look_again(viewer: Any, before: tuple[Any, ...]) -> None:
    """Let the camera look where it did."""
    now = camera(viewer)
    now.center, now.zoom, now.angles = before


def look_at(viewer: Any, place: tuple[float, float], least_zoom: float = 0.0) -> None:
    """Move the camera to a place (y, x) in world units, and nearer where it is farther away than that."""
    now = camera(viewer)
    now.center = (0.0, *place)
    now.zoom = max(float(now.zoom), least_zoom)


def fit(viewer: Any, layers: list[Any]) -> None:
    """Bring these layers into view, whatever hidden ones there are."""
    if layers:
        viewer.reset_view(layers=layers)


def remove_layers(viewer: Any, layers: Iterable[Any]) -> None:
    """Remove layers in one batch.

    A plain ``del`` in a loop followed by an addition crashes vispy 0.17 on software GL, ``remove_selected`` does not.
    """
    doomed = [layer for layer in layers if layer in viewer.layers]
    if not doomed:
        return
    kept = {layer for layer in viewer.layers.selection if layer not in doomed}
    viewer.layers.selection = set(doomed)
    viewer.layers.remove_selected()
    viewer.layers.selection = {layer for layer in kept if layer in viewer.layers}


def open_dock(viewer: Any = None, name: str = DOCK) -> Any | None:
    """Open a PhenoLens dock in a viewer that has a window.

    Parameters
    ----------
    viewer : napari.Viewer, optional
        Default: napari's current viewer.
    name : str
        Which of the manifest's.

    Returns
    -------
    QWidget or None
        The dock's widget; None where there is no window (a plain ``ViewerModel``, a script).
    """
    if viewer is None:
        with suppress(ImportError):
            import napari

            viewer = napari.current_viewer()
    window = getattr(viewer, "window", None)
    if window is None:
        return None
    _, widget = window.add_plugin_dock_widget(DIST, name)
    return widget


def add_dock(viewer: Any, widget: Any, name: str, area: str = "right") -> bool:
    """Put a widget into the window as a dock; False where the viewer has no window."""
    window = getattr(viewer, "window", None)
    if window is None:
        return False
    window.add_dock_widget(widget, name=name, area=area)
    return True


def find_dock(viewer: Any, name: str) -> Any | None:
    """Give the widget in a dock of this name, its dock brought to the front; None where there is none."""
    widget = getattr(getattr(viewer, "window", None), "dock_widgets", {}).get(name)
    if widget is not None:
        widget.parent().show()
        widget.parent().raise_()
    return widget


def notify(message: str, level: str = "info") -> None:
    """Show a napari notification: level is info, warning or error."""
    from napari.utils import notifications

    show = {"info": notifications.show_info, "warning": notifications.show_warning, "error": notifications.show_error}
    show[level](message)
