"""Walking over the cells by rank: by how perturbed they look, or by the chosen feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import compat
from napari_phenolens.viewer.sides import sides_of

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

LOOKS, FEATURE = "how perturbed it looks", "the chosen feature"
HERE, EVERYWHERE = "this well", "all wells"
NEAR = 4.0  # screen pixels a field pixel, at which a cell is looked at


class CellWalking:
    """Goes from cell to cell; the cell's page follows."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._goal: int | None = None
        bench.session.events.run.connect(self._forget)
        bench.jobs.ended.connect(self._arrived)

    def _forget(self, _value: object = None) -> None:
        self._goal = None

    def ranked(self, by: str = LOOKS, scope: str = EVERYWHERE) -> np.ndarray:
        """Give the cells from the lowest to the highest rank.

        Parameters
        ----------
        by : str
            `LOOKS` or `FEATURE`.
        scope : str
            `HERE` or `EVERYWHERE`.

        Raises
        ------
        PhenoLensError
            Where what they are ranked by is not there yet.
        """
        s = self.bench.session
        learnt = None if s.run is None else self.bench.references.known(s.run, sides_of(s))
        if learnt is None:
            raise PhenoLensError("click on a cell first: its likes are then ranked")
        reference = learnt.reference
        if by == FEATURE:
            if s.feature is None:
                raise PhenoLensError("choose a feature in the table (step 5) to walk the cells by it")
            values = np.asarray(reference.codes[:, [s.feature]].toarray(), np.float64).ravel()
        elif reference.looks is None:
            raise PhenoLensError(f"{learnt.why}; or walk the cells by the chosen feature")
        else:
            values = reference.looks.cells["rank"].to_numpy(np.float64)
        rows = np.flatnonzero(np.isfinite(values))
        if scope == HERE:
            rows = rows[(reference.cells["well"].to_numpy() == s.well)[rows]]
        return rows[np.argsort(values[rows], kind="stable")]

    def step(self, by: int, order: str = LOOKS, scope: str = EVERYWHERE) -> None:
        """Go to the cell of the next higher (1) or lower (-1) rank; from none, to the highest or the lowest."""
        ranked = self.ranked(order, scope)
        if not len(ranked):
            raise PhenoLensError("there is no such cell; choose another well")
        page = self.bench.session.cell
        at = np.flatnonzero(ranked == page.card.cell) if page is not None else np.zeros(0, int)
        start = int(at[0]) + by if len(at) else len(ranked) if by > 0 else 0
        place = int(np.clip(start, 0, len(ranked) - 1))
        self.go(int(ranked[place]))

    @property
    def going(self) -> bool:
        """Whether a cell's field is being brought to the canvas."""
        return self._goal is not None

    def go(self, cell: int) -> None:
        """Show a cell's field with the cell in the middle, and explain it."""
        row = self.bench.session.run.cells().loc[cell]
        s = self.bench.session
        self._goal = cell
        if (s.well, s.field_name, s.view) == (row["well"], row["field"], "field") and not s.side_by_side:
            self._look()
        else:
            self.bench.showing.well(str(row["well"]), str(row["field"]))

    def _arrived(self, job: Job) -> None:
        """Look at the cell once its field is on the canvas."""
        if self._goal is None or job.kind != "picture" or job.cancelled():
            return
        row = self.bench.session.run.cells().loc[self._goal]
        if (self.bench.session.well, self.bench.session.field_name) == (row["well"], row["field"]):
            self._look()
        else:
            self._goal = None  # the user went elsewhere meanwhile

    def _look(self) -> None:
        cell, self._goal = self._goal, None
        if cell is None:
            return
        row = self.bench.session.run.cells().loc[cell]
        size = self.bench.showing._pixel_size() or 1.0
        compat.look_at(self.bench.viewer, (float(row["y"]) * size, float(row["x"]) * size), least_zoom=NEAR / size)
        self.bench.cells.explain(cell)
