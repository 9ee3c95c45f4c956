"""The wells of a plate map as a picture that is kept: where a well's look is unchanged, it is not painted again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen, QPixmap

from napari_phenolens.plate import well_name_of
from napari_phenolens.viewer import roles
from napari_phenolens.widgets.palette import ink_on

LETTER_CELL, BORDER_CELL = (
    12,
    18,
)  # below these edges letters (a sign stands for them) and kinds of border cannot be told
GAP = 4

_BORDERS = {
    roles.CONTROL: Qt.PenStyle.SolidLine,
    roles.PERTURBED: Qt.PenStyle.DashLine,
    roles.POSITIVE: Qt.PenStyle.DotLine,
    roles.EXCLUDED: Qt.PenStyle.SolidLine,
}


@dataclass(frozen=True)
class Grid:
    """Where wells lie, in screen pixels.

    Attributes
    ----------
    size : tuple of int
        Rows and columns.
    left, top : int
        Room for the labels.
    edge : float
        Of a well's square.
    """

    size: tuple[int, int]
    left: int
    top: int
    edge: float

    def square(self, i: int, j: int) -> QRectF:
        """Give the square of a place."""
        return QRectF(self.left + j * self.edge, self.top + i * self.edge, self.edge, self.edge)

    def place(self, point: QPointF) -> tuple[int, int]:
        """Give row and column under a point; negative over the labels."""
        return int((point.y() - self.top) // self.edge), int((point.x() - self.left) // self.edge)

    def holds(self, i: int, j: int) -> bool:
        """Whether there is such a place."""
        return 0 <= i < self.size[0] and 0 <= j < self.size[1]

    def near(self, point: QPointF) -> tuple[int, int]:
        """Give the place nearest to a point."""
        i, j = self.place(point)
        return min(max(i, 0), self.size[0] - 1), min(max(j, 0), self.size[1] - 1)


@dataclass(frozen=True)
class Look:
    """How one well is drawn.

    Attributes
    ----------
    fill : int or None
        ``0xAARRGGBB``; None where it has no images.
    role : str
        Empty where it has none.
    mapped : bool
        Whether the plate map has it.
    """

    fill: int | None
    role: str = ""
    mapped: bool = False


class PlatePicture:
    """The picture of labels and wells.

    Attributes
    ----------
    painted : int
        Wells painted since it was made; what a recolouring costs.
    """

    def __init__(self) -> None:
        self.painted = 0
        self._pixmap: QPixmap | None = None
        self._key: object = None
        self._drawn: dict[tuple[int, int], Look] = {}

    def update(
        self, grid: Grid, looks: Mapping[tuple[int, int], Look], *, font: QFont, ink: QColor, width: int, height: int,
        ratio: float,
    ) -> QPixmap:  # fmt: skip
        """Bring the picture up to date and give it.

        Parameters
        ----------
        grid : Grid
        looks : mapping of (row, column) to Look
        font, ink
            Of labels.
        width, height : int
            Of the widget.
        ratio : float
            Device pixels a pixel.
        """
        key = (grid, width, height, ratio, ink.rgba(), font.toString())
        if self._pixmap is None or key != self._key:
            self._pixmap = QPixmap(max(1, round(width * ratio)), max(1, round(height * ratio)))
            self._pixmap.setDevicePixelRatio(ratio)
            self._pixmap.fill(Qt.GlobalColor.transparent)
            self._key, self._drawn = key, {}
            painter = self._painter(font)
            _labels(painter, grid, ink)
            painter.end()
        changed = [place for place, look in looks.items() if self._drawn.get(place) != look]
        if changed:
            painter = self._painter(font)
            letters = QFont(font)
            letters.setPixelSize(max(7, int(grid.edge * 0.46)))
            letters.setBold(True)
            painter.setFont(letters)
            pens = _Pens(ink)
            again = [place for place in changed if place in self._drawn]
            painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Clear)
            for place in again:
                painter.fillRect(grid.square(*place), pens.nothing)
            painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceOver)
            for place in changed:
                _well(painter, grid.square(*place), looks[place], pens)
            self._drawn.update((place, looks[place]) for place in changed)
            painter.end()
            self.painted += len(changed)
        return self._pixmap

    def _painter(self, font: QFont) -> QPainter:
        painter = QPainter(self._pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(font)
        return painter


def _labels(painter: QPainter, grid: Grid, ink: QColor) -> None:
    metrics: QFontMetrics = painter.fontMetrics()
    painter.setPen(ink)
    wide = metrics.horizontalAdvance("00")
    every = 1 if wide + 3 <= grid.edge else int(np.ceil((wide + 6) / grid.edge))
    for j in range(0, grid.size[1], every):
        square = grid.square(0, j)
        box = QRectF(square.left() - 20, 0, grid.edge + 40, grid.top)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, str(j + 1))
    every = 1 if metrics.ascent() <= grid.edge + 2 else int(np.ceil(metrics.ascent() / grid.edge))
    for i in range(0, grid.size[0], every):
        square = grid.square(i, 0)
        box = QRectF(0, square.top() - 10, grid.left - 5, grid.edge + 20)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(box, right, well_name_of(i, 0)[:-2])


class _Pens:
    """What wells are drawn with, made once for all of them: enums and pens cost more than the drawing."""

    def __init__(self, ink: QColor) -> None:
        self.ink = ink
        self.faint = QColor(ink)
        self.faint.setAlpha(70)
        self.none, self.nothing = QPen(Qt.PenStyle.NoPen), QColor(0, 0, 0, 0)
        self.round, self.dots = QPen(self.faint, 1), QPen(self.faint, 1, Qt.PenStyle.DotLine)
        self.borders = {role: QPen(ink, 1.6, style) for role, style in _BORDERS.items()}
        self.middle = Qt.AlignmentFlag.AlignCenter


def _well(painter: QPainter, square: QRectF, look: Look, pens: _Pens) -> None:
    edge = square.width()
    pad = max(0.5, edge * 0.08)
    inner = square.adjusted(pad, pad, -pad, -pad)
    large = edge >= LETTER_CELL
    if look.fill is None:
        painter.setPen(pens.dots if large else pens.none)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if look.mapped:
            painter.setBrush(Qt.BrushStyle.BDiagPattern)
        elif not large:
            inner = QRectF(square.center().x() - 0.5, square.center().y() - 0.5, 1, 1)
            painter.setPen(pens.faint)
        _shape(painter, inner, large)
        return
    fill = QColor.fromRgba(look.fill)
    painter.setBrush(fill)
    if look.role and edge >= BORDER_CELL:
        painter.setPen(pens.borders[look.role])
    else:
        painter.setPen(pens.round if large else pens.none)
    _shape(painter, inner, large)
    if large and look.role:
        painter.setPen(ink_on(fill))
        painter.drawText(square, pens.middle, roles.LETTERS[look.role])
    elif look.role:
        _sign(painter, square, look.role, ink_on(fill))


def _shape(painter: QPainter, box: QRectF, large: bool) -> None:
    if large:
        painter.drawEllipse(box)
    else:
        painter.drawRect(box)


def _sign(painter: QPainter, square: QRectF, role: str, ink: QColor) -> None:
    """Mark a role where there is no room for its letter: a dot for controls, a plus, a stroke for excluded."""
    centre = square.center()
    x, y, r = centre.x(), centre.y(), max(1.0, square.width() * 0.16)
    painter.setPen(QPen(ink, 1))
    if role == roles.CONTROL:
        painter.fillRect(QRectF(x - r, y - r, 2 * r, 2 * r), ink)
    elif role == roles.POSITIVE:
        painter.drawLine(QPointF(x - r - 1, y), QPointF(x + r + 1, y))
        painter.drawLine(QPointF(x, y - r - 1), QPointF(x, y + r + 1))
    elif role == roles.EXCLUDED:
        painter.drawLine(square.topLeft() + QPointF(1, 1), square.bottomRight() - QPointF(1, 1))
