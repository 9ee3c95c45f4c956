"""The table of features as a Qt model: sorting and searching by numpy over the whole table, no row is made twice."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

EFFECT_ROLE = int(Qt.ItemDataRole.UserRole) + 1  # (effect, low, high, reach) for the delegate

_OPERATORS = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"^\s*\|?\s*([A-Za-z_ .]+?)\s*\|?\s*(<=|>=|==|=|<|>)\s*(-?[\d.]+(?:e-?\d+)?)\s*$", re.I)


@dataclass(frozen=True)
class Column:
    """A column as it is shown."""

    key: str
    title: str
    tip: str


FEATURE_COLUMNS = (
    Column("feature", "Feature", "The feature's number (0-based atom of the dictionary)."),
    Column(
        "effect",
        "Effect [95 %]",
        "Difference of the well means, perturbed minus control, in moderated standard deviations, with its 95 % "
        "interval. The table is ranked by its size.",
    ),
    Column(
        "auroc", "AUROC", "How well the feature alone tells perturbed from control wells: 0.5 not at all, 1 or 0 fully."
    ),
    Column(
        "q",
        "q",
        "False discovery rate over all features. A small q says that something changed; the effect says what to "
        "look at. Empty: too few wells.",
    ),
    Column(
        "group",
        "Group",
        "Features whose well means go together: one phenotype. ★ marks the strongest of the group. A phenotype's score "
        "and heatmap take up to 50 features of the group.",
    ),
    Column(
        "technical",
        "Tech.",
        "Whether the feature follows the plate's layout (row, column, edge) among the controls: yes, no, or ? "
        "(not estimable).",
    ),
    Column("density", "Active", "The share of foreground patches where the feature is active, over the whole plate."),
)
COVARIATE_COLUMNS = (
    Column("covariate", "Covariate", "A plain measurement of the wells."),
    *(c for c in FEATURE_COLUMNS if c.key in {"effect", "auroc", "q"}),
)


def columns_for(table: pd.DataFrame) -> tuple[Column, ...]:
    """Give the columns of a table that are shown."""
    known = COVARIATE_COLUMNS if "covariate" in table.columns else FEATURE_COLUMNS
    return tuple(column for column in known if column.key in table.columns)


def search(table: pd.DataFrame, text: str) -> np.ndarray:
    """Find the rows that fit a search.

    Parameters
    ----------
    table : DataFrame
    text : str
        Parts joined by commas or ``and``, all of which must hold: a feature's number (``17``, ``F17``),
        a condition (``effect > 2``, ``q<0.05``), ``group 3``, ``technical``, or a piece of a covariate's name.

    Returns
    -------
    ndarray of bool
    """
    keep = np.ones(len(table), dtype=bool)
    for part in re.split(r",|\band\b|&", text, flags=re.I):
        if part.strip():
            keep &= _one(table, part.strip())
    return keep


def _one(table: pd.DataFrame, part: str) -> np.ndarray:
    condition = _CONDITION.match(part)
    names = {str(c).lower(): c for c in table.columns}
    if condition:
        name = condition[1].strip().lower().replace(" ", "_")
        if name in names and pd.api.types.is_numeric_dtype(table[names[name]]):
            values = table[names[name]].to_numpy(dtype=float, na_value=np.nan)
            if "|" in part:
                values = np.abs(values)
            with np.errstate(invalid="ignore"):
                return np.asarray(_OPERATORS[condition[2]](values, float(condition[3])) & np.isfinite(values))
        return np.zeros(len(table), dtype=bool)
    group = re.match(r"^(?:group|g)\s*(\d+)$", part, re.I)
    if group and "group" in table.columns:
        return np.asarray(table["group"].fillna(-1).to_numpy(dtype=float, na_value=-1) == int(group[1]))
    number = re.match(r"^f?(\d+)$", part, re.I)
    if number and "feature" in table.columns:
        return table["feature"].to_numpy() == int(number[1])
    for flag in ("technical", "count_linked"):
        if flag in table.columns and flag.replace("_", " ").startswith(part.lower()) and len(part) > 2:
            return yes(table[flag])
    if "covariate" in table.columns:
        return table["covariate"].astype(str).str.contains(part.replace(" ", "_"), case=False, regex=False).to_numpy()
    return np.zeros(len(table), dtype=bool)


def yes(column: pd.Series) -> np.ndarray:
    """Give where a column says yes, however it is written (yes, True)."""
    if pd.api.types.is_bool_dtype(column):
        return column.fillna(False).to_numpy(dtype=bool)
    return column.astype(str).str.lower().isin({"yes", "true"}).to_numpy()


class FeatureModel(QAbstractTableModel):
    """A view on a table: order and choice of rows are arrays of row numbers."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._table = pd.DataFrame()
        self.columns: tuple[Column, ...] = ()
        self._rows = np.zeros(0, dtype=np.intp)
        self._text, self._grouped, self._hide_technical = "", False, False
        self._sort: tuple[int, bool] | None = None
        self._reach = 1.0
        self._cells: dict[str, list[Any]] = {}

    # ---- what is shown ------------------------------------------------------------------------------------------
    def set_table(self, table: pd.DataFrame) -> None:
        """Show a table in its own order."""
        self.beginResetModel()
        self._table = table.reset_index(drop=True)
        self.columns = columns_for(table)
        self._cells = {column: self._table[column].tolist() for column in self._table.columns}
        self._sort = None
        ends = [self._table[c].to_numpy(dtype=float, na_value=np.nan) for c in ("effect",) if c in self._table.columns]
        finite = np.abs(np.concatenate(ends)) if ends else np.zeros(0)
        finite = finite[np.isfinite(finite)]
        self._reach = float(finite.max()) if len(finite) else 1.0
        self._order()
        self.endResetModel()

    def set_filter(self, text: str, *, grouped: bool = False, hide_technical: bool = False) -> None:
        """Choose the rows to show."""
        self.beginResetModel()
        self._text, self._grouped, self._hide_technical = text, grouped, hide_technical
        self._order()
        self.endResetModel()

    def _order(self) -> None:
        table = self._table
        keep = search(table, self._text)
        if self._grouped and "representative" in table.columns:
            keep &= yes(table["representative"]) | table["representative"].isna().to_numpy()
        if self._hide_technical and "technical" in table.columns:
            keep &= ~yes(table["technical"])
        rows = np.flatnonzero(keep)
        if self._sort is not None and self._sort[0] < len(self.columns):
            column, ascending = self._sort
            values = table[self.columns[column].key].iloc[rows]
            if self.columns[column].key == "effect":
                values = values.abs()
            order = (
                np.argsort(values.to_numpy(dtype=float, na_value=np.nan), kind="stable")
                if (pd.api.types.is_numeric_dtype(values))
                else np.argsort(values.astype(str).to_numpy(), kind="stable")
            )
            rows = rows[order if ascending else order[::-1]]
            if pd.api.types.is_numeric_dtype(values):  # what has no value stands last either way
                missing = pd.isna(table[self.columns[column].key].iloc[rows]).to_numpy()
                rows = np.concatenate([rows[~missing], rows[missing]])
        self._rows = rows

    def row_of(self, feature: int) -> int:
        """Give the shown row of a feature, -1 where it is not shown."""
        if "feature" not in self._table.columns or not len(self._rows):
            return -1
        hit = np.flatnonzero(self._table["feature"].to_numpy()[self._rows] == feature)
        return int(hit[0]) if len(hit) else -1

    def value(self, row: int, key: str) -> Any:
        """Give the value of a shown row."""
        return self._cells[key][self._rows[row]] if key in self._cells else None

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

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Give what a cell shows."""
        if not index.isValid():
            return None
        key = self.columns[index.column()].key
        if role == Qt.ItemDataRole.DisplayRole:
            return self._words(index.row(), key)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._long(index.row(), key)
        if role == Qt.ItemDataRole.TextAlignmentRole and key in {"auroc", "q", "density"}:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == EFFECT_ROLE and key == "effect":
            low, high = (self.value(index.row(), f"effect_{end}") for end in ("low", "high"))
            return (self.value(index.row(), "effect"), low, high, self._reach)
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; effects by their size. A column of -1 goes back to the ranking."""
        self.beginResetModel()
        self._sort = None if column < 0 else (column, order == Qt.SortOrder.AscendingOrder)
        self._order()
        self.endResetModel()

    def _words(self, row: int, key: str) -> str:
        value = self.value(row, key)
        if value is None or value is pd.NA or value != value:
            return ""
        if key == "feature":
            return f"F{value}"
        if key == "covariate":
            return str(value).replace("_", " ")
        if key == "effect":
            low, high = self.value(row, "effect_low"), self.value(row, "effect_high")
            digits = 1 if max(abs(v) for v in (value, low or 0, high or 0) if v == v) < 10 else 0
            ends = f" [{low:.{digits}f}, {high:.{digits}f}]" if low is not None and low == low else ""
            return f"{value:+.1f}{ends}"
        if key == "technical":
            words = str(value).lower()
            return "?" if words.startswith("not") else "yes" if words in {"yes", "true"} else "–"
        if key == "group":
            star = " ★" if self.value(row, "representative") is True else ""
            return f"{value}{star}"
        if key == "density":
            return f"{value:.1%}"
        if key == "q":
            return "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
        return f"{value:.2f}" if isinstance(value, float) else str(value)

    def _long(self, row: int, key: str) -> str:
        if key == "technical":
            nuisance = self.value(row, "nuisance")
            share = self.value(row, "nuisance_r2")
            about = (
                f" (strongest: {nuisance}, R² {share:.2f})" if nuisance and share is not None and share == share else ""
            )
            return f"technical: {self.value(row, key)}{about}"
        lines = []
        for name in ("hedges_g", "ssmd", "robust_z", "zprime", "p", "active_difference", "sign_stable", "count_linked"):
            value = self.value(row, name)
            if value is not None and value is not pd.NA and value == value:
                lines.append(
                    f"{name.replace('_', ' ')}: {value:.3g}"
                    if isinstance(value, float)
                    else f"{name.replace('_', ' ')}: {value}"
                )
        return "\n".join(lines)
