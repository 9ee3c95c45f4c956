"""The whole plate as thumbnails on the canvas: fixed multiscale layers, filled while the thumbnails are drawn."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.export.channel_look import channel_labels
from napari_phenolens.plate import well_name_of
from napari_phenolens.viewer import compat, roles
from napari_phenolens.viewer.describing import describe
from napari_phenolens.viewer.images import KEY, colours, find_layer, role_of
from napari_phenolens.viewer.picking import TOLERANCE
from napari_phenolens.viewer.thumbnails import Thumbnails

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

REFRESH = 0.7  # seconds between two looks at thumbnails that are being drawn
_LIKE = ("contrast_limits", "colormap", "gamma", "visible")


class Overview:
    """The plate on the canvas. A click on a well shows it, a drag moves the picture.

    Its layers lie within the field's extent, so that napari's *home* still fits the field when they are hidden; the
    scale bar would not be true for them and is hidden while they are shown.
    """

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.thumbnails: Thumbnails | None = None
        self._shown_at = 0.0
        self._before: tuple[Any, ...] | None = None  # camera, layers that were visible, scale bar
        self._callbacks: list[tuple[Any, Callable[..., Any]]] = []
        bench.jobs.progressed.connect(self._progressed)
        bench.jobs.ended.connect(self._ended)

    @property
    def layers(self) -> list[Any]:
        """The layers of the overview."""
        return [layer for layer in self.bench.viewer.layers if (role_of(layer) or ("",))[0] == "plate"]

    @property
    def active(self) -> bool:
        """Whether the plate is on show."""
        return self._before is not None

    def show(self) -> None:
        """Show the plate, drawing in the background what is not there yet."""
        s, plate = self.bench.session, self.bench.session.plate
        if plate is None:
            raise PhenoLensError("the pictures of this plate are not at hand; open the plate's folder first (step 1)")
        if s.side_by_side:
            self.bench.pairing.end()
        s.view = "plate"
        if self.thumbnails is not None and self.thumbnails.plate is plate:
            self._begin(self.thumbnails)
            return
        controls, showing = s.wells_of(roles.CONTROL), self.bench.showing

        def work(job: Job) -> Thumbnails:
            showing.find_limits(plate, controls, job.cancelled)
            return Thumbnails(plate)

        self.bench.jobs.start("overview-files", work, self._begin, title="Looking for the plate's thumbnails")

    def _begin(self, thumbnails: Thumbnails) -> None:
        s = self.bench.session
        if s.plate is not thumbnails.plate or s.view != "plate":
            return
        self.thumbnails = thumbnails
        self._put(thumbnails)
        if thumbnails.complete:
            self._say()
        elif not any(job.kind == "overview" for job in self.bench.jobs.running):
            self.bench.jobs.start(
                "overview",
                lambda job: thumbnails.build(job.report, job.cancelled),
                lambda _none: self._drawn(thumbnails),
                title="Drawing the plate overview",
            )

    def _progressed(self, job: Job) -> None:
        if job.kind != "overview" or job.progress is None:
            return
        s = self.bench.session
        if s.view == "plate":
            p = job.progress
            s.status = f"Plate overview: {p.done} of {p.total} wells. Click a well to see it; Cancel stops here."
        if time.monotonic() - self._shown_at > REFRESH:
            self._refresh()

    def _ended(self, job: Job) -> None:
        if job.kind == "overview" and job.cancelled() and self.active:
            done = job.progress.done if job.progress is not None else 0
            self.bench.session.status = f"Plate overview stopped after {done} wells; press Whole plate to go on."

    def _refresh(self) -> None:
        self._shown_at = time.monotonic()
        for layer in self.layers:
            if layer.visible:
                layer.refresh()

    def _drawn(self, thumbnails: Thumbnails) -> None:
        if self.thumbnails is thumbnails:
            self._refresh()
            if self.bench.session.view == "plate":
                self._say()

    def _say(self) -> None:
        s = self.bench.session
        bad = self.thumbnails.unreadable() if self.thumbnails is not None else []
        fields = any(len(well.fields) > 1 for well in s.plate.wells.values())
        words = "Plate overview" + (", one field a well" if fields else "") + ". Click a well to see it."
        s.status = words + (f" {len(bad)} could not be read: {', '.join(bad[:5])}." if bad else "")

    # ---- layers -----------------------------------------------------------------------------------------------------
    def _put(self, thumbnails: Thumbnails) -> None:
        """Show the layers, and of all others none; remember what the viewer looked like."""
        bench, viewer, plate = self.bench, self.bench.viewer, thumbnails.plate
        images = {role_of(layer)[1]: layer for layer in bench.images.layers}  # type: ignore[index]
        entering = self._before is None
        if entering:
            bar = compat.scale_bar(viewer)
            visible = {layer: layer.visible for layer in viewer.layers}
            self._before = compat.look(viewer), visible, bar.visible
            bar.visible = False
            for layer in visible:
                layer.visible = False
        size, extent = plate.pixel_size or 1.0, self._room()
        scale = extent / max(n * thumbnails.edge for n in plate.format)
        names = channel_labels(plate, plate.channels)
        for i, (channel, colour) in enumerate(zip(plate.channels, colours(names), strict=True)):
            role = ("plate", channel)
            layer, like = find_layer(viewer, role), images.get(channel)
            data = [level[i] for level in thumbnails.levels]
            if layer is None:
                layer = viewer.add_image(
                    data,
                    multiscale=True,
                    name=f"Plate: {names[i]}",
                    colormap=colour,
                    contrast_limits=bench.showing.limits_of(channel),
                    blending="additive",
                    scale=(scale, scale),
                    translate=(scale / 2 - size / 2,) * 2,
                    units=("um", "um") if plate.pixel_size else ("pixel", "pixel"),
                    metadata={KEY: {"role": role}},
                )
            elif not entering:
                continue
            layer.visible = True
            if like is not None and self._before is not None:
                for name in _LIKE[:-1]:
                    setattr(layer, name, getattr(like, name))
                layer.visible = self._before[1].get(like, True)
        self._listen()
        compat.fit(viewer, self.layers)
        bench.jobs.soon(self._fit)  # once more after what the end of a pair puts back
        self._caption("")

    def _fit(self) -> None:
        if self.active:
            compat.fit(self.bench.viewer, self.layers)

    def _room(self) -> float:
        """Give the side of the box that the overview fills, in world units: that of the field on show."""
        images = self.bench.images.layers
        if not images:
            return 1000.0
        corner, end = images[0].extent.world[:, -2:]
        return float(min(end - corner))

    def end(self) -> None:
        """Go back to what the viewer showed before."""
        if self._before is None:
            return
        (look, visible, bar), self._before = self._before, None
        viewer = self.bench.viewer
        images = {role_of(layer)[1]: layer for layer in self.bench.images.layers}  # type: ignore[index]
        shown = {role_of(layer)[1]: layer for layer in self.layers}  # type: ignore[index]
        for layer, was in visible.items():
            if layer in viewer.layers and not layer.visible:  # what the user has shown meanwhile stays
                layer.visible = was
        for channel in images.keys() & shown.keys():  # what was set on the overview holds for the cells
            for name in _LIKE:
                setattr(images[channel], name, getattr(shown[channel], name))
        for layer in self.layers:
            layer.visible = False
        self._unlisten()
        compat.scale_bar(viewer).visible = bar
        compat.look_again(viewer, look)
        self.bench.session.status = "Back to one well."

    def forget(self) -> None:
        """Take the layers out: another plate is opened."""
        self.bench.jobs.cancel("overview")
        self.bench.jobs.cancel("overview-files")
        self.end()
        self.thumbnails = None
        compat.remove_layers(self.bench.viewer, self.layers)

    # ---- mouse ------------------------------------------------------------------------------------------------------
    def _listen(self) -> None:
        if not self._callbacks:
            viewer = self.bench.viewer
            self._callbacks = [(viewer.mouse_drag_callbacks, self._press), (viewer.mouse_move_callbacks, self._move)]
            for listeners, callback in self._callbacks:
                listeners.append(callback)

    def _unlisten(self) -> None:
        for listeners, callback in self._callbacks:
            with suppress(ValueError, ReferenceError):
                listeners.remove(callback)
        self._callbacks = []

    def well_at(self, position: Any) -> str | None:
        """Give the well with images at world coordinates."""
        layers = self.layers
        if not layers or self.thumbnails is None:
            return None
        row, column = np.asarray(layers[0].world_to_data(position), dtype=float)[-2:]
        i, j = self.thumbnails.well_at(row + 0.5, column + 0.5)
        rows, columns = self.thumbnails.plate.format
        name = well_name_of(i, j) if 0 <= i < rows and 0 <= j < columns else ""
        return name if name in self.thumbnails.plate.wells else None

    def _press(self, _viewer: Any, event: Any) -> Generator[None, None, None]:
        if event.button != 1 or event.modifiers:
            return
        start = np.asarray(event.pos, dtype=float)
        yield
        while event.type == "mouse_move":
            yield
        well = self.well_at(event.position)
        if well is not None and float(np.linalg.norm(np.asarray(event.pos, dtype=float) - start)) <= TOLERANCE:
            self.bench.attempt(f"Showing {well}", self.bench.showing.well, well)

    def _move(self, _viewer: Any, event: Any) -> None:
        self._caption(self.well_at(event.position) or "")

    def _caption(self, well: str) -> None:
        s = self.bench.session
        words = (well, describe(s.source, well), s.roles.get(well)) if well else (s.plate.name,)
        text = compat.text_overlay(self.bench.viewer)
        said = " · ".join(word for word in words if word)
        if text.text != said:
            text.text = said
        text.visible = True
