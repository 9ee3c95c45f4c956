"""What is drawn into the cells of the table: the effect with its interval, and the wells' bars."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QModelIndex, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from napari_phenolens.viewer import roles
from napari_phenolens.widgets.feature_model import BARS_ROLE, EFFECT_ROLE
from napari_phenolens.widgets.palette import NO_VALUE, ROLE_COLOURS

UP, DOWN = ROLE_COLOURS[roles.PERTURBED], ROLE_COLOURS[roles.CONTROL]


class EffectDelegate(QStyledItemDelegate):
    """Draws a bar from the middle, right for more in perturbed wells, left for more in controls; and a bar a well."""

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Paint the cell with its bar under the number."""
        super().paint(painter, option, index)
        if painter is None:
            return
        bars = index.data(BARS_ROLE)
        if bars is not None:
            _draw_bars(painter, QRectF(option.rect), *bars)
        data = index.data(EFFECT_ROLE)
        if data is None:
            return
        effect, low, high, reach = data
        if effect is None or effect != effect or reach <= 0:
            return
        box = QRectF(option.rect)
        middle, half = box.center().x(), box.width() / 2 - 4
        y = box.bottom() - 3

        def at(value: float) -> float:
            return middle + half * max(-1.0, min(1.0, value / reach))

        painter.save()
        colour = QColor(UP if effect > 0 else DOWN)
        bar = QPen(colour, 2.5)
        bar.setCapStyle(Qt.PenCapStyle.FlatCap)
        painter.setPen(bar)
        painter.drawLine(int(middle), int(y), int(at(effect)), int(y))
        if low is not None and low == low:
            colour.setAlpha(150)
            painter.setPen(QPen(colour, 1))
            painter.drawLine(int(at(low)), int(y), int(at(high)), int(y))
        painter.restore()


def _draw_bars(painter: QPainter, cell: QRectF, heights: np.ndarray, of_roles: list[str]) -> None:
    if not len(heights):
        return
    box = cell.adjusted(3, 3, -3, -3)
    step = box.width() / len(heights)
    painter.save()
    painter.setPen(Qt.PenStyle.NoPen)
    for i, (height, role) in enumerate(zip(heights.tolist(), of_roles, strict=True)):
        tall = max(1.0, height * box.height())
        painter.setBrush(ROLE_COLOURS.get(role, NO_VALUE))
        painter.drawRect(QRectF(box.left() + i * step, box.bottom() - tall, max(1.0, step - 0.6), tall))
    painter.restore()
