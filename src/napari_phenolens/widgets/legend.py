"""What the colours of the plate map mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetrics, QLinearGradient, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_phenolens.analysis.well_values import WellValues
from napari_phenolens.export.colours import hex_of
from napari_phenolens.viewer import roles
from napari_phenolens.widgets.palette import CATEGORIES, NO_VALUE, ROLE_COLOURS, colour, ink_on, table


class Legend(QWidget):
    """A colour bar with its limits, or swatches with their words."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown = WellValues("Roles")
        self._counts: Mapping[str, int] = {}
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Give one or two lines."""
        return QSize(200, self.fontMetrics().height() * 2 + 8)

    def show_values(self, shown: WellValues, counts: Mapping[str, int]) -> None:
        """Explain these values, or the roles with their counts."""
        self._shown, self._counts = shown, dict(counts)
        self.setAccessibleName(f"Legend: {shown.title}")
        self.setToolTip("\n".join(part for part in (shown.title, shown.note) if part))
        self.update()

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Paint."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        painter.setPen(ink)
        if self._shown.values is not None and self._shown.limits is not None:
            self._bar(painter, ink)
        elif self._shown.categories is not None:
            levels = self._shown.levels()
            items = [(colour(CATEGORIES[i % len(CATEGORIES)]), "", str(level)) for i, level in enumerate(levels)]
            self._swatches(painter, ink, items)
        else:
            items = [
                (ROLE_COLOURS[r], roles.LETTERS[r], f"{roles.WORDS[r]} ({n})") for r, n in self._counts.items() if n
            ]
            if items:
                self._swatches(painter, ink, items)
            else:
                text = "No roles yet: say which wells are controls in step 3, or select wells and mark them below."
                if self._shown.title != "Roles":
                    text = self._shown.title
                painter.drawText(self.rect(), int(Qt.TextFlag.TextWordWrap), text)
        painter.end()

    def _bar(self, painter: QPainter, ink: QColor) -> None:
        metrics = self.fontMetrics()
        line = metrics.height()
        low, high = self._shown.limits or (0.0, 1.0)
        letters = "  ".join(f"{roles.LETTERS[r]} {roles.WORDS[r].split()[0]}" for r, n in self._counts.items() if n)
        room = self.width() - metrics.horizontalAdvance(letters) - 12
        title = metrics.elidedText(self._shown.title, Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRectF(0, 0, room, line), Qt.AlignmentFlag.AlignLeft, title)
        painter.drawText(QRectF(room, 0, self.width() - room, line), Qt.AlignmentFlag.AlignRight, letters)
        words = (f"{low:.3g}", f"{high:.3g}")
        absent = self._shown.values is not None and bool(self._shown.values.isna().any())
        left, right = (metrics.horizontalAdvance(word) + 8 for word in words)
        grey = metrics.horizontalAdvance("no value") + line + 8 if absent else 0
        box = QRectF(left, line + 4, max(10, self.width() - left - right - grey), line - 3)
        gradient = QLinearGradient(box.topLeft(), box.topRight())
        lut = table(self._shown.diverging)
        for i in range(0, len(lut), 15):
            gradient.setColorAt(i / (len(lut) - 1), QColor(*(int(c) for c in lut[i])))
        painter.fillRect(box, gradient)
        middle = (low * high) ** 0.5 if self._shown.log else (low + high) / 2
        marks = self._shown.marks or (((middle, f"{middle:.3g}"),) if high > low else ())
        self._marks(painter, box, marks)
        painter.setPen(ink)
        upright = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(0, line + 2, left, line), Qt.AlignmentFlag.AlignLeft | upright, words[0])
        painter.drawText(QRectF(box.right(), line + 2, right, line), Qt.AlignmentFlag.AlignRight | upright, words[1])
        if absent:
            x = self.width() - grey + 8
            painter.fillRect(QRectF(x, line + 5, line - 4, line - 5), NO_VALUE)
            painter.drawText(QRectF(x + line, line + 2, grey, line), Qt.AlignmentFlag.AlignLeft | upright, "no value")

    def _marks(self, painter: QPainter, box: QRectF, marks: Sequence[tuple[float, str]]) -> None:
        """Write values that mean something on the bar, where they lie."""
        low, high = self._shown.limits or (0.0, 1.0)
        for value, words in marks:
            if low <= value <= high:
                share = float(self._shown.shares([value])[0])
                painter.setPen(ink_on(colour(hex_of(share, diverging=self._shown.diverging))))
                room = painter.fontMetrics().horizontalAdvance(words) / 2 + 2
                middle = min(max(box.left() + share * box.width(), box.left() + room), box.right() - room)
                at = QRectF(middle - 60, box.top(), 120, box.height())
                painter.drawText(at, Qt.AlignmentFlag.AlignCenter, words)

    def _swatches(self, painter: QPainter, ink: QColor, items: list[tuple[QColor, str, str]]) -> None:
        metrics: QFontMetrics = self.fontMetrics()
        line, x, y = metrics.height(), 0.0, 1.0
        for n, (fill, letter, words) in enumerate(items):
            width = line + 4 + metrics.horizontalAdvance(words) + 10
            if x and x + width > self.width():
                x, y = 0.0, y + line + 4
            if y + line > self.height():
                painter.drawText(
                    QRectF(0, self.height() - line, self.width() - 2, line),
                    Qt.AlignmentFlag.AlignRight,
                    f"+{len(items) - n}",
                )
                return
            painter.setBrush(fill)
            painter.setPen(QPen(ink, 1))
            box = QRectF(x + 1, y + 1, line - 2, line - 2)
            painter.drawEllipse(box)
            if letter:
                painter.setPen(ink_on(fill))
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, letter)
            painter.setPen(ink)
            painter.drawText(
                QRectF(x + line + 4, y, width, line), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words
            )
            x += width
