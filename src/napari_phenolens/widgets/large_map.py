"""The plate map in a dock of its own, as large as it gets: 1536 wells that can be read and hit."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_phenolens.viewer import compat
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.map_panel import MapPanel
from napari_phenolens.widgets.parts import Connections, undo_shortcuts

NAME = "PhenoLens plate map"


class LargeMap(QWidget):
    """The plate map, its wells growing with the dock; where there is no room for them, it scrolls."""

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self.setWindowTitle(NAME)
        self.bench = bench
        self._connections = Connections()
        self.panel = MapPanel(bench, self._connections, self, large=True)
        self.scroll = QScrollArea()
        self.scroll.setWidgetResizable(True)
        self.scroll.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll.setWidget(self.panel.map)
        self.panel.map_room.addWidget(self.scroll)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.addWidget(self.panel)
        undo_shortcuts(self, bench)
        self.setFocusProxy(self.panel.map)
        connections = self._connections
        self.destroyed.connect(lambda: connections.close())

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for as much as the wells need to be read, and at most half a window."""
        return QSize(900, min(500, self.panel.map.minimumSizeHint().height() + 60))

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Never make napari's window taller than the screen."""
        return QSize(320, 160)


def open_large(bench: Workbench, beside: QWidget) -> QWidget:
    """Open the plate map in a dock at the bottom of the window, or bring it to the front.

    Parameters
    ----------
    bench : Workbench
    beside : QWidget
        Whose window it belongs to where the viewer has none to dock it in.
    """
    there: QWidget | None = compat.find_dock(bench.viewer, NAME) or beside.window().findChild(LargeMap)
    if there is None:
        there = LargeMap(bench)
        if not compat.add_dock(bench.viewer, there, NAME, "bottom"):
            there.setParent(beside.window(), Qt.WindowType.Window)
    there.show()
    there.setFocus()
    return there
