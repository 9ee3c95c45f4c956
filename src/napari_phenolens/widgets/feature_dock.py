"""The dock "PhenoLens feature": all about the chosen feature, to find out what it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from qtpy.QtCore import QEvent, QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QFocusEvent, QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_phenolens.analysis import WellValues
from napari_phenolens.plate import plate_format
from napari_phenolens.run.annotations import LONGEST_NAME
from napari_phenolens.viewer.feature_page import ALL, CONTROLS, PERTURBED, Page
from napari_phenolens.viewer.workbench import workbench_for
from napari_phenolens.widgets.activation_plot import ActivationPlot
from napari_phenolens.widgets.feature_columns import is_missing, words
from napari_phenolens.widgets.feature_lists import FamilyTree, SimilarTable
from napari_phenolens.widgets.gallery_view import PLACEHOLDER, GalleryView
from napari_phenolens.widgets.palette import fills_of
from napari_phenolens.widgets.parts import Connections, JobPump, Section, find_room, hint, row, scrolled
from napari_phenolens.widgets.plate_map import PlateMap
from napari_phenolens.widgets.tooltips import tip
from napari_phenolens.widgets.words_section import WordsSection

if TYPE_CHECKING:
    import napari

WIDTH = 400
NOTHING = "Choose a feature in the table of the PhenoLens dock (step 5); this page then tells all about it."
_FIGURES = (("effect", "effect"), ("q", "q"), ("auroc", "AUROC"), ("density", "active"), ("technical", "technical"))


class NoteEdit(QPlainTextEdit):
    """A few lines of text; says when they were left."""

    left = Signal()

    def focusOutEvent(self, event: QFocusEvent | None) -> None:  # noqa: N802 - Qt's name
        """Keep what was written once the user goes elsewhere."""
        super().focusOutEvent(event)
        self.left.emit()


class FeatureDock(QWidget):
    """Shows the session's page of the chosen feature.

    Parameters
    ----------
    napari_viewer : napari.Viewer or napari.components.ViewerModel
        The viewer whose session is shown; napari gives it by this very name.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.bench = workbench_for(napari_viewer)
        self._connections = Connections()
        find_room(self)
        self._pump = JobPump(self.bench.jobs, self._connections, self)
        self._build_head()
        self._build_parts()
        self.scroll = scrolled(self.empty, self.head, *self.sections)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.scroll)
        self.setMinimumWidth(300)
        events = self.bench.session.events
        for signal in (events.page, events.run):
            self._connections.connect(signal, self._show)
        for signal in (events.said, events.words):
            self._connections.connect(signal, self._show_said)
        for signal in (events.roles, events.comparison, events.well):
            self._connections.connect(signal, self._show_wells)
        connections, page = self._connections, self.bench.page

        def gone() -> None:  # holds nothing of the dock, which is gone by then
            connections.close()
            page.unwatch()

        self.destroyed.connect(gone)
        for key, by in (("N", 1), ("Shift+N", -1)):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda step=by: self._step(step))
        self.bench.page.watch()
        self._show()

    # ---- building -----------------------------------------------------------------------------------------------
    def _build_head(self) -> None:
        self.empty = hint(NOTHING)
        self.head = QWidget()
        self.title = QLabel()
        font = self.title.font()
        font.setBold(True)
        font.setPointSizeF(font.pointSizeF() * 1.3)
        self.title.setFont(font)
        self.former, self.following = QToolButton(), QToolButton()
        for button, arrow, key, by in (
            (self.former, Qt.ArrowType.LeftArrow, "page.former", -1),
            (self.following, Qt.ArrowType.RightArrow, "page.following", 1),
        ):
            button.setArrowType(arrow)
            button.setAutoRaise(True)
            tip(button, key).clicked.connect(lambda _checked=False, step=by: self._step(step))
        self.star = QToolButton()
        self.star.setAutoRaise(True)
        tip(self.star, "page.star").clicked.connect(self._star)
        self.name = QLineEdit()
        self.name.setMaxLength(LONGEST_NAME)
        self.name.setPlaceholderText("Name it…")
        tip(self.name, "page.name").editingFinished.connect(self._named)
        self.note = NoteEdit()
        self.note.setPlaceholderText("Notes…")
        self.note.setTabChangesFocus(True)
        self.note.setFixedHeight(3 * self.fontMetrics().height() + 12)
        tip(self.note, "page.note").left.connect(self._noted)
        self.figures = hint()
        inside = QVBoxLayout(self.head)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(4)
        inside.addLayout(row(self.former, self.following, self.title, self.star, self.name, stretch=4))
        inside.addWidget(self.figures)
        inside.addWidget(self.note)

    def _build_parts(self) -> None:
        self.gallery_section = Section("Examples")
        self.wells = QComboBox()
        self.wells.addItems([ALL, CONTROLS, PERTURBED])
        tip(self.wells, "page.wells").activated.connect(
            lambda _i: self.bench.page.choose_wells(self.wells.currentText())
        )
        self.gallery = GalleryView()
        tip(self.gallery, "page.gallery")
        self.gallery.wanted.connect(lambda crop: self.bench.attempt("Going there", self.bench.page.go, crop))
        self.gallery_section.body.addLayout(row(QLabel("Of"), self.wells))
        self.gallery_section.body.addWidget(self.gallery)

        self.plot_section = Section("Control and perturbed patches")
        self.plot, self.plot_text = ActivationPlot(), hint()
        self.plot_section.body.addWidget(self.plot)
        self.plot_section.body.addWidget(self.plot_text)

        self.map_section = Section("Well means")
        self.map, self.map_text = PlateMap(), hint()
        tip(self.map, "page.map")
        self.map.well_clicked.connect(lambda well: self.bench.attempt("Showing a well", self.bench.showing.well, well))
        self.map_section.body.addWidget(self.map)
        self.map_section.body.addWidget(self.map_text)

        self.similar_section = Section("Similar features")
        self.similar, self.similar_text = SimilarTable(), hint()
        tip(self.similar, "page.similar")
        self.similar.wanted.connect(self._choose)
        self.similar_section.body.addWidget(self.similar)
        self.similar_section.body.addWidget(self.similar_text)

        self.family_section = Section("In the tree")
        self.family = FamilyTree()
        tip(self.family, "page.family")
        self.family.wanted.connect(self._choose)
        self.family_section.body.addWidget(self.family)
        self.words_section = WordsSection(self.bench, self._connections)
        self.sections = (
            self.words_section, self.gallery_section, self.plot_section, self.map_section, self.similar_section,
            self.family_section,
        )  # fmt: skip

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for a width at which two pairs of examples fit; the height is napari's to give."""
        return QSize(WIDTH, 600)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Never make napari's window taller than the screen."""
        return QSize(300, 120)

    # ---- from the session ---------------------------------------------------------------------------------------
    def _show(self, _value: object = None) -> None:
        page = self.bench.session.page
        for part in (self.head, *self.sections):
            part.setVisible(page is not None)
        self.empty.setVisible(page is None)
        if page is None:
            return
        self.title.setText(f"F{page.feature}")
        self._show_said()
        self._show_figures(page)
        self._show_gallery(page)
        self._show_histogram(page)
        self._show_wells()
        self._show_similar(page)
        self.family_section.setVisible(page.family is not None and len(page.family) > 0)
        if page.family is not None:
            self.family.show_family(page.family)

    def _show_said(self, _value: object = None) -> None:
        page = self.bench.session.page
        if page is None:
            return
        said = self.bench.naming.of(page.feature)
        self.star.setText("★" if said.star else "☆")
        if self.name.text() != said.name:
            self.name.setText(said.name)
        self.name.setPlaceholderText(self.bench.wording.called(page.feature) or "Name it…")
        if self.note.toPlainText() != said.note and not self.note.hasFocus():
            self.note.setPlainText(said.note)

    def _show_figures(self, page: Page) -> None:
        comparison = self.bench.session.comparison
        if comparison is None:
            self.figures.setText("No figures yet: press Compare in step 5.")
            return
        table = comparison.features
        hit = table.index[table["feature"] == page.feature]
        if not len(hit):
            self.figures.setText("This feature is not in the table on show.")
            return
        values = table.loc[hit[0]]
        told = [
            f"{label} {values[key] if key == 'technical' else words(key, values.get)}"  # a dash alone says nothing here
            for key, label in _FIGURES
            if not is_missing(values.get(key))
        ]
        self.figures.setText(" · ".join(told))

    def _show_gallery(self, page: Page) -> None:
        with QSignalBlocker(self.wells):
            self.wells.setCurrentText(page.wells)
        missing = page.missing.get("gallery", "")
        if page.gallery is None:
            self.gallery.show_text(PLACEHOLDER)
        elif not page.gallery:
            self.gallery.show_text(missing)
        elif page.gallery != self.gallery.crops:
            self._draw_gallery()

    def _draw_gallery(self) -> None:
        page = self.bench.session.page
        if page is not None and page.gallery:
            self.gallery.show_crops(page.gallery, self.bench.page.looks(), self.bench.session.roles)

    def enterEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take over colours and contrast that were changed on the canvas meanwhile."""
        self._draw_gallery()
        super().enterEvent(event)

    def _show_histogram(self, page: Page) -> None:
        self.plot.show_histogram(page.histogram)
        if page.histogram is None:
            self.plot_text.setText(page.missing.get("histogram", "Reading…"))
            return
        active, patches = page.histogram.attrs["active"], page.histogram.attrs["patches"]
        sides = [f"{side}: active in {active[side]:.2%} of {patches[side]:,} patches" for side in active]
        self.plot_text.setText("; ".join(sides) + ". Patches are no replicates: the table's figures are of wells.")

    def _show_wells(self, _value: object = None) -> None:
        s = self.bench.session
        source = s.source
        if s.page is None or source is None:
            return
        values = self.bench.comparing.feature_values(s.page.feature)
        mapped = list(getattr(source, "metadata", pd.DataFrame()).index)
        self.map.set_plate(plate_format([*mapped, *s.wells]), s.wells, mapped)
        self.map.set_roles(s.roles)
        self.map.set_current(s.well)
        if values is None:
            self.map.set_colours(None)
            self.map_text.setText("Press Compare (step 5) to see the mean of every well.")
            return
        numbers = values.to_numpy(dtype=float)
        limits = (float(min(0.0, pd.Series(numbers).min())), float(pd.Series(numbers).max()))
        shown = WellValues(f"F{s.page.feature}", values=values, limits=limits)
        self.map.set_colours(fills_of(shown, s.roles, list(values.index)))
        self.map.describe = lambda well: f"{well}: {values.get(well, float('nan')):.4g}"
        self.map_text.setText(f"Mean activation, {limits[0]:.3g} (dark) to {limits[1]:.3g} (bright).")

    def _show_similar(self, page: Page) -> None:
        self.similar.setVisible(page.similar is not None)
        if page.similar is None:
            self.similar_text.setText(page.missing.get("similar", "Looking where features are active together…"))
            return
        self.similar.show_table(page.similar)
        about = page.similar.attrs
        self.similar_text.setText(
            f"Cosine: their atoms point the same way. Together: they are active in the same places (phi, 0 is chance; "
            f"{about['patches']:,} patches of {about['fields']} fields)."
        )

    # ---- intents ------------------------------------------------------------------------------------------------
    def _choose(self, feature: int) -> None:
        self.bench.attempt("Showing the heatmap", self.bench.showing.feature, feature)

    def _step(self, by: int) -> None:
        self.bench.attempt("Choosing a feature", self.bench.page.step, by)

    def _say(self, **said: Any) -> None:
        page = self.bench.session.page
        if page is not None:
            self.bench.attempt("Naming a feature", lambda: self.bench.naming.say(page.feature, **said))

    def _star(self) -> None:
        page = self.bench.session.page
        if page is not None:
            self._say(star=not self.bench.naming.of(page.feature).star)

    def _named(self) -> None:
        self._say(name=self.name.text())

    def _noted(self) -> None:
        self._say(note=self.note.toPlainText())
