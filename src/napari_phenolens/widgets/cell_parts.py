"""Parts of the cell's dock: its features in a short table, and pictures of the cells like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QWidget,
)

from napari_phenolens.analysis import CellCrop
from napari_phenolens.export import cell_crop_picture
from napari_phenolens.widgets.gallery_view import pixmap_of

EDGE, ACROSS = 84, 4
FEATURE = int(Qt.ItemDataRole.UserRole)
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
    if key == "name":
        return str(value)
    if pd.isna(value):
        return "–"
    if key == "share":
        return f"{value:.0%}"
    return f"{value:.1f}" if key == "percentile" else f"{value:+.1f}" if key == "z" else f"{value:.3f}"


class CellFeatures(QTableWidget):
    """Features of a cell, or those that it lacks."""

    wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None, *, lacking: bool = False) -> None:
        self._columns = _LACKING if lacking else _SEEN
        super().__init__(0, len(self._columns), parent)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setShowGrid(False)
        self.verticalHeader().setVisible(False)
        self.verticalHeader().setDefaultSectionSize(22)
        for i, (_, title, told) in enumerate(self._columns):
            item = QTableWidgetItem(title)
            item.setToolTip(told)
            self.setHorizontalHeaderItem(i, item)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.itemActivated.connect(self._go)
        self.itemClicked.connect(self._go)

    def show_table(self, table: pd.DataFrame) -> None:
        """Show a table of a `CellCard`."""
        self.setVisible(len(table) > 0)
        self.setRowCount(len(table))
        for i, (feature, values) in enumerate(table.iterrows()):
            for j, (key, _, _) in enumerate(self._columns):
                item = QTableWidgetItem(f"F{feature}" if key == "feature" else _words(key, values[key]))
                item.setData(FEATURE, int(feature))
                if key not in ("feature", "name"):
                    item.setTextAlignment(int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
                self.setItem(i, j, item)
        height = self.horizontalHeader().sizeHint().height() + 22 * len(table) + 4
        self.setFixedHeight(min(height, 300))

    def _go(self, item: QTableWidgetItem) -> None:
        self.wanted.emit(int(item.data(FEATURE)))


class CellStrip(QWidget):
    """Pictures of cells; one that is pressed is wanted."""

    wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(2)
        self._grid.setColumnStretch(ACROSS, 1)
        self.buttons: list[QToolButton] = []

    def show_cells(
        self,
        crops: Sequence[CellCrop],
        colours: Mapping[str, Any],
        similarity: Mapping[int, float],
        labels: Mapping[int, int],
    ) -> None:
        """Show cells in these colours (see `export.cell_crop_picture`), each with how like it is."""
        for button in self.buttons:
            self._grid.removeWidget(button)
            button.deleteLater()
        self.buttons = []
        for i, crop in enumerate(crops):
            times = max(1, round(EDGE * self.devicePixelRatioF() / max(crop.pixels.shape[1:])))
            button = QToolButton(self)
            button.setIcon(QIcon(pixmap_of(cell_crop_picture(crop, colours, times))))
            button.setIconSize(QSize(EDGE, EDGE))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            button.setAutoRaise(True)
            button.setText(f"{crop.well} {similarity[crop.cell]:.2f}")
            told = f"{crop.well}, field {crop.field}, cell {labels[crop.cell]}: cosine {similarity[crop.cell]:.3f}"
            button.setToolTip(f"{told}. Click to go there.")
            button.setAccessibleName(told)
            button.clicked.connect(lambda _on=False, cell=crop.cell: self.wanted.emit(cell))
            self._grid.addWidget(button, i // ACROSS, i % ACROSS)
            self.buttons.append(button)
