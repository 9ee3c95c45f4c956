"""The clicked cell: found under the click, explained against the control cells, outlined; cells are walked by rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import compat, roles
from napari_phenolens.viewer.outlines import hide_outline, show_outline

if TYPE_CHECKING:
    from napari_phenolens.analysis import CellCard, CellCrop, CellReference
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

DOCK = "PhenoLens cell"
LOOKS, FEATURE = "how perturbed it looks", "the chosen feature"
HERE, EVERYWHERE = "this well", "all wells"
ROLE = ("cell",)
NEAR = 4.0  # screen pixels a field pixel, at which a cell is looked at
LINE = 1.5  # px of the outline's width, in field pixels


@dataclass(frozen=True, eq=False)
class CellPage:
    """What is known of the clicked cell so far.

    Attributes
    ----------
    card : CellCard
    outline : ndarray (n, 2)
        Field pixels (y, x) along its edge.
    crops : tuple of CellCrop or None
        The cell and its nearest ones; None while they are read.
    colours : mapping
        Channel to colour and limits, as the plate is shown at first.
    whole : bool
        Whether its tokens have been read: `explained` and `alignment` are there, or it is known why not.
    why : str
        Why there are no crops.
    """

    card: CellCard
    outline: np.ndarray
    crops: tuple[CellCrop, ...] | None = None
    colours: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    why: str = ""


class CellPages:
    """Keeps the session's cell that of the last click while somebody looks at it."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._watchers = 0
        self._reference: tuple[Any, CellReference] | None = None  # what it was made for, and what was made
        self._colours: tuple[Any, Mapping[str, Any]] | None = None
        self._no_looks = ""  # why cells are not ranked by what they look like
        self._goal: int | None = None
        events = bench.session.events
        events.place.connect(self._follow)
        events.run.connect(self._run_changed)
        events.comparison.connect(self._again)
        bench.jobs.ended.connect(self._arrived)

    # ---- who looks ----------------------------------------------------------------------------------------------
    def watch(self) -> None:
        """Begin to explain cells: a dock shows them."""
        self._watchers += 1
        self._run_changed()
        self._follow()

    def unwatch(self) -> None:
        """Stop once nobody looks any more."""
        self._watchers = max(0, self._watchers - 1)
        if not self._watchers:
            self._stop()
            self.bench.session.cell = None
            with suppress(ReferenceError):  # the dock may outlive the viewer
                self._hide()

    # ---- finding cells ------------------------------------------------------------------------------------------
    @property
    def stored(self) -> bool:
        """Whether cells are stored with the run."""
        run = self.bench.session.run
        return run is not None and bool(getattr(run, "has_cells", False))

    def find(self) -> None:
        """Find the cells of all fields and store them with the run: heavy work that goes on where it stopped."""
        s = self.bench.session
        run, plate = s.run, s.plate
        if run is None:
            raise PhenoLensError("there are no features yet: run the model, or open a finished run (step 4)")

        def work(job: Job) -> Any:
            from napari_phenolens.run import add_cells

            return add_cells(run, plate, progress=job.report, cancel=job.cancelled)

        def done(_run: Any) -> None:
            if s.run is not run:
                return
            run.forget_cells()
            self._reference = None
            s.cells = len(run.cells())
            s.status = f"{s.cells:,} cells were found and stored with the run. Click on one."
            self._follow()

        self.bench.jobs.start("cells", work, done, title="Finding the cells", heavy=True)

    def _run_changed(self, _value: object = None) -> None:
        s = self.bench.session
        self._stop()
        self._reference = None
        s.cell, s.kept_cells, s.cells = None, (), None
        self._hide()
        if not self._watchers or not self.stored:
            return
        run = s.run

        def counted(n: int) -> None:
            if s.run is run:
                s.cells = n

        self.bench.jobs.start("cell-count", lambda _job: len(run.cells()), counted, title="Reading the cells")

    # ---- the clicked cell ---------------------------------------------------------------------------------------
    def _stop(self) -> None:
        for kind in ("cell", "cell-crops", "cell-tokens"):
            self.bench.jobs.cancel(kind)

    def _again(self, _value: object = None) -> None:
        """Explain the cell once more: the sides are others now."""
        page = self.bench.session.cell
        if page is not None:
            self._explain(page.card.cell)

    def _follow(self, _value: object = None) -> None:
        s = self.bench.session
        if not self._watchers or not self.stored:
            return
        if s.place is None:
            self._stop()
            s.cell = None
            self._hide()
            return
        run, well, name, place = s.run, s.well, s.field_name, s.place
        if well not in run.wells:
            return

        def found(cell: int | None) -> None:
            if (s.run, s.well, s.field_name, s.place) != (run, well, name, place):
                return
            if cell is None:
                s.cell = None  # step 8 of the dock explains the place
                self._hide()
            else:
                self._explain(cell)

        self.bench.jobs.start(
            "cell-at", lambda _job: run.cell_at(well, name, place), found, title="Looking for the cell"
        )

    def sides(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Give control and perturbed wells: those compared, else by their roles."""
        s = self.bench.session
        if s.comparison is not None:
            return tuple(s.comparison.controls), tuple(s.comparison.perturbed)
        have = set(s.run.wells)
        control = tuple(w for w in s.wells_of(roles.CONTROL) if w in have) or tuple(s.run.controls)
        return control, tuple(w for w in s.wells_of(roles.PERTURBED, roles.POSITIVE) if w in have)

    def _prepared(self, key: Any, job: Job) -> CellReference:
        """Give what cells are measured against, made once for a run and its sides; runs in a thread."""
        from napari_phenolens.analysis import AnalysisError, cell_reference, looks

        known = self._reference
        if known is not None and known[0] == key:
            return known[1]
        run, (controls, perturbed) = key
        told, why = None, ""
        if perturbed:
            try:
                told = looks(run, controls, perturbed, cancel=job.cancelled)
            except AnalysisError as error:  # too few wells to tell the sides apart: the rest of the card stands
                why = str(error)
        made = cell_reference(run, controls, perturbed or None, looks=told, cancel=job.cancelled)
        self._reference, self._no_looks = (key, made), why
        return made

    def _explain(self, cell: int) -> None:
        s = self.bench.session
        run, key = s.run, (s.run, self.sides())

        def work(job: Job) -> CellPage:
            from napari_phenolens.analysis import cell_card

            card = cell_card(self._prepared(key, job), cell, tokens=False)
            return CellPage(card, outline_of(run.cell_labels(card.well, card.field), card))

        def done(page: CellPage) -> None:
            if s.run is not run:
                return
            s.cell = page
            self._draw(page)
            s.status = f"{page.card.well}, cell {page.card.label}: {page.card.verdict()}."
            self._read_crops(page.card)
            self._read_tokens(page.card, key)

        ready = self._reference is not None and self._reference[0] == key
        title = "Explaining the cell" if ready else "Learning what control cells look like (once)"
        self.bench.jobs.start("cell", work, done, title=title)

    def _fill(self, of: CellCard, **parts: Any) -> None:
        page = self.bench.session.cell
        if page is not None and page.card.cell == of.cell:
            self.bench.session.cell = replace(page, **parts)

    def _read_crops(self, card: CellCard) -> None:
        s = self.bench.session
        run, plate, known = s.run, s.plate, self._colours
        controls = self.sides()[0]
        if plate is None:
            self._fill(card, crops=(), why="The plate's pictures are not at hand; open its folder (step 1).")
            return

        def work(job: Job) -> tuple[tuple[CellCrop, ...], Mapping[str, Any]] | PhenoLensError:
            import pandas as pd

            from napari_phenolens.analysis import cell_crops
            from napari_phenolens.export import plate_looks

            try:
                colours = known[1] if known is not None and known[0] is plate else plate_looks(plate, controls)
                own = run.cells().loc[[card.cell]]
                near = pd.concat([own, *card.neighbours.values()])
                return tuple(cell_crops(run, near, plate=plate, cancel=job.cancelled)), colours
            except PhenoLensError as error:
                return error

        def done(found: tuple[tuple[CellCrop, ...], Mapping[str, Any]] | PhenoLensError) -> None:
            if isinstance(found, PhenoLensError):
                self._fill(card, crops=(), why=str(found))
                return
            self._colours = plate, found[1]
            self._fill(card, crops=found[0], colours=found[1])

        self.bench.jobs.start("cell-crops", work, done, title="Cutting out similar cells")

    def _read_tokens(self, card: CellCard, key: Any) -> None:
        def work(job: Job) -> CellCard:
            from napari_phenolens.analysis import cell_card

            return cell_card(self._prepared(key, job), card.cell)

        self.bench.jobs.start(
            "cell-tokens",
            work,
            lambda whole: self._fill(card, card=whole, whole=True),
            title="Reading the cell's embedding",
        )

    # ---- walking ------------------------------------------------------------------------------------------------
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
        if self._reference is None:
            raise PhenoLensError("click on a cell first: its likes are then ranked")
        reference = self._reference[1]
        if by == FEATURE:
            if s.feature is None:
                raise PhenoLensError("choose a feature in the table (step 5) to walk the cells by it")
            values = np.asarray(reference.codes[:, [s.feature]].toarray(), np.float64).ravel()
        elif reference.looks is None:
            raise PhenoLensError(
                self._no_looks or "say which wells are perturbed (step 3), or walk the cells by the chosen feature"
            )
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

    def go(self, cell: int) -> None:
        """Show a cell's field with the cell in the middle, and explain it."""
        row = self.bench.session.run.cells().loc[cell]
        s = self.bench.session
        self._goal = cell
        if (s.well, s.field_name) == (row["well"], row["field"]) and not s.side_by_side:
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
        self._explain(cell)

    # ---- keeping ------------------------------------------------------------------------------------------------
    def keep(self) -> None:
        """Keep the cell for the report, or let it go again."""
        s = self.bench.session
        if s.cell is None:
            raise PhenoLensError("click on a cell first")
        cell = s.cell.card.cell
        kept = tuple(c for c in s.kept_cells if c != cell)
        s.kept_cells = kept if len(kept) < len(s.kept_cells) else (*kept, cell)

    def report(self, path: str) -> None:
        """Write the cards of the kept cells (else of the one on show) as an HTML file."""
        s = self.bench.session
        cells: Sequence[int] = s.kept_cells or (() if s.cell is None else (s.cell.card.cell,))
        if not cells:
            raise PhenoLensError("click on a cell first, or keep some")
        run, plate, (controls, perturbed) = s.run, s.plate, self.sides()

        def work(job: Job) -> Path:
            from napari_phenolens.export import report

            return report(
                run, path, list(controls), list(perturbed) or None, features=(), cells=cells, whole=False,
                words=False, plate=plate, progress=job.report, cancel=job.cancelled,
            )  # fmt: skip

        def done(out: Path) -> None:
            s.status = f"The cards of {len(cells)} cell{'s' * (len(cells) != 1)}: {out}"

        self.bench.jobs.start("cell-report", work, done, title="Writing the report")

    # ---- drawing ------------------------------------------------------------------------------------------------
    def _draw(self, page: CellPage) -> None:
        """Outline the cell, in one fixed layer, where its field is on show."""
        s, viewer = self.bench.session, self.bench.viewer
        if (s.well, s.field_name) != (page.card.well, page.card.field) or s.side_by_side:
            self._hide()
            return
        size = self.bench.showing._pixel_size() or 1.0
        shown = self.bench.images.layers + self.bench.slots.layers
        show_outline(
            viewer, ROLE, page.outline, name="Explained cell", colour="#ffffff", width=LINE, like=shown, size=size,
        )  # fmt: skip

    def _hide(self) -> None:
        hide_outline(self.bench.viewer, ROLE)


def outline_of(labels: np.ndarray, card: CellCard) -> np.ndarray:
    """Give the longest contour of a cell, (n, 2) field pixels (y, x)."""
    from skimage.measure import find_contours

    y0, x0, y1, x1 = card.box
    mask = np.pad(labels[y0:y1, x0:x1] == card.label, 1)
    contours = find_contours(mask.astype(np.float32), 0.5)
    longest = max(contours, key=len)
    return np.asarray(longest + np.array([y0 - 1, x0 - 1]))
