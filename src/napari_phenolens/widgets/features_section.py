"""Step 5: the ranked table of features, its search, what one must know before believing it, and the wells' values."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QItemSelectionModel, QModelIndex, QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QLineEdit,
    QPushButton,
    QToolButton,
    QWidget,
)

from napari_phenolens.analysis.well_values import FEATURE
from napari_phenolens.viewer import compat
from napari_phenolens.viewer.feature_page import DOCK as FEATURE_DOCK
from napari_phenolens.viewer.jobs import Job
from napari_phenolens.viewer.session import PHENOTYPE
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.feature_model import FeatureModel
from napari_phenolens.widgets.feature_table import FeatureTable
from napari_phenolens.widgets.parts import Connections, Section, hint, pause, row, set_beside
from napari_phenolens.widgets.provisional import ProvisionalNote
from napari_phenolens.widgets.tooltips import tip
from napari_phenolens.widgets.well_bars import WellBars
from napari_phenolens.widgets.well_plot import WellPlot

WAIT_MS = 120


class FeaturesSection(Section):
    """The table."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("5  Features", parent)
        self.bench = bench
        self.empty = hint()
        self.compare_button = QPushButton("Compare")
        tip(self.compare_button, "features.compare").clicked.connect(self._compare)
        self.export_button = QPushButton("Save…")
        tip(self.export_button, "features.export").clicked.connect(self._export)
        self.page_button = QPushButton("Page…")
        tip(self.page_button, "features.page").clicked.connect(self.open_page)
        self.which = QComboBox()
        self.which.addItems(["Features", "Covariates"])
        self.which.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        tip(self.which, "features.which").currentIndexChanged.connect(self._fill)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search: F17, a name, effect > 2, q < 0.05, starred …")
        self.search.setClearButtonEnabled(True)
        tip(self.search, "features.search")
        self._timer = pause(self, WAIT_MS, self._filter)
        self.search.textChanged.connect(lambda _text: self._timer.start())
        self.grouped = QCheckBox("One row per phenotype")
        tip(self.grouped, "features.grouped").toggled.connect(self._filter)
        self.hide_technical = QCheckBox("Hide technical")
        tip(self.hide_technical, "features.technical").toggled.connect(self._filter)
        self.warnings, self.sides, self.found = hint(), hint(), hint()
        self.more = QToolButton()
        self.more.setCheckable(True)
        self.more.setAutoRaise(True)
        tip(self.more, "features.notes").toggled.connect(self._tell)
        self._build_table()
        self.plot = WellPlot()
        self.body.addWidget(self.empty)
        self.body.addWidget(ProvisionalNote(bench, connections))
        self.body.addLayout(row(self.compare_button, self.which, self.export_button, self.page_button))
        self.body.addWidget(self.sides)
        self.body.addWidget(self.warnings)
        self.body.addWidget(self.more)
        self.body.addWidget(self.search)
        self.body.addLayout(row(self.grouped, self.hide_technical))
        self.body.addWidget(self.table)
        self.body.addWidget(self.found)
        self.body.addWidget(self.plot)
        events = bench.session.events
        connections.connect(events.comparison, self._comparison)
        for signal in (events.plate, events.run, events.roles):
            connections.connect(signal, self._state)
        for signal in (bench.jobs.started, bench.jobs.ended):
            connections.connect(signal, self._job)
        connections.connect(events.feature, self._feature)
        connections.connect(events.said, self.model.set_said)
        connections.connect(events.said, self._resay)
        self.model.set_said(bench.session.said)
        connections.connect(events.words, self._words)
        for signal in (events.covariate, events.score, events.colour_by):
            connections.connect(signal, self._plot_values)
        self.model.set_labels({} if bench.session.words is None else bench.session.words.labels)
        self._comparison()

    def _build_table(self) -> None:
        self.model = FeatureModel(self)
        self.table = FeatureTable(self.model)
        tip(self.table, "features.table")
        self.table.slot_key = self._to_slot
        self.table.star_key = self._star
        self.table.clicked.connect(self._clicked)
        self.model.said.connect(self._say)
        self.table.horizontalHeader().sectionClicked.connect(self._sort)
        self._sorted: tuple[int, Qt.SortOrder] | None = None
        self._provisional = False  # whether the table on show is of a run that goes on
        self.table.selectionModel().currentRowChanged.connect(self._chosen)

    # ---- from the session ---------------------------------------------------------------------------------------
    def _comparison(self, _value: object = None) -> None:
        comparison = self.bench.session.comparison
        there = comparison is not None
        for part in (
            self.which,
            self.export_button,
            self.page_button,
            self.sides,
            self.search,
            self.grouped,
            self.hide_technical,
            self.table,
            self.found,
        ):
            part.setVisible(there)
        with QSignalBlocker(self.which):
            self.which.setItemText(
                0, f"Features ({len(comparison.features):,})" if comparison is not None else "Features"
            )
            self.which.model().item(1).setEnabled(comparison is not None and comparison.covariates is not None)
            if not self._provisional or comparison is None or comparison.covariates is None:
                self.which.setCurrentIndex(0)
        notes = comparison.warnings if comparison is not None else ()
        self.warnings.setVisible(bool(notes))
        self.more.setVisible(len(notes) > 1)
        if comparison is not None:
            self.sides.setText(comparison.sides)
            self.sides.setVisible(bool(comparison.sides))
            self._tell()
        self._fill()
        self._state()

    def _tell(self, _value: object = None) -> None:
        """Show the first thing to know, or all."""
        comparison = self.bench.session.comparison
        notes = comparison.warnings if comparison is not None else ()
        shown = notes if self.more.isChecked() else notes[:1]
        self.warnings.setText("\n".join(f"⚠ {text}" for text in shown))
        self.warnings.setToolTip("\n\n".join(notes))
        left = len(notes) - 1
        self.more.setText("Show less" if self.more.isChecked() else f"{left} more to know before believing this table")

    def _job(self, job: Job) -> None:
        if job.kind == "compare":
            self._state()

    def _state(self, _value: object = None) -> None:
        missing = self.bench.comparing.ready()
        comparison = self.bench.session.comparison
        self.compare_button.setEnabled(not missing)
        self.compare_button.setText("Compare" if comparison is None else "Compare again")
        self.empty.setVisible(comparison is None)
        comparing = any(job.kind == "compare" for job in self.bench.jobs.running)
        press = "Press Compare to rank the features between control and perturbed wells."
        self.empty.setText(missing or ("Ranking the features…" if comparing else press))
        self.set_summary(f"{len(comparison.features):,} ranked" if comparison is not None else "")
        if comparison is not None and not missing:
            now = (
                tuple(self.bench.comparing._side("control")),
                tuple(self.bench.comparing._side("perturbed", "positive")),
            )
            if now != (comparison.controls, comparison.perturbed):
                other = comparison.about.get("by") in ("values", "selection")
                self.empty.setText(
                    f"This is the contrast {comparison.name}; Compare again goes back to the wells' roles."
                    if other
                    else "The wells have changed since this table was made: press Compare again."
                )
                self.empty.setVisible(True)

    def _fill(self, _value: object = None) -> None:
        comparison = self.bench.session.comparison
        if comparison is None:
            self.plot.hide()
            return
        others = comparison.covariates if self.which.currentIndex() == 1 else None
        covariates = others is not None
        profiles = self.bench.comparing.profiles
        bars = None if profiles is None else WellBars(profiles, self.bench.session.roles)
        refreshed = self._provisional and not covariates  # the same table with more wells: it stays as it was looked at
        self._provisional = bool(comparison.about.get("provisional"))
        columns, scroll = [c.key for c in self.model.columns], self.table.verticalScrollBar().value()
        self.model.set_table(comparison.features if others is None else others, bars)
        refreshed = refreshed and columns == [c.key for c in self.model.columns]
        if refreshed and self._sorted is not None:
            self.model.sort(*self._sorted)
        else:
            self._sorted = None
            self.table.horizontalHeader().setSortIndicatorShown(False)
        if not refreshed:
            self.table.fit_columns()
        self.grouped.setEnabled(not covariates)
        self.hide_technical.setEnabled(not covariates)
        self._filter()
        if refreshed:
            self._plot_values()
            self.table.verticalScrollBar().setValue(scroll)
        elif not covariates:
            self.bench.session.covariate = None
            self._feature()

    def _words(self, _value: object = None) -> None:
        """Show the words for features beside their names."""
        words = self.bench.session.words
        self.model.set_labels({} if words is None else words.labels)
        if self.bench.session.comparison is not None:
            self._fill()

    def _filter(self, _value: object = None) -> None:
        features = self.which.currentIndex() == 0
        self.model.set_filter(
            self.search.text(),
            grouped=features and self.grouped.isChecked(),
            hide_technical=features and self.hide_technical.isChecked(),
        )
        shown, total = self.model.rowCount(), self.model.total
        if not shown:
            self.found.setText("Nothing fits. Clear the search, or untick the boxes above the table.")
        else:
            self.found.setText(
                f"{shown:,} of {total:,} shown." if shown < total else "Click a row to see it on the cells."
            )
        self._mark_row()

    def _feature(self, _value: object = None) -> None:
        self._mark_row()
        self._plot_values()

    def _mark_row(self) -> None:
        feature = self.bench.session.feature
        place = self.model.row_of(feature) if feature is not None else -1
        selection = self.table.selectionModel()
        with QSignalBlocker(selection):
            if place < 0:
                selection.clear()
            else:
                now = self.table.currentIndex()  # its column stays: F2 writes there
                index = self.model.index(place, now.column() if now.isValid() else self.model.column_of("feature"))
                flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
                selection.setCurrentIndex(index, flags)
                self.table.scrollTo(index)
        self.table.viewport().update()

    def _plot_values(self, _value: object = None) -> None:
        s = self.bench.session
        if s.covariate is not None:
            self.plot.show_values(
                s.covariate.replace("_", " "), self.bench.comparing.covariate_values(s.covariate), s.roles
            )
        elif s.colour_by == PHENOTYPE and s.comparison is not None and s.feature is not None:
            shown = self.bench.comparing.score()
            if s.score is not None:  # until then the plot stays as it is, with its title
                self.plot.show_values(f"{shown.title}; chosen on these wells", shown.values, s.roles)
        elif s.feature is not None:
            title = f"F{s.feature}: mean activation, a dot a well"
            self.plot.show_values(title, self.bench.comparing.feature_values(s.feature), s.roles)
        else:
            self.plot.hide()

    # ---- intents ------------------------------------------------------------------------------------------------
    def _compare(self) -> None:
        self.bench.attempt("Comparing", self.bench.comparing.start)

    def _sort(self, section: int) -> None:
        """Sort downwards, upwards, then back to the ranking."""
        header = self.table.horizontalHeader()
        down, up = Qt.SortOrder.DescendingOrder, Qt.SortOrder.AscendingOrder
        if self.model.columns[section].key == "wells":
            pass  # bars have no order
        elif self._sorted is None or self._sorted[0] != section:
            self._sorted = (section, down)
        elif self._sorted[1] == down:
            self._sorted = (section, up)
        else:
            self._sorted = None
        header.setSortIndicatorShown(self._sorted is not None)
        if self._sorted is not None:
            header.setSortIndicator(*self._sorted)
            self.model.sort(*self._sorted)
        else:
            self.model.sort(-1)
        self._mark_row()
        self.table.scrollToTop()  # what was asked for stands there, wherever the chosen row went

    def _chosen(self, now: QModelIndex, _before: QModelIndex) -> None:
        if not now.isValid():
            return
        s = self.bench.session
        feature = self.model.value(now.row(), "feature")
        if feature is not None:
            if s.colour_by == "role":
                s.colour_by = FEATURE
            self.bench.attempt("Showing the heatmap", self.bench.showing.feature, int(feature))
            return
        name = self.model.value(now.row(), "covariate")
        if name is not None:
            s.covariate = str(name)
            s.colour_by = f"covariate:{name}"

    def _clicked(self, index: QModelIndex) -> None:
        if self.model.columns[index.column()].key == "star":
            self._star(index.row())
        elif self.bench.session.colour_by == "role":  # the row that was chosen for the user is clicked as well
            self._chosen(index, index)

    def _star(self, row_number: int | None = None) -> None:
        """Star the feature of a row, or take its star away; by default the chosen one's."""
        s = self.bench.session
        feature = s.feature if row_number is None else self.model.value(row_number, "feature")
        if feature is not None and self.which.currentIndex() == 0:
            starred = self.bench.naming.of(int(feature)).star
            self._say(int(feature), "star", not starred)

    def _say(self, feature: int, key: str, value: Any) -> None:
        said: dict[str, Any] = {key: value}
        self.bench.attempt("Naming a feature", lambda: self.bench.naming.say(feature, **said))

    def _resay(self, _value: object = None) -> None:
        """Show what fits a search for names again, once something was renamed."""
        if self.search.text() and not self.table.writing:
            self._filter()

    def open_page(self) -> None:
        """Open the dock that tells all about the chosen feature, beside this one or, without room, as a tab."""
        page = compat.open_dock(self.bench.viewer, FEATURE_DOCK)
        if page is not None:
            set_beside(self, page)

    def _to_slot(self, slot: int) -> None:
        feature = self.bench.session.feature
        if feature is not None:
            self.bench.attempt("Showing the heatmap", self.bench.showing.feature, feature, slot)

    def _export(self) -> None:
        comparison = self.bench.session.comparison
        if comparison is None:
            return
        path, _ = QFileDialog.getSaveFileName(self, "Save the table", "features.csv", "CSV (*.csv)")
        if path:
            table = self.model.table.drop(columns=["star", "note"], errors="ignore")
            self.bench.attempt("Saving the table", self.bench.comparing.save, table, path)
