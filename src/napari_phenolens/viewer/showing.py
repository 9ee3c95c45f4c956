"""Showing a field, or all fields of a well, with the heatmaps of the slots on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import compat, roles
from napari_phenolens.viewer.describing import describe
from napari_phenolens.viewer.images import KEY, Picture, put, read_picture, shared_limits
from napari_phenolens.viewer.mosaic import lay_out
from napari_phenolens.viewer.overlays import caption, read_overlay
from napari_phenolens.viewer.session import PHENOTYPE, SLOTS, VIEWS, SlotState
from napari_phenolens.viewer.settings import preferences
from napari_phenolens.viewer.slots import HUE_NAMES, Overlay, Subject, subject_of
from napari_phenolens.viewer.well_mosaic import ALL, has_results, read_mosaic, read_mosaic_overlay

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench


@dataclass
class _Read:
    """What a thread has read of a field: the cells, the heatmaps of slots, and why a phenotype is not among them."""

    picture: Picture | None
    overlays: list[tuple[int, Overlay]]
    missing: list[str]


class Showing:
    """Reads in threads, then fills the fixed layers."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._limits: dict[str, tuple[float, float]] | None = None
        self._fresh = True
        self.dim = True  # draw the cells darker under heatmaps
        self._on_canvas: tuple[str | None, str | None, str] = (None, None, "field")  # well, field, view of the pictures
        self._looks: dict[str, Any] = {}  # where the camera looked in each view
        bench.jobs.failed.connect(self._on_failed)

    def forget(self) -> None:
        """Forget the contrast limits of the former plate, and its heatmaps."""
        self._limits = None
        self._fresh = True
        self._on_canvas = (None, None, "field")
        self._looks = {}
        for index in range(SLOTS):
            self.bench.slots.clear(index)

    def fields(self, well: str | None = None) -> list[str]:
        """Give the names of a well's fields."""
        s = self.bench.session
        well = well if well is not None else s.well
        if well is None:
            return []
        if s.plate is not None and well in s.plate.wells:
            return [field.name for field in s.plate.wells[well].fields]
        if s.run is not None and well in s.run.wells:
            return list(s.run.fields(well))
        return []

    @property
    def place(self) -> str | None:
        """The field on show; `ALL` in the mosaic."""
        s = self.bench.session
        return ALL if s.view == "well" else s.field_name

    def well(self, well: str, field: str | None = None) -> None:
        """Show a well with the heatmaps that are chosen: a field that is named, else its first, or its mosaic."""
        names = self.fields(well)
        if not names:
            raise PhenoLensError(f"well {well} has no images on this plate; choose a well with a filled circle")
        s = self.bench.session
        self._leave()
        if field is not None or s.view == "plate":
            s.view = "field"
        self._show(well, field if field in names else names[0])

    def _leave(self) -> None:
        """End what covers the well on show."""
        if self.bench.session.side_by_side:
            self.bench.pairing.end()
        self.bench.overview.end()

    def view(self, name: str) -> None:
        """Show one field, all fields of the well (``"well"``), or the whole ``"plate"``."""
        s = self.bench.session
        if name not in VIEWS:
            raise PhenoLensError(f"there is no view {name!r}; choose one of {', '.join(VIEWS)}")
        if s.plate is None and name != "field":
            raise PhenoLensError("the pictures of this plate are not at hand; open the plate's folder first (step 1)")
        if name == "plate":
            self.bench.jobs.cancel("picture")
            self.bench.overview.show()
        elif s.well is not None:
            self._leave()
            s.view = name
            self._show(s.well, s.field_name or self.fields()[0])

    def _show(self, well: str, field: str) -> None:
        """Read and show, in the session's view."""
        s = self.bench.session
        s.well, s.field_name = well, field
        s.place, s.explanation = None, None
        self.bench.picking.clear()
        plate, slots, place = s.plate, s.slots, self.place
        controls, heatmap = s.wells_of(roles.CONTROL), self._reader(well, place)

        def work(job: Job) -> _Read:
            picture = None
            if plate is not None:
                limits = self.find_limits(plate, controls, job.cancelled)
                if place == ALL:
                    picture = read_mosaic(plate, well, limits, job.cancelled)
                else:
                    picture = read_picture(plate, well, field, limits)
            read = _Read(picture, [], [])
            if heatmap is None:
                return read
            for index, slot in enumerate(slots):
                if slot.feature is None or job.cancelled():
                    continue
                try:
                    read.overlays.append((index, heatmap(slot, job.cancelled)))
                except PhenoLensError as error:
                    if slot.kind != PHENOTYPE:
                        raise
                    read.missing.append(str(error))  # the cells are there all the same
            return read

        self.bench.jobs.start("picture", work, self._shown, title=f"Showing {well}")

    def _reader(self, well: str, place: str | None) -> Callable[[SlotState, Callable[[], bool]], Overlay] | None:
        """Give what reads a slot's heatmap of a place, in a thread; None where the run has no results there."""
        s = self.bench.session
        run, plate, phenotypes, size = s.run, s.plate, self.bench.scoring.present, self._pixel_size
        if place is None or not has_results(run, well, place):
            return None

        def read(slot: SlotState, cancelled: Callable[[], bool]) -> Overlay:
            if slot.feature is None:
                raise PhenoLensError("this slot is empty: choose a feature in the table (step 5)")
            asked = (slot.feature, slot.kind, size(), phenotypes, cancelled)
            if place == ALL:
                return read_mosaic_overlay(run, plate, well, *asked)
            return read_overlay(run, well, place, *asked)

        return read

    def again(self) -> None:
        """Show the present well once more (after a run was opened, or a slot changed)."""
        s = self.bench.session
        if s.well is not None and s.view != "plate":
            self._leave()
            names = self.fields()
            self._show(s.well, s.field_name if s.field_name in names else names[0])

    def step(self, by: int, among: Sequence[str] | None = None) -> None:
        """Show the next (1) or former (-1) well, round the plate's end."""
        wells = list(among) if among else self.bench.session.wells
        if not wells:
            return
        now = self.bench.session.well
        place = wells.index(now) if now in wells else -1 if by > 0 else 0
        self.well(wells[(place + by) % len(wells)])

    def find_limits(
        self, plate: Any, controls: Sequence[str], cancelled: Callable[[], bool]
    ) -> dict[str, tuple[float, float]]:
        """Give the contrast limits that all wells share, measured once; runs in a thread."""
        if self._limits is None:
            self._limits = shared_limits(plate, controls, cancelled)
        return self._limits

    def limits_of(self, channel: str) -> tuple[float, float]:
        """Give a channel's contrast limits, once they are known."""
        return (self._limits or {}).get(channel, (0.0, 65535.0))

    def _shown(self, read: _Read) -> None:
        picture, s = read.picture, self.bench.session
        before, self._on_canvas = self._on_canvas[2], (s.well, s.field_name, s.view)
        if picture is not None:
            first = not self.bench.images.layers
            if before != s.view:
                self._looks[before] = compat.look(self.bench.viewer)
            shown = self.bench.images.show(picture, reset_limits=self._fresh)
            if self._fresh or first:
                self._fresh = False
                self.bench.viewer.reset_view()
                if picture.pixel_size and preferences().scale_bar:
                    compat.scale_bar(self.bench.viewer).visible = True
            elif before != s.view:
                if s.view == "field" and "field" in self._looks:
                    compat.look_again(self.bench.viewer, self._looks["field"])
                else:
                    compat.fit(self.bench.viewer, shown)
            if s.view == "well":
                s.status = self._mosaic_words(picture)
        for index, overlay in read.overlays:
            if overlay.subject == self.subject(s.slots[index]):
                self.bench.slots.show(index, overlay)
        if read.missing:
            s.status = read.missing[0]
        self._hide_others()
        self._caption()
        self._dim()
        self.bench.picking.connect()

    def _mosaic_words(self, picture: Picture) -> str:
        """Say how a mosaic's fields lie."""
        s = self.bench.session
        fields = s.plate.wells[picture.well].fields
        if len(fields) == 1:
            return f"{picture.well} has one field."
        lie = "at their stage positions" if lay_out(fields).stated else "in a grid: the files state no positions"
        smaller = f", drawn at 1/{picture.step} of their size" if picture.step > 1 else ""
        return f"{picture.well}: {len(fields)} fields {lie}{smaller}. Click a field to see it alone."

    def _hide_others(self) -> None:
        """Hide heatmaps that are not of the field on show: over other cells they would lie."""
        s = self.bench.session
        for index in range(SLOTS):
            layer = self.bench.slots.layer(index)
            if layer is None:
                continue
            note = layer.metadata[KEY]
            here = (*subject_of(layer), note.get("well"), note.get("field"))
            if here != (*self.subject(s.slots[index]), s.well, self.place):
                put(layer, visible=False)

    def subject(self, slot: SlotState) -> Subject:
        """Give what such a slot is to show now, see `Overlay.subject`."""
        phenotypes = self.bench.scoring.present
        number = phenotypes.number if slot.kind == PHENOTYPE and phenotypes is not None else 0
        return slot.feature, slot.kind, number

    def _on_failed(self, job: Job, _problem: Any) -> None:
        """Say again which well is on show, and hide a heatmap that its slot no longer stands for."""
        s = self.bench.session
        if job.kind == "picture" and self._on_canvas[0] in s.wells:
            s.well, s.field_name, s.view = self._on_canvas
        if job.kind.startswith("heatmap-") and not s.side_by_side and s.view != "plate":
            self._hide_others()
            self._caption()
            self._dim()

    def set_dim(self, dim: bool) -> None:
        """Whether the cells are drawn darker under heatmaps."""
        self.dim = dim
        self.bench.side.set_dimmed(dim)
        self._dim()

    def _dim(self) -> None:
        covered = any(layer.visible for layer in self.bench.slots.layers)
        self.bench.images.set_dimmed(self.dim and covered)

    def _caption(self) -> None:
        s = self.bench.session
        if s.view == "plate":
            return
        words = [f"{s.well}", describe(s.source, s.well or "")]
        if len(self.fields()) > 1:
            words.insert(1, ALL if s.view == "well" else f"field {s.field_name}")
        role = s.roles.get(s.well or "")
        text = " · ".join(word for word in [*words, role] if word)
        shown = [
            caption(HUE_NAMES[i], slot.feature, slot.kind, self.bench.slots.negative)
            for i, slot in enumerate(s.slots)
            if slot.feature is not None and getattr(self.bench.slots.layer(i), "visible", False)
        ]
        overlay = compat.text_overlay(self.bench.viewer)
        overlay.text = "\n".join([text, ", ".join(shown)]) if shown else text
        overlay.position, overlay.visible = "top_left", True

    def feature(self, feature: int | None, slot: int = 0, kind: str | None = None, *, step: bool = True) -> None:
        """Put a feature into a slot; None empties it. Can be undone but where nobody asked for it (``step``)."""
        s = self.bench.session
        if s.run is None:
            raise PhenoLensError("there are no features yet: run the model, or open a finished run (step 4)")
        self.bench.slot_steps.put(slot, SlotState(feature, kind or s.slots[slot].kind), step=step)

    def slot_changed(self, slot: int) -> None:
        """Show what a slot is to show now."""
        s = self.bench.session
        if s.slots[slot].feature is None:
            self.bench.slots.clear(slot)
            self._caption()
            self._dim()
        elif s.side_by_side:
            self.side_by_side()
        else:
            self._refresh_slot(slot)

    def _refresh_slot(self, slot: int) -> None:
        s = self.bench.session
        state, well, place = s.slots[slot], s.well, self.place
        if well is None or place is None or state.feature is None or s.view == "plate":
            return
        heatmap = self._reader(well, place)
        if heatmap is None:
            s.status = f"Well {well} has no results in this run; choose another well."
            return
        self.bench.jobs.start(
            f"heatmap-{slot}",
            lambda job: heatmap(state, job.cancelled),
            lambda overlay: self._overlay_shown(slot, overlay),
            title=f"Heatmap of F{state.feature}" + (" (reads the cells again)" if state.kind == "alignment" else ""),
        )

    def _overlay_shown(self, slot: int, overlay: Overlay) -> None:
        s = self.bench.session
        here = (overlay.well, overlay.field) == (s.well, self.place) and overlay.subject == self.subject(s.slots[slot])
        if here and not s.side_by_side and s.view != "plate":
            self.bench.slots.show(slot, overlay)
            self._caption()
            self._dim()

    def compared(self) -> None:
        """Show the phenotypes in the slots anew: another comparison was made."""
        s = self.bench.session
        scored = [i for i, state in enumerate(s.slots) if state.kind == PHENOTYPE and state.feature is not None]
        if s.side_by_side and scored:
            self.side_by_side()
        elif not s.side_by_side and s.view != "plate":
            self._hide_others()
            for slot in scored:
                self._refresh_slot(slot)

    def _pixel_size(self) -> float | None:
        s = self.bench.session
        size = getattr(s.plate, "pixel_size", None) if s.plate is not None else None
        return size if size is not None else getattr(s.run, "pixel_size", None)

    def set_opacity(self, opacity: float) -> None:
        """Set the opacity of all heatmaps, those of a pair included."""
        self.bench.slots.set_opacity(opacity)
        self.bench.side.set_opacity(opacity)

    def set_heatmaps_visible(self, visible: bool) -> None:
        """Show or hide the heatmaps that are filled."""
        if self.bench.session.side_by_side:
            self.bench.side.set_heatmaps_visible(visible)
            return
        if self.bench.session.view == "plate":
            return
        for index, state in enumerate(self.bench.session.slots):
            layer = self.bench.slots.layer(index)
            if layer is not None:
                layer.visible = visible and state.feature is not None
        self._dim()

    def pair(self) -> tuple[str, str] | None:
        """Choose a control and a perturbed well to compare, see `Pairing.pair`."""
        return self.bench.pairing.pair()

    def side_by_side(self, control: str | None = None, perturbed: str | None = None, pairs: int | None = None) -> None:
        """Show control wells beside perturbed ones, see `Pairing.show`."""
        self.bench.pairing.show(control, perturbed, pairs)

    def end_side_by_side(self) -> None:
        """Go back to one well."""
        self.bench.pairing.end()
