"""What the colours of the plate map mean."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetrics, QLinearGradient, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_phenolens.analysis.well_values import WellValues
from napari_phenolens.viewer import roles
from napari_phenolens.widgets.palette import CATEGORIES, ROLE_COLOURS, colours_of, ink_on, table

_WORDS = {
    roles.CONTROL: "control",
    roles.PERTURBED: "perturbed",
    roles.POSITIVE: "positive control",
    roles.EXCLUDED: "excluded",
}


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
            from napari_phenolens.widgets.wells_section import category_levels

            levels = category_levels(self._shown.categories)
            items = [(QColor(CATEGORIES[i % len(CATEGORIES)]), "", str(level)) for i, level in enumerate(levels)]
            self._swatches(painter, ink, items)
        else:
            items = [(ROLE_COLOURS[r], roles.LETTERS[r], f"{_WORDS[r]} ({n})") for r, n in self._counts.items() if n]
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
        letters = "  ".join(f"{roles.LETTERS[r]} {_WORDS[r].split()[0]}" for r, n in self._counts.items() if n)
        room = self.width() - metrics.horizontalAdvance(letters) - 12
        title = metrics.elidedText(self._shown.title, Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRectF(0, 0, room, line), Qt.AlignmentFlag.AlignLeft, title)
        painter.drawText(QRectF(room, 0, self.width() - room, line), Qt.AlignmentFlag.AlignRight, letters)
        words = (f"{low:.2g}", f"{high:.2g}")
        left, right = (metrics.horizontalAdvance(word) + 8 for word in words)
        box = QRectF(left, line + 4, max(10, self.width() - left - right), line - 3)
        gradient = QLinearGradient(box.topLeft(), box.topRight())
        lut = table(self._shown.diverging)
        for i in range(0, len(lut), 15):
            gradient.setColorAt(i / (len(lut) - 1), QColor(*(int(c) for c in lut[i])))
        painter.fillRect(box, gradient)
        self._marks(painter, box, low, high)
        painter.setPen(ink)
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(0, line + 2, left, line), Qt.AlignmentFlag.AlignLeft | middle, words[0])
        painter.drawText(
            QRectF(self.width() - right, line + 2, right, line), Qt.AlignmentFlag.AlignRight | middle, words[1]
        )

    def _marks(self, painter: QPainter, box: QRectF, low: float, high: float) -> None:
        """Write the letters of values that mean something on the bar, where they lie."""
        for value, letter in self._shown.marks:
            if low <= value <= high and high > low:
                share = (value - low) / (high - low)
                colour = colours_of([value], (low, high), diverging=self._shown.diverging)[0]
                painter.setPen(ink_on(colour))
                line = box.height()
                middle = min(max(box.left() + share * box.width(), box.left() + line / 2), box.right() - line / 2)
                painter.drawText(QRectF(middle - line, box.top(), 2 * line, line), Qt.AlignmentFlag.AlignCenter, letter)

    def _swatches(self, painter: QPainter, ink: QColor, items: list[tuple[QColor, str, str]]) -> None:
        metrics: QFontMetrics = self.fontMetrics()
        line, x, y = metrics.height(), 0.0, 1.0
        for n, (colour, letter, words) in enumerate(items):
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
            painter.setBrush(colour)
            painter.setPen(QPen(ink, 1))
            box = QRectF(x + 1, y + 1, line - 2, line - 2)
            painter.drawEllipse(box)
            if letter:
                painter.setPen(ink_on(colour))
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, letter)
            painter.setPen(ink)
            painter.drawText(
                QRectF(x + line + 4, y, width, line), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words
            )
            x += width
