"""Step 7: a control well beside a perturbed well."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QLabel,
    QMainWindow,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from napari_phenolens.viewer import compat, roles
from napari_phenolens.viewer.describing import describe_all
from napari_phenolens.viewer.pairing import MOST
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.parts import Connections, Section, dock_of, hint, row
from napari_phenolens.widgets.tooltips import tip

TYPICAL = "typical"


class CompareSection(Section):
    """The pair."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("7  Control beside perturbed", parent)
        self.bench = bench
        self._filled: tuple[Any, list[list[str]]] = (None, [])
        self.control, self.perturbed = QComboBox(), QComboBox()
        tip(self.control, "compare.control")
        tip(self.perturbed, "compare.perturbed")
        for box in (self.control, self.perturbed):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            box.activated.connect(self._again)
        self.button = QPushButton("Show side by side")
        self.button.setCheckable(True)
        tip(self.button, "compare.toggle").clicked.connect(self._toggle)
        self.pairs = QSpinBox()
        self.pairs.setRange(1, MOST)
        self.pairs.setPrefix("pairs: ")
        tip(self.pairs, "compare.pairs").valueChanged.connect(self._pairs)
        self.charts = QPushButton("Charts…")
        tip(self.charts, "compare.charts").clicked.connect(self._charts)
        self.text = hint()
        self.body.addLayout(row(QLabel("Left"), self.control, QLabel("Right"), self.perturbed, stretch=None))
        layout = self.body.itemAt(0).layout()
        layout.setStretch(1, 1)
        layout.setStretch(3, 1)
        self.body.addLayout(row(self.button, self.pairs, self.charts))
        self.body.addWidget(self.text)
        events = bench.session.events
        for signal in (events.plate, events.run, events.roles):
            connections.connect(signal, self._fill)
        for signal in (events.side_by_side, events.pairs):
            connections.connect(signal, self._show)
        self._fill()

    def _fill(self, _value: object = None) -> None:
        s = self.bench.session
        sides = [s.wells_of(roles.CONTROL), s.wells_of(roles.PERTURBED, roles.POSITIVE)]
        if (s.source, sides) != self._filled:  # plate, run and roles come one after the other
            self._filled = (s.source, sides)
            for box, wells in zip((self.control, self.perturbed), sides, strict=True):
                before = box.currentData()
                with QSignalBlocker(box):
                    box.clear()
                    box.addItem(TYPICAL, None)
                    for well, told in zip(wells, describe_all(s.source, wells, 2), strict=True):
                        box.addItem(f"{well} · {told}" if told else well, well)
                    box.setCurrentIndex(max(0, box.findData(before)))
        self._show()

    def _show(self, _value: object = None) -> None:
        s = self.bench.session
        there = s.plate is not None and self.control.count() > 1 and self.perturbed.count() > 1
        for part in (self.button, self.control, self.perturbed, self.pairs):
            part.setEnabled(there)
        with QSignalBlocker(self.button):
            self.button.setChecked(s.side_by_side)
        with QSignalBlocker(self.pairs):
            self.pairs.setValue(s.pairs)
        self.button.setText("Back to one well" if s.side_by_side else "Show side by side")
        if s.plate is None:
            text = (
                "Open a plate first (step 1)."
                if s.run is None
                else "The plate's pictures are not at hand: open its folder (step 1)."
            )
        elif not there:
            text = "Say which wells are controls and which are perturbed (step 3)."
        else:
            text = "Same contrast and same heatmap limits on both sides, so what you see differs in the cells."
        self.text.setText(text)
        self.set_summary("on" if s.side_by_side else "")

    def _toggle(self) -> None:
        if self.bench.session.side_by_side:
            self.bench.showing.end_side_by_side()
        else:
            self._begin()
        self._show()

    def _charts(self) -> None:
        """Open the charts in a dock of their own; in a window where the viewer has none."""
        there = compat.open_dock(self.bench.viewer, compat.CHARTS)
        if there is not None:
            share_height(self, there)
        else:
            from napari_phenolens.widgets.charts_dock import ChartsDock

            there = self.window().findChild(ChartsDock)
            if there is None:
                there = ChartsDock(self.bench)
                there.setParent(self.window(), Qt.WindowType.Window)
            there.show()
            there.raise_()

    def _begin(self) -> None:
        pair = (self.control.currentData(), self.perturbed.currentData())
        self.bench.attempt("Showing side by side", self.bench.showing.side_by_side, *pair)

    def _pairs(self, count: int) -> None:
        self.bench.session.pairs = count
        self._again(count)

    def _again(self, _index: int) -> None:
        if self.bench.session.side_by_side:
            self._begin()


def share_height(widget: QWidget, other: QWidget) -> None:
    """Give the docks of two widgets that lie above each other the same height."""
    docks = [dock_of(widget), dock_of(other)]
    window = widget.window()
    if None not in docks and isinstance(window, QMainWindow):
        window.resizeDocks(docks, [1, 1], Qt.Orientation.Vertical)
