"""The plate as it is seen: what is shown of it, where its wells lie, and painting them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from qtpy.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen, QResizeEvent, QWheelEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_phenolens.plate import parse_well, well_name_of
from napari_phenolens.widgets.palette import ACCENT, NO_VALUE, ROLE_COLOURS, colour
from napari_phenolens.widgets.plate_painter import BORDER_CELL, GAP, Grid, Look, PlatePicture

MAX_CELL, MIN_CELL = 34, 6
LARGE_MAX, LARGE_MIN = 64, 12  # edges of wells where the map has a dock of its own
NO_ROLE = colour("#828282")


class PlateView(QWidget):
    """Shows wells; it holds only what it was told to show.

    Parameters
    ----------
    parent : QWidget, optional
    large : bool
        Whether wells grow with the window in both directions; else the width decides and the height follows.
    """

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
        self._drag: QRect | None = None
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
            self._cursor = parse_well(well)
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
        if event is None or not self.large or not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
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

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Keep the height right when the labels' font changes (napari sets its own late)."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()


def _span(a: int, b: int) -> range:
    return range(min(a, b), max(a, b) + 1)
