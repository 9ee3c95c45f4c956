"""A progress bar that costs little while nobody knows how far the work is."""

from __future__ import annotations

from qtpy.QtCore import QRect, QTimer
from qtpy.QtGui import QHideEvent, QPainter, QPaintEvent, QShowEvent
from qtpy.QtWidgets import QProgressBar, QStyle, QStyleOptionProgressBar, QWidget

BEAT_MS = 300
STEPS = 8  # places of the block along the bar


class BusyBar(QProgressBar):
    """A progress bar whose block moves three times a second where the end of the work is not known.

    Qt's own bar is drawn at every frame then. In a window with an OpenGL canvas each of these has the whole window put
    together anew: 20 to 50 ms of the main thread where no graphics card does it.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._busy, self._at = False, 0
        self._beat = QTimer(self)
        self._beat.setInterval(BEAT_MS)
        self._beat.timeout.connect(self._move)

    def set_busy(self) -> None:
        """Say that something goes on, nobody knows how far."""
        if not self._busy:
            self._busy, self._at = True, 0
            self.setRange(0, 1)
            self.reset()
            self._turn()

    def set_progress(self, done: int, total: int) -> None:
        """Say how much is done, of how much."""
        self._busy = False
        self._turn()
        self.setRange(0, total)
        self.setValue(min(done, total))

    @property
    def busy(self) -> bool:
        """Whether the end of the work is not known."""
        return self._busy

    def _turn(self) -> None:
        if self._busy and self.isVisible():
            self._beat.start()
        else:
            self._beat.stop()
        self.update()

    def _move(self) -> None:
        self._at = (self._at + 1) % STEPS
        self.update()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Move while it is seen."""
        super().showEvent(event)
        self._turn()

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802 - Qt's name
        """Rest while it is not."""
        super().hideEvent(event)
        self._beat.stop()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Paint the bar; while busy, the groove and a block in it."""
        style = self.style()
        if not self._busy or style is None:
            super().paintEvent(event)
            return
        option = QStyleOptionProgressBar()
        self.initStyleOption(option)
        painter = QPainter(self)
        style.drawControl(QStyle.ControlElement.CE_ProgressBarGroove, option, painter, self)
        room = self.rect().adjusted(1, 1, -1, -1)
        wide = room.width() // STEPS
        block = QRect(room.left() + self._at * wide, room.top(), wide, max(1, room.height()))
        painter.fillRect(block, self.palette().highlight())
        painter.end()
