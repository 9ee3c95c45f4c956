"""The table of features as a Qt model: sorting and searching by numpy over the whole table, no row is made twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, Signal

from napari_phenolens.widgets.feature_columns import Column, columns_for, long_words, words
from napari_phenolens.widgets.feature_search import search, yes
from napari_phenolens.widgets.well_bars import WellBars

__all__ = ["BARS_ROLE", "EFFECT_ROLE", "FeatureModel", "search"]

EFFECT_ROLE = int(Qt.ItemDataRole.UserRole) + 1  # (effect, low, high, reach) for the delegate
BARS_ROLE = EFFECT_ROLE + 1  # (heights from 0 to 1, role of each bar)
SAID = ("name", "note", "star")
_RIGHT = {"auroc", "q", "density", "selectivity"}


class FeatureModel(QAbstractTableModel):
    """A view on a table: order and choice of rows are arrays of row numbers."""

    said = Signal(int, str, object)  # the user changed name, note or star of a feature

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._table = pd.DataFrame()
        self.columns: tuple[Column, ...] = ()
        self._rows = np.zeros(0, dtype=np.intp)
        self._text, self._grouped, self._hide_technical = "", False, False
        self._sort: tuple[int, bool] | None = None
        self._reach = 1.0
        self._cells: dict[str, list[Any]] = {}
        self._keys: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._flags: dict[str, np.ndarray] = {}
        self._bars: WellBars | None = None
        self._said: Mapping[int, Any] = {}
        self._labels: Mapping[int, str] = {}

    # ---- what is shown ------------------------------------------------------------------------------------------
    def set_table(self, table: pd.DataFrame, bars: WellBars | None = None) -> None:
        """Show a table in its own order, with the wells' bars where they are known."""
        self.beginResetModel()
        self._table = table.reset_index(drop=True)
        self._bars = bars if "feature" in self._table.columns else None
        self._cells, self._keys, self._flags, self._sort = {}, {}, {}, None
        if "feature" in self._table.columns:
            self._write_said(self._said)
            if self._labels:
                self._table["label"] = self._table["feature"].map(lambda f: self._labels.get(int(f), ""))
        self.columns = columns_for(self._table, self._bars is not None)
        sizes = np.abs(self._numbers("effect")) if "effect" in self._table.columns else np.zeros(0)
        sizes = sizes[np.isfinite(sizes)]
        self._reach = float(sizes.max()) if len(sizes) else 1.0
        self._order()
        self.endResetModel()

    def set_labels(self, labels: Mapping[int, str]) -> None:
        """Take the words for features, for the next table that is set."""
        self._labels = labels

    def set_said(self, said: Mapping[int, Any]) -> None:
        """Show the names, notes and stars of features; the order of the rows stays."""
        self._said = said
        if "feature" not in self._table.columns:
            return
        self._write_said(said)
        if not len(self._rows):
            return
        for i, column in enumerate(self.columns):
            if column.key in SAID:
                self.dataChanged.emit(self.index(0, i), self.index(len(self._rows) - 1, i))

    def _write_said(self, said: Mapping[int, Any]) -> None:
        features = self._table["feature"].to_numpy()
        place = {int(f): i for i, f in enumerate(features)} if said else {}
        for key, empty in zip(SAID, ("", "", False), strict=True):
            values = np.full(len(features), empty, dtype=bool if key == "star" else object)
            for feature, annotation in said.items():
                if feature in place:
                    values[place[feature]] = getattr(annotation, key)
            self._table[key] = values
            self._cells.pop(key, None)
            self._keys.pop(key, None)

    def set_filter(self, text: str, *, grouped: bool = False, hide_technical: bool = False) -> None:
        """Choose the rows to show."""
        self.beginResetModel()
        self._text, self._grouped, self._hide_technical = text, grouped, hide_technical
        self._order()
        self.endResetModel()

    def _flag(self, key: str) -> np.ndarray:
        if key not in self._flags:
            self._flags[key] = yes(self._table[key])
        return self._flags[key]

    def _numbers(self, key: str) -> np.ndarray:
        return self._table[key].to_numpy(dtype=float, na_value=np.nan)

    def _key(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Give what a column is sorted by, whole, made once for each table; and where it has no value."""
        if key not in self._keys:
            column = self._table[key]
            if pd.api.types.is_numeric_dtype(column):
                numbers = self._numbers(key)  # effects with their sign: their size is the ranking already
                missing = np.isnan(numbers)
            else:
                texts = column.astype(str).str.casefold()
                missing = (texts == "").to_numpy() if key in (*SAID, "label") else np.zeros(len(column), dtype=bool)
                numbers = np.unique(texts.to_numpy(dtype=str), return_inverse=True)[1].astype(float)
            self._keys[key] = np.where(missing, 0.0, numbers), missing
        return self._keys[key]

    def _order(self) -> None:
        table = self._table
        keep = search(table, self._text)
        if self._grouped and "representative" in table.columns:
            keep &= self._flag("representative") | table["representative"].isna().to_numpy()
        if self._hide_technical and "technical" in table.columns:
            keep &= ~self._flag("technical")
        rows = np.flatnonzero(keep)
        if self._sort is not None and self._sort[0] < len(self.columns):
            place, ascending = self._sort
            numbers, missing = self._key(self.columns[place].key)
            order = np.argsort(numbers[rows], kind="stable")
            rows = rows[order if ascending else order[::-1]]
            rows = np.concatenate([rows[~missing[rows]], rows[missing[rows]]])  # what has no value stands last
        self._rows = rows

    def row_of(self, feature: int) -> int:
        """Give the shown row of a feature, -1 where it is not shown."""
        if "feature" not in self._table.columns or not len(self._rows):
            return -1
        hit = np.flatnonzero(self._table["feature"].to_numpy()[self._rows] == feature)
        return int(hit[0]) if len(hit) else -1

    def value(self, row: int, key: str) -> Any:
        """Give the value of a shown row."""
        if key not in self._table.columns:
            return None
        if key not in self._cells:
            self._cells[key] = self._table[key].tolist()
        return self._cells[key][self._rows[row]]

    def column_of(self, key: str) -> int:
        """Give the place of a column, -1 where it is not shown."""
        return next((i for i, column in enumerate(self.columns) if column.key == key), -1)

    @property
    def table(self) -> pd.DataFrame:
        """The whole table in its own order, with names, notes and stars."""
        return self._table

    @property
    def total(self) -> int:
        """How many rows the whole table has."""
        return len(self._table)

    # ---- Qt -----------------------------------------------------------------------------------------------------
    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Give the number of shown rows."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Give the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:  # noqa: N802 - Qt's name
        """Give titles and their explanations."""
        if orientation != Qt.Orientation.Horizontal or section >= len(self.columns):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.columns[section].title
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.columns[section].tip
        return None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Let names and notes be written in place."""
        known = super().flags(index)
        if index.isValid() and self.columns[index.column()].key in ("name", "note"):
            return known | Qt.ItemFlag.ItemIsEditable
        return known

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Give what a cell shows."""
        if not index.isValid():
            return None
        row, key = index.row(), self.columns[index.column()].key
        if role == Qt.ItemDataRole.DisplayRole:
            return words(key, lambda name: self.value(row, name))
        if role == Qt.ItemDataRole.EditRole and key in ("name", "note"):
            return self.value(row, key)
        if role == Qt.ItemDataRole.ToolTipRole:
            return long_words(key, lambda name: self.value(row, name))
        if role == Qt.ItemDataRole.TextAlignmentRole and key in _RIGHT:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.TextAlignmentRole and key == "star":
            return int(Qt.AlignmentFlag.AlignCenter)
        if role == EFFECT_ROLE and key == "effect":
            low, high = (self.value(row, f"effect_{end}") for end in ("low", "high"))
            return (self.value(row, "effect"), low, high, self._reach)
        if role == BARS_ROLE and key == "wells" and self._bars is not None:
            return self._bars.of(self.value(row, "feature"))
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = int(Qt.ItemDataRole.EditRole)) -> bool:  # noqa: N802
        """Hand on what was written; the cell changes once it is kept."""
        key = self.columns[index.column()].key if index.isValid() else ""
        if role != Qt.ItemDataRole.EditRole or key not in SAID:
            return False
        if value != self.value(index.row(), key):
            self.said.emit(int(self.value(index.row(), "feature")), key, value)
        return True

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column. A column of -1 goes back to the ranking."""
        if column >= 0 and self.columns[column].key == "wells":
            return  # bars have no order
        self.beginResetModel()
        self._sort = None if column < 0 else (column, order == Qt.SortOrder.AscendingOrder)
        self._order()
        self.endResetModel()
