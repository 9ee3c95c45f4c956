"""Step 2: the plate map, roles by hand, and walking over wells, fields and views."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QButtonGroup, QComboBox, QLabel, QToolButton, QWidget

from napari_phenolens.viewer.describing import describe
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.large_map import open_large
from napari_phenolens.widgets.map_panel import MapPanel, small_button
from napari_phenolens.widgets.parts import Connections, Section, hint, one_line, row
from napari_phenolens.widgets.provisional import ProvisionalNote
from napari_phenolens.widgets.tooltips import tip

_VIEWS = (
    ("wells.view_field", "One field", "field"),
    ("wells.view_well", "All fields", "well"),
    ("wells.view_plate", "Whole plate", "plate"),
)


class WellsSection(Section):
    """The plate map with what stands around it."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("2  Wells", parent)
        self.bench = bench
        self.panel = MapPanel(bench, connections, self)
        self.map, self.colour, self.legend = self.panel.map, self.panel.colour, self.panel.legend
        self.note, self.marks, self.reset = self.panel.note, self.panel.marks, self.panel.reset
        self.panel.open_large.clicked.connect(lambda: open_large(bench, self))
        self.field = QComboBox()
        tip(self.field, "wells.field")
        self.field.activated.connect(self._choose_field)
        self.previous, self.next = QToolButton(), QToolButton()
        self.previous.setText("◀")
        self.next.setText("▶")
        tip(self.previous, "wells.previous").clicked.connect(lambda: self._step(-1))
        tip(self.next, "wells.next").clicked.connect(lambda: self._step(1))
        self.now = one_line()
        self.views = {}
        group = QButtonGroup(self)
        for key, words, view in _VIEWS:
            button = small_button(words)
            button.setCheckable(True)
            tip(button, key).clicked.connect(lambda _checked=False, view=view: self._choose_view(view))
            group.addButton(button)
            self.views[view] = button
        self.empty = hint("The wells appear here once a plate is open (step 1).")
        self.body.addWidget(self.empty)
        self.body.addWidget(ProvisionalNote(bench, connections))
        self.body.addWidget(self.panel)
        self.body.addLayout(self.panel.marked)
        self.body.addLayout(row(QLabel("Picture"), *self.views.values()))
        self.body.addLayout(row(self.previous, self.next, self.now, self.field, stretch=2))
        events = bench.session.events
        for signal in (events.plate, events.run):
            connections.connect(signal, self._plate)
        connections.connect(events.roles, self._sum_up)
        for signal in (events.view, events.well, events.side_by_side):
            connections.connect(signal, self._view)
        connections.connect(events.well, self._current)
        connections.connect(events.field_name, self._current)
        self._plate()

    def _plate(self, _value: object = None) -> None:
        there = self.bench.session.source is not None
        self.empty.setVisible(not there)
        for part in (self.previous, self.next, self.now, self.field):
            part.setEnabled(there)
        self._sum_up()
        self._view()
        self._current()

    def _sum_up(self, _value: object = None) -> None:
        said = [f"{n} {role}" for role, n in self.panel.counts().items() if n]
        self.set_summary(", ".join(said) or ("no roles yet" if self.bench.session.source is not None else ""))

    def _view(self, _value: object = None) -> None:
        s = self.bench.session
        several = s.plate is not None and any(len(well.fields) > 1 for well in s.plate.wells.values())
        there = {"field": s.source is not None, "well": several, "plate": s.plate is not None}
        for view, button in self.views.items():
            button.setEnabled(there[view])
            button.setChecked(view == s.view)
        self.field.setEnabled(s.source is not None and s.view != "plate")

    def _choose_view(self, view: str) -> None:
        self.bench.attempt("Showing the picture", self.bench.showing.view, view)
        self._view()

    def _current(self, _value: object = None) -> None:
        s = self.bench.session
        names = self.bench.showing.fields()
        with QSignalBlocker(self.field):
            self.field.clear()
            self.field.addItems([f"field {name}" for name in names])
            if s.field_name in names:
                self.field.setCurrentIndex(names.index(s.field_name))
        self.field.setVisible(len(names) > 1)
        words = describe(s.source, s.well) if s.well else ""
        self.now.setText(" · ".join(w for w in (s.well or "", words) if w) or "Click a well to see it.")

    def _step(self, by: int) -> None:
        self.bench.attempt("Showing a well", self.bench.showing.step, by)

    def _choose_field(self, index: int) -> None:
        s = self.bench.session
        names = self.bench.showing.fields()
        if s.well is not None and 0 <= index < len(names):
            self.bench.attempt(f"Showing {s.well}", self.bench.showing.well, s.well, names[index])
