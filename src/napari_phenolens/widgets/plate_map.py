"""The plate as a grid of wells, 6 to 1536: roles by letter and border, values by colour, click, drag and keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFont, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_phenolens.plate import parse_well, well_name_of
from napari_phenolens.viewer import roles
from napari_phenolens.widgets.palette import ACCENT, ROLE_COLOURS, ink_on

MAX_CELL, MIN_CELL = 34, 6
LETTER_CELL = 15  # below this edge a letter cannot be read
CLICK = 4  # screen pixels: more is a drag

_BORDERS = {
    roles.CONTROL: Qt.PenStyle.SolidLine,
    roles.PERTURBED: Qt.PenStyle.DashLine,
    roles.POSITIVE: Qt.PenStyle.DotLine,
    roles.EXCLUDED: Qt.PenStyle.SolidLine,
}


def _names(size: tuple[int, int]) -> dict[tuple[int, int], str]:
    """Give the name of each place of a plate."""
    return {(i, j): well_name_of(i, j) for i in range(size[0]) for j in range(size[1])}


class PlateMap(QWidget):
    """Shows wells and emits what the user wants; it holds only what it was told to show."""

    well_clicked = Signal(str)
    selection_changed = Signal(tuple)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._format = (8, 12)
        self._names = _names(self._format)
        self._wells: frozenset[str] = frozenset()
        self._mapped: frozenset[str] = frozenset()
        self._roles: Mapping[str, str] = {}
        self._colours: Mapping[str, QColor] | None = None
        self._selected: tuple[str, ...] = ()
        self._current: str | None = None
        self._cursor = (0, 0)
        self._press: QPoint | None = None
        self._drag: QRect | None = None
        self.describe: Callable[[str], str] = lambda well: well
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    # ---- what to show -------------------------------------------------------------------------------------------
    def set_plate(self, size: tuple[int, int], wells: Sequence[str], mapped: Sequence[str] = ()) -> None:
        """Show a plate of rows x columns; wells without images are hatched where the plate map has them."""
        self._format = size
        self._names = _names(size)
        self._wells = frozenset(wells)
        self._mapped = frozenset(mapped)
        self._selected = tuple(well for well in self._selected if well in self._wells)
        self._fit()
        self.update()

    def set_roles(self, assigned: Mapping[str, str]) -> None:
        """Set the role of each well."""
        self._roles = dict(assigned)
        self.update()

    def set_colours(self, colours: Mapping[str, QColor] | None) -> None:
        """Set each well's colour; None colours by role."""
        self._colours = colours
        self.update()

    def set_current(self, well: str | None) -> None:
        """Mark the well on show."""
        self._current = well
        if well is not None:
            self._cursor = parse_well(well)
        self.update()

    def set_selected(self, wells: Sequence[str]) -> None:
        """Mark wells as selected, silently."""
        self._selected = tuple(wells)
        self.update()

    @property
    def selected(self) -> tuple[str, ...]:
        """The selected wells, row-major."""
        return self._selected

    # ---- geometry -----------------------------------------------------------------------------------------------
    def _margins(self) -> tuple[int, int]:
        metrics = self.fontMetrics()
        return metrics.horizontalAdvance("AF" if self._format[0] > 26 else "H") + 8, metrics.height() + 2

    def cell(self) -> float:
        """Give the edge of a well in screen pixels."""
        left, _ = self._margins()
        room = max(1, self.width() - left - 4)
        return float(np.clip(room / self._format[1], MIN_CELL, MAX_CELL))

    def _fit(self) -> None:
        _, top = self._margins()
        height = round(top + self.cell() * self._format[0] + 4)
        if self.minimumHeight() != height or self.maximumHeight() != height:
            self.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """Keep wells square."""
        self._fit()
        super().resizeEvent(event)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Give the least size at which wells can be hit."""
        left, top = self._margins()
        return QSize(left + MIN_CELL * self._format[1] + 4, top + MIN_CELL * self._format[0] + 4)

    def rect_of(self, well: str) -> QRectF:
        """Give the square of a well in widget coordinates."""
        return self._square(*parse_well(well))

    def _square(self, i: int, j: int) -> QRectF:
        left, top = self._margins()
        edge = self.cell()
        return QRectF(left + j * edge, top + i * edge, edge, edge)

    def _place(self, point: QPointF) -> tuple[int, int]:
        left, top = self._margins()
        edge = self.cell()
        return int((point.y() - top) // edge), int((point.x() - left) // edge)

    def well_at(self, point: QPointF) -> str | None:
        """Give the well with images under a point."""
        i, j = self._place(point)
        if not (0 <= i < self._format[0] and 0 <= j < self._format[1]):
            return None
        name = well_name_of(i, j)
        return name if name in self._wells else None

    def _wells_in(self, box: QRectF) -> list[str]:
        return [well for well in sorted(self._wells, key=parse_well) if box.intersects(self.rect_of(well))]

    # ---- painting -----------------------------------------------------------------------------------------------
    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Paint labels, wells and the selection."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        self._paint_labels(painter, ink)
        edge = self.cell()
        letters = QFont(self.font())
        letters.setPixelSize(max(7, int(edge * 0.42)))
        letters.setBold(True)
        painter.setFont(letters)
        left, top = self._margins()
        for (i, j), well in self._names.items():
            self._paint_well(painter, well, QRectF(left + j * edge, top + i * edge, edge, edge), ink)
        if self.hasFocus():
            painter.setPen(QPen(ink, 1, Qt.PenStyle.DotLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect_of(well_name_of(*self._cursor)))
        if self._drag is not None:
            painter.setPen(QPen(ACCENT, 1, Qt.PenStyle.DashLine))
            painter.setBrush(QColor(ACCENT.red(), ACCENT.green(), ACCENT.blue(), 40))
            painter.drawRect(self._drag)
        painter.end()

    def _paint_labels(self, painter: QPainter, ink: QColor) -> None:
        left, top = self._margins()
        edge = self.cell()
        painter.setPen(ink)
        metrics = self.fontMetrics()
        every = (
            1
            if metrics.horizontalAdvance("00") + 3 <= edge
            else int(np.ceil((metrics.horizontalAdvance("00") + 6) / edge))
        )
        for j in range(self._format[1]):
            if j % every == 0:
                box = QRectF(left + j * edge - 20, 0, edge + 40, top)
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, str(j + 1))
        every = 1 if metrics.ascent() <= edge + 2 else int(np.ceil(metrics.ascent() / edge))
        for i in range(self._format[0]):
            if i % every == 0:
                box = QRectF(0, top + i * edge - 10, left - 5, edge + 20)
                right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                painter.drawText(box, right, well_name_of(i, 0)[:-2])

    def _paint_well(self, painter: QPainter, well: str, square: QRectF, ink: QColor) -> None:
        edge = square.width()
        pad = max(0.5, edge * 0.08)
        inner = square.adjusted(pad, pad, -pad, -pad)
        round_well = edge >= LETTER_CELL
        faint = QColor(ink)
        faint.setAlpha(70)
        if well not in self._wells:
            painter.setPen(QPen(faint, 1, Qt.PenStyle.DotLine if round_well else Qt.PenStyle.NoPen))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            if well in self._mapped:  # the map has it, but no images do
                painter.setBrush(Qt.BrushStyle.BDiagPattern)
            elif not round_well:
                inner = QRectF(square.center().x() - 0.5, square.center().y() - 0.5, 1, 1)
                painter.setPen(faint)
            self._shape(painter, inner, round_well)
            return
        role = self._roles.get(well, "")
        fill = self._fill(well, role)
        painter.setBrush(fill)
        if round_well and role:
            border = QColor(ink)
            painter.setPen(QPen(border, 1.6, _BORDERS[role]))
        else:
            painter.setPen(QPen(faint, 1) if round_well else Qt.PenStyle.NoPen)
        self._shape(painter, inner, round_well)
        if role and edge >= LETTER_CELL:
            painter.setPen(ink_on(fill))
            painter.drawText(square, Qt.AlignmentFlag.AlignCenter, roles.LETTERS[role])
        elif role == roles.CONTROL and self._colours is not None:  # no room for letters: a dot for controls
            painter.fillRect(QRectF(square.center().x() - 1, square.center().y() - 1, 2, 2), ink_on(fill))
        if well in self._selected:
            painter.setPen(QPen(ACCENT, 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(square.adjusted(1, 1, -1, -1))
        if well == self._current:
            painter.setPen(QPen(ink, 2.4))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(square.adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)

    def _fill(self, well: str, role: str) -> QColor:
        if self._colours is not None:
            return self._colours.get(well, QColor(110, 110, 110))
        return ROLE_COLOURS.get(role, QColor(130, 130, 130))

    @staticmethod
    def _shape(painter: QPainter, box: QRectF, round_well: bool) -> None:
        if round_well:
            painter.drawEllipse(box)
        else:
            painter.drawRect(box)

    # ---- mouse and keys -----------------------------------------------------------------------------------------
    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Begin a click or a drag."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._press = event.position().toPoint()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw the rubber band."""
        if event is None or self._press is None:
            return
        now = event.position().toPoint()
        if self._drag is not None or (now - self._press).manhattanLength() > CLICK:
            self._drag = QRect(self._press, now).normalized()
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Show the clicked well, or select the wells in the rubber band, row or column."""
        if event is None or self._press is None:
            return
        drag, self._press, self._drag = self._drag, None, None
        if drag is not None:
            self._select(self._wells_in(QRectF(drag)), event.modifiers())
            return
        point = event.position()
        i, j = self._place(point)
        well = self.well_at(point)
        keys = event.modifiers()
        if i < 0 <= j:
            self._select([w for w in self._wells if parse_well(w)[1] == j], keys)
        elif j < 0 <= i:
            self._select([w for w in self._wells if parse_well(w)[0] == i], keys)
        elif well is not None:
            self._cursor = parse_well(well)
            if keys & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier):
                self._toggle(well, keys)
            else:
                self._select([well], keys)
                self.well_clicked.emit(well)
        else:
            self._select([], keys)
        self.update()

    def _toggle(self, well: str, keys: Any) -> None:
        remove = bool(keys & Qt.KeyboardModifier.AltModifier) or well in self._selected
        kept = [w for w in self._selected if w != well]
        self._set(kept if remove else [*kept, well])

    def _select(self, wells: Sequence[str], keys: Any) -> None:
        if keys & Qt.KeyboardModifier.AltModifier:
            self._set([well for well in self._selected if well not in wells])
        elif keys & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier):
            self._set([*self._selected, *wells])
        else:
            self._set(wells)

    def _set(self, wells: Sequence[str]) -> None:
        self._selected = tuple(sorted(dict.fromkeys(wells), key=parse_well))
        self.update()
        self.selection_changed.emit(self._selected)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Walk with the arrows, show with Enter, select with Space."""
        if event is None:
            return
        steps = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)}
        key = Qt.Key(event.key())
        if key in steps:
            di, dj = steps[key]
            rows, columns = self._format
            self._cursor = (
                min(max(self._cursor[0] + di, 0), rows - 1),
                min(max(self._cursor[1] + dj, 0), columns - 1),
            )
            self.update()
            return
        well = well_name_of(*self._cursor)
        if well in self._wells and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._set([well])
            self.well_clicked.emit(well)
        elif well in self._wells and key == Qt.Key.Key_Space:
            self._toggle(well, Qt.KeyboardModifier.ControlModifier)
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent | None) -> bool:
        """Say what a well is when the mouse rests on it."""
        if event is not None and event.type() == QEvent.Type.ToolTip:
            i, j = self._place(QPointF(event.pos()))
            inside = 0 <= i < self._format[0] and 0 <= j < self._format[1]
            text = self.describe(well_name_of(i, j)) if inside else self.toolTip()
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return bool(super().event(event))
