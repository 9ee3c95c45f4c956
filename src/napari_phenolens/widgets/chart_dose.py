"""Dose-response curves of the chosen value, a compound at a time, with an EC50 or why there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QComboBox, QLabel, QWidget

from napari_phenolens.viewer import roles
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.chart import Chart, boxes
from napari_phenolens.widgets.chart_spread import well_words
from napari_phenolens.widgets.palette import ROLE_COLOURS
from napari_phenolens.widgets.parts import Connections
from napari_phenolens.widgets.plain_plot import pyqtgraph
from napari_phenolens.widgets.tooltips import tip

CURVE = QColor(213, 94, 0)
BAND = QColor(213, 94, 0, 60)
NO_ROLE = QColor(150, 150, 150)
ZERO_GAP = 0.6  # decades left of the lowest dose where dose 0 is drawn
BY_NAME = "automatic"


class ValueChart(Chart):
    """A chart of the chosen feature, its phenotype or a covariate."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__(bench, connections, parent)
        self.value = QComboBox()
        tip(self.value, "charts.value")
        self.value.activated.connect(lambda _index: self.refresh())
        for name in ("run", "comparison"):
            connections.connect(getattr(bench.session.events, name), self._values)
        self._values()

    def _values(self, _value: object = None) -> None:
        before = self.value.currentData()
        with QSignalBlocker(self.value):
            self.value.clear()
            for key, words in self.bench.charting.values():
                self.value.addItem(words, key)
            self.value.setCurrentIndex(max(0, self.value.findData(before)))

    @property
    def title_of_value(self) -> str:
        """What the axis says."""
        key, feature = str(self.value.currentData()), self.bench.session.feature
        if key == "feature":
            return f"F{feature}: mean activation"
        return f"score of F{feature}'s phenotype" if key == "phenotype" else self.value.currentText()


class DoseChart(ValueChart):
    """Wells over dose, curve and band."""

    title = "Dose-response"
    needs = ("run", "comparison", "feature", "roles", "charts", "well")

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__(bench, connections, parent)
        self.compound, self.dose_column, self.compound_column = QComboBox(), QComboBox(), QComboBox()
        tip(self.compound, "charts.compound")
        tip(self.dose_column, "charts.dose_column")
        tip(self.compound_column, "charts.compound_column")
        self.compound.activated.connect(lambda _index: self.refresh())
        for box in (self.dose_column, self.compound_column):
            box.activated.connect(lambda _index: self.refresh())
        self._layout.insertLayout(0, boxes(QLabel("Of"), self.value, QLabel("for"), self.compound))
        columns = boxes(QLabel("Dose in"), self.dose_column, QLabel("named in"), self.compound_column)
        self._layout.insertLayout(1, columns)
        for name in ("run", "plate"):
            connections.connect(getattr(bench.session.events, name), self._columns)
        self._columns()

    def _columns(self, _value: object = None) -> None:
        run = self.bench.session.run
        columns = [str(c) for c in run.metadata.columns] if run is not None else []
        for box in (self.dose_column, self.compound_column):
            before = box.currentData()
            with QSignalBlocker(box):
                box.clear()
                box.addItem(BY_NAME, None)
                for column in columns:
                    box.addItem(column, column)
                box.setCurrentIndex(max(0, box.findData(before)))

    def ask(self) -> None:
        """Ask for the curves."""
        value = str(self.value.currentData())
        self.bench.charting.dose(value, self.dose_column.currentData(), self.compound_column.currentData())

    def table(self) -> pd.DataFrame | None:
        """Give the table of curves."""
        charted = self.bench.session.charts.get("dose")
        return None if charted is None or charted.table is None else charted.table.reset_index()

    def draw(self) -> str:
        """Draw the compound that is chosen."""
        charted = self.bench.session.charts.get("dose")
        if charted is None or charted.table is None:
            self.note.hide()
            return "" if charted is None else charted.why or "Fitting curves…"
        table = charted.table
        self._fill(table)
        name = self.compound.currentData()
        self._panel(str(name), table.loc[name], table.attrs)
        return ""

    def _fill(self, table: pd.DataFrame) -> None:
        """List the compounds, those with an EC50 first."""
        before = self.compound.currentData()
        order = table.sort_values("ec50", kind="stable", key=lambda s: s.isna()).index
        with QSignalBlocker(self.compound):
            self.compound.clear()
            for name in order:
                row = table.loc[name]
                said = f"EC50 {row['ec50']:.3g} {row['unit']}" if np.isfinite(row["ec50"]) else "no EC50"
                self.compound.addItem(f"{name} ({said.strip()})", name)
            self.compound.setCurrentIndex(max(0, self.compound.findData(before)))

    def _panel(self, name: str, row: pd.Series, about: Any) -> None:
        from napari_phenolens.analysis import say_dose
        from napari_phenolens.export.dose_figure import log_ticks

        pg = pyqtgraph()
        s = self.bench.session
        unit = f" ({row['unit']})" if row["unit"] else ""
        plot = self.plot(left=self.title_of_value, bottom=f"{name}: {about['dose']}{unit}")
        points = about["points"][name]
        dose, value = np.array(points["dose"]), np.array(points["value"])
        low, high = np.log10(dose[dose > 0].min()), np.log10(dose.max())
        zero = low - ZERO_GAP
        x = np.where(dose > 0, np.log10(np.where(dose > 0, dose, 1)), zero)
        curve = about["curves"].get(name)
        if curve:
            at = np.log10(curve["dose"])
            nothing = pg.mkPen(None)
            edges = [pg.PlotCurveItem(at, np.array(curve[end]), pen=nothing) for end in ("low", "high")]
            plot.addItem(pg.FillBetweenItem(*edges, brush=pg.mkBrush(BAND)))
            style = None if np.isfinite(row["ec50"]) else Qt.PenStyle.DashLine  # a curve that says little
            self.line(plot, at, np.array(curve["value"]), CURVE, 2.5, style)
        colours = [ROLE_COLOURS.get(s.roles.get(well, ""), NO_ROLE) for well in points["well"]]
        jitter = np.where(dose > 0, 0.0, np.random.default_rng(0).uniform(-0.12, 0.12, len(dose)))
        self.dots(plot, x + jitter, value, points["well"], colours, self._tell, self.show_well)
        if s.well in points["well"]:
            i = points["well"].index(s.well)
            self.ring(plot, (x + jitter)[i], value[i])
        if np.isfinite(row["ec50"]):
            ends = [np.log10(row[c]) for c in ("ec50_low", "ec50_high")]
            region = pg.LinearRegionItem(ends, movable=False, brush=pg.mkBrush(140, 140, 140, 60), pen=pg.mkPen(None))
            region.setZValue(-10)
            plot.addItem(region)
            plot.addItem(pg.InfiniteLine(np.log10(row["ec50"]), pen=pg.mkPen(self.ink, style=Qt.PenStyle.DashLine)))
        ticks = log_ticks(low, high)
        plot.getAxis("bottom").setTicks([[(zero, "0"), *ticks] if (dose == 0).any() else ticks])
        said = [say_dose(row), *about["warnings"]]
        if any(s.roles.get(well) == roles.POSITIVE for well in points["well"]):
            said.append("Positive controls of this compound stand at their dose.")
        self.note.setText(" ".join(said))
        self.note.show()

    def _tell(self, well: str, _x: float, value: float) -> str:
        return f"{well}: {value:.3g}{well_words(self.bench, well)}"
