"""What distinguishes these cells? Choosing them, and the features that tell them apart."""

from __future__ import annotations

from typing import Any

import pandas as pd
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QComboBox, QCompleter, QLabel, QLineEdit, QPushButton, QWidget

from napari_phenolens.viewer.telling_apart import GATE, REGION, WAYS
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.feature_lists import FeatureList
from napari_phenolens.widgets.job_bar import JobBar
from napari_phenolens.widgets.parts import Connections, Section, hint, plural, row
from napari_phenolens.widgets.tooltips import tip

LISTED = 15
_COLUMNS = (
    ("feature", "Feature", "Click a row to see the feature over the cells."),
    ("name", "Name", "What it is called, else what it goes with."),
    ("auroc", "AUROC", "Chance that the feature is stronger in a chosen cell than in another. In-sample."),
    ("held_out", "Held out", "The same over cells of wells that its direction was not taken from; 0.5 is chance."),
    ("auroc_within", "In wells", "Mean over wells that hold both kinds: treatments cannot make it."),
    ("effect", "d", "Difference of the means in standard deviations of cells (Cohen's d)."),
)


def _words(key: str, value: Any) -> str:
    if pd.isna(value):
        return "–"
    return f"{value:+.1f}" if key == "effect" else f"{value:.2f}"


class TellingSection(Section):
    """From cells to features."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("What distinguishes these cells?", parent, opened=False)
        self.bench = bench
        self.way = QComboBox()
        self.way.addItems(list(WAYS))
        tip(self.way, "cell.way").currentIndexChanged.connect(self._show)
        self.gate, self.against = QLineEdit(), QLineEdit()
        self.gate.setClearButtonEnabled(True)
        tip(self.gate, "cell.gate").returnPressed.connect(self._tell)
        self.against.setPlaceholderText("all others")
        tip(self.against, "cell.against").returnPressed.connect(self._tell)
        self.draw, self.tell = QPushButton("Draw a region"), QPushButton("Find the features")
        tip(self.draw, "cell.draw").clicked.connect(lambda: bench.attempt("Drawing", bench.regions.draw))
        tip(self.tell, "cell.tell").clicked.connect(self._tell)
        self.text = hint()
        self.table = FeatureList(_COLUMNS, _words, 380)
        tip(self.table, "cell.telling")
        self.table.wanted.connect(lambda feature: bench.attempt("Showing the heatmap", bench.showing.feature, feature))
        self.body.addWidget(self.way)
        self.body.addWidget(self.gate)
        self.body.addLayout(row(QLabel("against"), self.against, stretch=1))
        self.body.addLayout(row(self.draw, self.tell))
        self.body.addWidget(JobBar(bench, connections, "distinguish"))
        self.body.addWidget(self.text)
        self.body.addWidget(self.table)
        events = bench.session.events
        for signal in (events.told_apart, events.run, events.said, events.words):
            connections.connect(signal, self._show)
        connections.connect(events.cells, self._names)
        self._names()
        self._show()

    def _names(self, _value: object = None) -> None:
        """Offer the names of what is known of cells as they are typed."""
        names = self.bench.telling.names()
        for line in (self.gate, self.against):
            completer = QCompleter(names, line)
            completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
            completer.setFilterMode(Qt.MatchFlag.MatchContains)
            line.setCompleter(completer if names else None)
        self._show()

    def _show(self, _value: object = None) -> None:
        way, made = self.way.currentText(), self.bench.session.told_apart
        self.gate.setVisible(way != REGION)
        self.draw.setVisible(way == REGION)
        self.gate.setPlaceholderText(
            "area_nucleus > 300 and well == 'B07'" if way == GATE else "a measured concept, such as area_nucleus"
        )
        self.tell.setEnabled(self.bench.cells.stored)
        self.table.setVisible(made is not None)
        self.set_summary(made.said if made is not None else "")
        if made is None:
            self.text.setText("From cells to features: which features tell the cells that you choose from others?")
            return
        shown = made.table.head(LISTED).copy()
        shown["name"] = [self.bench.wording.called(int(feature)) for feature in shown.index]
        with QSignalBlocker(self.table):
            self.table.show_table(shown)
        about = made.table.attrs
        held = about["held_out"]
        lines = [
            f"{about['cells_inside']:,} cells of {plural(len(about['wells_inside']), 'well')} ({made.said}) against "
            f"{about['cells_outside']:,} of {plural(len(about['wells_outside']), 'well')}."
        ]
        if about["folds"]:
            lines.append(
                f"On wells that were not looked at: all features together AUROC {held['value']:.2f} "
                f"[{held['low']:.2f}, {held['high']:.2f}], the best one alone {about['held_out_best']:.2f}."
            )
        lines += about["warnings"]
        lines.append("The cells were picked: there is no p and no q.")
        self.text.setText("\n".join(lines))

    def _tell(self) -> None:
        way = self.way.currentText()
        text = "" if way == REGION else self.gate.text()
        self.bench.attempt(
            "Telling cells apart", self.bench.telling.start, way, text, self.against.text()
        )  # fmt: skip
