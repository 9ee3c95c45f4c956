"""Which block of the model: the choice, the curve of the probes behind it, and what it suggests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import Signal
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QPushButton, QSizePolicy, QSpinBox, QVBoxLayout, QWidget

from napari_phenolens.viewer.running import RunSettings
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.parts import Connections, hint, row
from napari_phenolens.widgets.plain_plot import pyqtgraph
from napari_phenolens.widgets.tooltips import tip

MOST_BLOCKS = 99
LINE, BAND = (86, 180, 233), (86, 180, 233, 70)  # seen on dark and on light


class BlockChoice(QWidget):
    """A number, a button that probes all blocks, and the curve.

    Parameters
    ----------
    bench : Workbench
        Whose session is shown.
    settings : callable
        Gives the settings of the run section.
    """

    changed = Signal(int)

    def __init__(
        self,
        bench: Workbench,
        settings: Callable[[], RunSettings],
        connections: Connections,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.bench, self._settings = bench, settings
        self.number = QSpinBox()
        self.number.setRange(0, MOST_BLOCKS)
        self.number.setSpecialValueText("the model's own")
        tip(self.number, "run.block")
        self.ask, self.take = QPushButton("Which block?"), QPushButton("Use it")
        tip(self.ask, "run.which_block").clicked.connect(self._ask)
        tip(self.take, "run.take_block").clicked.connect(self._take)
        self.curve = BlockCurve()
        self.text = hint()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.number, self.ask))
        layout.addWidget(self.curve)
        layout.addWidget(self.text)
        layout.addWidget(self.take)
        events = bench.session.events
        connections.connect(events.blocks, self._show)
        for signal in (events.plate, events.roles):
            connections.connect(signal, self._show)
        for signal in (bench.jobs.started, bench.jobs.ended):
            connections.connect(signal, self._show)
        self._show()

    def value(self) -> int | None:
        """The chosen block, None for the encoder's own."""
        return self.number.value() or None

    def reset(self) -> None:
        """Go back to the encoder's own block: another encoder has other blocks."""
        self.number.setValue(0)
        self.bench.probing.forget()

    def _ask(self) -> None:
        bench, settings = self.bench, self._settings()
        begin = partial(bench.attempt, "Probing the blocks", bench.probing.start, settings)
        bench.attempt("Probing the blocks", bench.weights.need, settings, begin)

    def _take(self) -> None:
        table = self.bench.session.blocks
        if table is not None:
            self.number.setValue(int(table.attrs["suggested"]))

    def _show(self, _value: object = None) -> None:
        table = self.bench.session.blocks
        missing = self.bench.probing.missing()
        self.ask.setEnabled(not missing and self.bench.jobs.heavy is None)
        self.curve.show_table(table)
        self.take.setVisible(table is not None)
        self.text.setVisible(table is not None)
        if table is None:
            return
        about = table.attrs
        self.take.setText(f"Use block {about['suggested']}")
        held = about["held_out"]
        apart = f"; chosen on half of the wells and quoted on the others, {held:.2f}" if np.isfinite(held) else ""
        notes = "\n".join(f"⚠ {text}" for text in about["warnings"])
        self.text.setText(
            f"Suggested: block {about['suggested']}, {about['reason']}. Balanced accuracy {about['in_sample']:.2f} on "
            f"the wells that it was chosen on{apart}.\n{notes}"
        )


class BlockCurve(QWidget):
    """Balanced accuracy over blocks with its band; pyqtgraph is loaded when the first curve is shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot: Any = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self.setFixedHeight(150)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Balanced accuracy of each block")
        self.setToolTip(
            "How well a linear probe tells controls from perturbed wells at each block, with its 95 % band.\n"
            "The dashed lines are chance, and what guessing stays below in 19 of 20 such plates."
        )
        self.hide()

    def show_table(self, table: pd.DataFrame | None) -> None:
        """Plot a table of `napari_phenolens.blocks`; None hides the plot."""
        if table is None:
            self.hide()
            return
        pg = pyqtgraph()
        if self.plot is None:
            self.plot = pg.PlotWidget(background=None)
            self.plot.setMenuEnabled(False)
            self.plot.setMouseEnabled(x=False, y=False)
            self.plot.hideButtons()
            self._layout.addWidget(self.plot)
        plot = self.plot
        plot.clear()
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        at = table.index.to_numpy(dtype=float)
        # Plain curves: of a data item without a pen, nothing would be there to fill between.
        low, high = (pg.PlotCurveItem(at, table[n].to_numpy(dtype=float), pen=pg.mkPen(None)) for n in ("low", "high"))
        for item in (low, high, pg.FillBetweenItem(low, high, brush=pg.mkBrush(*BAND))):
            plot.addItem(item)
        for level in (table.attrs["chance"], table.attrs["chance_high"]):
            plot.addItem(pg.InfiniteLine(level, angle=0, pen=pg.mkPen(ink, style=pg.QtCore.Qt.PenStyle.DashLine)))
        score = table["balanced_accuracy"].to_numpy(dtype=float)
        sizes = np.where(table["suggested"], 13, 7)
        plot.plot(
            at, score, pen=pg.mkPen(LINE, width=2), symbol="o", symbolSize=sizes, symbolBrush=LINE, symbolPen=None
        )
        for name, words in (("left", "balanced accuracy"), ("bottom", "block")):
            axis = plot.getAxis(name)
            axis.enableAutoSIPrefix(False)
            axis.setPen(pg.mkPen(ink))
            axis.setTextPen(pg.mkPen(ink))
            plot.setLabel(name, words)
        plot.setYRange(max(0.0, min(np.nanmin(table["low"]), table.attrs["chance"]) - 0.05), 1.02, padding=0)
        plot.setXRange(at[0] - 0.5, at[-1] + 0.5, padding=0)
        self.show()
