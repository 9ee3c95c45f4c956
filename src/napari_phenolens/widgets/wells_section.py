"""Step 2: the plate map, what colours it, roles by hand, and walking over wells and fields."""

from __future__ import annotations

import numpy as np
import pandas as pd
from qtpy.QtCore import QSignalBlocker
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QSizePolicy, QToolButton, QWidget

from napari_phenolens.analysis.well_values import WellValues
from napari_phenolens.viewer import roles
from napari_phenolens.viewer.showing import describe
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.legend import Legend
from napari_phenolens.widgets.palette import CATEGORIES, NO_VALUE, colours_of
from napari_phenolens.widgets.parts import Connections, Section, hint, plural, row
from napari_phenolens.widgets.plate_map import PlateMap
from napari_phenolens.widgets.tooltips import tip

_MARKS = (
    ("wells.control", "Control", roles.CONTROL),
    ("wells.perturbed", "Perturbed", roles.PERTURBED),
    ("wells.positive", "Positive", roles.POSITIVE),
    ("wells.excluded", "Exclude", roles.EXCLUDED),
)


class WellsSection(Section):
    """The plate map with its controls."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("2  Wells", parent)
        self.bench = bench
        self.map = PlateMap(self)
        tip(self.map, "wells.map")
        self.map.describe = self._describe
        self.map.well_clicked.connect(self._show_well)
        self.map.selection_changed.connect(self._select)
        self.colour = QComboBox()
        tip(self.colour, "wells.colour")
        self.colour.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.colour.activated.connect(self._choose_colour)
        self.legend = Legend(self)
        self.note = hint()
        self.field = QComboBox()
        tip(self.field, "wells.field")
        self.field.activated.connect(self._choose_field)
        self.previous, self.next = QToolButton(), QToolButton()
        self.previous.setText("◀")
        self.next.setText("▶")
        tip(self.previous, "wells.previous").clicked.connect(lambda: self._step(-1))
        tip(self.next, "wells.next").clicked.connect(lambda: self._step(1))
        self.now = hint()
        self.marks = []
        for key, text, role in _MARKS:
            button = small_button(text)
            tip(button, key)
            button.clicked.connect(lambda _checked=False, role=role: self._mark(role))
            self.marks.append(button)
        self.reset = small_button("Reset")
        tip(self.reset, "wells.reset").clicked.connect(lambda: self._mark(None))
        self.empty = hint("The wells appear here once a plate is open (step 1).")
        self.controls = QWidget()
        self.body.addWidget(self.empty)
        self.body.addWidget(self.map)
        self.body.addWidget(self.legend)
        self.body.addWidget(self.note)
        self.body.addLayout(row(QLabel("Colour by"), self.colour, stretch=1))
        self.body.addLayout(row(self.previous, self.next, self.now, self.field, stretch=2))
        self.marked = row(QLabel("Mark"), *self.marks, self.reset)
        self.body.addLayout(self.marked)
        events = bench.session.events
        for signal in (events.plate, events.run):
            connections.connect(signal, self._plate)
        for signal in (events.roles, events.comparison, events.feature, events.score, events.colour_by):
            connections.connect(signal, self._colours)
        connections.connect(events.well, self._current)
        connections.connect(events.field_name, self._current)
        connections.connect(events.selected, self._selection)
        self._plate()

    def _plate(self, _value: object = None) -> None:
        s = self.bench.session
        source = s.source
        there = source is not None
        self.empty.setVisible(not there)
        parts = [
            self.map,
            self.legend,
            self.colour,
            self.previous,
            self.next,
            self.now,
            self.field,
            self.reset,
            *self.marks,
        ]
        for part in parts:
            part.setEnabled(there)
        self.map.setVisible(there)
        self.legend.setVisible(there)
        if source is not None:
            wells = s.wells
            from napari_phenolens.plate import plate_format

            mapped = [str(well) for well in source.metadata.index]
            size = getattr(source, "format", None) or plate_format([*wells, *mapped])
            self.map.set_plate(tuple(size), wells, mapped)
        self._colours()
        self._current()
        self._selection()

    def _colours(self, _value: object = None) -> None:
        s = self.bench.session
        choices = self.bench.comparing.choices()
        with QSignalBlocker(self.colour):
            self.colour.clear()
            for key, words in choices:
                self.colour.addItem(words, key)
            self.colour.setCurrentIndex(max(0, self.colour.findData(s.colour_by)))
        self.map.set_roles(s.roles)
        shown = self.bench.comparing.shown()
        self.map.set_colours(well_colours(shown))
        counts = {role: list(s.roles.values()).count(role) for role in roles.ROLES}
        self.legend.show_values(shown, counts)
        self.note.setText(shown.note)
        self.note.setVisible(bool(shown.note))
        said = [f"{n} {role}" for role, n in counts.items() if n]
        self.set_summary(", ".join(said) if said else ("no roles yet" if s.source is not None else ""))

    def _current(self, _value: object = None) -> None:
        s = self.bench.session
        self.map.set_current(s.well)
        names = self.bench.showing.fields()
        with QSignalBlocker(self.field):
            self.field.clear()
            self.field.addItems([f"field {name}" for name in names])
            if s.field_name in names:
                self.field.setCurrentIndex(names.index(s.field_name))
        self.field.setVisible(len(names) > 1)
        words = describe(s.source, s.well) if s.well else ""
        self.now.setText(" · ".join(w for w in (s.well or "", words) if w) or "Click a well to see it.")

    def _selection(self, _value: object = None) -> None:
        self.map.set_selected(self.bench.session.selected)
        for button in self.marks:
            button.setEnabled(bool(self.bench.session.selected))

    def _describe(self, well: str) -> str:
        s = self.bench.session
        if s.source is None:
            return ""
        lines = [well]
        if well not in s.wells:
            return f"{well}\nno images" + (" (it is in the plate map)" if well in s.source.metadata.index else "")
        words = describe(s.source, well, limit=4)
        if words:
            lines.append(words)
        lines.append(s.roles.get(well, "no role"))
        lines.append(plural(len(self.bench.showing.fields(well)), "field"))
        shown = self.bench.comparing.shown()
        if shown.values is not None and well in shown.values.index:
            value = float(shown.values[well])
            lines.append(f"{shown.title}: {value:.3g}" if np.isfinite(value) else f"{shown.title}: no value")
        return "\n".join(lines)

    def _show_well(self, well: str) -> None:
        self.bench.attempt(f"Showing {well}", self.bench.showing.well, well)

    def _step(self, by: int) -> None:
        self.bench.attempt("Showing a well", self.bench.showing.step, by)

    def _choose_field(self, index: int) -> None:
        s = self.bench.session
        names = self.bench.showing.fields()
        if s.well is not None and 0 <= index < len(names):
            self.bench.attempt(f"Showing {s.well}", self.bench.showing.well, s.well, names[index])

    def _choose_colour(self, index: int) -> None:
        self.bench.session.colour_by = str(self.colour.itemData(index))

    def _select(self, wells: tuple[str, ...]) -> None:
        self.bench.session.selected = wells

    def _mark(self, role: str | None) -> None:
        s = self.bench.session
        wells = s.selected if s.selected or role is not None else tuple(s.wells)
        if wells:
            self.bench.mark(wells, role)


def small_button(text: str) -> QPushButton:
    """Give a button as wide as its word, so that five fit beside each other."""
    button = QPushButton(text)
    button.setStyleSheet("QPushButton { padding: 3px 6px; min-width: 0px; }")
    return button


def well_colours(shown: WellValues) -> dict[str, QColor] | None:
    """Turn what the plate map shows into colours; None where roles colour it."""
    if shown.values is not None:
        numbers = [float(value) for value in shown.values]
        colours = colours_of(numbers, shown.limits or (0.0, 1.0), diverging=shown.diverging)
        return dict(zip(map(str, shown.values.index), colours, strict=True))
    if shown.categories is not None:
        levels = category_levels(shown.categories)
        places = {level: i for i, level in enumerate(levels)}
        return {
            str(well): QColor(CATEGORIES[places[value] % len(CATEGORIES)]) if value in places else NO_VALUE
            for well, value in shown.categories.items()
        }
    return None


def category_levels(categories: pd.Series) -> list[object]:
    """Give the distinct values in a stable order."""
    return sorted(categories.dropna().unique(), key=lambda value: (str(type(value)), value))
