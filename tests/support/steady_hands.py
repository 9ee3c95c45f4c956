"""Steady hands: the mouse and the keys of a careful user, on the widgets that lie on the screen.

Nothing is clicked that could not be clicked: a widget is scrolled to with the wheel, must be enabled, and must be what
lies under the mouse. Menus, boxes and file dialogs are answered by mouse and keys as well. Needs no pytest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QComboBox,
    QDialogButtonBox,
    QFileDialog,
    QHeaderView,
    QLineEdit,
    QMenu,
    QMenuBar,
    QScrollArea,
    QTabBar,
    QWidget,
)

LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier
NOTCH = 120  # of a mouse wheel
WAIT_S = 300.0  # of our own time; a busy machine is slow


class Patience:
    """Counts the time that this process had: a second at most for each look, however long it was held up."""

    def __init__(self, seconds: float = WAIT_S) -> None:
        self.left, self._last = seconds, time.monotonic()

    def over(self) -> bool:
        """Say whether it is used up."""
        now = time.monotonic()
        self.left -= min(1.0, now - self._last)
        self._last = now
        return self.left < 0


def wait_until(true: Callable[[], Any], what: str) -> Any:
    """Let Qt work until something is true; gives it.

    Raises
    ------
    AssertionError
        Where it is not true in time.
    """
    patience = Patience()
    while not (found := true()):
        assert not patience.over(), f"waited in vain for: {what}"
        QTest.qWait(15)
    return found


def later(find: Callable[[], Any], act: Callable[[Any], object], what: str) -> None:
    """Act on what comes up while a menu or dialog holds the event loop."""
    timer = QTimer(QApplication.instance())
    timer.setInterval(30)
    patience = Patience()

    def look() -> None:
        found = find()
        if found is not None:
            timer.stop()
            act(found)
        elif patience.over():
            timer.stop()
            for window in (QApplication.activePopupWidget(), QApplication.activeModalWidget()):
                if window is not None:
                    window.close()
            raise AssertionError(f"waited in vain for: {what}")

    timer.timeout.connect(look)
    timer.start()


# ---- the mouse -------------------------------------------------------------------------------------------------------
def reach(widget: QWidget) -> None:
    """Scroll with the wheel until a widget can be seen."""
    areas, parent = [], widget.parentWidget()
    while parent is not None:
        if isinstance(parent, QScrollArea):
            areas.append(parent)
        parent = parent.parentWidget()
    for area in reversed(areas):
        view, bar = area.viewport(), area.verticalScrollBar()
        for _ in range(200):
            top = widget.mapTo(view, QPoint(0, 0)).y()
            over, under = -top, top + widget.height() - view.height()
            if (over <= 0 and under <= 0) or (under > 0 and over > 0):
                break
            notch, before = (NOTCH if over > 0 else -NOTCH), bar.value()
            _wheel(view, notch)
            if bar.value() == before:
                break


def _wheel(view: QWidget, notch: int) -> None:
    """Turn the wheel over the left edge of a scrolled area, where no box takes it."""
    at = QPointF(1, view.height() / 2)
    event = QWheelEvent(
        at, QPointF(view.mapToGlobal(at.toPoint())), QPoint(), QPoint(0, notch), Qt.MouseButton.NoButton, NONE,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(view, event)
    QApplication.processEvents()


def click(widget: QWidget, at: QPoint | None = None, *, held: Any = NONE, double: bool = False) -> None:
    """Click a widget, at its middle if not told where.

    Raises
    ------
    AssertionError
        Where a user could not: it cannot be seen, is switched off, or something else lies under the mouse there.
    """
    reach(widget)
    at = widget.rect().center() if at is None else at
    named = f"{type(widget).__name__} {widget.accessibleName() or getattr(widget, 'text', str)()!r}"
    assert widget.isVisible(), f"{named} cannot be seen"
    assert widget.isEnabled(), f"{named} is switched off"
    window = widget.window()
    under = window.childAt(widget.mapTo(window, at)) or window
    assert under is widget or widget.isAncestorOf(under), f"{named}: {type(under).__name__} lies over it at {at}"
    QTest.mouseMove(widget, at)
    (QTest.mouseDClick if double else QTest.mouseClick)(widget, LEFT, held, at)
    QApplication.processEvents()


def drag(widget: QWidget, start: QPoint, end: QPoint, held: Any = NONE) -> None:
    """Press, move, release."""
    reach(widget)
    QTest.mousePress(widget, LEFT, held, start)
    for part in (0.3, 0.6, 1.0):
        QTest.mouseMove(widget, start + (end - start) * part)
        QTest.qWait(15)
    QTest.mouseRelease(widget, LEFT, held, end)
    QApplication.processEvents()


def click_item(view: QAbstractItemView, index: Any, *, at_left: bool = False) -> None:
    """Click an entry of a list or table, at its left (where a tick box is) or in its middle."""
    reach(view)
    view.scrollTo(index)
    box = view.visualRect(index)
    place = QPoint(box.left() + 10, box.center().y()) if at_left else box.center()
    click(view.viewport(), place)


def click_title(header: QHeaderView, section: int) -> None:
    """Click the title of a table's column."""
    x = header.sectionViewportPosition(section) + header.sectionSize(section) // 2
    click(header.viewport(), QPoint(x, header.height() // 2))


def click_tab(window: QWidget, words: str) -> None:
    """Bring a dock of a window to the front by its tab."""
    for bar in window.findChildren(QTabBar):
        for i in range(bar.count()):
            if bar.tabText(i) == words and bar.isVisible():
                click(bar, bar.tabRect(i).center())
                return
    raise AssertionError(f"there is no tab {words!r}")


# ---- keys ------------------------------------------------------------------------------------------------------------
def press(window: QWidget, key: Any, held: Any = NONE) -> None:
    """Press a key where the focus of a window is."""
    target = window.focusWidget()
    assert target is not None, f"no widget has the focus for {key}"
    QTest.keyClick(target, key, held)
    QApplication.processEvents()


def write(line: QLineEdit, text: str) -> None:
    """Click a line, empty it, and type."""
    click(line)
    QTest.keyClick(line, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(line, Qt.Key.Key_Delete)
    QTest.keyClicks(line, text)
    QApplication.processEvents()


# ---- boxes, menus, dialogs -------------------------------------------------------------------------------------------
def choose(box: QComboBox, text: str) -> None:
    """Open a box and click the entry that begins with these words."""
    names = [box.itemText(i) for i in range(box.count())]
    place = next((i for i, name in enumerate(names) if name.startswith(text)), None)
    assert place is not None, f"{box.accessibleName()}: no entry {text!r} in {names}"
    click(box)
    view = box.view()
    wait_until(view.isVisible, f"the entries of {box.accessibleName()}")
    QTest.qWait(QApplication.doubleClickInterval() + 20)  # Qt takes an earlier release for the end of the first click
    index = box.model().index(place, box.modelColumn(), box.rootModelIndex())
    view.scrollTo(index)
    QTest.mouseMove(view.viewport(), view.visualRect(index).center())
    QTest.mouseClick(view.viewport(), LEFT, NONE, view.visualRect(index).center())
    wait_until(lambda: not view.isVisible(), f"{box.accessibleName()} closes")
    assert box.currentText() == names[place]


def _entry(menu: QMenu, words: str) -> Any:
    for action in menu.actions():
        if action.text().replace("&", "").startswith(words):
            assert action.isEnabled(), f"{words!r} is switched off"
            return action
    raise AssertionError(f"no entry {words!r} in {[a.text() for a in menu.actions()]}")


def _shown_menu(but: QMenu | None = None) -> QMenu | None:
    popup = QApplication.activePopupWidget()
    return popup if isinstance(popup, QMenu) and popup is not but and popup.isVisible() else None


def click_menu(button: QAbstractButton, words: str) -> None:
    """Open a button's menu and click an entry."""
    later(_shown_menu, lambda menu: _pick(menu, words), f"the menu of {button.text()!r}")
    click(button)  # returns when the menu is closed


def _pick(menu: QMenu, words: str) -> None:
    place = menu.actionGeometry(_entry(menu, words)).center()
    QTest.mouseMove(menu, place)
    QTest.mouseClick(menu, LEFT, NONE, place)


def click_bar(bar: QMenuBar, *words: str, seen: Callable[[], object] | None = None) -> None:
    """Open a window's menu and click through to an entry; `seen` is called with the entry under the mouse."""
    title = next(action for action in bar.actions() if action.text().replace("&", "") == words[0])
    QTest.mouseClick(bar, LEFT, NONE, bar.actionGeometry(title).center())
    menu: QMenu | None = None
    for depth, word in enumerate(words[1:], start=2):
        menu = wait_until(lambda before=menu: _shown_menu(before), f"the menu with {word!r}")
        place = menu.actionGeometry(_entry(menu, word)).center()
        QTest.mouseMove(menu, place)
        QTest.qWait(50)
        if depth == len(words) and seen is not None:
            seen()
        QTest.mouseClick(menu, LEFT, NONE, place)


def in_file_dialog(path: str | Path) -> None:
    """Type a path into the file dialog that comes up next, and press its button.

    Native dialogs answer to nobody but the user: switch them off first (`Qt.AA_DontUseNativeDialogs`).
    """

    def dialog() -> QFileDialog | None:
        found = QApplication.activeModalWidget()
        return found if isinstance(found, QFileDialog) and found.isVisible() else None

    def answer(found: QFileDialog) -> None:
        line = found.findChild(QLineEdit, "fileNameEdit")
        write(line, str(path))
        line.completer().popup().hide()
        accept = QDialogButtonBox.ButtonRole.AcceptRole
        box = found.findChild(QDialogButtonBox)
        click(next(button for button in box.buttons() if box.buttonRole(button) == accept))

    later(dialog, answer, f"the dialog that asks for {Path(path).name}")
