"""What all charts share: pyqtgraph loaded when first needed, the theme's ink, saving as PNG, SVG or CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from qtpy.QtCore import QEvent, QEventLoop, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPalette, QShowEvent
from qtpy.QtSvg import QSvgGenerator
from qtpy.QtWidgets import QApplication, QComboBox, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.palette import ACCENT
from napari_phenolens.widgets.parts import Connections, hint, row
from napari_phenolens.widgets.plain_plot import pyqtgraph

PALE = QColor(140, 140, 140, 150)
DOT = 8
LEAST_HEIGHT = 170
SAVED_WIDTH = 1600  # px of a saved picture


def boxes(*widgets: QWidget) -> QHBoxLayout:
    """Lay words and boxes in a row; the boxes share what is left and never widen the dock."""
    layout = row(*widgets, stretch=-1)
    for i, widget in enumerate(widgets):
        if isinstance(widget, QComboBox):
            widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            widget.setMinimumWidth(70)
            layout.setStretch(i, 1)
    return layout


class Chart(QWidget):
    """One chart; it draws when it is seen, and again when what it shows has changed.

    Subclasses give `title`, `needs` (session events), `draw` and `table`.
    """

    title = ""
    needs: tuple[str, ...] = ("comparison", "feature")

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bench = bench
        self.view: Any = None
        self._for_paper = False
        self._stale = True
        self.message = hint()
        self.note = hint()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(2, 2, 2, 2)
        self._layout.setSpacing(3)
        self._layout.addWidget(self.message)
        self._layout.addWidget(self.note)
        self.note.hide()
        for name in self.needs:
            connections.connect(getattr(bench.session.events, name), self._changed)

    # ---- for subclasses ----------------------------------------------------------------------------------------------
    def draw(self) -> str:
        """Draw; gives why there is nothing to draw, empty where there is."""
        raise NotImplementedError

    def table(self) -> pd.DataFrame | None:
        """Give the numbers that are drawn, for CSV."""
        raise NotImplementedError

    def ask(self) -> None:
        """Ask for numbers that are not there yet; called when the chart is seen."""

    def clicked(self, event: Any) -> None:
        """Take a click on the canvas that hit no point."""

    # ---- drawing -----------------------------------------------------------------------------------------------------
    def _changed(self, _value: object = None) -> None:
        self._stale = True
        if self.isVisible():
            self.refresh()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw what has changed while the chart was hidden."""
        super().showEvent(event)
        if self._stale:
            self.refresh()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Follow the theme."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self._changed()

    def refresh(self) -> None:
        """Draw what the session holds now."""
        self._stale = False
        self.ask()
        if self.view is not None:
            self.view.clear()
        why = self.draw()
        self.message.setText(why)
        self.message.setVisible(bool(why))
        if self.view is not None:
            self.view.setVisible(not why)

    def ready(self) -> Any:
        """Give the canvas, made when it is first needed."""
        if self.view is None:
            pg = pyqtgraph()
            self.view = pg.GraphicsLayoutWidget()
            self.view.setBackground(None)
            self.view.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)  # its own hint is a screen
            self.view.setMinimumHeight(LEAST_HEIGHT)
            self.view.setAccessibleName(self.title)
            self.view.scene().sigMouseClicked.connect(self.clicked)
            self._layout.insertWidget(self._layout.indexOf(self.message) + 1, self.view, 1)
        return self.view

    @property
    def ink(self) -> QColor:
        """The colour of axes and words: the theme's, black for a saved picture."""
        return QColor(0, 0, 0) if self._for_paper else self.palette().color(QPalette.ColorRole.WindowText)

    def plot(self, row: int = 0, column: int = 0, *, left: str = "", bottom: str = "") -> Any:
        """Add empty axes to the canvas."""
        pg = pyqtgraph()
        plot = self.ready().addPlot(row, column)
        plot.setMenuEnabled(False)
        plot.hideButtons()
        for name, text in (("left", left), ("bottom", bottom)):
            axis = plot.getAxis(name)
            axis.enableAutoSIPrefix(False)  # before any data: its factor would stay
            axis.setPen(pg.mkPen(self.ink))
            axis.setTextPen(pg.mkPen(self.ink))
            if text:
                plot.setLabel(name, text, color=self.ink.name())
        return plot

    def dots(
        self,
        plot: Any,
        x: Any,
        y: Any,
        data: Sequence[Any],
        colours: Sequence[QColor] | QColor,
        tell: Callable[[Any, float, float], str],
        click: Callable[[Any], object] | None = None,
        *,
        symbol: Any = "o",
        size: float = DOT,
    ) -> Any:
        """Add points that say what they are under the mouse, and can be clicked."""
        pg = pyqtgraph()
        brushes = pg.mkBrush(colours) if isinstance(colours, QColor) else [pg.mkBrush(colour) for colour in colours]
        item = pg.ScatterPlotItem(
            x=x, y=y, data=list(data), size=size, symbol=symbol, brush=brushes, pen=pg.mkPen(None), hoverable=True,
            hoverPen=pg.mkPen(self.ink, width=2), tip=lambda x, y, data: tell(data, x, y),
        )  # fmt: skip
        if click is not None:
            item.sigClicked.connect(lambda _item, points, _event: click(points[0].data()) if len(points) else None)
        plot.addItem(item)
        return item

    def ring(self, plot: Any, x: float, y: float, size: float = 15) -> None:
        """Ring the chosen point."""
        pg = pyqtgraph()
        colour = ACCENT if self.ink.lightness() > 127 else QColor(0, 0, 0)
        item = pg.ScatterPlotItem(x=[x], y=[y], size=size, brush=None, pen=pg.mkPen(colour, width=2))
        item.setZValue(20)
        item.setAcceptedMouseButtons(Qt.MouseButton.NoButton)
        plot.addItem(item)

    def line(self, plot: Any, x: Any, y: Any, colour: QColor | None = None, width: float = 2, style: Any = None) -> Any:
        """Add a line."""
        pg = pyqtgraph()
        pen = pg.mkPen(colour if colour is not None else self.ink, width=width)
        if style is not None:
            pen.setStyle(style)
        return plot.plot(x, y, pen=pen)

    # ---- choosing ----------------------------------------------------------------------------------------------------
    def choose_feature(self, feature: Any) -> None:
        """Choose a feature everywhere."""
        self.bench.attempt("Showing the heatmap", self.bench.charting.choose, int(feature))

    def show_well(self, well: Any) -> None:
        """Show a well."""
        self.bench.attempt(f"Showing {well}", self.bench.showing.well, str(well))

    # ---- saving ------------------------------------------------------------------------------------------------------
    def save(self, path: str | Path) -> None:
        """Save as ``.png`` or ``.svg`` (black on white), or the numbers as ``.csv``.

        Raises
        ------
        PhenoLensError
            Where there is nothing to save, the ending is another, or the file cannot be written.
        """
        path = Path(path)
        table = self.table()
        if table is None or (self.message.text() and self.view is None):
            raise PhenoLensError(f"the chart {self.title} is empty; there is nothing to save")
        kind = path.suffix.lower()
        if kind not in (".png", ".svg", ".csv"):
            raise PhenoLensError(f"{path}: a chart is saved as .png, .svg or .csv; give the file one of these endings")
        from napari_phenolens.export.atomic import written_whole

        with written_whole(path) as part:
            if kind == ".csv":
                table.to_csv(part, index=False)
            else:
                self._paint(part, kind)

    def _paint(self, path: Path, kind: str) -> None:
        """Draw in black on white: a PNG by pyqtgraph, an SVG by Qt (pyqtgraph 0.14 fails on filled bands)."""
        self._for_paper = True
        try:
            self.refresh()
            # Axes find the room for their words only when Qt lays them out.
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
            if kind == ".png":
                from pyqtgraph.exporters import ImageExporter

                exporter = ImageExporter(self.view.scene())
                exporter.parameters()["width"] = SAVED_WIDTH
                exporter.parameters()["background"] = QColor(255, 255, 255)
                exporter.export(str(path))
                return
            canvas = QSvgGenerator()
            canvas.setFileName(str(path))
            canvas.setResolution(self.view.logicalDpiX())
            canvas.setSize(self.view.size())
            canvas.setViewBox(self.view.rect())
            painter = QPainter(canvas)
            drawn = [item for item in self.view.scene().items() if hasattr(item, "setExportMode")]
            how = {"painter": painter, "antialias": True, "resolutionScale": 1.0}
            for item in drawn:
                item.setExportMode(True, how)  # points as shapes: an SVG holds no pieces of a pixmap
            self.view.scene().render(painter, QRectF(self.view.rect()), self.view.viewRect())
            painter.end()
            for item in drawn:
                item.setExportMode(False)
        finally:
            self._for_paper = False
            self.refresh()
