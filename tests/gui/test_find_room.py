"""Two docks above each other: each gets what it needs, or they become tabs."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_phenolens.widgets.parts import LEAST_HEIGHT, find_room


class Tall(QWidget):
    """Asks for more than its share."""

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(300, 800)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(300, 100)


@pytest.mark.parametrize(("height", "tabs"), [(2 * LEAST_HEIGHT - 120, True), (2 * LEAST_HEIGHT + 160, False)])
def test_a_new_dock_leaves_the_one_above_room_or_becomes_a_tab(qtbot: Any, height: int, tabs: bool) -> None:
    window = QMainWindow()
    qtbot.addWidget(window)
    window.resize(700, height)
    window.setCentralWidget(QWidget())
    window.show()
    docks = []
    for made in (QWidget(), Tall()):
        made.setMinimumHeight(100)
        if isinstance(made, Tall):
            find_room(made)
        dock = QDockWidget(window)
        dock.setWidget(made)
        window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
        dock.show()
        docks.append(dock)
    window.resizeDocks(docks, [1, 4], Qt.Orientation.Vertical)  # as napari may have laid them
    above, below = docks
    if tabs:
        qtbot.waitUntil(lambda: below in window.tabifiedDockWidgets(above))
        qtbot.waitUntil(lambda: above.visibleRegion().isEmpty())
        qtbot.waitUntil(lambda: not below.visibleRegion().isEmpty())
    else:
        qtbot.waitUntil(lambda: abs(above.height() - below.height()) < 20)
        assert not window.tabifiedDockWidgets(above)
