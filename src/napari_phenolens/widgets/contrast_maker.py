"""Making a contrast: A against B by roles, by entries of the plate map, or by what is selected on it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from napari_phenolens.viewer.contrasting import ROLES, SELECTION, VALUES, some, words
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.chart import boxes
from napari_phenolens.widgets.parts import Connections, plural, row
from napari_phenolens.widgets.tooltips import tip


class ContrastMaker(QWidget):
    """Chooses both sides and starts the comparison."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bench = bench
        self._picked: dict[str, tuple[tuple[str, ...], bool]] = {}
        self.by = QComboBox()
        tip(self.by, "contrasts.by").activated.connect(self._turn)
        for key, text in ((ROLES, "roles"), (VALUES, "plate map"), (SELECTION, "selection")):
            self.by.addItem(text, key)
        self.go = QPushButton("Compare")
        tip(self.go, "contrasts.go").clicked.connect(self._start)
        self.column, self.control, self.perturbed = QComboBox(), QComboBox(), QComboBox()
        tip(self.column, "contrasts.column").activated.connect(self._values)
        tip(self.control, "contrasts.control")
        tip(self.perturbed, "contrasts.perturbed")
        self.take_a, self.take_b = QPushButton("A: take selection"), QPushButton("B: take selection")
        tip(self.take_a, "contrasts.take_a").clicked.connect(lambda: self._take("A"))
        tip(self.take_b, "contrasts.take_b").clicked.connect(lambda: self._take("B"))
        self.pages = QStackedWidget()
        for parts in (
            (QLabel("perturbed wells (B) against control wells (A), as in step 3"),),
            (self.column, QLabel("B"), self.perturbed, QLabel("vs A"), self.control),
            (self.take_b, QLabel("vs"), self.take_a),
        ):
            page = QWidget()
            layout = QVBoxLayout(page)
            layout.setContentsMargins(0, 0, 0, 0)
            layout.addLayout(boxes(*parts) if any(isinstance(part, QComboBox) for part in parts) else row(*parts))
            self.pages.addWidget(page)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(row(QLabel("New contrast by"), self.by, self.go))
        layout.addWidget(self.pages)
        events = bench.session.events
        for signal in (events.run, events.plate):
            connections.connect(signal, self._columns)
        self._columns()

    def _turn(self, index: int) -> None:
        self.pages.setCurrentIndex(index)

    def _columns(self, _value: object = None) -> None:
        """List the columns to choose from; sides taken from another plate are forgotten."""
        self._picked = {}
        self._tell()
        before = self.column.currentData()
        with QSignalBlocker(self.column):
            self.column.clear()
            for name in self.bench.selecting.columns():
                self.column.addItem(str(name), str(name))
            self.column.setCurrentIndex(max(0, self.column.findData(before)))
        self._values()

    def _values(self, _value: object = None) -> None:
        column = self.column.currentData()
        values: list[tuple[Any, int]] = [] if column is None else self.bench.selecting.values(column)
        for place, box in enumerate((self.control, self.perturbed)):
            with QSignalBlocker(box):
                box.clear()
                for value, wells in values:
                    box.addItem(f"{words(value)} ({wells})", value)
                box.setCurrentIndex(min(place, box.count() - 1))

    def _take(self, side: str) -> None:
        """Take the wells that are selected now, and remember whether they were selected after looking."""
        wells, after = self.bench.contrasting.selection()
        if wells:
            self._picked[side] = (wells, after)
        else:
            self.bench.session.status = "Select wells on the plate map first: drag over them, or Ctrl-click."
        self._tell()

    def _tell(self) -> None:
        for side, button in (("A", self.take_a), ("B", self.take_b)):
            taken = self._picked.get(side)
            button.setText(f"{side}: take selection" if taken is None else f"{side}: {plural(len(taken[0]), 'well')}")
            said = "" if taken is None else f"\nNow: {some(taken[0], 24)}"
            tip(button, "contrasts.take_a" if side == "A" else "contrasts.take_b")
            button.setToolTip(button.toolTip() + said)

    def _start(self) -> None:
        contrasting, by = self.bench.contrasting, self.by.currentData()
        if by == VALUES:
            self.bench.attempt(
                "Comparing",
                contrasting.by_values,
                self.column.currentData(),
                self.control.currentData(),
                self.perturbed.currentData(),
            )
        elif by == SELECTION:
            if set(self._picked) != {"A", "B"}:
                self.bench.session.status = "Select wells on the plate map and take them as A, then others as B."
                return
            (a, after_a), (b, after_b) = self._picked["A"], self._picked["B"]
            self.bench.attempt("Comparing", self._by_selection, a, b, after_a or after_b)
        else:
            self.bench.attempt("Comparing", contrasting.by_roles)

    def _by_selection(self, a: tuple[str, ...], b: tuple[str, ...], after: bool) -> None:
        self.bench.contrasting.by_selection(a, b, picked_after=after)
