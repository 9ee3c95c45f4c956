"""Short lists of features on a feature's page: those like it, and its place in a nested dictionary's tree."""

from __future__ import annotations

import pandas as pd
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

_COLUMNS = (
    ("feature", "Feature", "Click a row to go to that feature."),
    ("name", "Name", "What it is called."),
    ("cosine", "Cosine", "Of the two atoms: 1 the same direction of the model's space, 0 nothing in common."),
    (
        "coactivation",
        "Together",
        "Phi coefficient of active or not over foreground patches: 1 always together, 0 by chance.",
    ),
    ("together", "Also", "Share of this feature's patches in which that one is active too."),
)
FEATURE = int(Qt.ItemDataRole.UserRole)


class SimilarTable(QTableWidget):
    """The features most like one."""

    wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_COLUMNS), parent)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setShowGrid(False)
        self.verticalHeader().setVisible(False)
        self.verticalHeader().setDefaultSectionSize(22)
        for i, (_, title, words) in enumerate(_COLUMNS):
            item = QTableWidgetItem(title)
            item.setToolTip(words)
            self.setHorizontalHeaderItem(i, item)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.itemActivated.connect(self._go)
        self.itemClicked.connect(self._go)

    def show_table(self, table: pd.DataFrame) -> None:
        """Show what `napari_phenolens.similar_features` gives."""
        self.setRowCount(len(table))
        for i, (feature, (_, values)) in enumerate(zip(table.index.tolist(), table.iterrows(), strict=True)):
            for j, (key, _, _) in enumerate(_COLUMNS):
                if key == "feature":
                    words = f"F{feature}"
                elif key == "name":
                    words = str(values["name"])
                else:
                    words = (
                        ""
                        if pd.isna(values[key])
                        else f"{values[key]:.0%}"
                        if key == "together"
                        else f"{values[key]:.2f}"
                    )
                item = QTableWidgetItem(words)
                item.setData(FEATURE, feature)
                if key not in ("feature", "name"):
                    item.setTextAlignment(int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
                self.setItem(i, j, item)
        height = self.horizontalHeader().sizeHint().height() + 22 * len(table) + 4
        self.setFixedHeight(min(height, 320))

    def _go(self, item: QTableWidgetItem) -> None:
        self.wanted.emit(int(item.data(FEATURE)))


class FamilyTree(QTreeWidget):
    """A feature with what it is a part of, and with its parts."""

    wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setHeaderLabels(["Feature", "Name", "Active"])
        self.setUniformRowHeights(True)
        self.itemActivated.connect(self._go)
        self.itemClicked.connect(self._go)

    def show_family(self, table: pd.DataFrame) -> None:
        """Show what `napari_phenolens.analysis.family` gives."""
        self.clear()
        above: QTreeWidget | QTreeWidgetItem = self
        for feature, (_, values) in zip(table.index.tolist(), table.iterrows(), strict=True):
            item = QTreeWidgetItem(above, [f"F{feature}", str(values["name"]), f"{values['density']:.1%}"])
            item.setData(0, FEATURE, feature)
            if values["relation"] == "itself":
                font = item.font(0)
                font.setBold(True)
                item.setFont(0, font)
            if values["relation"] != "child":
                above = item
        self.expandAll()
        self.resizeColumnToContents(0)
        self.setFixedHeight(min(30 + 22 * (len(table) + 1), 260))

    def _go(self, item: QTreeWidgetItem, _column: int) -> None:
        self.wanted.emit(int(item.data(0, FEATURE)))
