"""The clicked cell: found under the click, explained against the control cells, outlined, kept for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer.outlines import hide_outline, show_outline
from napari_phenolens.viewer.sides import sides_of

if TYPE_CHECKING:
    from napari_phenolens.analysis import CellCard, CellCrop, CellReference
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

DOCK = "PhenoLens cell"
ROLE = ("cell",)
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
        self._colours: tuple[Any, Mapping[str, Any]] | None = None
        events = bench.session.events
        events.place.connect(self._follow)
        for signal in (events.well, events.field_name):
            signal.connect(self._moved)
        events.run.connect(self._run_changed)
        events.comparison.connect(self._again)

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
                self.bench.finding.end_preview()

    @property
    def stored(self) -> bool:
        """Whether cells are stored with the run."""
        run = self.bench.session.run
        return run is not None and bool(getattr(run, "has_cells", False))

    def renew(self, count: int) -> None:
        """Take up other cells of the same run: what was said of the former ones does not hold of them."""
        s = self.bench.session
        self._stop()
        self.bench.references.forget()
        s.cell, s.kept_cells, s.responders, s.told_apart = None, (), None, None
        s.cells = None
        s.cells = count
        self._follow()

    def _run_changed(self, _value: object = None) -> None:
        s = self.bench.session
        self._stop()
        self.bench.references.forget()
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
            self.explain(page.card.cell)

    def _moved(self, _value: object = None) -> None:
        """Leave the cell where its field is: a cell that was walked to has no place that would change with the well."""
        s = self.bench.session
        if s.cell is None or (s.cell.card.well, s.cell.card.field) == (s.well, s.field_name):
            return
        self._hide()
        if not self.bench.walking.going:
            self._stop()
            s.cell = None

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

        def work(_job: Job) -> int | PhenoLensError | None:
            try:
                found: int | None = run.cell_at(well, name, place)
                return found
            except PhenoLensError as error:  # this field's cells are not stored, those of others are
                return error

        def done(cell: int | PhenoLensError | None) -> None:
            if (s.run, s.well, s.field_name, s.place) != (run, well, name, place):
                return
            if isinstance(cell, int):
                self.explain(cell)
                return
            s.cell = None  # step 8 of the dock explains the place
            self._hide()
            if cell is not None:
                s.status = f"No cell to explain here: {cell}"

        self.bench.jobs.start("cell-at", work, done, title="Looking for the cell")

    def explain(self, cell: int) -> None:
        """Explain a cell (its row in ``run.cells()``): what is quick at once, pictures and tokens as they come."""
        s = self.bench.session
        run, sides = s.run, sides_of(s)

        def work(job: Job) -> tuple[CellPage, CellReference]:
            from napari_phenolens.analysis import cell_card

            reference = self.bench.references.of(run, sides, job.cancelled).reference
            card = cell_card(reference, cell, tokens=False)
            return CellPage(card, outline_of(run.cell_labels(card.well, card.field), card)), reference

        def done(found: tuple[CellPage, CellReference]) -> None:
            page, reference = found
            if s.run is not run:
                return
            s.cell = page
            self._draw(page)
            s.status = f"{page.card.well}, cell {page.card.label}: {page.card.verdict()}."
            self._read_crops(page.card)
            self._read_tokens(page.card, reference)

        ready = self.bench.references.known(run, sides) is not None
        title = "Explaining the cell" if ready else "Learning what control cells look like (once)"
        self.bench.jobs.start("cell", work, done, title=title)

    def _fill(self, of: CellCard, **parts: Any) -> None:
        page = self.bench.session.cell
        if page is not None and page.card.cell == of.cell:
            self.bench.session.cell = replace(page, **parts)

    def _read_crops(self, card: CellCard) -> None:
        s = self.bench.session
        run, plate, known = s.run, s.plate, self._colours
        controls = sides_of(s)[0]
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

    def _read_tokens(self, card: CellCard, reference: CellReference) -> None:
        def work(job: Job) -> CellCard:
            from napari_phenolens.analysis import with_tokens

            return with_tokens(reference, card, cancel=job.cancelled)

        self.bench.jobs.start(
            "cell-tokens",
            work,
            lambda whole: self._fill(card, card=whole, whole=True),
            title="Reading the cell's embedding",
        )

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
        run, plate, (controls, perturbed) = s.run, s.plate, sides_of(s)

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
