"""The wells' values of the chosen feature, side by side: one dot a well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_phenolens.viewer import roles
from napari_phenolens.widgets.palette import ROLE_COLOURS
from napari_phenolens.widgets.plain_plot import plain_plot

_ORDER = (roles.CONTROL, roles.PERTURBED, roles.POSITIVE)


class WellPlot(QWidget):
    """A strip plot; pyqtgraph is loaded when the first feature is shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._plot: Any = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self.setFixedHeight(110)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Wells' values of the chosen feature")
        self.setToolTip("Each dot is one well; the line is the median of its side.")
        self.hide()

    def _ready(self) -> Any:
        if self._plot is None:
            self._plot = plain_plot(mouse_x=True)
            self._layout.addWidget(self._plot)
        return self._plot

    def show_values(self, title: str, values: pd.Series | None, assigned: Mapping[str, str]) -> None:
        """Plot a series (index = wells) by role; None hides the plot."""
        sides = [role for role in _ORDER if role in assigned.values()]
        if values is None or not sides:
            self.hide()
            return
        plot = self._ready()
        import pyqtgraph as pg

        plot.clear()
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        rng = np.random.default_rng(0)
        for row, role in enumerate(reversed(sides)):
            wells = [well for well in values.index if assigned.get(well) == role]
            numbers = values.reindex(wells).to_numpy(dtype=float)
            keep = np.isfinite(numbers)
            numbers = numbers[keep]
            y = row + rng.uniform(-0.22, 0.22, len(numbers))
            colour = ROLE_COLOURS[role]
            dots = pg.ScatterPlotItem(
                x=numbers,
                y=y,
                size=7,
                brush=pg.mkBrush(colour.red(), colour.green(), colour.blue(), 200),
                pen=None,
                hoverable=True,
                tip=lambda x, y, data: f"{data}: {x:.3g}",
                data=[well for well, k in zip(wells, keep, strict=True) if k],
            )
            plot.addItem(dots)
            if len(numbers):
                middle = float(np.median(numbers))
                plot.plot([middle, middle], [row - 0.32, row + 0.32], pen=pg.mkPen(ink, width=2))
        left = plot.getAxis("left")
        left.setTicks([[(row, role) for row, role in enumerate(reversed(sides))]])
        for name in ("left", "bottom"):
            axis = plot.getAxis(name)
            axis.setPen(pg.mkPen(ink))
            axis.setTextPen(pg.mkPen(ink))
        plot.setLabel("bottom", title)
        plot.setYRange(-0.5, len(sides) - 0.5, padding=0)
        plot.enableAutoRange(axis="x")
        self.setFixedHeight(62 + 26 * len(sides))
        self.show()
