"""The dock "PhenoLens cell": the clicked cell, what the model sees in it, and how far to trust that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication, QKeySequence, QShortcut
from qtpy.QtWidgets import QComboBox, QFileDialog, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_phenolens.viewer import cell_page, cell_walking
from napari_phenolens.viewer.describing import describe
from napari_phenolens.viewer.workbench import workbench_for
from napari_phenolens.widgets.cell_parts import CellFeatures, CellStrip
from napari_phenolens.widgets.cell_source_section import CellSourceSection
from napari_phenolens.widgets.job_bar import JobBar
from napari_phenolens.widgets.parts import Connections, JobPump, Section, find_room, hint, plural, row, scrolled
from napari_phenolens.widgets.responders_section import RespondersSection
from napari_phenolens.widgets.status import ErrorBanner
from napari_phenolens.widgets.telling_section import TellingSection
from napari_phenolens.widgets.tooltips import tip

if TYPE_CHECKING:
    import napari

NO_RUN = "Needs features: run the model or open results (dock PhenoLens, step 4)."
NO_CELLS = (
    "The run has no cells yet: say below where they come from, then find them in all fields. It takes about a second a "
    "field, can be cancelled, and goes on where it stopped."
)
CLICK = "Click on a cell in the picture. What the model sees in it is explained here."


class CellDock(QWidget):
    """Shows the session's clicked cell.

    Parameters
    ----------
    napari_viewer : napari.Viewer or napari.components.ViewerModel
        The viewer whose session is shown; napari gives it by this very name.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.bench = workbench_for(napari_viewer)
        self._connections = Connections()
        self._pump = JobPump(self.bench.jobs, self._connections, self)
        self._build_head()
        self._build_parts()
        self.source = CellSourceSection(self.bench, self._connections)
        self.responders = RespondersSection(self.bench, self._connections)
        self.telling = TellingSection(self.bench, self._connections)
        job = JobBar(self.bench, self._connections, "cells")
        self.scroll = scrolled(
            self.words, self.source, job, self.head, *self.sections, self.notes, self.responders, self.telling
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(ErrorBanner(self.bench, self._connections))
        layout.addWidget(self.scroll)
        self.setMinimumWidth(320)
        find_room(self)
        for key, by in (("N", 1), ("B", -1)):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda by=by: self._step(by))
        events = self.bench.session.events
        for signal in (
            events.cell,
            events.cells,
            events.run,
            events.roles,
            events.kept_cells,
            events.said,
            events.words,
        ):
            self._connections.connect(signal, self._show)
        connections, pages = self._connections, self.bench.cells

        def gone() -> None:  # holds nothing of the dock, which is gone by then
            connections.close()
            pages.unwatch()

        self.destroyed.connect(gone)
        self.bench.cells.watch()
        self._show()

    # ---- building -----------------------------------------------------------------------------------------------
    def _build_head(self) -> None:
        self.words = hint()
        self.head = QWidget()
        self.title = QLabel()
        font = self.title.font()
        font.setBold(True)
        font.setPointSizeF(font.pointSizeF() * 1.2)
        self.title.setFont(font)
        self.verdict = hint()
        self.back, self.forward = QPushButton("◀"), QPushButton("▶")
        for button, key, by in ((self.back, "cell.back", -1), (self.forward, "cell.forward", 1)):
            button.setFixedWidth(36)
            tip(button, key).clicked.connect(lambda _on=False, by=by: self._step(by))
        self.order, self.scope = QComboBox(), QComboBox()
        self.order.addItems([cell_walking.LOOKS, cell_walking.FEATURE])
        self.scope.addItems([cell_walking.EVERYWHERE, cell_walking.HERE])
        tip(self.order, "cell.order")
        tip(self.scope, "cell.scope")
        self.keep = QPushButton("Keep")
        self.keep.setCheckable(True)
        tip(self.keep, "cell.keep").clicked.connect(lambda: self.bench.attempt("Keeping", self.bench.cells.keep))
        self.copy = QPushButton("Copy as text")
        tip(self.copy, "cell.copy").clicked.connect(self._copy)
        self.report = QPushButton("Report…")
        tip(self.report, "cell.report").clicked.connect(self._report)
        inside = QVBoxLayout(self.head)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(4)
        inside.addWidget(self.title)
        inside.addWidget(self.verdict)
        inside.addLayout(row(self.back, self.forward, QLabel("by"), self.order, self.scope, stretch=3))
        inside.addLayout(row(self.keep, self.copy, self.report))

    def _build_parts(self) -> None:
        self.features_section = Section("What the model sees in it")
        self.features, self.explained = CellFeatures(), hint()
        tip(self.features, "cell.features")
        self.features_section.body.addWidget(self.features)
        self.features_section.body.addWidget(self.explained)
        self.likes_section = Section("Cells that look the same")
        self.strips = {side: CellStrip() for side in ("control", "perturbed")}
        self.likes_text = hint()
        for side, strip in self.strips.items():
            tip(strip, "cell.likes")
            strip.wanted.connect(lambda cell: self.bench.attempt("Going there", self.bench.walking.go, cell))
            self.likes_section.body.addWidget(QLabel(f"Nearest in {side} wells"))
            self.likes_section.body.addWidget(strip)
        self.likes_section.body.addWidget(self.likes_text)
        self.missing_section = Section("What it lacks", opened=False)
        self.missing, self.missing_text = CellFeatures(lacking=True), hint()
        tip(self.missing, "cell.missing")
        self.missing_section.body.addWidget(self.missing)
        self.missing_section.body.addWidget(self.missing_text)
        self.notes = hint()
        self.sections = (self.features_section, self.likes_section, self.missing_section)
        for table in (self.features, self.missing):
            table.wanted.connect(
                lambda feature: self.bench.attempt("Showing the heatmap", self.bench.showing.feature, feature)
            )

    # ---- showing ------------------------------------------------------------------------------------------------
    def _show(self, _value: object = None) -> None:
        s, pages = self.bench.session, self.bench.cells
        page = s.cell
        self.words.setVisible(page is None)
        if page is None:
            found = f"{s.cells:,} cells. " if s.cells else ""
            self.words.setText(NO_RUN if s.run is None else found + CLICK if pages.stored else NO_CELLS)
        for widget in (self.head, self.notes, *self.sections):
            widget.setVisible(page is not None)
        if page is None:
            return
        card = page.card
        self.title.setText(f"{card.well} · cell {card.label}")
        words = [describe(s.source, card.well), s.roles.get(card.well, "")]
        verdict = card.verdict()
        self.verdict.setText(
            " · ".join(w for w in words if w) + ("\n" if any(words) else "") + verdict[0].upper() + verdict[1:] + "."
        )
        self.keep.setChecked(card.cell in s.kept_cells)
        self.report.setText(f"Report of {plural(len(s.kept_cells), 'cell')}…" if s.kept_cells else "Report…")
        self.features.show_table(self._named(card.features))
        self.explained.setText(self._explained(page))
        self.missing.show_table(self._named(card.missing))
        self.missing_section.set_summary(plural(len(card.missing), "feature"))
        self.missing_text.setText(
            "Features that most control cells have, and this one unusually little of."
            if len(card.missing)
            else "Nothing that most control cells have is missing here."
        )
        self._show_likes(page)
        self.notes.setText("\n".join(card.notes))
        self.notes.setVisible(bool(card.notes))

    def _named(self, table: pd.DataFrame) -> pd.DataFrame:
        """Call features by what the user calls them, else by what they go with."""
        return table.assign(name=[self.bench.wording.called(int(feature)) for feature in table.index])

    @staticmethod
    def _explained(page: cell_page.CellPage) -> str:
        card = page.card
        if not len(card.features):
            return "No feature is active in this cell."
        if not page.whole:
            return "Reading its embedding, to say how much of it these features explain…"
        if not np.isfinite(card.explained):
            return "How much of the cell these features explain cannot be said; see below."
        return (
            f"All its features rebuild the cell's embedding with a cosine of {card.explained:.2f}, those listed with "
            f"{card.explained_listed:.2f}; {1 - card.explained**2:.0%} of it is said by no feature. Features say what "
            "looks alike, not what causes it."
        )

    def _show_likes(self, page: cell_page.CellPage) -> None:
        if page.crops is None:
            self.likes_text.setText("Cutting them out…")
            for strip in self.strips.values():
                strip.show_cells([], {}, {}, {})
            return
        crops = {crop.cell: crop for crop in page.crops}
        for side, strip in self.strips.items():
            near = page.card.neighbours[side]
            shown = [crops[c] for c in near.index if c in crops]
            labels = dict(zip(near.index, near["label"], strict=True))
            strip.show_cells(shown, page.colours, dict(zip(near.index, near["similarity"], strict=True)), labels)
        self.likes_text.setText(
            page.why or "Number: cosine of the codes, 1 the same. At most two cells of a well. Click to go there."
        )

    # ---- intents ------------------------------------------------------------------------------------------------
    def _step(self, by: int) -> None:
        self.bench.attempt(
            "Walking over the cells", self.bench.walking.step, by, self.order.currentText(), self.scope.currentText()
        )

    def _copy(self) -> None:
        page = self.bench.session.cell
        clipboard = QGuiApplication.clipboard()
        if page is not None and clipboard is not None:
            clipboard.setText(page.card.text())
            self.bench.session.status = "The card was copied as text."

    def _report(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Write the cards of cells", "cells.html", "Web page (*.html)")
        if path:
            self.bench.attempt("Writing the report", self.bench.cells.report, path)
