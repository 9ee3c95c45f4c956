"""What distinguishes these cells? From a gate, a concept or a drawn region to the features that tell cells apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_phenolens.errors import PhenoLensError

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

REGION, GATE, CONCEPT = "cells in the drawn region", "cells with …", "cells with most of …"
WAYS = (REGION, GATE, CONCEPT)


@dataclass(frozen=True, eq=False)
class ToldApart:
    """The features that tell chosen cells from others.

    Attributes
    ----------
    table : DataFrame
        See `napari_phenolens.distinguish`: no p and no q, since the cells were picked.
    said : str
        What was chosen.
    call : str
        The call of Python that gives the same.
    """

    table: pd.DataFrame
    said: str
    call: str


class TellingApart:
    """Runs `napari_phenolens.distinguish` on what the user chose."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        bench.session.events.run.connect(self._forget)

    def _forget(self, _value: object = None) -> None:
        self.bench.jobs.cancel("distinguish")
        self.bench.session.told_apart = None

    def names(self) -> list[str]:
        """List what a gate can ask of the cells: the columns of ``run.cells()`` and of their measurements."""
        s = self.bench.session
        if not self.bench.cells.stored or s.cells is None:
            return []
        return list(dict.fromkeys([*map(str, s.run.cells().columns), *map(str, s.run.cell_measurements().columns)]))

    def start(self, way: str, text: str = "", against: str = "") -> Job:
        """Find the features, in a thread.

        Parameters
        ----------
        way : str
            `REGION`: what is drawn on the field on show; `GATE`: a condition; `CONCEPT`: a measured concept.
        text : str
            The condition or the concept.
        against : str
            A condition for the cells that they are held against; empty: all others.

        Raises
        ------
        PhenoLensError
            Where something is missing.
        """
        s = self.bench.session
        run = s.run
        if not self.bench.cells.stored:
            raise PhenoLensError("the run has no cells yet: find them first (above)")
        asked: dict[str, Any] = {}
        text, against = text.strip(), against.strip()
        if way == REGION:
            corners = self.bench.regions.corners()
            if not corners or s.well is None:
                raise PhenoLensError("draw a region first (Draw a region), round ten cells or more")
            asked["region"] = [(s.well, s.field_name, shape.round(1).tolist()) for shape in corners]
        elif not text:
            raise PhenoLensError('say which cells, such as "area_nucleus > 300", or choose a concept')
        else:
            asked["cells" if way == GATE else "concept"] = text
        if against:
            asked["against"] = against

        def work(_job: Job) -> ToldApart:
            from napari_phenolens.analysis import distinguish

            given = ", ".join(f"{name}={value!r}" for name, value in asked.items())
            table = distinguish(run, **asked)
            return ToldApart(table, str(table.attrs["chosen"]), f"ph.distinguish(run, {given})")

        def done(found: ToldApart) -> None:
            if s.run is run:
                s.told_apart = found
                s.status = f"The features that tell {found.said} from other cells are listed."

        return self.bench.jobs.start("distinguish", work, done, title="Looking for what distinguishes these cells")
