"""A feature's histogram in control and perturbed wells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_phenolens.viewer import roles
from napari_phenolens.widgets.palette import ROLE_COLOURS
from napari_phenolens.widgets.plain_plot import plain_plot

BINS = 40  # bars at most: neighbouring bins are joined


class ActivationPlot(QWidget):
    """Two outlines over one axis; pyqtgraph is loaded when the first feature is shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._plot: Any = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self.setFixedHeight(150)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Histogram of the chosen feature in control and perturbed wells")
        self.setToolTip("Share of each side's foreground patches by activation. Patches are no replicates.")
        self.hide()

    def _ready(self) -> Any:
        if self._plot is None:
            self._plot = plain_plot()
            self._layout.addWidget(self._plot)
        return self._plot

    def show_histogram(self, table: pd.DataFrame | None) -> None:
        """Draw what `napari_phenolens.analysis.feature_histogram` gives; None hides the plot."""
        if table is None or not len(table):
            self.hide()
            return
        plot = self._ready()
        import pyqtgraph as pg

        plot.clear()
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        joined = -(-len(table) // BINS)
        starts = np.arange(0, len(table), joined)
        edges = np.append(table["low"].to_numpy()[starts], table["high"].iloc[-1])
        for side, role in (("control", roles.CONTROL), ("perturbed", roles.PERTURBED)):
            heights = 100 * np.add.reduceat(table[side].to_numpy(), starts)
            colour = ROLE_COLOURS[role]
            fill = pg.mkBrush(colour.red(), colour.green(), colour.blue(), 70)
            plot.plot(edges, heights, stepMode="center", fillLevel=0, brush=fill, pen=pg.mkPen(colour, width=2))
        for name, label in (("left", "% of patches"), ("bottom", "activation")):
            axis = plot.getAxis(name)
            axis.setPen(pg.mkPen(ink))
            axis.setTextPen(pg.mkPen(ink))
            plot.setLabel(name, label)
        plot.enableAutoRange()
        self.show()
