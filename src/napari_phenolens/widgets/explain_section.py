"""Step 8: a click on the cells, and the features of that place; or a region drawn on them, and the features of it."""

from __future__ import annotations

from typing import Any

import pandas as pd
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTableView,
    QWidget,
)

from napari_phenolens.viewer import cell_page, compat
from napari_phenolens.viewer.regions import CONTROL, REST
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.parts import Connections, Section, hint, row
from napari_phenolens.widgets.tooltips import tip

_COLUMNS = (
    ("feature", "Feature", "The feature's number."),
    ("activation", "Activation", "The feature's value at this place."),
    ("share", "Share", "How much of what the features say of this place is this feature."),
    ("auroc", "AUROC", "Chance that the feature is stronger in a patch of the region than in another one."),
    ("effect", "Effect", "Region minus the others, in standard deviations of single patches."),
    ("inside", "In region", "Mean activation of the region's patches."),
    ("outside", "Others", "Mean activation of the patches that it is held against."),
    ("percentile", "Percentile", "The percentile of this value among all foreground patches of the control wells."),
    ("well_z", "Well z", "The well's mean of this feature, in standard deviations of the control wells."),
)
ROWS = 20


class PlaceModel(QAbstractTableModel):
    """The first rows of an explanation."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = pd.DataFrame()
        self.columns: tuple[tuple[str, str, str], ...] = ()

    def set_table(self, table: pd.DataFrame | None) -> None:
        """Show a table of `napari_phenolens.explain`."""
        self.beginResetModel()
        table = pd.DataFrame() if table is None else table
        self._table = (table if "feature" in table.columns else table.rename_axis("feature").reset_index()).head(ROWS)
        known = [c for c in _COLUMNS if c[0] in self._table.columns]
        self.columns = tuple(c for c in known if c[0] == "feature" or not self._table[c[0]].isna().all())
        self.endResetModel()

    def feature(self, row: int) -> int:
        """Give the feature of a row."""
        return int(self._table["feature"].iloc[row])

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Give the number of rows."""
        return 0 if parent is not None and parent.isValid() else len(self._table)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Give the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:  # noqa: N802 - Qt's name
        """Give titles and explanations."""
        if orientation == Qt.Orientation.Horizontal and section < len(self.columns):
            if role == Qt.ItemDataRole.DisplayRole:
                return self.columns[section][1]
            if role == Qt.ItemDataRole.ToolTipRole:
                return self.columns[section][2]
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Give a cell's words."""
        if not index.isValid() or role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.TextAlignmentRole):
            return None
        key = self.columns[index.column()][0]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if key == "feature" else Qt.AlignmentFlag.AlignRight
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        value = self._table[key].iloc[index.row()]
        if value != value:
            return "–"
        if key == "feature":
            return f"F{int(value)}"
        if key == "share":
            return f"{value:.0%}"
        if key == "percentile":
            return f"{value:.1f} %"
        return f"{value:+.1f}" if key in ("well_z", "effect") else f"{value:.3f}"


class ExplainSection(Section):
    """What is at a place."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("8  Explain a place or a region", parent)
        self.bench = bench
        self.enabled = QCheckBox("Click a cell to explain a place")
        self.enabled.setChecked(bench.picking.enabled)
        tip(self.enabled, "explain.enabled").toggled.connect(self._enable)
        self.text = hint()
        self.model = PlaceModel(self)
        self.table = QTableView()
        self.table.setModel(self.model)
        tip(self.table, "explain.table")
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.setShowGrid(False)
        self.table.setFixedHeight(190)
        self.table.clicked.connect(self._chosen)
        self.table.activated.connect(self._chosen)
        self.cell = QPushButton("Explain the cell…")
        tip(self.cell, "explain.cell").clicked.connect(lambda: compat.open_dock(bench.viewer, cell_page.DOCK))
        self.body.addLayout(row(self.enabled, self.cell, stretch=0))
        self.draw, self.compare, self.against = QPushButton("Draw a region"), QPushButton("Compare"), QComboBox()
        for words, side in (("the rest of the field", REST), ("control wells", CONTROL)):
            self.against.addItem(words, side)
        tip(self.against, "explain.against")
        tip(self.draw, "explain.draw").clicked.connect(lambda: bench.attempt("Drawing", bench.regions.draw))
        tip(self.compare, "explain.compare").clicked.connect(
            lambda: bench.attempt("Comparing the region", bench.regions.compare, self.against.currentData())
        )
        self.against.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # never widens the dock
        self.body.addLayout(row(self.draw, QLabel("vs"), self.against, self.compare, stretch=2))
        self.body.addWidget(self.text)
        self.body.addWidget(self.table)
        events = bench.session.events
        for signal in (events.explanation, events.run, events.well, events.place):
            connections.connect(signal, self._show)
        self._show()

    def _enable(self, on: bool) -> None:
        self.bench.picking.enabled = on

    def _show(self, _value: object = None) -> None:
        s = self.bench.session
        table = s.explanation
        self.model.set_table(table)
        self.table.setVisible(table is not None and len(table) > 0)
        if s.run is None:
            self.text.setText("Needs features: run the model or open results (step 4).")
            self.set_summary("")
            return
        if table is None:
            self.text.setText("Click on a cell in the picture: the features of that place are listed here.")
            self.set_summary("")
            return
        notes = [str(note) for note in table.attrs.get("notes", ())]
        region = str(table.attrs.get("where", ""))
        where = f"{s.well}, y {s.place[0]}, x {s.place[1]}" if s.place is not None else region or f"{s.well}"
        if region:
            notes.insert(0, f"{where[0].upper()}{where[1:]}: the features that tell it from the others, ranked.")
        elif not len(table):
            notes.insert(0, "No feature is active here; click on a cell.")
        else:
            notes.insert(0, f"{where}: {len(table)} features. They say what looks alike, not what causes it.")
        self.text.setText("\n".join(notes))
        self.set_summary(where)

    def _chosen(self, index: QModelIndex) -> None:
        if index.isValid():
            feature = self.model.feature(index.row())
            self.bench.attempt("Showing the heatmap", self.bench.showing.feature, feature)
