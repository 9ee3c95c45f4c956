"""Where a run's cells come from: the built-in segmentation with its preview, a Labels layer, or label files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import compat
from napari_phenolens.viewer.cell_source import BUILT_IN, FOLDER, LAYER, CellSource
from napari_phenolens.viewer.images import KEY, find_layer, geometry, role_of

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

ROLE = ("cell-preview",)
NAME = "Cells (preview)"
CONTOUR = 2  # px
NO_RUN = "there are no features yet: run the model, or open a finished run (step 4)"
NO_PLATE = "the plate's pictures are not at hand; open its folder (step 1)"


@dataclass(frozen=True, eq=False)
class CellPreview:
    """Cells of the field on show, found to be looked at.

    Attributes
    ----------
    well, field : str
    labels : ndarray (Y, X) int32
    said : str
        How many and how large they are, and the settings.
    """

    well: str
    field: str
    labels: np.ndarray
    said: str


class CellFinding:
    """Finds cells and stores them with the run; nothing is stored for a preview."""

    layers_changed = Signal()  # there are other layers to choose from

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        events = bench.session.events
        events.run.connect(self._run_changed)
        for signal in (events.cell_source, events.well, events.field_name, events.view, events.side_by_side):
            signal.connect(self._again)
        layers = bench.viewer.layers.events
        for event in (layers.inserted, layers.removed):
            event.connect(self._other_layers)

    def _other_layers(self, _event: object = None) -> None:
        self.layers_changed.emit()

    def _run_changed(self, _value: object = None) -> None:
        s = self.bench.session
        self.end_preview()
        s.undo.drop(self)  # its channels are those of the former run
        self._put(CellSource())

    # ---- what is chosen -----------------------------------------------------------------------------------------
    def choose(self, title: str, **changes: Any) -> None:
        """Change the source or a setting; can be undone."""
        s = self.bench.session
        before = s.cell_source
        after = replace(before, **changes)
        if after != before:
            s.undo.do(title, lambda: self._put(after), lambda: self._put(before), owner=self)

    def _put(self, source: CellSource) -> None:
        self.bench.session.cell_source = source

    def layers(self) -> list[str]:
        """List the user's own Labels layers."""
        from napari.layers import Labels

        return [x.name for x in self.bench.viewer.layers if isinstance(x, Labels) and role_of(x) is None]

    @property
    def layer(self) -> str:
        """The Labels layer that is chosen; the only one needs no choosing. Empty: none."""
        names, chosen = self.layers(), self.bench.session.cell_source.layer
        return chosen if chosen in names else names[0] if len(names) == 1 else ""

    def _layer(self, name: str) -> Callable[[], np.ndarray]:
        """Give what reads a Labels layer's image, in a thread."""
        from napari.layers import Labels

        found = [x for x in self.bench.viewer.layers if isinstance(x, Labels) and x.name == name]
        if not found:
            raise PhenoLensError("choose the Labels layer that holds the cells of the field on show")
        data = found[0].data[0] if found[0].multiscale else found[0].data

        def read() -> np.ndarray:
            image = np.asarray(data)
            while image.ndim > 2 and image.shape[0] == 1:
                image = image[0]
            if image.ndim != 2:
                raise PhenoLensError(
                    f"the layer {name} holds an image of shape {image.shape}; one field is wanted, (Y, X): take its "
                    "plane out (right click on the layer > Split Stack)"
                )
            return image

        return read

    # ---- the preview --------------------------------------------------------------------------------------------
    def preview(self, on: bool = True) -> None:
        """Find the cells of the field on show with the present settings and lay them over it, until it is ended."""
        s = self.bench.session
        if not on:
            self.end_preview()
            return
        if s.run is None:
            raise PhenoLensError(NO_RUN)
        if s.plate is None:
            raise PhenoLensError(NO_PLATE)
        s.previewing = True
        self._again()

    def end_preview(self) -> None:
        """Take the preview off the picture."""
        s = self.bench.session
        self.bench.jobs.cancel("cell-preview")
        s.previewing, s.cell_preview = False, None
        self._remove()

    def _remove(self) -> None:
        layer = find_layer(self.bench.viewer, ROLE)
        if layer is not None:
            compat.remove_layers(self.bench.viewer, [layer])

    def _again(self, _value: object = None) -> None:
        """Show the preview of these settings on the field that is on show."""
        s = self.bench.session
        if not s.previewing:
            return
        source, run, plate, well, name = s.cell_source, s.run, s.plate, s.well, s.field_name
        if source.kind == LAYER or well is None or name is None or s.view != "field" or s.side_by_side:
            s.cell_preview = None
            self._remove()
            return

        def work(job: Job) -> CellPreview | PhenoLensError:
            try:
                labels, said = _found(run, plate, source, well, name, job.cancelled)
            except PhenoLensError as error:  # said beside the settings: the next one may do
                return error
            return CellPreview(well, name, labels, said)

        def done(found: CellPreview | PhenoLensError) -> None:
            if not s.previewing or (s.cell_source, s.well, s.field_name) != (source, well, name):
                return
            if isinstance(found, PhenoLensError):
                self._remove()
                s.cell_preview = CellPreview(well, name, np.zeros((0, 0), np.int32), f"No preview: {found}")
                return
            self._lay(found)
            s.cell_preview = found

        self.bench.jobs.start("cell-preview", work, done, title="Finding the cells of this field")

    def _lay(self, found: CellPreview) -> None:
        viewer = self.bench.viewer
        layer = find_layer(viewer, ROLE)
        if layer is not None:
            layer.data = found.labels
            return
        active = viewer.layers.selection.active
        layer = viewer.add_labels(
            found.labels, name=NAME, opacity=1.0, metadata={KEY: {"role": ROLE}},
            **geometry(self.bench.showing._pixel_size()),
        )  # fmt: skip
        layer.contour = CONTOUR
        layer.editable = False
        if active is not None:
            viewer.layers.selection = {active}

    # ---- the whole plate ----------------------------------------------------------------------------------------
    def start(self, *, replace_stored: bool = False) -> Job:
        """Find the cells of all fields, or take a layer's for the field on show, and store them with the run.

        Parameters
        ----------
        replace_stored : bool
            Whether cells that were found otherwise are replaced; without it the same source goes on where it stopped.

        Raises
        ------
        PhenoLensError
            Where something is missing: a run, the plate, a layer, a folder.
        """
        s = self.bench.session
        run, plate, source = s.run, s.plate, s.cell_source
        if run is None:
            raise PhenoLensError(NO_RUN)
        if source.kind == LAYER:
            return self._take(self.layer)
        if source.kind == FOLDER and not source.folder:
            raise PhenoLensError("choose the folder of the label files first")
        if source.kind == BUILT_IN and plate is None:
            raise PhenoLensError(NO_PLATE)

        def work(job: Job) -> Any:
            from napari_phenolens.run import add_cells, default_segmentation

            given: dict[str, Any] = {"labels": Path(source.folder)} if source.kind == FOLDER else {}
            if source.kind == BUILT_IN and source.options():
                given["segmentation"] = default_segmentation(run, plate, cancel=job.cancelled, **source.options())
            return add_cells(
                run, plate, replace=replace_stored, progress=job.report, cancel=job.cancelled, **given
            )  # fmt: skip

        return self._begin(work, "Finding the cells", f"the {source.kind}")

    def _take(self, name: str) -> Job:
        """Store the cells of a Labels layer for the field on show."""
        s = self.bench.session
        run, plate, well, field = s.run, s.plate, s.well, s.field_name
        if well is None or field is None or s.view != "field" or s.side_by_side:
            raise PhenoLensError(
                "show the one field that the layer's cells are of (a click on it in the views of step 2)"
            )
        read = self._layer(name)

        def work(_job: Job) -> Any:
            from napari_phenolens.run import put_cells

            return put_cells(run, well, field, read(), plate, given=f"layer {name}")

        return self._begin(work, f"Taking the cells of {name}", f"the layer {name} for {well}, field {field}")

    def _begin(self, work: Callable[[Job], Any], title: str, said: str) -> Job:
        s = self.bench.session
        run = s.run

        def counted(job: Job) -> int:
            work(job)
            return len(run.cells())

        def done(n: int) -> None:
            if s.run is run:
                self.end_preview()
                s.status = f"{n:,} cells are stored with the run, now with those of {said}. Click on one."
                self.bench.cells.renew(n)

        return self.bench.jobs.start("cells", counted, done, title=title, heavy=True)


def _found(
    run: Any, plate: Any, source: CellSource, well: str, name: str, cancel: Callable[[], bool]
) -> tuple[np.ndarray, str]:
    """Find the cells of one field and say how many there are; runs in a thread."""
    from napari_phenolens.run import default_segmentation
    from napari_phenolens.run.cell_labels import FromFolder, Place

    field = plate.field(well, name)
    if source.kind == FOLDER:
        if not source.folder:
            raise PhenoLensError("choose the folder of the label files first")
        stems = tuple(path.stem for path in field.files)
        place = Place(well, name, tuple(field.shape), stems, len(run.fields(well)) == 1)
        labels, settings = FromFolder(source.folder).labels(place, None)[0], ""
    else:
        rule = default_segmentation(run, plate, cancel=cancel, **source.options())
        labels = rule.cells(field.read(list(run.channels)), run.lens.channels)
        settings = f" Reach {rule.reach:.3g} px from nuclei of {rule.nuclear}"
        settings += f", parted by {', '.join(rule.cytoplasm)}." if rule.cytoplasm else ", the nearer nucleus wins."
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas > 0]
    if not len(areas):
        return labels, f"No cell in {well}, field {name}.{settings}"
    return labels, f"{len(areas)} cells in {well}, field {name}; median area {np.median(areas):.0f} px.{settings}"
