"""The plate as a grid of wells, 6 to 1536, that answers to click, drag and keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import QEvent, QPoint, QPointF, QRect, Qt, Signal
from qtpy.QtGui import QContextMenuEvent, QKeyEvent, QMouseEvent
from qtpy.QtWidgets import QToolTip, QWidget

from napari_phenolens.plate import parse_well, well_name_of
from napari_phenolens.widgets.plate_view import PlateView

CLICK = 4  # screen pixels: more is a drag

_ADD = Qt.KeyboardModifier.ControlModifier
_EXTEND = Qt.KeyboardModifier.ShiftModifier
_REMOVE = Qt.KeyboardModifier.AltModifier
_STEPS = {
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
    Qt.Key.Key_Home: (0, -99),
    Qt.Key.Key_End: (0, 99),
    Qt.Key.Key_PageUp: (-99, 0),
    Qt.Key.Key_PageDown: (99, 0),
}


class PlateMap(PlateView):
    """Shows wells and emits what the user wants; see `PlateView` for its parameters."""

    well_clicked = Signal(str)
    selection_changed = Signal(tuple)
    pointed = Signal(str)  # the well under the mouse or the cursor; empty where there is none
    menu_wanted = Signal(str, QPoint)

    def __init__(self, parent: QWidget | None = None, *, large: bool = False) -> None:
        super().__init__(parent, large=large)
        self._anchor = (0, 0)  # where a range begins that Shift extends
        self._press: QPoint | None = None
        self._pointed = ""
        self.describe: Callable[[str], str] = lambda well: well
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def set_current(self, well: str | None) -> None:
        """Mark the well on show; ranges begin there."""
        if well is not None and well != self._current:
            self._anchor = parse_well(well)
        super().set_current(well)

    # ---- mouse --------------------------------------------------------------------------------------------------
    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Begin a click or a drag."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._press = event.position().toPoint()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw the rubber band, and tell which well the mouse is on."""
        if event is None:
            return
        i, j = self.grid().place(event.position())
        self._point(well_name_of(i, j) if self.grid().holds(i, j) else "")
        if self._press is None:
            return
        now = event.position().toPoint()
        if self._drag is not None or (now - self._press).manhattanLength() > CLICK:
            self._drag = QRect(self._press, now).normalized()
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Show the clicked well, or select the wells in the rubber band, rows or columns."""
        if event is None or self._press is None or event.button() != Qt.MouseButton.LeftButton:
            return
        start, dragged = QPointF(self._press), self._drag is not None
        self._press = self._drag = None
        end, keys = event.position(), event.modifiers()
        if dragged or min(self.grid().place(start)) < 0:
            self._band(start, end, keys)
        else:
            self._click(end, keys)
        self.update()

    def _band(self, start: QPointF, end: QPointF, keys: Any) -> None:
        """Select what a drag spans; one that begins over the labels takes whole rows or columns, in the corner all."""
        grid, (rows, columns) = self.grid(), self._format
        (i, j), (k, m) = grid.place(start), grid.near(end)
        first = grid.near(start)
        across = (0, columns - 1) if j < 0 else (first[1], m)
        down = (0, rows - 1) if i < 0 else (first[0], k)
        if i < 0 and j < 0:
            across, down = (0, columns - 1), (0, rows - 1)
        begun = well_name_of(*first) in self._selected and grid.holds(i, j)
        self._select(self._wells_in(down, across), keys, taken=begun)

    def _click(self, point: QPointF, keys: Any) -> None:
        grid = self.grid()
        place = grid.place(point)
        if not grid.holds(*place):
            self._select([], keys)
            return
        well = self.well_at(point)
        self._cursor = place
        if keys & _EXTEND and not keys & _REMOVE:
            self._extend(keys)
            return
        self._anchor = place
        if well is None:
            self._select([], keys)
        elif keys & (_ADD | _REMOVE):
            self._select([well], keys, taken=well in self._selected)
        else:
            self._set([well])
            self.well_clicked.emit(well)

    def _extend(self, keys: Any) -> None:
        """Select the block from the anchor to the cursor; with Ctrl beside what is selected."""
        (i, j), (k, m) = self._anchor, self._cursor
        block = self._wells_in((i, k), (j, m))
        self._set([*self._selected, *block] if keys & _ADD else block)

    def _select(self, wells: Sequence[str], keys: Any, *, taken: bool = False) -> None:
        """Take wells: alone, with Ctrl or Shift beside what is selected; away with Alt, or with Ctrl from a `taken`."""
        if keys & _REMOVE or (keys & _ADD and taken):
            self._set([well for well in self._selected if well not in set(wells)])
        elif keys & (_ADD | _EXTEND):
            self._set([*self._selected, *wells])
        else:
            self._set(wells)

    def _set(self, wells: Sequence[str]) -> None:
        chosen = tuple(sorted(dict.fromkeys(wells), key=parse_well))
        self.update()
        if chosen != self._selected:
            self._selected = chosen
            self.selection_changed.emit(chosen)

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:  # noqa: N802 - Qt's name
        """Ask for the menu of the well under the mouse, or, from the keyboard, of that under the cursor."""
        if event is None:
            return
        well: str | None
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            well = well_name_of(*self._cursor)
            at = self.mapToGlobal(self.rect_of(well).center().toPoint())
        else:
            well, at = self.well_at(QPointF(event.pos())), event.globalPos()
        if well in self._wells:
            self.menu_wanted.emit(well, at)

    # ---- keys ---------------------------------------------------------------------------------------------------
    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Walk with the arrows, extend with Shift, show with Enter, take with Space; Ctrl+A all, Escape none."""
        if event is None:
            return
        key, keys = Qt.Key(event.key()), event.modifiers()
        well = well_name_of(*self._cursor)
        if key in _STEPS:
            self._walk(*_STEPS[key], keys)
        elif well in self._wells and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._set([well])
            self.well_clicked.emit(well)
        elif well in self._wells and key == Qt.Key.Key_Space:
            self._anchor = self._cursor
            self._select([well], _ADD, taken=well in self._selected)
        elif key == Qt.Key.Key_A and keys & _ADD:
            self._set(sorted(self._wells))
        elif key == Qt.Key.Key_Escape and self._selected:
            self._set([])
        else:
            super().keyPressEvent(event)

    def _walk(self, di: int, dj: int, keys: Any) -> None:
        rows, columns = self._format
        i, j = self._cursor
        self._cursor = min(max(i + di, 0), rows - 1), min(max(j + dj, 0), columns - 1)
        if keys & _EXTEND:
            self._extend(keys)
        else:
            self._anchor = self._cursor
        self._point(well_name_of(*self._cursor))
        self.update()

    # ---- telling ------------------------------------------------------------------------------------------------
    def _point(self, well: str) -> None:
        if well != self._pointed:
            self._pointed = well
            self.pointed.emit(well)

    def leaveEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Tell that the mouse has gone."""
        self._point("")
        super().leaveEvent(event)

    def event(self, event: QEvent | None) -> bool:
        """Say what a well is when the mouse rests on it."""
        if event is not None and event.type() == QEvent.Type.ToolTip:
            i, j = self.grid().place(QPointF(event.pos()))
            text = self.describe(well_name_of(i, j)) if self.grid().holds(i, j) else self.toolTip()
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return bool(super().event(event))
