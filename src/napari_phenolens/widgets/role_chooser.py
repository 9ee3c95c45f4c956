"""Roles from the plate map: a column, some of its values, and at once the wells that they pick."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QComboBox, QLabel, QListWidget, QListWidgetItem, QSizePolicy, QVBoxLayout, QWidget

from napari_phenolens.plate.roles import CONTROL, EXCLUDED, PERTURBED, POSITIVE
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.map_panel import small_button
from napari_phenolens.widgets.parts import Connections, hint, plural, row
from napari_phenolens.widgets.tooltips import tip

_GIVEN = (
    ("roles.as_control", "Controls", CONTROL),
    ("roles.as_perturbed", "Perturbed", PERTURBED),
    ("roles.as_positive", "Positive", POSITIVE),
    ("roles.as_excluded", "Exclude", EXCLUDED),
)
LISTED = 12  # names of wells that are written out
LINES = 5  # values that are seen without scrolling
_LOOK = (  # napari's theme draws an empty tick box in the colour of the list
    "QListWidget::item { padding: 2px; } "
    "QListWidget::indicator:unchecked { border: 1px solid #8c9196; border-radius: 2px; width: 11px; height: 11px; }"
)


class RoleChooser(QWidget):
    """Chooses wells by the plate map's columns and gives them a role."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bench = bench
        self.column = QComboBox()
        tip(self.column, "roles.column")
        self.column.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.column.activated.connect(self._column)
        self.values = QListWidget()
        tip(self.values, "roles.values")
        self.values.setUniformItemSizes(True)
        self.values.setStyleSheet(_LOOK)
        self.values.itemChanged.connect(self._ticked)
        self.picked = hint()
        self.buttons = {}
        for key, words, role in _GIVEN:
            button = small_button(words)
            tip(button, key)
            button.clicked.connect(lambda _checked=False, role=role: self._give(role))
            self.buttons[role] = button
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(3)
        body.addLayout(row(QLabel("Wells whose"), self.column, stretch=1))
        body.addWidget(self.values)
        body.addWidget(self.picked)
        body.addLayout(row(QLabel("Use as"), *self.buttons.values()))
        for signal in (bench.session.events.plate, bench.session.events.run):
            connections.connect(signal, self._plate)
        connections.connect(bench.session.events.preview, self._show)
        self._plate()

    @property
    def query(self) -> str:
        """The query of what is ticked; empty where nothing is."""
        items = [self.values.item(i) for i in range(self.values.count())]
        ticked = [item.data(Qt.ItemDataRole.UserRole) for item in items if item.checkState() == Qt.CheckState.Checked]
        return self.bench.selecting.query(self.column.currentText(), [value for (value,) in ticked]) if ticked else ""

    def _plate(self, _value: object = None) -> None:
        columns = self.bench.selecting.columns()
        before = self.column.currentText()
        with QSignalBlocker(self.column):
            self.column.clear()
            self.column.addItems(columns)
            self.column.setCurrentIndex(max(0, columns.index(before) if before in columns else 0) if columns else -1)
        self.setVisible(bool(columns))
        self._column()

    def _column(self, _index: int = 0) -> None:
        name = self.column.currentText()
        with QSignalBlocker(self.values):
            self.values.clear()
            for value, wells in self.bench.selecting.values(name) if name else ():
                item = QListWidgetItem(f"{'(no entry)' if value is None else said(value)}    {plural(wells, 'well')}")
                item.setData(Qt.ItemDataRole.UserRole, (value,))
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                item.setCheckState(Qt.CheckState.Unchecked)
                self.values.addItem(item)
        lines = min(LINES, max(2, self.values.count()))
        self.values.setFixedHeight(lines * max(18, self.values.sizeHintForRow(0)) + 6)
        self._ticked()

    def _ticked(self, _item: object = None) -> None:
        self.bench.selecting.preview(self.query)
        self._show()

    def _show(self, _value: object = None) -> None:
        wells, query = self.bench.session.preview, self.query
        for button in self.buttons.values():
            button.setEnabled(bool(query and wells))
        more = f" and {len(wells) - LISTED} more" if len(wells) > LISTED else ""
        self.picked.setText(f"{plural(len(wells), 'well')}: {', '.join(wells[:LISTED])}{more}" if wells else "")
        self.picked.setVisible(bool(wells))

    def _give(self, role: str) -> None:
        self.bench.selecting.give(role, self.query)
        self._column()


def said(value: Any) -> str:
    """Write a value as short as it can be told from others."""
    return f"{value:g}" if isinstance(value, float) else str(value)
