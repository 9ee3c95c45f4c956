"""Responders and escapers: counting them, what their colours mean, and every well's share."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_phenolens.viewer.describing import describe
from napari_phenolens.viewer.responding import COLOURS, ESCAPERS, OTHERS, PERTURBED, WORDS
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.job_bar import JobBar
from napari_phenolens.widgets.parts import Connections, Section, hint, row
from napari_phenolens.widgets.tooltips import tip

ROW, TALLEST = 22, 220  # px
ABOUT = (
    "Does every cell of a treated well respond? Cells are called by models that learnt to tell control from perturbed "
    "wells and never saw the cell's own well."
)
HEADS = ("Well", "What", "Cells", "Escapers [95 %]")


class RespondersSection(Section):
    """The count and its picture."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("Responders and escapers", parent, opened=False)
        self.bench = bench
        self.text, self.legend, self.here = hint(ABOUT), hint(), hint()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.where = QComboBox()
        self.where.addItems([OTHERS, PERTURBED])
        tip(self.where, "cell.count_in")
        self.count = QPushButton("Count")
        tip(self.count, "cell.count").clicked.connect(
            lambda: bench.attempt("Counting responders", bench.responding.count, self.where.currentText())
        )
        self.paint = QCheckBox("Show in the picture")
        tip(self.paint, "cell.paint").clicked.connect(lambda on: bench.responding.show(bool(on)))
        self.colour = QPushButton("Colour the wells")
        tip(self.colour, "cell.colour").clicked.connect(lambda: setattr(bench.session, "colour_by", ESCAPERS))
        self.table = QTableWidget(0, len(HEADS))
        self.table.setHorizontalHeaderLabels(list(HEADS))
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setShowGrid(False)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # the dose stands at the end
        self.table.setWordWrap(False)  # words that wrap would take it away
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(ROW)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        tip(self.table, "cell.wells").itemActivated.connect(self._go)
        self.table.itemClicked.connect(self._go)
        self.job = JobBar(bench, connections, "responders")
        self.body.addWidget(self.text)
        self.body.addLayout(row(self.count, QLabel("in"), self.where, stretch=2))
        self.body.addWidget(self.job)
        self.body.addLayout(row(self.paint, self.colour, stretch=0))
        self.body.addWidget(self.legend)
        self.body.addWidget(self.here)
        self.body.addWidget(self.table)
        events = bench.session.events
        connections.connect(events.responders, self._fill)
        for signal in (events.run, events.cells, events.well, events.field_name, events.responders_shown):
            connections.connect(signal, self._show)
        for signal in (bench.jobs.started, bench.jobs.ended):
            connections.connect(signal, self._show)
        self._fill()

    # ---- from the session ---------------------------------------------------------------------------------------
    def _fill(self, _value: object = None) -> None:
        s = self.bench.session
        made = s.responders
        self.table.setRowCount(0)
        if made is not None:
            counted = made.found.wells.query("side == 'counted'")
            self.table.setRowCount(len(counted))
            for i, (well, values) in enumerate(counted.iterrows()):
                share = f"{values['escapers']:.0%} [{values['escapers_low']:.0%}, {values['escapers_high']:.0%}]"
                cells = (str(well), describe(s.source, str(well), limit=2), f"{values['cells']:,}", share)
                for j, words in enumerate(cells):
                    item = QTableWidgetItem(words)
                    item.setToolTip(f"{describe(s.source, str(well))}\n{made.values.said(str(well))}".strip())
                    if j >= 2:
                        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                    self.table.setItem(i, j, item)
            height = self.table.horizontalHeader().sizeHint().height() + ROW * len(counted) + 4
            self.table.setFixedHeight(min(height, TALLEST))
            self.set_opened(True)
        self._show()

    def _show(self, _value: object = None) -> None:
        s = self.bench.session
        made = s.responders
        self.count.setEnabled(
            self.bench.cells.stored and not any(j.kind == "responders" for j in self.bench.jobs.running)
        )
        with QSignalBlocker(self.paint):
            self.paint.setChecked(s.responders_shown)
        for part in (self.paint, self.colour, self.legend, self.here, self.table):
            part.setVisible(made is not None)
        if made is None:
            self.text.setText(ABOUT)
            self.set_summary("")
            return
        found = made.found
        wells = int((found.wells["side"] == "counted").sum())
        false, quality = found.false_positives, found.looks.calibration
        whatever = ", whatever their treatment" if made.where == OTHERS else ""
        lines = [
            f"Escapers in the {wells} wells counted{whatever}: {found.escapers:.0%}. Called perturbed: {found.rule}.",
            f"Of the cells of {len(made.sides[0])} held-out control wells {false:.1%} are so called, falsely: that "
            "share is taken off.",
        ]
        if quality is not None:
            lines.append(
                f"Probabilities of held-out wells are off by {quality.error.value:.3f} on average; wells this few make "
                f"{quality.chance:.3f} of it by chance ({quality.debiased.value:.3f} with that taken off)."
            )
        lines += [note[0].upper() + note[1:] + "." for note in found.looks.notes]
        self.text.setText("\n".join(lines))
        self.set_summary(f"{wells} wells counted")
        counts = made.counts(s.well or "", s.field_name or "")
        swatches = [
            f"<span style='color:{COLOURS[state]}'>■</span> {n} {WORDS[state]}" for state, n in counts.items()
        ]  # fmt: skip
        self.legend.setText("&nbsp; ".join(swatches))
        self.legend.setVisible(bool(counts))
        self.legend.setAccessibleName("Legend: " + ", ".join(f"{n} {WORDS[state]}" for state, n in counts.items()))
        if not counts:
            self.here.setText(f"No cell was counted in {s.well}, field {s.field_name}." if s.well else "")
        else:
            self.here.setText(f"{s.well}, field {s.field_name}. {made.values.said(s.well)[:1].upper()}"
                              f"{made.values.said(s.well)[1:]}.")  # fmt: skip

    def _go(self, item: QTableWidgetItem) -> None:
        first = self.table.item(item.row(), 0)
        if first is not None:
            self.bench.attempt("Showing a well", self.bench.showing.well, first.text())
