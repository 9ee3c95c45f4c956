"""A feature in words: its label, and the concepts that it goes with, with all their figures."""

from __future__ import annotations

from typing import Any

import pandas as pd
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QPushButton, QTableWidget, QTableWidgetItem, QWidget

from napari_phenolens.analysis.concept_labels import CONTRAST, TOGETHER, Q
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.job_bar import JobBar
from napari_phenolens.widgets.parts import Connections, Section, hint, row
from napari_phenolens.widgets.tooltips import tip

ROW, TALLEST = 20, 330  # px
_COLUMNS = (
    ("rho", "rho", "Rank correlation with the feature over wells."),
    ("q", "q", "False discovery rate over all features and concepts, whole wells shuffled."),
    ("auroc", "AUROC", "How well it tells cells with much of the feature from the others (of a class: the other way)."),
    ("effect", "d", "The same as a difference of means in standard deviations (Cohen's d)."),
    ("rho_controls", "in ctrl", "Rank correlation over control wells alone: no treatment can make it."),
    ("rho_within", "in dose", "Rank correlation over wells that were treated alike (same compound and dose)."),
)
NOT_YET = (
    "What does it stand for? Every feature is tested against what was measured of cells and wells, and against the "
    "plate map. Once for a run; it takes seconds to minutes in the background."
)


class WordsSection(Section):
    """The words for the chosen feature."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("In words", parent)
        self.bench = bench
        self.label, self.notes = hint(), hint()
        self.find, self.accept = QPushButton("Find words"), QPushButton("Use as name")
        tip(self.find, "words.find").clicked.connect(lambda: bench.attempt("Finding words", bench.wording.find))
        tip(self.accept, "words.accept").clicked.connect(self._accept)
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setShowGrid(False)
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(ROW)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        for i, (_, title, told) in enumerate(_COLUMNS):
            item = QTableWidgetItem(title)
            item.setToolTip(told)
            self.table.setHorizontalHeaderItem(i, item)
        tip(self.table, "words.table")
        self.body.addWidget(self.label)
        self.body.addLayout(row(self.accept, self.find))
        self.body.addWidget(JobBar(bench, connections, "words"))
        self.body.addWidget(self.table)
        self.body.addWidget(self.notes)
        events = bench.session.events
        for signal in (events.words, events.page, events.said, events.roles):
            connections.connect(signal, self._show)
        for signal in (bench.jobs.started, bench.jobs.ended):
            connections.connect(signal, self._buttons)
        self._show()

    def _show(self, _value: object = None) -> None:
        s = self.bench.session
        page, words = s.page, s.words
        rows = None if words is None or page is None else words.rows.get(page.feature)
        for part in (self.table, self.accept, self.notes):
            part.setVisible(rows is not None)
        self._buttons()
        if words is None or page is None or rows is None:
            self._say(NOT_YET, bold=False)
            self.set_summary("")
            return
        label, name = words.labels.get(page.feature, ""), self.bench.naming.of(page.feature).name
        self.set_summary(name or label)
        found = label or "Nothing that was tested goes with it (q below 0.05)."
        self._say(f"You call it {name}. Found: {found}" if name and name != label else found, bold=True)
        self.accept.setEnabled(bool(label) and name != label)
        self._fill(rows)
        notes = ["Correlates, not causes."]
        if ((rows["support"] == CONTRAST) & ~(rows["q"] >= Q)).any():
            notes.append(
                "Changes together with: that rests on the treatments alone, neither control cells nor wells treated "
                "alike show it."
            )
        if (rows["tied"] & (rows["rank"] > 1)).any():
            notes.append(
                "Tied: it fits as well as the first; the wells cannot tell them apart, and which is first is chance."
            )
        if self.bench.wording.stale():
            notes.append("Other wells were controls when these words were found: find them again.")
        notes += words.table.attrs.get("warnings", [])
        self.notes.setText(" ".join(notes))

    def _say(self, text: str, *, bold: bool) -> None:
        font = self.label.font()
        font.setBold(bold)
        self.label.setFont(font)
        self.label.setText(text)

    def _fill(self, rows: pd.DataFrame) -> None:
        self.table.clearSpans()
        self.table.setRowCount(2 * len(rows))
        for i, (_, values) in enumerate(rows.iterrows()):
            rests = str(values["support"])
            sure = not values["q"] >= Q  # a phenotype has no q
            again = bool(values["tied"]) and values["rank"] > 1
            before = ("tied: " if again else "") + (TOGETHER if rests == CONTRAST else "")
            said = QTableWidgetItem(f"{before if sure else 'not significant: '}{values['words']}")
            tooltip = f"{values['name']} ({values['kind']}), r {values['r']:+.2f}; rests on: {rests}"
            if values["same_as"]:
                tooltip += f"; over wells it says the same as {values['same_as']}"
            if again:
                tooltip += "; these wells cannot tell it from the first"
            said.setToolTip(tooltip)
            self.table.setItem(2 * i, 0, said)
            self.table.setSpan(2 * i, 0, 1, len(_COLUMNS))
            for j, (key, _, told) in enumerate(_COLUMNS):
                item = QTableWidgetItem(_figure(key, values[key]))
                item.setToolTip(told if key != "auroc" else f"{told} Over {values['auroc_of']}.")
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(2 * i + 1, j, item)
        height = self.table.horizontalHeader().sizeHint().height() + 2 * ROW * len(rows) + 4
        self.table.setFixedHeight(min(height, TALLEST))

    def _buttons(self, _job: object = None) -> None:
        s = self.bench.session
        words = s.words
        self.find.setVisible(s.run is not None and (words is None or self.bench.wording.stale()))
        self.find.setText("Find words" if words is None else "Find them again")
        self.find.setEnabled(self.bench.jobs.heavy is None)

    def _accept(self) -> None:
        page = self.bench.session.page
        if page is not None:
            self.bench.attempt("Naming a feature", self.bench.wording.accept, page.feature)


def _figure(key: str, value: Any) -> str:
    if pd.isna(value):
        return "–"
    if key == "q":
        return "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
    return f"{value:.2f}" if key == "auroc" else f"{value:+.2f}"
