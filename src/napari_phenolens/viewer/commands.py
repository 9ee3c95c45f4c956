"""What the command palette and the menus call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import compat

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_phenolens.viewer.workbench import Workbench


def _bench(viewer: object) -> Workbench:
    from napari_phenolens.viewer.workbench import workbench_for

    return workbench_for(viewer)


def compare_wells(viewer: Viewer) -> None:
    """Rank the features between control and perturbed wells."""
    compat.open_dock(viewer)
    _bench(viewer).comparing.start()


def toggle_side_by_side(viewer: Viewer) -> None:
    """Show a control well beside a perturbed one, or end it."""
    compat.open_dock(viewer)
    bench = _bench(viewer)
    if bench.session.side_by_side:
        bench.showing.end_side_by_side()
    else:
        bench.showing.side_by_side()


def cancel_job(viewer: Viewer) -> None:
    """Cancel the running job; what was computed so far is kept."""
    if not _bench(viewer).cancel():
        compat.notify("PhenoLens is doing nothing just now.")


def next_well(viewer: Viewer) -> None:
    """Show the next well."""
    _bench(viewer).showing.step(1)


def previous_well(viewer: Viewer) -> None:
    """Show the former well."""
    _bench(viewer).showing.step(-1)


def next_feature(viewer: Viewer) -> None:
    """Show the next feature of the ranking."""
    _step_feature(viewer, 1)


def previous_feature(viewer: Viewer) -> None:
    """Show the former feature of the ranking."""
    _step_feature(viewer, -1)


def _step_feature(viewer: Viewer, by: int) -> None:
    bench = _bench(viewer)
    bench.attempt("Showing a feature", bench.page.step, by)


def toggle_heatmaps(viewer: Viewer) -> None:
    """Show the heatmaps over the cells, or hide them."""
    dock = compat.open_dock(viewer)
    if dock is not None:
        dock.slots.visible.toggle()
    else:
        bench = _bench(viewer)
        bench.showing.set_heatmaps_visible(not any(layer.visible for layer in bench.slots.layers))


def save_session(viewer: Viewer) -> None:
    """Save what is open and chosen in a file."""
    _panel(viewer).plate.tools.ask_save()


def open_session(viewer: Viewer) -> None:
    """Open a saved session."""
    _panel(viewer).plate.tools.ask_open()


def copy_as_python(viewer: Viewer) -> None:
    """Copy a Python script of what is seen."""
    _panel(viewer).plate.tools.copy_python()


def open_plate_map(viewer: Viewer) -> None:
    """Open the plate map in a dock of its own."""
    _panel(viewer).wells.panel.open_large.click()


def show_help(viewer: Viewer) -> None:
    """Open the help: the way step by step, and all keys."""
    _panel(viewer).status.show_help()


def _panel(viewer: Viewer) -> Any:
    """Give the dock; these commands ask for a file or open a panel, so they need a window."""
    dock = compat.open_dock(viewer)
    if dock is None:
        raise PhenoLensError("this viewer has no window; use napari_phenolens.viewer.saving in a script")
    return dock
