"""The plate as a grid of wells, 6 to 1536: roles by letter and border, values by colour, click, drag and keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QContextMenuEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_phenolens.plate import parse_well, well_name_of
from napari_phenolens.widgets.palette import ACCENT, NO_VALUE, ROLE_COLOURS, colour
from napari_phenolens.widgets.plate_painter import BORDER_CELL, GAP, Grid, Look, PlatePicture

MAX_CELL, MIN_CELL = 34, 6
LARGE_MAX, LARGE_MIN = 64, 12  # edges of wells where the map has a dock of its own
CLICK = 4  # screen pixels: more is a drag
NO_ROLE = colour("#828282")

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


class PlateMap(QWidget):
    """Shows wells and emits what the user wants; it holds only what it was told to show.

    Parameters
    ----------
    parent : QWidget, optional
    large : bool
        Whether wells grow with the window in both directions; else the width decides and the height follows.
    """

    well_clicked = Signal(str)
    selection_changed = Signal(tuple)
    pointed = Signal(str)  # the well under the mouse or the cursor; empty where there is none
    menu_wanted = Signal(str, QPoint)

    def __init__(self, parent: QWidget | None = None, *, large: bool = False) -> None:
        super().__init__(parent)
        self.large = large
        self.zoom = 1.0  # of the large map's wells, by Ctrl and the wheel; the dock scrolls then
        self.picture = PlatePicture()
        self._format = (8, 12)
        self._wells: frozenset[str] = frozenset()
        self._mapped: frozenset[str] = frozenset()
        self._roles: Mapping[str, str] = {}
        self._colours: Mapping[str, QColor] | None = None
        self._looks: dict[tuple[int, int], Look] | None = None
        self._selected: tuple[str, ...] = ()
        self._preview: tuple[str, ...] = ()
        self._current: str | None = None
        self._cursor = (0, 0)
        self._anchor = (0, 0)  # where a range begins that Shift extends
        self._press: QPoint | None = None
        self._drag: QRect | None = None
        self._pointed = ""
        self.describe: Callable[[str], str] = lambda well: well
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        grows = QSizePolicy.Policy.Expanding
        self.setSizePolicy(grows, grows if large else QSizePolicy.Policy.Fixed)

    # ---- what to show -------------------------------------------------------------------------------------------
    def set_plate(self, size: tuple[int, int], wells: Sequence[str], mapped: Sequence[str] = ()) -> None:
        """Show a plate of rows x columns; wells without images are hatched where the plate map has them."""
        self._format = size
        self._wells = frozenset(wells)
        self._mapped = frozenset(mapped)
        self._selected = tuple(well for well in self._selected if well in self._wells)
        self._cursor = (min(self._cursor[0], size[0] - 1), min(self._cursor[1], size[1] - 1))
        self._changed()
        self._fit()

    def set_roles(self, assigned: Mapping[str, str]) -> None:
        """Set the role of each well."""
        self._roles = dict(assigned)
        self._changed()

    def set_colours(self, colours: Mapping[str, QColor] | None) -> None:
        """Set each well's colour; None colours by role. Wells whose colour stays are not painted again."""
        self._colours = colours
        self._changed()

    def set_current(self, well: str | None) -> None:
        """Mark the well on show."""
        if well == self._current:
            return
        self._current = well
        if well is not None:
            self._cursor = self._anchor = parse_well(well)
        self.update()

    def set_selected(self, wells: Sequence[str]) -> None:
        """Mark wells as selected, silently."""
        self._selected = tuple(wells)
        self.update()

    def set_preview(self, wells: Sequence[str]) -> None:
        """Outline wells that a choice in the making would pick."""
        self._preview = tuple(wells)
        self.update()

    @property
    def selected(self) -> tuple[str, ...]:
        """The selected wells, row-major."""
        return self._selected

    def _changed(self) -> None:
        self._looks = None
        self.update()

    def _look(self, well: str) -> Look:
        if well not in self._wells:
            return Look(None, mapped=well in self._mapped)
        role = self._roles.get(well, "")
        if self._colours is None:
            return Look(ROLE_COLOURS.get(role, NO_ROLE).rgba(), role)
        return Look(self._colours.get(well, NO_VALUE).rgba(), role)

    # ---- geometry -----------------------------------------------------------------------------------------------
    def grid(self) -> Grid:
        """Give where wells lie."""
        metrics = self.fontMetrics()
        left = metrics.horizontalAdvance("AF" if self._format[0] > 26 else "H") + 8
        top = metrics.height() + 2
        rows, columns = self._format
        edge = (self.width() - left - GAP) / columns
        if self.large:
            edge = min(edge, (self.height() - top - GAP) / rows)
        low, high = (LARGE_MIN * self.zoom, LARGE_MAX) if self.large else (MIN_CELL, MAX_CELL)
        return Grid(self._format, left, top, float(np.clip(edge, low, high)))

    def cell(self) -> float:
        """Give the edge of a well in screen pixels."""
        return self.grid().edge

    def _fit(self) -> None:
        if self.large:
            self.updateGeometry()
            self.setMinimumSize(self.minimumSizeHint())
            return
        grid = self.grid()
        height = round(grid.top + grid.edge * self._format[0] + GAP)
        if self.minimumHeight() != height or self.maximumHeight() != height:
            self.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """Keep wells square."""
        self._fit()
        super().resizeEvent(event)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Give the least size at which wells can be hit."""
        grid, least = self.grid(), LARGE_MIN * self.zoom if self.large else MIN_CELL
        rows, columns = self._format
        return QSize(int(grid.left + least * columns + GAP), int(grid.top + least * rows + GAP))

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802 - Qt's name
        """Make the large map's wells larger or smaller with Ctrl; else scroll."""
        if event is None or not self.large or not event.modifiers() & _ADD:
            super().wheelEvent(event)
            return
        edge = self.cell()
        factor = 1.2 if event.angleDelta().y() > 0 else 1 / 1.2
        self.zoom = float(np.clip(edge * factor / LARGE_MIN, 1.0, LARGE_MAX / LARGE_MIN))
        self._fit()
        event.accept()

    def rect_of(self, well: str) -> QRectF:
        """Give the square of a well in widget coordinates."""
        return self.grid().square(*parse_well(well))

    def well_at(self, point: QPointF) -> str | None:
        """Give the well with images under a point."""
        i, j = self.grid().place(point)
        if not self.grid().holds(i, j):
            return None
        name = well_name_of(i, j)
        return name if name in self._wells else None

    def _wells_in(self, rows: tuple[int, int], columns: tuple[int, int]) -> list[str]:
        """Give the wells with images in rows and columns, both ends included."""
        names = (well_name_of(i, j) for i in _span(*rows) for j in _span(*columns))
        return [name for name in names if name in self._wells]

    # ---- painting -----------------------------------------------------------------------------------------------
    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Paint the kept picture of the wells, and over it what changes with every move."""
        grid, ink = self.grid(), self.palette().color(QPalette.ColorRole.WindowText)
        if self._looks is None:
            rows, columns = self._format
            places = ((i, j) for i in range(rows) for j in range(columns))
            self._looks = {place: self._look(well_name_of(*place)) for place in places}
        picture = self.picture.update(
            grid, self._looks, font=self.font(), ink=ink, width=self.width(), height=self.height(),
            ratio=self.devicePixelRatioF(),
        )  # fmt: skip
        painter = QPainter(self)
        painter.drawPixmap(0, 0, picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(ink, 1.4, Qt.PenStyle.DashLine))
        for well in self._preview:
            painter.drawRect(self.rect_of(well).adjusted(1, 1, -1, -1))
        painter.setPen(QPen(ACCENT, 2 if grid.edge >= BORDER_CELL else 1))
        inset = 1 if grid.edge >= BORDER_CELL else 0
        for well in self._selected:
            painter.drawRect(self.rect_of(well).adjusted(inset, inset, -inset, -inset))
        if self._current is not None:
            painter.setPen(QPen(ink, 2.4 if grid.edge >= BORDER_CELL else 1.6))
            painter.drawRoundedRect(self.rect_of(self._current).adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
        if self.hasFocus():
            painter.setPen(QPen(ink, 1, Qt.PenStyle.DotLine))
            painter.drawRect(grid.square(*self._cursor))
        if self._drag is not None:
            painter.setPen(QPen(ACCENT, 1, Qt.PenStyle.DashLine))
            painter.setBrush(QColor(ACCENT.red(), ACCENT.green(), ACCENT.blue(), 40))
            painter.drawRect(self._drag)
        painter.end()

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

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Keep the height right when the labels' font changes (napari sets its own late)."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def event(self, event: QEvent | None) -> bool:
        """Say what a well is when the mouse rests on it."""
        if event is not None and event.type() == QEvent.Type.ToolTip:
            i, j = self.grid().place(QPointF(event.pos()))
            text = self.describe(well_name_of(i, j)) if self.grid().holds(i, j) else self.toolTip()
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return bool(super().event(event))


def _span(a: int, b: int) -> range:
    return range(min(a, b), max(a, b) + 1)
