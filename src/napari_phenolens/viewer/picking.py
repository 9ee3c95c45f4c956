"""A click on the cells: which place of the field it is, and which features are there."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer.images import role_of
from napari_phenolens.viewer.outlines import hide_outline, show_outline
from napari_phenolens.viewer.well_mosaic import place_of

if TYPE_CHECKING:
    from napari_phenolens.viewer.workbench import Workbench

ROLE = ("place",)
TOLERANCE = 4.0  # screen pixels: more is a drag


def field_pixel(world: Any, pixel_size: float | None) -> tuple[int, int]:
    """Turn world coordinates into the field pixel (y, x) there; the centre of pixel (0, 0) lies at the origin."""
    size = pixel_size or 1.0
    return int(np.floor(float(world[-2]) / size + 0.5)), int(np.floor(float(world[-1]) / size + 0.5))


def patch_of(place: tuple[int, int], patch: int) -> tuple[int, int]:
    """Give the patch (i, j) that holds a field pixel: patch i covers the pixels i p to (i + 1) p - 1."""
    return place[0] // patch, place[1] // patch


class Picking:
    """Listens for clicks on our layers; drags, other buttons and the user's own layers are left alone."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.enabled = True
        self._connected: Callable[..., Any] | None = None

    def connect(self) -> None:
        """Begin to listen (once)."""
        if self._connected is None:
            self._connected = self._on_press
            self.bench.viewer.mouse_drag_callbacks.append(self._connected)

    def disconnect(self) -> None:
        """Stop listening."""
        if self._connected is not None:
            with suppress(ValueError, ReferenceError):
                self.bench.viewer.mouse_drag_callbacks.remove(self._connected)
            self._connected = None

    def _ours_active(self) -> bool:
        active = self.bench.viewer.layers.selection.active
        return active is None or role_of(active) is not None

    def _on_press(self, _viewer: Any, event: Any) -> Generator[None, None, None]:
        s = self.bench.session
        if event.button != 1 or event.modifiers or s.side_by_side or s.view == "plate":
            return
        if s.view == "field" and (not self.enabled or s.run is None):
            return
        if not self._ours_active() or self.bench.regions.drawing:
            return
        start = np.asarray(event.pos, dtype=float)
        yield
        while event.type == "mouse_move":
            yield
        if float(np.linalg.norm(np.asarray(event.pos, dtype=float) - start)) <= TOLERANCE:
            self.at_world(event.position)

    def at_world(self, position: Any) -> None:
        """Explain the place at world coordinates; in the mosaic, show the field there."""
        s = self.bench.session
        if s.view == "well" and s.well is not None:
            field = place_of(s.plate, s.well, position, self.bench.showing._pixel_size())
            if field is not None:
                self.bench.attempt(f"Showing {s.well}", self.bench.showing.well, s.well, field)
            return
        self.at(field_pixel(position, self.bench.showing._pixel_size()))

    def at(self, place: tuple[int, int]) -> None:
        """Explain the place (y, x) in field pixels of the field on show."""
        s = self.bench.session
        run, well, field = s.run, s.well, s.field_name
        if run is None or well is None or field is None:
            raise PhenoLensError("there are no features yet: run the model, or open a finished run (step 4)")
        if well not in run.wells or field not in run.fields(well):
            s.status = f"Well {well} has no results in this run; choose another well."
            return
        shape = np.shape(run.foreground(well, field)) if s.plate is None else None
        size = (
            s.plate.field(well, field).shape if s.plate is not None else tuple(n * run.patch for n in shape or (0, 0))
        )
        if not (0 <= place[0] < size[0] and 0 <= place[1] < size[1]):
            s.status = "That is outside the picture; click on a cell."
            return
        s.place = place

        def work(job: Any) -> Any:
            from napari_phenolens.analysis import explain

            return explain(run, well, field, at=place, cancel=job.cancelled)

        def done(table: Any) -> None:
            if (s.well, s.field_name, s.place) != (well, field, place):
                return
            s.explanation = table
            self._outline(place, run.patch)
            s.status = f"{well}, field {field}: the features at y {place[0]}, x {place[1]}."

        self.bench.jobs.start("explain", work, done, title="Explaining this place")

    def _outline(self, place: tuple[int, int], patch: int) -> None:
        """Draw the patch that was clicked, in one fixed layer."""
        size = self.bench.showing._pixel_size() or 1.0
        i, j = patch_of(place, patch)
        low = np.array([i, j]) * patch - 0.5
        edge = max(1.0, patch / 5)
        corners = low + np.array([[0, 0], [0, patch], [patch, patch], [patch, 0]])
        show_outline(
            self.bench.viewer,
            ROLE,
            corners,
            name="Explained place",
            colour="#ffdd33",
            width=edge,
            like=self.bench.images.layers + self.bench.slots.layers,
            size=size,
        )

    def clear(self) -> None:
        """Hide the outline (another well is on show)."""
        hide_outline(self.bench.viewer, ROLE)
