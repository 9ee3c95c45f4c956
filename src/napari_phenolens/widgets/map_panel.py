"""The plate map with its legend, what colours it, and the marking of wells: in the dock, or large in its own."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QPoint, QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_phenolens.plate import plate_format
from napari_phenolens.viewer import roles
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.legend import Legend
from napari_phenolens.widgets.palette import fills_of
from napari_phenolens.widgets.parts import Connections, hint, one_line, pause, row
from napari_phenolens.widgets.plate_map import PlateMap
from napari_phenolens.widgets.tooltips import tip

_MARKS = (
    ("wells.control", "Control", roles.CONTROL),
    ("wells.perturbed", "Perturbed", roles.PERTURBED),
    ("wells.positive", "Positive", roles.POSITIVE),
    ("wells.excluded", "Exclude", roles.EXCLUDED),
)
SOON_MS = 250  # after another feature was chosen at the latest: else with its heatmap, so that all is drawn at once
FILES = "Figure (*.png);;Vector figure (*.svg);;Table (*.csv)"


class MapPanel(QWidget):
    """The plate map as an instrument; several may show one session.

    Parameters
    ----------
    bench : Workbench
    connections : Connections
    large : bool
        Whether the wells grow with the panel.
    """

    def __init__(
        self, bench: Workbench, connections: Connections, parent: QWidget | None = None, *, large: bool = False
    ) -> None:
        super().__init__(parent)
        self.bench = bench
        self._known: list[tuple[str, str]] = []
        self.map = PlateMap(self, large=large)
        tip(self.map, "wells.map")
        self.map.describe = lambda well: "\n".join(bench.selecting.told(well))
        self.map.well_clicked.connect(self._show_well)
        self.map.selection_changed.connect(bench.selecting.select)
        self.map.pointed.connect(self._point)
        self.map.menu_wanted.connect(self._menu)
        self.readout = one_line()
        self.legend = Legend(self)
        self.note = hint()
        self.colour = QComboBox()
        tip(self.colour, "wells.colour")
        self.colour.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.colour.activated.connect(self._choose_colour)
        self.z = QCheckBox("z")
        tip(self.z, "wells.z").clicked.connect(self._choose_z)
        self.save = small_button("Save…")
        tip(self.save, "wells.save").clicked.connect(self._save)
        self.open_large = small_button("Large…")
        tip(self.open_large, "wells.large")
        self.marks = [self._button(key, text, role) for key, text, role in _MARKS]
        self.reset = self._button("wells.reset", "Reset", None)
        self._lay_out(large)
        events = bench.session.events
        for signal in (events.plate, events.run):
            connections.connect(signal, self._plate)
        coloured = (
            events.roles, events.comparison, events.score, events.responders, events.colour_by, events.provisional,
        )  # fmt: skip
        for signal in coloured:
            connections.connect(signal, self._colours)
        self._soon = pause(self, SOON_MS, self._colours)
        connections.connect(events.feature, self._feature)
        connections.connect(bench.slots.shown, self._heatmap_shown)
        connections.connect(events.well, self._current)
        connections.connect(events.selected, self._selection)
        connections.connect(events.preview, self.map.set_preview)
        self._plate()

    def _lay_out(self, large: bool) -> None:
        """Put the parts below the map, or, where height is dear, to its right."""
        self.map_room = QVBoxLayout()
        self.map_room.addWidget(self.map)
        self.side = QVBoxLayout()
        self.side.setSpacing(4)
        tools = (QLabel("Colour by"), self.colour, self.z, self.save, self.open_large)
        self.marked = row(QLabel("Mark"), *self.marks, self.reset)
        for widget in (self.readout, self.legend, self.note):
            self.side.addWidget(widget)
        self.side.addLayout(row(*tools, stretch=1))
        if large:
            self.side.addLayout(self.marked)
            self.side.addStretch(1)
        body = QHBoxLayout(self) if large else QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(8 if large else 4)
        body.addLayout(self.map_room, 2 if large else 0)
        body.addLayout(self.side, 1 if large else 0)
        if large:
            self.open_large.hide()

    def _button(self, key: str, text: str, role: str | None) -> QPushButton:
        button = small_button(text)
        tip(button, key)
        button.clicked.connect(lambda: self._mark(role))
        return button

    # ---- showing the session ----------------------------------------------------------------------------------------
    def _plate(self, _value: object = None) -> None:
        s = self.bench.session
        source = s.source
        there = source is not None
        for part in (self.map, self.legend, self.colour, self.z, self.save, self.open_large, self.reset, *self.marks):
            part.setEnabled(there)
        for part in (self.map, self.legend, self.readout):
            part.setVisible(there)
        if source is not None:
            mapped = [str(well) for well in source.metadata.index]
            size = getattr(source, "format", None) or plate_format([*s.wells, *mapped])
            self.map.set_plate(tuple(size), s.wells, mapped)
        self._colours()
        self._current()
        self._selection()

    def _colours(self, _value: object = None) -> None:
        self._soon.stop()  # whatever asked for it: it has the chosen feature's colours, too
        s, comparing = self.bench.session, self.bench.comparing
        choices = comparing.choices()
        base = comparing.base_of(s.colour_by)
        with QSignalBlocker(self.colour):
            if choices != self._known:
                self._known = choices
                self.colour.clear()
                for key, words in choices:
                    self.colour.addItem(words, key)
            self.colour.setCurrentIndex(max(0, self.colour.findData(base)))
        with QSignalBlocker(self.z):
            self.z.setEnabled(bool(comparing.z_of(s.colour_by)))
            self.z.setChecked(base != s.colour_by)
        shown = comparing.shown()
        self.map.set_roles(s.roles)
        by_role = shown.values is None and shown.categories is None
        self.map.set_colours(None if by_role else fills_of(shown, s.roles, s.wells))
        self.legend.show_values(shown, self.counts())
        self.note.setText(shown.note)
        self.note.setVisible(bool(shown.note))

    def _feature(self, _feature: object) -> None:
        self._soon.start()

    def _heatmap_shown(self, _slot: int) -> None:
        if self._soon.isActive():
            self._colours()

    def counts(self) -> dict[str, int]:
        """Count the wells of each role."""
        assigned = list(self.bench.session.roles.values())
        return {role: assigned.count(role) for role in roles.ROLES}

    def _current(self, _value: object = None) -> None:
        self.map.set_current(self.bench.session.well)
        self._point("")

    def _selection(self, _value: object = None) -> None:
        s = self.bench.session
        self.map.set_selected(s.selected)
        for button in self.marks:
            button.setEnabled(bool(s.selected))
        self._point("")

    def _point(self, well: str) -> None:
        """Say in one line what the mouse or the cursor is on; else what is selected."""
        s = self.bench.session
        chosen = f"{len(s.selected)} wells selected" if len(s.selected) > 1 else ""
        text = " · ".join(self.bench.selecting.told(well)) if well else chosen
        self.readout.setText(text or "Point at a well to read it; click to see it.")
        self.map.setAccessibleDescription(self.readout.text())

    # ---- what the user wants ----------------------------------------------------------------------------------------
    def _show_well(self, well: str) -> None:
        self.bench.attempt(f"Showing {well}", self.bench.showing.well, well)

    def _choose_colour(self, index: int) -> None:
        key = str(self.colour.itemData(index))
        z = self.bench.comparing.z_of(key) if self.z.isChecked() else ""
        self.bench.session.colour_by = z or key

    def _choose_z(self, on: bool) -> None:
        s, comparing = self.bench.session, self.bench.comparing
        s.colour_by = comparing.z_of(s.colour_by) if on else comparing.base_of(s.colour_by)

    def _mark(self, role: str | None) -> None:
        s = self.bench.session
        wells = s.selected if s.selected or role is not None else tuple(s.wells)
        if wells:
            self.bench.mark(wells, role)

    def menu_for(self, well: str) -> QMenu:
        """Make the menu of a well: show it, select its like, mark what is selected."""
        s, selecting = self.bench.session, self.bench.selecting
        menu = QMenu(self)
        if well not in s.selected:
            selecting.select([well])
        menu.addAction(f"Show {well}").triggered.connect(lambda: self._show_well(well))
        columns = selecting.columns() if well in s.source.metadata.index else []
        if columns:
            like = menu.addMenu("Select wells with the same")
            for column in columns:
                value = s.source.metadata.loc[well, column]
                action = like.addAction(f"{column}: {value}")
                action.triggered.connect(lambda _checked=False, c=column: selecting.select_like(well, c))
        menu.addSeparator()
        for _, text, role in (*_MARKS, ("", "Reset the role", None)):
            words = text if role is None else f"Mark as {role}"
            menu.addAction(words).triggered.connect(lambda _checked=False, r=role: self._mark(r))
        return menu

    def _menu(self, well: str, at: QPoint) -> None:
        menu = self.menu_for(well)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(at)

    def _save(self, _checked: bool = False, ask: Callable[..., tuple[str, str]] | None = None) -> None:
        path, chosen = (ask or QFileDialog.getSaveFileName)(self, "Save the plate map", "platemap.png", FILES)
        if path:
            ending = chosen.partition("*")[2].partition(")")[0]
            known = path.lower().endswith((".png", ".svg", ".csv"))
            self.bench.attempt("Saving the plate map", self.bench.selecting.save_map, path if known else path + ending)


def small_button(text: str) -> QPushButton:
    """Give a button as wide as its word, so that five fit beside each other."""
    button = QPushButton(text)
    button.setStyleSheet("QPushButton { padding: 3px 6px; min-width: 0px; }")
    return button
