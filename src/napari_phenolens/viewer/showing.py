"""Showing a well, a field, a feature's heatmap on it, and a pair of wells beside each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import compat, roles
from napari_phenolens.viewer.images import KEY, Picture, read_picture, shared_limits
from napari_phenolens.viewer.overlays import caption, read_overlay
from napari_phenolens.viewer.session import PHENOTYPE, SLOTS, SlotState
from napari_phenolens.viewer.settings import preferences
from napari_phenolens.viewer.side_by_side import Side
from napari_phenolens.viewer.slots import HUE_NAMES, Overlay

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench


# What was done to a well comes before all else that a plate map may hold.
_TELLING = re.compile(r"compound|drug|gene|sirna|treatment|perturb|condition|dose|conc", re.I)


def describe(source: Any, well: str, limit: int = 3) -> str:
    """Say in a few words what a plate map knows of a well."""
    metadata = getattr(source, "metadata", None)
    if metadata is None or well not in metadata.index:
        return ""
    row = metadata.loc[well]
    skip = {"row", "column", "col", "well", "plate"}
    words = []
    for column, value in sorted(row.items(), key=lambda pair: _TELLING.search(str(pair[0])) is None):
        name = str(column)
        plain = name.lower().removeprefix("metadata_")
        if plain in skip or plain.startswith(("file", "path", "image")) or value is None or value != value:
            continue
        if plain.endswith("_unit"):
            continue
        if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
            unit = row.get(f"{name}_unit")
            known = isinstance(unit, str)
            words.append(f"{name.replace('_', ' ')} {value:g}" + (f" {unit}" if known else ""))
        else:
            words.append(str(value))
    return " · ".join(words[:limit])


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
        self._on_canvas: tuple[str | None, str | None] = (None, None)  # well and field of the pictures
        bench.jobs.failed.connect(self._on_failed)

    def forget(self) -> None:
        """Forget the contrast limits of the former plate, and its heatmaps."""
        self._limits = None
        self._fresh = True
        self._on_canvas = (None, None)
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

    def well(self, well: str, field: str | None = None) -> None:
        """Show a field of a well (its first by default), with the heatmaps that are chosen."""
        names = self.fields(well)
        if not names:
            raise PhenoLensError(f"well {well} has no images on this plate; choose a well with a filled circle")
        field = field if field in names else names[0]
        s = self.bench.session
        if s.side_by_side:
            self.end_side_by_side()
        s.well, s.field_name = well, field
        s.place, s.explanation = None, None
        self.bench.picking.clear()
        plate, run, slots, phenotypes = s.plate, s.run, s.slots, self.bench.scoring.present
        controls = s.wells_of(roles.CONTROL)

        def work(job: Job) -> _Read:
            picture = None if plate is None else self._read(plate, well, field, controls, job)
            size = picture.pixel_size if picture is not None else getattr(run, "pixel_size", None)
            read = _Read(picture, [], [])
            if run is None or well not in run.wells or field not in run.fields(well):
                return read
            for index, slot in enumerate(slots):
                if slot.feature is None or job.cancelled():
                    continue
                asked = (run, well, field, slot.feature, slot.kind, size, phenotypes, job.cancelled)
                try:
                    read.overlays.append((index, read_overlay(*asked)))
                except PhenoLensError as error:
                    if slot.kind != PHENOTYPE:
                        raise
                    read.missing.append(str(error))  # the cells are there all the same
            return read

        self.bench.jobs.start("picture", work, self._shown, title=f"Showing {well}")

    def again(self) -> None:
        """Show the present well once more (after a run was opened, or a slot changed)."""
        s = self.bench.session
        if s.well is not None:
            self.well(s.well, s.field_name)

    def step(self, by: int, among: Sequence[str] | None = None) -> None:
        """Show the next (1) or former (-1) well, round the plate's end."""
        wells = list(among) if among else self.bench.session.wells
        if not wells:
            return
        now = self.bench.session.well
        place = wells.index(now) if now in wells else -1 if by > 0 else 0
        self.well(wells[(place + by) % len(wells)])

    def _read(self, plate: Any, well: str, field: str, controls: Sequence[str], job: Job) -> Picture:
        if self._limits is None:
            self._limits = shared_limits(plate, controls, job.cancelled)
        return read_picture(plate, well, field, self._limits)

    def _shown(self, read: _Read) -> None:
        picture, s = read.picture, self.bench.session
        self._on_canvas = (s.well, s.field_name)
        if picture is not None:
            first = not self.bench.images.layers
            self.bench.images.show(picture, reset_limits=self._fresh)
            if self._fresh or first:
                self._fresh = False
                self.bench.viewer.reset_view()
                if picture.pixel_size and preferences().scale_bar:
                    compat.scale_bar(self.bench.viewer).visible = True
        for index, overlay in read.overlays:
            if overlay.subject == self._subject(index):
                self.bench.slots.show(index, overlay)
        if read.missing:
            s.status = read.missing[0]
        self._hide_others()
        self._caption()
        self._dim()
        self.bench.picking.connect()

    def _hide_others(self) -> None:
        """Hide heatmaps that are not of the field on show: over other cells they would lie."""
        s = self.bench.session
        for index in range(SLOTS):
            layer = self.bench.slots.layer(index)
            if layer is None:
                continue
            note = layer.metadata[KEY]
            here = tuple(note.get(name) for name in ("feature", "kind", "comparison", "well", "field"))
            if here != (*self._subject(index), s.well, s.field_name):
                layer.visible = False

    def _subject(self, index: int) -> tuple[int | None, str, int]:
        """Give what a slot is to show now, see `Overlay.subject`."""
        slot, phenotypes = self.bench.session.slots[index], self.bench.scoring.present
        number = phenotypes.number if slot.kind == PHENOTYPE and phenotypes is not None else 0
        return slot.feature, slot.kind, number

    def _on_failed(self, job: Job, _problem: Any) -> None:
        """Say again which well is on show, and hide a heatmap that its slot no longer stands for."""
        s = self.bench.session
        if job.kind == "picture" and self._on_canvas[0] in s.wells:
            s.well, s.field_name = self._on_canvas
        if job.kind.startswith("heatmap-") and not s.side_by_side:
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
        words = [f"{s.well}", describe(s.source, s.well or "")]
        if len(self.fields()) > 1:
            words.insert(1, f"field {s.field_name}")
        role = s.roles.get(s.well or "")
        text = " · ".join(word for word in [*words, role] if word)
        shown = [
            caption(HUE_NAMES[i], slot.feature, slot.kind)
            for i, slot in enumerate(s.slots)
            if slot.feature is not None and getattr(self.bench.slots.layer(i), "visible", False)
        ]
        overlay = compat.text_overlay(self.bench.viewer)
        overlay.text = "\n".join([text, ", ".join(shown)]) if shown else text
        overlay.position, overlay.visible = "top_left", True

    def feature(self, feature: int | None, slot: int = 0, kind: str | None = None) -> None:
        """Put a feature into a slot; None empties it."""
        s = self.bench.session
        if s.run is None:
            raise PhenoLensError("there are no features yet: run the model, or open a finished run (step 4)")
        old = s.slots[slot]
        s.slots = s.with_slot(slot, SlotState(feature, kind or old.kind))
        if feature is None:
            self.bench.slots.clear(slot)
            self._caption()
            self._dim()
            return
        s.feature = feature
        if s.side_by_side:
            self.side_by_side()
        else:
            self._refresh_slot(slot)

    def _refresh_slot(self, slot: int) -> None:
        s = self.bench.session
        state, run, well, field = s.slots[slot], s.run, s.well, s.field_name
        if well is None or field is None or state.feature is None:
            return
        if well not in run.wells or field not in run.fields(well):
            s.status = f"Well {well} has no results in this run; choose another well."
            return
        size = self._pixel_size()
        feature, kind, phenotypes = state.feature, state.kind, self.bench.scoring.present
        self.bench.jobs.start(
            f"heatmap-{slot}",
            lambda job: read_overlay(run, well, field, feature, kind, size, phenotypes, job.cancelled),
            lambda overlay: self._overlay_shown(slot, overlay),
            title=f"Heatmap of F{feature}" + (" (reads the cells again)" if kind == "alignment" else ""),
        )

    def _overlay_shown(self, slot: int, overlay: Overlay) -> None:
        s = self.bench.session
        here = (overlay.well, overlay.field) == (s.well, s.field_name) and overlay.subject == self._subject(slot)
        if here and not s.side_by_side:
            self.bench.slots.show(slot, overlay)
            self._caption()
            self._dim()

    def compared(self) -> None:
        """Show the phenotypes in the slots anew: another comparison was made."""
        s = self.bench.session
        scored = [i for i, state in enumerate(s.slots) if state.kind == PHENOTYPE and state.feature is not None]
        if s.side_by_side and scored:
            self.side_by_side()
        elif not s.side_by_side:
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
        for index, state in enumerate(self.bench.session.slots):
            layer = self.bench.slots.layer(index)
            if layer is not None:
                layer.visible = visible and state.feature is not None
        self._dim()

    def pair(self) -> tuple[str, str] | None:
        """Choose a control and a perturbed well to compare: of each side the well nearest to its median.

        The shown or selected well is taken as it is. None where a side is empty.
        """
        s = self.bench.session
        wells = [w for w in s.wells if s.plate is None or w in s.plate.wells]
        sides = {}
        for side, wanted in (("control", (roles.CONTROL,)), ("perturbed", (roles.PERTURBED, roles.POSITIVE))):
            names = [well for well in wells if s.roles.get(well) in wanted]
            if not names:
                return None
            chosen = [well for well in (*s.selected, s.well) if well in names]
            sides[side] = chosen[0] if chosen else self.bench.comparing.typical(names)
        return sides["control"], sides["perturbed"]

    def side_by_side(self, control: str | None = None, perturbed: str | None = None) -> None:
        """Show a control well beside a perturbed one with the same contrast and heatmap limits."""
        s = self.bench.session
        if s.plate is None:
            raise PhenoLensError("the pictures of this plate are not at hand; open the plate's folder first (step 1)")
        if control is None or perturbed is None:
            pair = self.pair()
            if pair is None:
                raise PhenoLensError("say which wells are controls and which are perturbed first (step 3)")
            control, perturbed = control or pair[0], perturbed or pair[1]
        left, right = control, perturbed
        plate, run, controls, phenotypes = s.plate, s.run, s.wells_of(roles.CONTROL), self.bench.scoring.present
        slot = next((i for i, state in enumerate(s.slots) if state.feature is not None), 0)
        state = s.slots[slot]

        missing: list[str] = []

        def read(well: str, side: str, job: Job) -> Side:
            name = plate.wells[well].fields[0].name
            picture = self._read(plate, well, name, controls, job)
            overlay = None
            if run is not None and state.feature is not None and well in run.wells and name in run.fields(well):
                asked = (run, well, name, state.feature, state.kind, picture.pixel_size, phenotypes, job.cancelled)
                try:
                    overlay = read_overlay(*asked)
                except PhenoLensError as error:
                    if state.kind != PHENOTYPE:
                        raise
                    missing.append(str(error))
            words = (f"{side} {well}", overlay.name if overlay is not None else "", describe(plate, well, 2))
            return Side(picture, overlay, " · ".join(word for word in words if word))

        def done(sides: tuple[Side, Side]) -> None:
            if (sides[0].overlay is None) != (sides[1].overlay is None):
                bare = [Side(side.picture, None, side.caption) for side in sides]
                sides = (bare[0], bare[1])
            self.bench.side.show(*sides, slot=slot, dim=self.dim)
            compat.text_overlay(self.bench.viewer).visible = False
            self.bench.jobs.soon(self.bench.viewer.reset_view)  # the grid's halves have no size yet
            s.side_by_side = True
            same = f"Control {left} beside perturbed {right}: same contrast, same heatmap limits."
            s.status = missing[0] if missing else same

        self.bench.jobs.start(
            "picture",
            lambda job: (read(left, "control", job), read(right, "perturbed", job)),
            done,
            title="Comparing wells",
        )

    def end_side_by_side(self) -> None:
        """Go back to one well."""
        self.bench.side.end()
        compat.text_overlay(self.bench.viewer).visible = self.bench.session.well is not None
        self.bench.session.side_by_side = False
        self.bench.jobs.soon(self.bench.viewer.reset_view)
