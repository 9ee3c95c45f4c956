"""The effect of a feature with its interval, drawn behind the number."""

from __future__ import annotations

from qtpy.QtCore import QModelIndex, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from napari_phenolens.viewer import roles
from napari_phenolens.widgets.feature_model import EFFECT_ROLE
from napari_phenolens.widgets.palette import ROLE_COLOURS

UP, DOWN = ROLE_COLOURS[roles.PERTURBED], ROLE_COLOURS[roles.CONTROL]


class EffectDelegate(QStyledItemDelegate):
    """Draws a bar from the middle: right means more in perturbed wells, left means more in controls."""

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Paint the cell with its bar under the number."""
        super().paint(painter, option, index)
        data = index.data(EFFECT_ROLE)
        if painter is None or data is None:
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
