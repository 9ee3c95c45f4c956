"""Parts of the cell's dock: its features in a short table, and pictures of the cells like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import pandas as pd
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QFrame,
    QListWidget,
    QListWidgetItem,
    QWidget,
)

from napari_phenolens.analysis import CellCrop
from napari_phenolens.export import cell_crop_picture
from napari_phenolens.widgets.feature_lists import FeatureList
from napari_phenolens.widgets.gallery_view import pixmap_of

EDGE, ACROSS = 84, 4
CELL = int(Qt.ItemDataRole.UserRole)
_SEEN = (
    ("feature", "Feature", "Click a row to see the feature over the cells."),
    ("name", "Name", "What it is called."),
    ("share", "Share", "How much of what all features together say of this cell is this one."),
    ("percentile", "Percentile", "Of its value among the cells of control wells."),
    ("z", "z", "In standard deviations of the cells of control wells."),
    ("contribution", "Towards", "What it adds to the score towards 'looks perturbed'; negative: towards control."),
)
_LACKING = (
    ("feature", "Feature", "Click a row to see the feature over the cells."),
    ("name", "Name", "What it is called."),
    ("value", "Here", "Mean activation under the cell's mask."),
    ("usual", "Usual", "Mean over the cells of control wells."),
    ("z", "z", "In standard deviations of the cells of control wells."),
)


def _words(key: str, value: Any) -> str:
    if pd.isna(value):
        return "–"
    if key == "share":
        return f"{value:.0%}"
    return f"{value:.1f}" if key == "percentile" else f"{value:+.1f}" if key == "z" else f"{value:.3f}"


class CellFeatures(FeatureList):
    """Features of a cell, or those that it lacks: tables of a `CellCard`."""

    def __init__(self, parent: QWidget | None = None, *, lacking: bool = False) -> None:
        super().__init__(_LACKING if lacking else _SEEN, _words, 300, parent)

    def show_table(self, table: pd.DataFrame) -> None:
        """Show a table; an empty one takes no room."""
        self.setVisible(len(table) > 0)
        super().show_table(table)


class CellStrip(QListWidget):
    """Pictures of cells; one that is clicked, or Enter on it, is wanted."""

    wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setViewMode(QListWidget.ViewMode.IconMode)
        self.setMovement(QListWidget.Movement.Static)
        self.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setIconSize(QSize(EDGE, EDGE))
        self.setSpacing(2)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.itemClicked.connect(self._go)
        self.itemActivated.connect(self._go)
        self.show_cells([], {}, {}, {})

    def show_cells(
        self,
        crops: Sequence[CellCrop],
        colours: Mapping[str, Any],
        similarity: Mapping[int, float],
        labels: Mapping[int, int],
    ) -> None:
        """Show cells in these colours (see `export.cell_crop_picture`), each with how like it is."""
        self.clear()
        for crop in crops:
            times = max(1, ceil(EDGE * self.devicePixelRatioF() / max(crop.pixels.shape[1:])))  # icons only shrink
            picture = pixmap_of(cell_crop_picture(crop, colours, times))
            item = QListWidgetItem(QIcon(picture), f"{crop.well} {similarity[crop.cell]:.2f}")
            item.setData(CELL, crop.cell)
            told = f"{crop.well}, field {crop.field}, cell {labels[crop.cell]}: cosine {similarity[crop.cell]:.3f}"
            item.setToolTip(f"{told}. Click to go there.")
            item.setData(Qt.ItemDataRole.AccessibleTextRole, told)
            self.addItem(item)
        lines = 2 if len(crops) > ACROSS else 1
        self.setFixedHeight(lines * (EDGE + self.fontMetrics().height() + 12) + 4)

    def _go(self, item: QListWidgetItem) -> None:
        self.wanted.emit(int(item.data(CELL)))
