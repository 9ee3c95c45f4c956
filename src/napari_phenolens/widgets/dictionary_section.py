"""Step 9: what the dictionary is worth, figure by figure, with what each means."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_phenolens.analysis.metrics import GROUPS, METRICS
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.parts import Connections, Section, hint, row
from napari_phenolens.widgets.plain_plot import pyqtgraph
from napari_phenolens.widgets.tooltips import tip

FIELDS = 24
NO_LABELS = "no labels"
BLUE, ORANGE = (86, 180, 233), (230, 159, 0)  # seen on dark and on light
ENDINGS = (".html", ".md", ".csv")


class DictionarySection(Section):
    """A button, the table of metrics, and two plots."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("9  How good are the features", parent, opened=False)
        self.bench = bench
        self.column = QComboBox()
        self.column.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        tip(self.column, "dictionary.column")
        self.tokens = QCheckBox("with the tokens")
        self.tokens.setChecked(True)
        tip(self.tokens, "dictionary.tokens")
        self.button, self.save = QPushButton("Measure"), QPushButton("Save…")
        tip(self.button, "dictionary.measure").clicked.connect(self._measure)
        tip(self.save, "dictionary.save").clicked.connect(self._save)
        self.text = hint()
        self.table = MetricTree()
        tip(self.table, "dictionary.figures")
        self.plots = DictionaryPlots()
        self.body.addLayout(row(QLabel("Labels"), self.column, self.tokens, stretch=1))
        self.body.addLayout(row(self.button, self.save))
        self.body.addWidget(self.text)
        self.body.addWidget(self.table)
        self.body.addWidget(self.plots)
        events = bench.session.events
        connections.connect(events.run, self._fill)
        connections.connect(events.dictionary, self._show)
        for signal in (bench.jobs.started, bench.jobs.ended):
            connections.connect(signal, self._show_state)
        self._fill()

    def _fill(self, _value: object = None) -> None:
        self.column.clear()
        for name in self.bench.dictionary.columns():
            self.column.addItem(name, name)
        self.column.addItem(NO_LABELS, None)
        self._show()

    def _show(self, _value: object = None) -> None:
        report = self.bench.session.dictionary
        self.table.show_report(report)
        self.plots.show_report(report)
        self._show_state()

    def _show_state(self, _value: object = None) -> None:
        s = self.bench.session
        report = s.dictionary
        self.button.setEnabled(s.run is not None and self.bench.jobs.heavy is None)
        self.save.setEnabled(report is not None)
        for part in (self.column, self.tokens):
            part.setEnabled(s.run is not None)
        if s.run is None:
            self.text.setText("Run the model first (step 4), or open finished results (step 1).")
            self.set_summary("")
        elif report is None:
            self.text.setText(
                "Measures how well the features render what the model sees, how often they are active, whether they "
                "tell the labels apart on other wells, and which follow the plate's layout. Takes a minute or so."
            )
            self.set_summary("")
        else:
            notes = "\n".join(f"⚠ {note}" for note in report.facts["notes"])
            self.text.setText(f"Rest the mouse on a figure to see what it means.\n{notes}".strip())
            self.set_summary(_summary(report))

    def _measure(self) -> None:
        fields = FIELDS if self.tokens.isChecked() else 0
        self.bench.attempt("Measuring the dictionary", self.bench.dictionary.start, self.column.currentData(), fields)

    def _save(self) -> None:
        kinds = "Page (*.html);;Markdown (*.md);;Tables (*.csv)"
        path, kind = QFileDialog.getSaveFileName(self, "Save the report", "dictionary.html", kinds)
        if path:
            ending = next((e for e in ENDINGS if e in kind), ENDINGS[0])
            path = path if path.lower().endswith(ENDINGS) else f"{path}{ending}"
            self.bench.attempt("Saving the report", self.bench.dictionary.save, path)


def _summary(report: Any) -> str:
    """Say the report in a few words."""
    table = report.table["value"]
    if np.isfinite(table["telling"]):
        return f"{table['telling']:.0f} of {table['atoms']:.0f} tell a label"
    return f"{table['atoms']:.0f} features, {100 * table['dead']:.0f} % dead"


class MetricTree(QTreeWidget):
    """The metrics by group; a figure that cannot be had says why."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setColumnCount(3)
        self.setHeaderLabels(["Figure", "Value", "By chance"])
        header = self.headerItem()
        for column, text in enumerate((
            "What is measured.",
            "The figure, with its 95 % interval where it has one. A dash: it cannot be had, and the tooltip says why.",
            "What the same figure is where nothing is there: labels, wells or tokens shuffled.",
        )):  # fmt: skip
            header.setToolTip(column, text)
        self.setAccessibleName("Figures of the dictionary")
        self.setUniformRowHeights(True)
        self.setIndentation(12)
        self.setFixedHeight(300)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            self.header().setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.header().setStretchLastSection(False)
        self.hide()

    def show_report(self, report: Any) -> None:
        """Show a `DictionaryReport`; None hides the tree."""
        self.clear()
        self.setVisible(report is not None)
        if report is None:
            return
        from napari_phenolens.export.lens_pages import figure, with_interval

        pale = self.palette().brush(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)
        for group in GROUPS:
            rows = report.table[report.table["group"] == group].to_dict("index")
            known = [r for r in rows.values() if np.isfinite(r["value"])]
            top = QTreeWidgetItem(self, [group.capitalize(), "" if known else "cannot be had", ""])
            font = top.font(0)
            font.setBold(True)
            top.setFont(0, font)
            for name, found in rows.items():
                metric = METRICS[str(name)]
                missing = not np.isfinite(found["value"])
                value = "–" if missing else with_interval(found["value"], found["low"], found["high"])
                chance = figure(found["null"]) if np.isfinite(found["null"]) else ""
                item = QTreeWidgetItem(top, [metric.title, value, chance])
                said = _tooltip(metric, found)
                for column in range(3):
                    item.setToolTip(column, said)
                    if missing:
                        item.setForeground(column, pale)
                for column in (1, 2):
                    item.setTextAlignment(column, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
            top.setToolTip(0, f"{len(known)} of {len(rows)} figures")
            if not known:
                top.setToolTip(1, next(iter(rows.values()))["note"])
            top.setExpanded(bool(known))


def _tooltip(metric: Any, found: dict[Any, Any]) -> str:
    """What a figure means, which way is better, and what is to know about this one; wrapped by Qt as rich text."""
    from html import escape

    parts = [f"<b>{escape(metric.title)}</b>", escape(metric.meaning)]
    if metric.better:
        parts.append(f"{metric.better.capitalize()} is better.")
    if found["p"] == found["p"]:
        parts.append(f"p = {found['p']:.2g}")
    if found["note"]:
        parts.append(f"<i>{escape(found['note'])}</i>")
    if metric.source:
        parts.append(f"Source: {escape(metric.source)}")
    return "<br>".join(parts)


class DictionaryPlots(QWidget):
    """How often features are active, and the whitening's spectrum; pyqtgraph is loaded with the first report."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.usage: Any = None
        self.spectrum: Any = None
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.boxes = [QWidget(), QWidget()]
        about = (
            ("How often features are active",
             "Features by the share of patches in which they are active; orange: never."),
            ("Spectrum of the controls",
             "Variance of the control tokens along each component (log10). Orange: dropped. Dashed: the floor that is\n"
             "added to each. Whitening brings all kept ones to one: where the line falls far below the floor, little\n"
             "is left but noise."),
        )  # fmt: skip
        for box, (name, text) in zip(self.boxes, about, strict=True):
            box.setAccessibleName(name)
            box.setToolTip(text)
            inner = QVBoxLayout(box)
            inner.setContentsMargins(0, 0, 0, 0)
            layout.addWidget(box, 1)
        self.setFixedHeight(150)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.hide()

    def show_report(self, report: Any) -> None:
        """Plot a `DictionaryReport`; None hides the plots."""
        self.setVisible(report is not None)
        if report is None:
            return
        if self.usage is None:
            self.usage, self.spectrum = (self._made(box) for box in self.boxes)
        self._show_usage(report.usage)
        self.boxes[1].setVisible(report.spectrum is not None)
        if report.spectrum is not None:
            self._show_spectrum(report.spectrum)

    def _made(self, box: QWidget) -> Any:
        pg = pyqtgraph()
        plot = pg.PlotWidget(background=None)
        plot.setMenuEnabled(False)
        plot.setMouseEnabled(x=False, y=False)
        plot.hideButtons()
        for name in ("left", "bottom"):
            plot.getAxis(name).enableAutoSIPrefix(False)
        box.layout().addWidget(plot)
        return plot

    def _inked(self, plot: Any, title: str, bottom: str) -> Any:
        pg = pyqtgraph()
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        plot.clear()
        plot.setTitle(title, color=ink, size="9pt")
        for name in ("left", "bottom"):
            plot.getAxis(name).setPen(pg.mkPen(ink))
            plot.getAxis(name).setTextPen(pg.mkPen(ink))
        plot.setLabel("bottom", bottom)
        return pg.mkPen(ink, style=Qt.PenStyle.DashLine)

    def _show_usage(self, usage: Any) -> None:
        pg = pyqtgraph()
        self._inked(self.usage, "features", "active in")
        live = usage.iloc[1:]
        edges = np.log10([*live["low"], float(live["high"].iloc[-1])])
        width = float(edges[1] - edges[0])
        middle = (edges[:-1] + edges[1:]) / 2
        self.usage.addItem(
            pg.BarGraphItem(x=middle, height=live["atoms"].to_numpy(), width=0.92 * width, brush=BLUE, pen=None)
        )
        never = float(edges[0] - 1.5 * width)
        self.usage.addItem(
            pg.BarGraphItem(x=[never], height=[int(usage["atoms"].iloc[0])], width=0.92 * width, brush=ORANGE, pen=None)
        )
        decades = [(float(d), f"{100 * 10.0**d:g} %") for d in range(int(np.ceil(edges[0] - 1e-9)), 1)]
        self.usage.getAxis("bottom").setTicks([[(never, "never"), *decades[-3:]]])

    def _show_spectrum(self, spectrum: Any) -> None:
        pg = pyqtgraph()
        dashed = self._inked(self.spectrum, "log10 variance", "component")
        values = spectrum["eigenvalue"].to_numpy(float)
        at = np.flatnonzero(values > 0)
        kept = spectrum["kept"].to_numpy(bool)[at]
        for rows, colour in ((at[kept], BLUE), (at[~kept], ORANGE)):
            if len(rows):
                self.spectrum.addItem(pg.PlotCurveItem(rows + 1, np.log10(values[rows]), pen=pg.mkPen(colour, width=2)))
        floor = spectrum.attrs["floor_value"]
        if floor > 0:
            self.spectrum.addItem(pg.InfiniteLine(float(np.log10(floor)), angle=0, pen=dashed))
