"""Responders and escapers: counted in wells, painted over the cells of the field on show, on the plate map by well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import roles
from napari_phenolens.viewer.images import KEY, find_layer, geometry
from napari_phenolens.viewer.sides import Sides, sides_of

if TYPE_CHECKING:
    from napari_phenolens.analysis import Subpopulations, WellValues
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

ESCAPERS = "escapers"  # what the plate map is coloured by
OTHERS, PERTURBED = "all other wells", "perturbed wells"
ROLE = ("responders",)
NAME = "Responders and escapers"
CONTOUR = 2  # px
# Okabe and Ito's: told apart by colour-blind eyes
COLOURS: Mapping[str, str] = {
    "responder": "#e69f00",
    "escaper": "#56b4e9",
    "false positive": "#cc79a7",
    "control": "#b0b0b0",
}
WORDS: Mapping[str, str] = {
    "responder": "responders",
    "escaper": "escapers: still like control",
    "false positive": "control cells called perturbed, falsely",
    "control": "control cells",
}


@dataclass(frozen=True, eq=False)
class Responders:
    """What was counted.

    Attributes
    ----------
    run : Run
    sides : pair of tuples of str
        Control and perturbed wells that say what either looks like.
    where : str
        In which wells: `OTHERS` or `PERTURBED`.
    found : Subpopulations
        See `napari_phenolens.subpopulations`.
    """

    run: Any
    sides: Sides
    where: str
    found: Subpopulations

    @cached_property
    def values(self) -> WellValues:
        """What colours the plate map."""
        return self.found.well_values()

    @cached_property
    def of_fields(self) -> Mapping[tuple[str, str], pd.DataFrame]:
        """The cells of each field, with their states."""
        return {
            (str(well), str(field)): rows for (well, field), rows in self.found.cells.groupby(["well", "field"])
        }  # fmt: skip

    def counts(self, well: str, field: str) -> dict[str, int]:
        """Count the cells of each state in a field; empty where none were counted there."""
        rows = self.of_fields.get((well, field))
        if rows is None:
            return {}
        found = rows["state"].value_counts()
        return {state: int(found[state]) for state in COLOURS if state in found.index}


@dataclass(frozen=True, eq=False)
class _Painting:
    well: str
    field: str
    labels: np.ndarray
    colours: dict[int | None, Any]
    features: pd.DataFrame


class Responding:
    """Counts in a thread, then keeps picture and plate map those of the count."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        events = bench.session.events
        events.run.connect(self._forget)
        for signal in (events.comparison, events.roles):
            signal.connect(self._check)
        for signal in (events.well, events.field_name, events.view, events.side_by_side):
            signal.connect(self._moved)
        for signal in (events.responders, events.responders_shown):
            signal.connect(self._paint)
        bench.jobs.ended.connect(self._arrived)

    def _forget(self, _value: object = None) -> None:
        self.bench.jobs.cancel("responders")
        self.bench.session.responders = None

    def _check(self, _value: object = None) -> None:
        """Forget a count of other sides."""
        s = self.bench.session
        if s.responders is not None and s.responders.sides != sides_of(s):
            self.bench.session.responders = None

    # ---- counting -----------------------------------------------------------------------------------------------
    def count(self, where: str = OTHERS) -> Job:
        """Count responders and escapers, as `napari_phenolens.subpopulations` does.

        Parameters
        ----------
        where : str
            `OTHERS` counts in all wells with cells that are neither controls nor excluded, `PERTURBED` in those alone
            that the models learnt from.

        Raises
        ------
        PhenoLensError
            Where the run holds no cells.
        """
        s = self.bench.session
        run = s.run
        if not self.bench.cells.stored:
            raise PhenoLensError("the run has no cells yet: find them first (above)")
        sides = sides_of(s)
        excluded = set(s.wells_of(roles.EXCLUDED))

        def work(job: Job) -> Responders:
            from napari_phenolens.analysis import subpopulations

            learnt = self.bench.references.of(run, sides, job.cancelled)
            if learnt.reference.looks is None:
                raise PhenoLensError(learnt.why)
            wells = None if where == PERTURBED else counted_in(run, sides[0], excluded)
            found = subpopulations(
                run, list(sides[0]), list(sides[1]), wells=wells, found=learnt.reference.looks, cancel=job.cancelled
            )
            return Responders(run, sides, where, found)

        def done(found: Responders) -> None:
            if s.run is not run or sides_of(s) != sides:
                return
            s.responders = found
            s.colour_by = ESCAPERS
            over = found.found.escapers
            s.status = f"Escapers in the {len(found.found.wells) - len(sides[0])} wells counted: {over:.0%}."

        return self.bench.jobs.start("responders", work, done, title="Counting responders and escapers")

    # ---- painting -----------------------------------------------------------------------------------------------
    def show(self, on: bool) -> None:
        """Paint the cells of the field on show, or take that off; can be undone."""
        s = self.bench.session
        s.undo.change(s, "show responders" if on else "hide responders", responders_shown=on)

    def _moved(self, _value: object = None) -> None:
        """Hide what lies over other cells, until those of the field on show are painted."""
        layer = find_layer(self.bench.viewer, ROLE)
        if layer is not None:
            layer.visible = False

    def _arrived(self, job: Job) -> None:
        if job.kind == "picture" and not job.cancelled():
            self._paint()

    def _paint(self, _value: object = None) -> None:
        s = self.bench.session
        made, well, name = s.responders, s.well, s.field_name
        shown = made is not None and s.responders_shown and s.view == "field" and not s.side_by_side
        if not shown or well is None or name is None or (well, name) not in made.of_fields:
            self._moved()
            return

        def done(painting: _Painting) -> None:
            if (s.responders, s.well, s.field_name) == (made, well, name) and s.responders_shown:
                self._lay(painting)

        self.bench.jobs.start(
            "responders-paint", lambda _job: _painted(made, well, name), done, title="Painting responders"
        )

    def _lay(self, painting: _Painting) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        s, viewer = self.bench.session, self.bench.viewer
        if s.view != "field" or s.side_by_side:
            return
        layer = find_layer(viewer, ROLE)
        where = geometry(self.bench.showing._pixel_size())
        if layer is None:
            active = viewer.layers.selection.active
            layer = viewer.add_labels(
                painting.labels, name=NAME, opacity=1.0, metadata={KEY: {"role": ROLE}}, features=painting.features,
                colormap=DirectLabelColormap(color_dict=painting.colours), **where,
            )  # fmt: skip
            layer.contour = CONTOUR
            layer.editable = False
            if active is not None:
                viewer.layers.selection = {active}
            return
        layer.data = painting.labels
        layer.colormap = DirectLabelColormap(color_dict=painting.colours)
        layer.features = painting.features
        layer.scale, layer.translate = where["scale"], where["translate"]
        layer.visible = True


def counted_in(run: Any, controls: tuple[str, ...], excluded: set[str]) -> list[str]:
    """Give the wells with cells that are neither controls nor excluded."""
    there = set(run.cells()["well"])
    return [well for well in run.wells if well in there and well not in controls and well not in excluded]


def _painted(made: Responders, well: str, field: str) -> _Painting:
    """Give each cell of a field the colour of its state; runs in a thread."""
    labels = np.array(made.run.cell_labels(well, field))
    rows = made.of_fields[well, field]
    shades = {state: _rgba(colour) for state, colour in COLOURS.items()}
    colours: dict[int | None, Any] = {None: np.zeros(4, np.float32), 0: np.zeros(4, np.float32)}
    colours |= {int(n): shades[state] for n, state in zip(rows["label"], rows["state"], strict=True)}
    told = made.found.looks.cells.loc[rows.index]
    features = pd.DataFrame(
        {
            "index": rows["label"].to_numpy(),
            "state": rows["state"].to_numpy(),
            "probability": told["probability"].round(3).to_numpy(),
            "rank": told["rank"].round(3).to_numpy(),
        }
    )
    return _Painting(well, field, labels, colours, features)


def _rgba(colour: str) -> np.ndarray:
    return np.array([*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)), 1.0], np.float32)
