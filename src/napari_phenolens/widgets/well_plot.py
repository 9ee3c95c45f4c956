"""The wells' values of the chosen feature, side by side: one dot a well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtGui import QColor, QPalette
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
        self._rows: dict[str, tuple[Any, Any]] = {}  # role -> dots, line at their median
        self._shown: tuple[Any, ...] | None = None  # title, values, roles and ink, as they are drawn
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
        """Plot a series (index = wells) by role; None hides the plot. What is drawn already is left alone."""
        sides = [role for role in reversed(_ORDER) if role in assigned.values()]
        if values is None or not sides:
            self.hide()
            return
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        if not self._is_drawn(title, values, assigned, ink):
            self._draw(title, values, assigned, sides, ink)
            self._shown = (title, values, dict(assigned), ink.rgba())
        self.show()

    def _is_drawn(self, title: str, values: pd.Series, assigned: Mapping[str, str], ink: QColor) -> bool:
        if self._shown is None:
            return False
        before = self._shown
        return bool((before[0], before[2], before[3]) == (title, assigned, ink.rgba()) and values.equals(before[1]))

    def _draw(self, title: str, values: pd.Series, assigned: Mapping[str, str], sides: list[str], ink: QColor) -> None:
        import pyqtgraph as pg

        plot = self._ready()
        if list(self._rows) != sides:
            plot.clear()
            self._rows = {role: (_dots(role), plot.plot()) for role in sides}
            for dots, _line in self._rows.values():
                plot.addItem(dots)
            plot.setYRange(-0.5, len(sides) - 0.5, padding=0)
            self.setFixedHeight(62 + 26 * len(sides))
        rng = np.random.default_rng(0)
        for row, (role, (dots, line)) in enumerate(self._rows.items()):
            wells = [well for well in values.index if assigned.get(well) == role]
            numbers = values.reindex(wells).to_numpy(dtype=float)
            keep = np.isfinite(numbers)
            numbers = numbers[keep]
            y = row + rng.uniform(-0.22, 0.22, len(numbers))
            dots.setData(x=numbers, y=y, data=[well for well, k in zip(wells, keep, strict=True) if k])
            middle = [float(np.median(numbers))] * 2 if len(numbers) else []
            line.setData(middle, [row - 0.32, row + 0.32][: len(middle)], pen=pg.mkPen(ink, width=2))
            line.setZValue(1)
        plot.getAxis("left").setTicks([list(enumerate(sides))])  # every time: the axis finds its width when it is shown
        for name in ("left", "bottom"):
            axis = plot.getAxis(name)
            axis.setPen(pg.mkPen(ink))
            axis.setTextPen(pg.mkPen(ink))
        plot.setLabel("bottom", title)
        plot.enableAutoRange(axis="x")


def _dots(role: str) -> Any:
    import pyqtgraph as pg

    colour = ROLE_COLOURS[role]
    return pg.ScatterPlotItem(
        size=7,
        brush=pg.mkBrush(colour.red(), colour.green(), colour.blue(), 200),
        pen=None,
        hoverable=True,
        tip=lambda x, y, data: f"{data}: {x:.3g}",
    )
