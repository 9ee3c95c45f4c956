"""A region drawn on the field on show: its patches against the rest of the field, or against the control wells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer.images import KEY, find_layer, role_of

if TYPE_CHECKING:
    import pandas as pd

    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

ROLE = ("region",)
REST, CONTROL = "rest", "control"
DRAWING = "add_polygon_lasso"
_COLOUR, _EDGE = "#ffdd33", 2.0
_FLAT = {"line", "path"}  # shapes without an inside


class Regions:
    """One fixed layer to draw in; what was drawn on a field is there again with the field."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._kept: dict[tuple[str, str], list[tuple[np.ndarray, str]]] = {}  # (well, field) -> what was drawn there
        self._here: tuple[str, str] | None = None
        events = bench.session.events
        for signal in (events.well, events.field_name, events.view, events.side_by_side):
            signal.connect(self._moved)
        events.plate.connect(self._forget)

    @property
    def layer(self) -> Any | None:
        """The layer that regions are drawn in; None while none was."""
        return find_layer(self.bench.viewer, ROLE)

    @property
    def drawing(self) -> bool:
        """Whether clicks on the canvas draw."""
        layer = self.layer
        active = self.bench.viewer.layers.selection.active
        return layer is not None and active is layer and str(layer.mode) not in ("pan_zoom", "transform")

    def draw(self) -> Any:
        """Make the layer to draw in, empty where the field has no region yet, and let the mouse draw; gives it."""
        here = self._place()
        if here is None:
            raise PhenoLensError("show one field first: a region is drawn on a single field")
        layer = self.layer
        if layer is None:
            size = self._size
            like = next(iter(self.bench.images.layers + self.bench.slots.layers), None)
            layer = self.bench.viewer.add_shapes(
                [],
                ndim=2,
                name="Region",
                edge_color=_COLOUR,
                face_color="#ffdd3322",
                edge_width=_EDGE,
                scale=(size, size),
                units=None if like is None else like.units,
                metadata={KEY: {"role": ROLE}},
            )
            layer.current_edge_color, layer.current_face_color = _COLOUR, "#ffdd3322"
            layer.current_edge_width = _EDGE
        if self._here != here:
            self._fill(here)
        layer.visible = True
        self.bench.viewer.layers.selection = {layer}
        layer.mode = DRAWING
        self.bench.session.status = "Draw round the patches with the mouse held down; then press Compare."
        return layer

    def compare(self, against: str = REST) -> Job:
        """Rank the features between the patches inside what was drawn and others, in a thread; it is counted.

        The selected shapes of an own Shapes layer of the user count where that layer is chosen, else all that was drawn
        on this field.
        """
        s = self.bench.session
        run, here = s.run, self._place()
        if run is None:
            raise PhenoLensError("there are no features yet: run the model, or open a finished run (step 4)")
        if here is None:
            raise PhenoLensError("show one field first: a region lies on a single field")
        corners = self.corners()
        if not corners:
            raise PhenoLensError("draw a region first: press Draw a region, then draw round the patches")
        layer = self.layer
        if layer is not None:
            layer.mode = "pan_zoom"  # clicks explain places again
        self.bench.picking.clear()
        s.place = None

        def work(_job: Job) -> tuple[pd.DataFrame, int | None]:
            from napari_phenolens.analysis import region_features
            from napari_phenolens.analysis.regions import count_region

            table = region_features(run, [(*here, shape) for shape in corners], against=against)
            try:
                tried = count_region(run, table, by="napari")
            except PhenoLensError as error:
                table.attrs["notes"] = [*table.attrs["notes"], f"This contrast is not counted: {error}."]
                return table, None
            table.attrs["notes"] = [*table.attrs["notes"], f"{tried} contrasts were tried on this run so far."]
            return table, tried

        def done(found: tuple[pd.DataFrame, int | None]) -> None:
            table, tried = found
            if s.run is not run or self._place() != here:
                return
            if tried is not None:
                self.bench.contrasting.tried(tried)
            well, field = here
            other = "the control wells" if against == CONTROL else "the rest of the field"
            table.attrs["where"] = f"region in {well}, {table.attrs['patches_inside']:,} patches"
            table.attrs["region"] = [(well, field, np.round(shape, 1).tolist()) for shape in corners]
            s.explanation = table
            s.status = f"{well}, field {field}: {table.attrs['patches_inside']:,} patches against {other}."

        job: Job = self.bench.jobs.start("explain", work, done, title="Comparing the region")
        return job

    def corners(self) -> list[np.ndarray]:
        """Give what is drawn on the field on show, each (n, 2), (y, x) in field pixels."""
        layer = self.bench.viewer.layers.selection.active
        chosen: set[int] | None = None
        if layer is None or role_of(layer) is not None or not hasattr(layer, "shape_type"):
            layer = self.layer
            if layer is None or self._here != self._place():
                return []
        else:
            chosen = set(layer.selected_data) or None
        found = []
        for i, (data, kind) in enumerate(zip(layer.data, layer.shape_type, strict=True)):
            if kind in _FLAT or (chosen is not None and i not in chosen):
                continue
            outline = _ellipse(np.asarray(data)) if kind == "ellipse" else np.asarray(data)
            found.append(np.array([layer.data_to_world(corner)[-2:] for corner in outline]) / self._size)
        return found

    @property
    def _size(self) -> float:
        return self.bench.showing._pixel_size() or 1.0

    def _place(self) -> tuple[str, str] | None:
        """Give the field on show; None where several are."""
        s = self.bench.session
        if s.view != "field" or s.side_by_side or s.well is None or s.field_name is None:
            return None
        return s.well, s.field_name

    def _moved(self, _value: object = None) -> None:
        """Keep what was drawn with its field, and show what was drawn on the one that is shown now."""
        layer, here = self.layer, self._place()
        if layer is None or here == self._here:
            return
        self._store(layer)
        self._fill(here)

    def _store(self, layer: Any) -> None:
        if self._here is not None:
            self._kept[self._here] = [(np.array(d), k) for d, k in zip(layer.data, layer.shape_type, strict=True)]

    def _fill(self, here: tuple[str, str] | None) -> None:
        layer = self.layer
        self._here = here
        shapes = self._kept.get(here, []) if here is not None else []
        if layer is None:
            return
        layer.mode = "pan_zoom"
        layer.scale = (self._size, self._size)
        layer.data = shapes
        layer.visible = bool(shapes)

    def _forget(self, _plate: object = None) -> None:
        self._kept, self._here = {}, None
        self._fill(None)


def _ellipse(box: np.ndarray) -> np.ndarray:
    """Give points along the ellipse in a box of four corners."""
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)[:, None]
    centre, half = box.mean(axis=0), ((box[1] - box[0]) / 2, (box[3] - box[0]) / 2)
    points: np.ndarray = centre + np.cos(turn) * half[0] + np.sin(turn) * half[1]
    return points
