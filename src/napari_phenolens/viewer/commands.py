"""What the command palette and the menus call."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
