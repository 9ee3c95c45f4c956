"""Small parts that the dock's sections share: foldable sections, hints, the pump of the jobs, tidy disconnection."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, QTimer, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QComboBox,
    QDockWidget,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QMainWindow,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_phenolens.viewer.jobs import Jobs
from napari_phenolens.widgets.tooltips import tip

PUMP_MS = 30


class Connections:
    """Connections from the session to widgets, all undone when the dock goes: the session lives longer."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, Callable[..., Any]]] = []

    def connect(self, signal: Any, slot: Callable[..., Any]) -> None:
        """Connect a psygnal signal."""
        signal.connect(slot)
        self._made.append((signal, slot))

    def close(self) -> None:
        """Undo all connections."""
        for signal, slot in self._made:
            signal.disconnect(slot, missing_ok=True)
        self._made.clear()


class JobPump(QObject):
    """Calls `Jobs.pump` on the main thread: at once when a worker is done, and now and then while jobs run."""

    _arrived = Signal()

    def __init__(self, jobs: Jobs, connections: Connections, parent: QObject) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._timer = QTimer(self)
        self._timer.setInterval(PUMP_MS)
        self._timer.timeout.connect(self._pump)
        self._arrived.connect(self._pump, Qt.ConnectionType.QueuedConnection)
        connections.connect(jobs.started, self._begin)
        connections.connect(jobs.arrived, self._wake)
        if jobs.running:
            self._timer.start()

    def _begin(self, _job: object) -> None:
        self._timer.start()

    def _wake(self) -> None:
        """Tell the main thread; called in a worker's."""
        with suppress(RuntimeError):  # the dock is gone
            self._arrived.emit()

    def _pump(self) -> None:
        if not self._jobs.pump():
            self._timer.stop()


class Section(QWidget):
    """A numbered part of the dock that folds; folded, its summary still says how things stand."""

    def __init__(self, title: str, parent: QWidget | None = None, *, opened: bool = True) -> None:
        super().__init__(parent)
        self._button = QToolButton(self)
        self._button.setText(f" {title}")
        self._button.setCheckable(True)
        self._button.setAutoRaise(True)
        self._button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        font = self._button.font()
        font.setBold(True)
        self._button.setFont(font)
        self._button.toggled.connect(self._toggled)
        tip(self._button, "section")
        self._button.setAccessibleName(f"{title}: fold or unfold")
        self._summary = QElidingLabel("", self)
        self._summary.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._summary.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.content = QWidget(self)
        self.body = QVBoxLayout(self.content)
        self.body.setContentsMargins(8, 2, 2, 6)
        self.body.setSpacing(5)
        header = QHBoxLayout()
        header.setContentsMargins(0, 0, 2, 0)
        header.addWidget(self._button)
        header.addWidget(self._summary, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(header)
        layout.addWidget(self.content)
        self._button.setChecked(opened)
        self._toggled(opened)

    def _toggled(self, opened: bool) -> None:
        self._button.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self.content.setVisible(opened)

    @property
    def opened(self) -> bool:
        """Whether the section is unfolded."""
        return self._button.isChecked()

    def set_opened(self, opened: bool) -> None:
        """Fold or unfold."""
        self._button.setChecked(opened)

    def set_summary(self, text: str) -> None:
        """Set the line at the right of the title."""
        self._summary.setText(text)
        self._summary.setToolTip(text)


WIDE = 1800  # px of a window that has room for two docks side by side


def set_beside(one: QWidget, other: QWidget) -> None:
    """Put a widget's dock beside that of another in a wide window, else as a tab on it, and bring it to the front."""
    docks = [dock_of(one), dock_of(other)]
    if docks[0] is None or docks[1] is None or docks[0] is docks[1]:
        return
    window = docks[0].parentWidget()
    if isinstance(window, QMainWindow) and not docks[1].isFloating():
        if window.width() >= WIDE:
            window.splitDockWidget(docks[0], docks[1], Qt.Orientation.Horizontal)
        else:
            window.tabifyDockWidget(docks[0], docks[1])
    docks[1].show()
    docks[1].raise_()


LEAST_HEIGHT = 360  # px that a dock needs to be of use


def pause(parent: QObject, wait: int, call: Callable[[], object]) -> QTimer:
    """Give a timer that calls once, ``wait`` ms after it was started last."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(wait)
    timer.timeout.connect(call)
    return timer


class _FirstShown(QObject):
    """Waits until a widget is shown for the first time and napari has done with it."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._later = pause(self, 0, lambda: tab_where_cramped(widget))
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """See it being shown; nothing is kept from it."""
        if watched is not None and event is not None and event.type() == QEvent.Type.Show:
            watched.removeEventFilter(self)
            self._later.start()
        return False


def find_room(widget: QWidget) -> None:
    """Once napari has found a place for a new dock's widget, see whether there is room."""
    _FirstShown(widget)


def tab_where_cramped(widget: QWidget) -> None:
    """Share the height with the dock above, where napari has put a widget's dock; a tab on it where that is too low."""
    dock = dock_of(widget)
    window = dock.parentWidget() if dock is not None else None
    if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
        return
    layout = window.layout()
    if layout is not None:
        layout.activate()  # the heights below are those that the docks get
    for other in window.findChildren(QDockWidget):
        alone = other is dock or other.isFloating() or not other.isVisible() or window.tabifiedDockWidgets(dock)
        beside = other.x() == dock.x() and window.dockWidgetArea(other) == window.dockWidgetArea(dock)
        if not alone and beside and min(dock.height(), other.height()) < LEAST_HEIGHT:
            if dock.height() + other.height() < 2 * LEAST_HEIGHT:
                window.tabifyDockWidget(other, dock)
                dock.raise_()
            else:
                window.resizeDocks([other, dock], [1, 1], Qt.Orientation.Vertical)
            return


def dock_of(widget: QWidget) -> QDockWidget | None:
    """Find the dock that a widget lies in."""
    parent: QWidget | None = widget
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent


def shorten_choice(box: QComboBox, letters: int) -> QComboBox:
    """Let a choice ask for so many letters alone: its longest words must not widen the dock."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(letters)
    return box


class _Wrapped(QLabel):
    """A label that wraps, and measures a text once for a width.

    Qt's own is painted again each time it is measured (a text that can be selected is laid out anew for it), so that
    any change of any part of the dock painted them all.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._measured: dict[int, int] = {}  # width -> height: a layout asks for two, with a scroll bar and without
        self._measured_as: object = None

    def heightForWidth(self, width: int) -> int:  # noqa: N802 - Qt's name
        """Give the height that the text needs at a width."""
        key = (self.text(), self.font().key(), self.devicePixelRatioF())
        if self._measured_as != key:
            self._measured_as, self._measured = key, {}
        if width not in self._measured:
            self._measured[width] = super().heightForWidth(width)
        return self._measured[width]


def hint(text: str = "") -> QLabel:
    """Give a line of help that wraps; long words never widen the dock."""
    label = _Wrapped(text)
    label.setWordWrap(True)
    label.setMinimumWidth(220)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    return label


def one_line(text: str = "") -> QElidingLabel:
    """Give a line that is cut where the dock is too narrow for it."""
    label = QElidingLabel(text)
    label.setElideMode(Qt.TextElideMode.ElideRight)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return label


def scrolled(*parts: QWidget | QLayout, margin: int = 4, spacing: int = 4, last_grows: bool = False) -> QScrollArea:
    """Stack a dock's parts in an area that scrolls: napari's window never grows taller than the screen for them."""
    inner = QWidget()
    column = QVBoxLayout(inner)
    column.setContentsMargins(margin, margin, margin, margin)
    column.setSpacing(spacing)
    for part in parts:
        if isinstance(part, QWidget):
            column.addWidget(part)
        else:
            column.addLayout(part)
    if last_grows:
        column.setStretch(len(parts) - 1, 1)
    else:
        column.addStretch(1)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inner)
    return area


def row(*widgets: QWidget, stretch: int | None = None) -> QHBoxLayout:
    """Lay widgets in a row; the widget at index ``stretch`` takes what is left."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for i, widget in enumerate(widgets):
        layout.addWidget(widget, 1 if i == stretch else 0)
    if stretch is None:
        layout.addStretch(1)
    return layout


def plural(n: int, word: str) -> str:
    """Count things: ``1 well``, ``3 wells``."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


def shortcut(widget: QWidget, key: str, action: Callable[[], Any]) -> QShortcut:
    """Bind a key while a widget or a part of it has the focus; napari's own keys are left alone."""
    made = QShortcut(QKeySequence(key), widget)
    made.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    made.activated.connect(action)
    return made


def undo_shortcuts(widget: QWidget, bench: Any) -> None:
    """Bind Ctrl+Z and U to undo, Ctrl+Shift+Z and Ctrl+Y to redo; a line that is being typed in keeps its own."""
    for key in ("Ctrl+Z", "U"):
        shortcut(widget, key, bench.undo)
    for key in ("Ctrl+Shift+Z", "Ctrl+Y"):
        shortcut(widget, key, bench.redo)
