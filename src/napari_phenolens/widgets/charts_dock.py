"""The dock "PhenoLens charts": one chart at a time, all linked with the table, the plate map and the images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_phenolens.viewer.workbench import Workbench, workbench_for
from napari_phenolens.widgets.chart import Chart
from napari_phenolens.widgets.chart_bars import BarsChart
from napari_phenolens.widgets.chart_contrasts import ContrastsChart
from napari_phenolens.widgets.chart_dose import DoseChart
from napari_phenolens.widgets.chart_positions import PositionsChart
from napari_phenolens.widgets.chart_spread import SpreadChart
from napari_phenolens.widgets.chart_volcano import VolcanoChart
from napari_phenolens.widgets.how_tested import HowTested
from napari_phenolens.widgets.parts import Connections, JobPump, find_room, hint, row, scrolled, undo_shortcuts
from napari_phenolens.widgets.provisional import ProvisionalNote
from napari_phenolens.widgets.tooltips import tip

if TYPE_CHECKING:
    import napari

CHARTS = (VolcanoChart, BarsChart, SpreadChart, DoseChart, PositionsChart, ContrastsChart)


class ChartsDock(QWidget):
    """Charts of what the dock "PhenoLens" of the same viewer shows.

    Parameters
    ----------
    napari_viewer : napari.Viewer, napari.components.ViewerModel or Workbench
        The viewer whose session is shown; napari gives it by this very name.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer | Workbench) -> None:
        super().__init__()
        given = napari_viewer
        self.bench = given if isinstance(given, Workbench) else workbench_for(given)
        self._connections = Connections()
        self._pump = JobPump(self.bench.jobs, self._connections, self)
        self.tested: HowTested | None = None
        self.which = QComboBox()
        tip(self.which, "charts.which")
        self.about = hint()
        self.pages = QStackedWidget()
        self.charts: list[Chart] = []
        for kind in CHARTS:
            chart = kind(self.bench, self._connections)
            self.charts.append(chart)
            self.which.addItem(chart.title)
            self.pages.addWidget(chart)
        self.which.currentIndexChanged.connect(self._turn)
        self._turn(0)
        self.how, self.save = QPushButton("How was this tested?"), QPushButton("Save…")
        tip(self.how, "charts.how").clicked.connect(self._how)
        tip(self.save, "charts.save").clicked.connect(self._save)
        choice, told = row(self.which, self.save, stretch=0), row(self.about, self.how, stretch=0)
        provisional = ProvisionalNote(self.bench, self._connections)
        self.scroll = scrolled(provisional, choice, told, self.pages, spacing=3, last_grows=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.scroll)
        self.setMinimumWidth(340)
        find_room(self)
        undo_shortcuts(self, self.bench)
        events = self.bench.session.events
        self._connections.connect(events.comparison, self._tell)
        self._connections.connect(events.contrasts, self._tell)
        self._tell()
        connections = self._connections
        self.destroyed.connect(lambda: connections.close())  # holds nothing of the dock, which is gone by then

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for room for one chart."""
        return QSize(430, 420)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Never make napari's window taller than the screen."""
        return QSize(340, 120)

    def show_chart(self, kind: type[Chart]) -> Chart:
        """Turn to a chart and give it."""
        index = CHARTS.index(kind)
        self.which.setCurrentIndex(index)
        return self.charts[index]

    def _turn(self, index: int) -> None:
        """Turn to a page; the others ask for no room."""
        for i, chart in enumerate(self.charts):
            policy = QSizePolicy.Policy.Preferred if i == index else QSizePolicy.Policy.Ignored
            chart.setSizePolicy(policy, policy)
        self.pages.setCurrentIndex(index)

    def _tell(self, _value: object = None) -> None:
        comparison = self.bench.session.comparison
        self.how.setEnabled(comparison is not None)
        if comparison is None:
            self.about.setText("No comparison yet: press Compare in step 5 of the panel PhenoLens.")
            return
        words = f"{comparison.name}: {len(comparison.perturbed)} against {len(comparison.controls)} wells."
        tried = comparison.about.get("contrasts_tried")
        if tried is not None and tried > 1:
            words += f" {tried} contrasts tried on this run."
        if comparison.about.get("picked_after"):
            words += " Picked after looking: no p, no q."
        self.about.setText(words)

    def _how(self) -> None:
        comparison = self.bench.session.comparison
        if comparison is None:
            return
        if self.tested is not None:
            self.tested.close()
        self.tested = HowTested(comparison, self)
        self.tested.show()

    def _save(self) -> None:
        chart = self.charts[self.pages.currentIndex()]
        name = chart.title.split(":")[0].lower().replace(" ", "-").replace(",", "")
        kinds = "Picture (*.png);;Drawing (*.svg);;Numbers (*.csv)"
        path, kind = QFileDialog.getSaveFileName(self, "Save the chart", f"{name}.png", kinds)
        if path:
            ending = next((e for e in (".png", ".svg", ".csv") if e in kind), ".png")
            path = path if path.lower().endswith((".png", ".svg", ".csv")) else f"{path}{ending}"
            self.bench.attempt("Saving the chart", chart.save, path)
            self.bench.session.status = f"Saved {path}." if self.bench.session.problem is None else "Nothing was saved."
