"""Random hands: seeded clicks and keys on whatever control of some widgets can be seen and used just now."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random

from qtpy.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from qtpy.QtGui import QKeyEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractItemView,
    QAbstractScrollArea,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QTextEdit,
    QToolButton,
    QWidget,
)

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE = Qt.KeyboardModifier.NoModifier
MODIFIERS = (NONE, NONE, NONE, NONE, Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier)
KEYS = (
    *"JKUIHPDO[]?.,0123456789 ",
    *(Qt.Key[f"Key_{name}"] for name in ("Up", "Down", "Left", "Right", "Return", "Escape", "Tab", "Backspace")),
    *(Qt.Key[f"Key_{name}"] for name in ("Home", "End", "PageUp", "PageDown", "Delete", "Space")),
)
CHORDS = ("Z", "Y", "A", "F")  # with Ctrl
WORDS = ("effect > 1", "q < 0.05", "starred", "no such", "dose > 1", "role ==", "a name", "'", "1e9", "-1", "é µ")


class RandomHands(QObject):
    """What a hurried child would do to a window, repeatable by its seed.

    Parameters
    ----------
    widgets : sequence of QWidget
        Where the hands go.
    rng : Random
    """

    def __init__(self, widgets: Sequence[QWidget], rng: Random) -> None:
        super().__init__()
        self.widgets, self.rng = list(widgets), rng
        self.trail: deque[str] = deque(maxlen=25)
        # menus and modal dialogs hold the event loop: a timer answers them, as a user would
        self._answers = QTimer(self)
        self._answers.setInterval(20)
        self._answers.timeout.connect(self._answer)
        self._answers.start()

    def stop(self) -> None:
        """Leave the window alone."""
        self._answers.stop()
        for _ in range(10):
            self._answer(leave=True)

    def _note(self, what: str, widget: QWidget) -> None:
        name = widget.accessibleName() or getattr(widget, "text", str)() or widget.objectName()
        self.trail.append(f"{what} {type(widget).__name__} {name[:60]!r}")

    def _answer(self, *, leave: bool = False) -> None:
        popup = QApplication.activePopupWidget()
        if popup is not None:
            entries = [a for a in popup.actions() if a.isEnabled() and not a.isSeparator()]
            if leave or self.rng.random() < 0.3:
                QTest.keyClick(popup, Qt.Key.Key_Escape)
            elif isinstance(popup, QMenu) and entries:
                action = self.rng.choice(entries)
                self.trail.append(f"menu {action.text()!r}")
                QTest.mouseClick(popup, LEFT, NONE, popup.actionGeometry(action).center())
            else:
                for _ in range(self.rng.randrange(4)):
                    QTest.keyClick(popup, Qt.Key.Key_Down)
                QTest.keyClick(popup, Qt.Key.Key_Return)
            if QApplication.activePopupWidget() is popup and self.rng.random() < 0.5:
                popup.close()
            return
        for window in QApplication.topLevelWidgets():
            if isinstance(window, QDialog) and window.isVisible() and (leave or self.rng.random() < 0.2):
                buttons = [b for b in window.findChildren(QPushButton) if b.isVisible() and b.isEnabled()]
                if buttons and not leave:
                    self._note("answer", button := self.rng.choice(buttons))
                    QTest.mouseClick(button, LEFT)
                else:
                    window.reject()

    def _seen(self) -> list[QWidget]:
        found = []
        for widget in self.widgets:
            for child in widget.findChildren(QWidget):
                inner = isinstance(child.parentWidget(), QAbstractScrollArea | QAbstractSpinBox | QComboBox)
                if (
                    child.isVisible()
                    and child.isEnabled()
                    and not inner
                    and child.focusPolicy() != Qt.FocusPolicy.NoFocus
                ):
                    found.append(child)
        return found

    def act(self) -> None:
        """Do one thing."""
        rng = self.rng
        seen = self._seen()
        if not seen:
            return
        kinds = sorted({type(widget).__name__ for widget in seen})
        if rng.random() < 0.5:  # every kind of control has its turn, however few there are of it
            kind = rng.choice(kinds)
            seen = [widget for widget in seen if type(widget).__name__ == kind]
        try:
            self._use(rng.choice(seen))
        except RuntimeError as error:  # what a slot raises never comes here
            if "deleted" not in str(error):
                raise
            self.trail.append("too late: it is gone")  # a list was filled anew under the mouse

    def _use(self, widget: QWidget) -> None:
        """Do something with a control."""
        rng = self.rng
        self._bring(widget)
        if rng.random() < 0.25:
            self._keys(widget)
        elif isinstance(widget, QLineEdit | QPlainTextEdit | QTextEdit):
            self._type(widget)
        elif isinstance(widget, QComboBox | QAbstractSpinBox | QAbstractSlider) and rng.random() < 0.7:
            self._note("step", widget)
            QTest.keyClick(widget, rng.choice((Qt.Key.Key_Up, Qt.Key.Key_Down)))
        else:
            self._click(widget)

    def _bring(self, widget: QWidget) -> None:
        """Scroll to a control, as one must to click it."""
        parent = widget.parentWidget()
        while parent is not None:
            if isinstance(parent, QScrollArea):
                parent.ensureWidgetVisible(widget)
            parent = parent.parentWidget()

    def _place(self, widget: QWidget) -> QPoint | None:
        box = widget.visibleRegion().boundingRect()
        if box.isEmpty():
            return None
        return QPoint(self.rng.randint(box.left(), box.right()), self.rng.randint(box.top(), box.bottom()))

    def _click(self, widget: QWidget) -> None:
        rng = self.rng
        target = widget.viewport() if isinstance(widget, QAbstractScrollArea) else widget
        place = self._place(target)
        if place is None:
            return
        self._note("click", widget)
        held = rng.choice(MODIFIERS)
        drawn = not isinstance(widget, QPushButton | QToolButton)
        dice = rng.random()
        if drawn and dice < 0.15:  # a rubber band
            QTest.mousePress(target, LEFT, held, place)
            for _ in range(3):
                QTest.mouseMove(target, self._place(target) or place)
            QTest.mouseRelease(target, LEFT, held, self._place(target) or place)
        elif drawn and dice < 0.25:
            QTest.mouseClick(target, RIGHT, held, place)
        elif isinstance(widget, QAbstractItemView) and dice < 0.35:
            QTest.mouseDClick(target, LEFT, held, place)
        else:
            QTest.mouseMove(target, place)
            QTest.mouseClick(target, LEFT, held, place)

    def _type(self, widget: QWidget) -> None:
        self._note("type in", widget)
        QTest.mouseClick(widget, LEFT)
        if self.rng.random() < 0.6:
            QTest.keyClick(widget, "A", Qt.KeyboardModifier.ControlModifier)
            QTest.keyClick(widget, Qt.Key.Key_Delete)
        for letter in self.rng.choice(WORDS):  # QTest itself types ASCII alone
            for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
                QApplication.sendEvent(widget, QKeyEvent(kind, 0, NONE, letter))
        if self.rng.random() < 0.7:
            QTest.keyClick(widget, Qt.Key.Key_Return)

    def _keys(self, widget: QWidget) -> None:
        rng = self.rng
        widget.setFocus()
        for _ in range(rng.randint(1, 4)):
            if rng.random() < 0.2:
                key, held = rng.choice(CHORDS), Qt.KeyboardModifier.ControlModifier
            else:
                key, held = rng.choice(KEYS), rng.choice(MODIFIERS)
            self._note(f"key {held.name}+{key}", widget)
            focus = QApplication.focusWidget() or widget
            QTest.keyClick(focus, key, held)
