"""Whether the chosen value follows the row, the column or the edge among control wells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from qtpy.QtWidgets import QLabel, QWidget

from napari_phenolens.viewer import roles
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.chart import boxes
from napari_phenolens.widgets.chart_dose import ValueChart
from napari_phenolens.widgets.chart_spread import well_words
from napari_phenolens.widgets.palette import ROLE_COLOURS
from napari_phenolens.widgets.parts import Connections


class PositionsChart(ValueChart):
    """Control wells by row, by column, and by inside or rim, with the means of each."""

    title = "Position on the plate"
    needs = ("run", "comparison", "feature", "roles", "charts", "well")

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__(bench, connections, parent)
        self._layout.insertLayout(0, boxes(QLabel("Of"), self.value, QLabel("in the control wells")))

    def ask(self) -> None:
        """Ask for the effects."""
        self.bench.charting.positions(str(self.value.currentData()))

    def table(self) -> pd.DataFrame | None:
        """Give the effects."""
        charted = self.bench.session.charts.get("positions")
        return None if charted is None or charted.table is None else charted.table.reset_index()

    def draw(self) -> str:
        """Draw three panels."""
        charted = self.bench.session.charts.get("positions")
        if charted is None or charted.table is None:
            self.note.hide()
            return "" if charted is None else charted.why or "Reading…"
        from napari_phenolens.export.position_figure import place_ticks, say_position

        s, table = self.bench.session, charted.table
        points, size = table.attrs["points"], table.attrs["format"]
        value = np.array(points["value"])
        last = {"row": size[0] - 1, "column": size[1] - 1, "edge": 1}
        first = None
        for i, name in enumerate(table.index):
            plot = self.plot(0, i, left=self.title_of_value if i == 0 else "", bottom=name)
            at = np.array(points[name], dtype=float)
            self.dots(plot, at, value, points["well"], ROLE_COLOURS[roles.CONTROL], self._tell, self.show_well)
            for place in np.unique(at):
                self.line(plot, [place - 0.35, place + 0.35], [value[at == place].mean()] * 2)
            if s.well in points["well"]:
                k = points["well"].index(s.well)
                self.ring(plot, at[k], value[k])
            plot.getAxis("bottom").setTicks([place_ticks(name, last[name])])
            plot.setXRange(-0.6, last[name] + 0.6, padding=0)
            if first is None:
                first = plot
            else:
                plot.setYLink(first)
                plot.getAxis("left").setStyle(showValues=False)
        said = [f"{name}: {say_position(table.loc[name])}." for name in table.index]
        self.note.setText(" ".join([*said, *table.attrs["warnings"]]))
        self.note.setToolTip(
            "SD: from the first to the last row or column along a line, or rim minus inside, in SDs of these wells.\n"
            "R2: adjusted share of their spread. p: chance of so large an R2 where the wells are shuffled."
        )
        self.note.show()
        return ""

    def _tell(self, well: str, _x: float, value: float) -> str:
        return f"{well}: {value:.3g}{well_words(self.bench, well)}"
