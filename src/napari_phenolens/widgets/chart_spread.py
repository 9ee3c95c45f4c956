"""How the chosen feature is spread over wells, fields, cells and patches of either side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QComboBox, QLabel, QWidget

from napari_phenolens.viewer import roles
from napari_phenolens.viewer.charting import PATCHES
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.chart import Chart
from napari_phenolens.widgets.palette import ROLE_COLOURS
from napari_phenolens.widgets.parts import Connections, row
from napari_phenolens.widgets.plain_plot import pyqtgraph
from napari_phenolens.widgets.tooltips import tip

SIDES = ("control", "perturbed")
BINS = 40
FEW = 400  # so many values are drawn as points; more as histograms


class SpreadChart(Chart):
    """Points a well (or field) by side; histograms of cells and patches, which are no replicates."""

    title = "Wells, cells, patches"
    needs = ("comparison", "feature", "charts", "roles", "well")

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__(bench, connections, parent)
        self.of = QComboBox()
        for words, key in (("wells", "well"), ("fields", "field"), ("cells", "cell"), ("patches", PATCHES)):
            self.of.addItem(words, key)
        tip(self.of, "charts.of")
        self.of.activated.connect(lambda _index: self.refresh())
        self._layout.insertLayout(0, row(QLabel("Of"), self.of))

    def ask(self) -> None:
        """Ask for the values."""
        self.bench.charting.spread(str(self.of.currentData()))

    def table(self) -> pd.DataFrame | None:
        """Give the values or bins."""
        charted = self.bench.session.charts.get("spread")
        return None if charted is None else charted.table

    def draw(self) -> str:
        """Draw points or bins."""
        s = self.bench.session
        charted = s.charts.get("spread")
        if charted is None or charted.table is None:
            self.note.hide()
            return "" if charted is None else charted.why or "Reading…"
        table = charted.table
        if charted.asked[0] == PATCHES:
            self._bins(table)
        elif len(table) <= FEW:
            self._points(table)
        else:
            self._histogram(table)
        return ""

    def _points(self, table: pd.DataFrame) -> None:
        """Draw a point a value, with the median of each role."""
        s = self.bench.session
        shown = [self._role(well, side) for well, side in zip(table["well"], table["side"], strict=True)]
        order = [r for r in (roles.CONTROL, roles.PERTURBED, roles.POSITIVE) if r in shown]
        plot = self.plot(left=f"F{s.feature}: mean activation")
        rng = np.random.default_rng(0)
        x = np.array([order.index(role) for role in shown]) + rng.uniform(-0.25, 0.25, len(shown))
        value = table["value"].to_numpy(dtype=float)
        data = list(zip(table["well"], table["field"], strict=True))
        self.dots(plot, x, value, data, [ROLE_COLOURS[r] for r in shown], self._tell, lambda at: self._show(*at))
        for place, role in enumerate(order):
            here = value[[r == role for r in shown]]
            self.line(plot, [place - 0.35, place + 0.35], [np.median(here)] * 2)
        for at, (well, field) in enumerate(data):
            if well == s.well and field in ("", s.field_name):
                self.ring(plot, x[at], value[at])
        counts = {role: shown.count(role) for role in order}
        plot.getAxis("bottom").setTicks([[(i, f"{role} ({counts[role]})") for i, role in enumerate(order)]])
        plot.setXRange(-0.6, len(order) - 0.4, padding=0)
        words = "A point a well, the line is the median. Click a point to show the well."
        self.note.setText(words if table.attrs["of"] == "well" else table.attrs["warnings"][-1])
        self.note.show()

    def _role(self, well: str, side: str) -> str:
        """Give the role that colours a point: positive controls stand apart where they are a side's wells."""
        role = self.bench.session.roles.get(well)
        return roles.POSITIVE if side == "perturbed" and role == roles.POSITIVE else side

    def _histogram(self, table: pd.DataFrame) -> None:
        """Draw the shares of many values over common bins."""
        value = table["value"].to_numpy(dtype=float)
        edges = np.linspace(value.min(), max(float(np.quantile(value, 0.999)), value.min() + 1e-9), BINS + 1)
        shares = {}
        for side in SIDES:
            here = np.clip(value[(table["side"] == side).to_numpy()], edges[0], edges[-1])
            shares[side] = np.histogram(here, edges)[0] / max(len(here), 1)
        counts = {side: int((table["side"] == side).sum()) for side in SIDES}
        self._steps(edges, shares, {side: f"{side} ({counts[side]:,} {table.attrs['of']}s)" for side in SIDES})
        self.note.setText(" ".join(table.attrs["warnings"]))
        self.note.show()

    def _bins(self, table: pd.DataFrame) -> None:
        """Draw the bins of all patches in which the feature is active."""
        if not len(table):
            self.plot()
            self.note.setText("The feature is active in no patch of these wells.")
            self.note.show()
            return
        edges = np.append(table["low"].to_numpy(dtype=float), float(table["high"].iloc[-1]))
        patches, active = table.attrs["patches"], table.attrs["active"]
        legend = {side: f"{side}: active in {active[side]:.2%} of {patches[side]:,} patches" for side in SIDES}
        self._steps(edges, {side: table[side].to_numpy(dtype=float) for side in SIDES}, legend)
        self.note.setText(
            "Only patches in which the feature is active are drawn. Patches of one well are no replicates: their "
            "spread is shown and never tested."
        )
        self.note.show()

    def _steps(self, edges: Any, shares: dict[str, Any], legend: dict[str, str]) -> None:
        pg = pyqtgraph()
        of = "patches" if self.of.currentData() == PATCHES else f"{self.of.currentData()}s"
        plot = self.plot(left=f"share of {of}", bottom=f"F{self.bench.session.feature}: activation")
        key = plot.addLegend(offset=(-5, 5), labelTextColor=self.ink)
        for side in SIDES:
            colour = ROLE_COLOURS[side]
            fill = QColor(colour.red(), colour.green(), colour.blue(), 60)
            style = Qt.PenStyle.SolidLine if side == "control" else Qt.PenStyle.DashLine
            pen = pg.mkPen(colour, width=2, style=style)
            curve = pg.PlotCurveItem(
                edges, shares[side], stepMode="center", fillLevel=0, brush=pg.mkBrush(fill), pen=pen
            )
            plot.addItem(curve)
            key.addItem(curve, legend[side])

    def _tell(self, at: tuple[str, str], _x: float, value: float) -> str:
        well, field = at
        words = well_words(self.bench, well)
        return f"{well}{f' field {field}' if field else ''}: {value:.3g}{words}"

    def _show(self, well: str, field: str) -> None:
        self.bench.attempt(f"Showing {well}", self.bench.showing.well, well, field or None)


def well_words(bench: Workbench, well: str) -> str:
    """Say in a line what the plate map knows of a well."""
    from napari_phenolens.viewer.describing import describe

    words = describe(bench.session.source, well)
    return f"\n{words}" if words else ""
