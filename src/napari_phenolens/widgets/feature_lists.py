"""Short lists of features on a feature's page: those like it, and its place in a nested dictionary's tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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

from napari_phenolens.analysis.concept_labels import TOGETHER

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
ROW = 22  # px


class FeatureList(QTableWidget):
    """A few features, a row each; one that is clicked, or Enter on it, is wanted.

    Parameters
    ----------
    columns : sequence of (key, title, tooltip)
        The first two are ``feature`` (the table's index) and ``name``.
    words : callable
        Puts a value of a column into words.
    tallest : int
        Pixels that it takes at most.
    """

    wanted = Signal(int)

    def __init__(
        self,
        columns: Sequence[tuple[str, str, str]],
        words: Callable[[str, Any], str],
        tallest: int,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(0, len(columns), parent)
        self._columns, self._words, self._tallest = columns, words, tallest
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setShowGrid(False)
        self.setWordWrap(False)  # a name that is too long is cut within a word, not before it
        self.verticalHeader().setVisible(False)
        self.verticalHeader().setDefaultSectionSize(ROW)
        for i, (_, title, told) in enumerate(columns):
            item = QTableWidgetItem(title)
            item.setToolTip(told)
            self.setHorizontalHeaderItem(i, item)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.itemActivated.connect(self._go)
        self.itemClicked.connect(self._go)

    def show_table(self, table: pd.DataFrame) -> None:
        """Show a table whose index is features."""
        self.setRowCount(len(table))
        for i, feature in enumerate(map(int, table.index)):
            for j, (key, _, _) in enumerate(self._columns):
                plain = key in ("feature", "name")
                value = feature if key == "feature" else table[key].iloc[i]
                words = f"F{feature}" if key == "feature" else str(value) if plain else self._words(key, value)
                item = QTableWidgetItem(words)
                item.setData(FEATURE, feature)
                if key == "name" and words:
                    item.setToolTip(words)
                    item.setText(words.replace(TOGETHER, "with ", 1))  # there is room for a few letters
                if not plain:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(i, j, item)
        height = self.horizontalHeader().sizeHint().height() + ROW * len(table) + 4
        self.setFixedHeight(min(height, self._tallest))

    def _go(self, item: QTableWidgetItem) -> None:
        self.wanted.emit(int(item.data(FEATURE)))


class SimilarTable(FeatureList):
    """The features most like one: what `napari_phenolens.similar_features` gives."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_COLUMNS, _words, 320, parent)


def _words(key: str, value: Any) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.0%}" if key == "together" else f"{value:.2f}"


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
