"""A plot without menu or buttons; pyqtgraph is loaded when the first one is made."""

from __future__ import annotations

import os
from typing import Any

import qtpy


def pyqtgraph() -> Any:
    """Load pyqtgraph for the Qt binding that napari uses."""
    os.environ.setdefault("PYQTGRAPH_QT_LIB", qtpy.API_NAME)
    import pyqtgraph as pg

    return pg


def plain_plot(*, mouse_x: bool = False) -> Any:
    """Give a plot on a clear ground; with `mouse_x` its horizontal axis can be dragged and zoomed."""
    plot = pyqtgraph().PlotWidget(background=None)
    plot.setMenuEnabled(False)
    plot.setMouseEnabled(x=mouse_x, y=False)
    plot.hideButtons()
    for name in ("left", "bottom"):  # before any data: its factor would stay
        plot.getAxis(name).enableAutoSIPrefix(False)
    return plot
