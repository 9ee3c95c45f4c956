"""A feature's examples as a grid of small pictures, each with a place without it beside it; a click goes there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen, QPixmap, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_phenolens.analysis import Crop
from napari_phenolens.export import crop_picture
from napari_phenolens.viewer import roles
from napari_phenolens.widgets.palette import ACCENT, ROLE_COLOURS

EDGE, GAP, PAIR_GAP = 88, 3, 10
PLACEHOLDER = "Looking for examples…"


def pixmap_of(pixels: np.ndarray) -> QPixmap:
    """Turn an RGB picture (h, w, 3) uint8 into a pixmap."""
    pixels = np.ascontiguousarray(pixels)
    h, w, _ = pixels.shape
    return QPixmap.fromImage(QImage(pixels.data, w, h, 3 * w, QImage.Format.Format_RGB888).copy())


class GalleryView(QWidget):
    """Shows crops and emits the one that is wanted; it holds only what it was told to show."""

    wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.crops: tuple[Crop, ...] = ()
        self._pictures: list[QPixmap] = []
        self._roles: Mapping[str, str] = {}
        self._text = ""
        self._cursor = 0
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._fit()

    # ---- what to show -------------------------------------------------------------------------------------------
    def show_text(self, text: str) -> None:
        """Show words in place of pictures."""
        self.crops, self._pictures, self._text = (), [], text
        self._fit()
        self.update()

    def show_crops(self, crops: Sequence[Crop], looks: Mapping[str, Any], assigned: Mapping[str, str]) -> None:
        """Show crops in these colours and limits (see `export.crop_picture`), with their wells' roles."""
        self.crops, self._roles, self._text = tuple(crops), assigned, ""
        ratio = self.devicePixelRatioF()
        self._pictures = []
        for crop in self.crops:
            times = max(1, round(EDGE * ratio / max(crop.pixels.shape[1:])))
            self._pictures.append(pixmap_of(crop_picture(crop, looks, times)))
        self._cursor = min(self._cursor, max(0, len(self.crops) - 1))
        self._fit()
        self.update()

    # ---- geometry -----------------------------------------------------------------------------------------------
    def _pair_size(self) -> QSize:
        paired = any(crop.side == "without" for crop in self.crops)
        return QSize(EDGE * (2 if paired else 1) + (GAP if paired else 0), EDGE + self.fontMetrics().height() + 4)

    def _columns(self) -> int:
        return max(1, (max(self.width(), 1) + PAIR_GAP) // (self._pair_size().width() + PAIR_GAP))

    def rect_of(self, number: int) -> QRectF:
        """Give the place of a picture in the widget."""
        crop, size = self.crops[number], self._pair_size()
        order = sorted({c.example for c in self.crops})
        row, column = divmod(order.index(crop.example), self._columns())
        x = column * (size.width() + PAIR_GAP) + (EDGE + GAP if crop.side == "without" else 0)
        return QRectF(x, row * (size.height() + GAP), EDGE, EDGE)

    def crop_at(self, point: QPoint) -> int | None:
        """Give the number of the picture under a point."""
        places = (i for i in range(len(self.crops)) if self.rect_of(i).contains(float(point.x()), float(point.y())))
        return next(places, None)

    def _fit(self) -> None:
        if not self.crops:
            self.setFixedHeight(3 * self.fontMetrics().height())
            return
        rows = -(-len({c.example for c in self.crops}) // self._columns())
        self.setFixedHeight(rows * (self._pair_size().height() + GAP))

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """Lay the pictures out anew."""
        self._fit()
        super().resizeEvent(event)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """A pair must fit."""
        return QSize(2 * EDGE + GAP, EDGE)

    # ---- drawing ------------------------------------------------------------------------------------------------
    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw pictures and what stands under them."""
        painter = QPainter(self)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        if not self.crops:
            painter.setPen(ink)
            flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(QRectF(self.rect()), int(flags), self._text)
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for i, (crop, picture) in enumerate(zip(self.crops, self._pictures, strict=True)):
            box = self.rect_of(i)
            shape = crop.pixels.shape[1:]
            part = QRectF(box.x(), box.y(), EDGE * shape[1] / max(shape), EDGE * shape[0] / max(shape))
            painter.drawPixmap(part, picture, QRectF(picture.rect()))
            words = QRectF(box.x(), box.bottom() + 1, EDGE, self.fontMetrics().height() + 2)
            painter.setPen(ink)
            painter.drawText(words, int(Qt.AlignmentFlag.AlignLeft), self._words(crop))
            if self.hasFocus() and i == self._cursor:
                painter.setPen(QPen(ACCENT, 2))
                painter.drawRect(part)
            role = self._roles.get(crop.well)
            if role in ROLE_COLOURS and crop.side == "with":
                painter.fillRect(QRectF(box.x(), box.bottom() - 2, EDGE, 3), ROLE_COLOURS[role])

    def _words(self, crop: Crop) -> str:
        if crop.side == "without":
            return "without"
        letter = roles.LETTERS.get(self._roles.get(crop.well, ""), "")
        return f"{crop.well} {letter} {crop.value:.2f}" if letter else f"{crop.well} {crop.value:.2f}"

    def told(self, number: int) -> str:
        """Say all about a picture."""
        crop = self.crops[number]
        role = self._roles.get(crop.well, "no role")
        kind = f"activation {crop.value:.3f}" if crop.side == "with" else "a place of the same field without it"
        place = f"y {crop.at[0]:.0f}, x {crop.at[1]:.0f}"
        return f"{crop.well} ({role}), field {crop.field}\n{kind}\n{place}. Click to go there."

    # ---- the user -----------------------------------------------------------------------------------------------
    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Go to the picture that was clicked."""
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return
        number = self.crop_at(event.position().toPoint())
        if number is not None:
            self._cursor = number
            self.update()
            self.wanted.emit(self.crops[number])

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Walk with the arrows, go with Enter."""
        if event is None or not self.crops:
            return
        steps = {Qt.Key.Key_Right: 1, Qt.Key.Key_Left: -1, Qt.Key.Key_Down: self._row(), Qt.Key.Key_Up: -self._row()}
        if event.key() in steps:
            self._cursor = int(np.clip(self._cursor + steps[Qt.Key(event.key())], 0, len(self.crops) - 1))
            self.update()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.wanted.emit(self.crops[self._cursor])
        else:
            super().keyPressEvent(event)

    def _row(self) -> int:
        first = self.rect_of(0).y()
        return next((i for i in range(len(self.crops)) if self.rect_of(i).y() > first), len(self.crops))

    def event(self, event: QEvent | None) -> bool:
        """Tell about the picture under the mouse."""
        if event is not None and event.type() == QEvent.Type.ToolTip:
            number = self.crop_at(event.pos())
            if number is not None:
                QToolTip.showText(event.globalPos(), self.told(number), self)
                return True
        return super().event(event)
