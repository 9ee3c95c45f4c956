"""A query over the plate map: suggestions from its columns, a live count of the wells, the error in words."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QStringListModel, Qt, Signal
from qtpy.QtGui import QAction, QKeyEvent
from qtpy.QtWidgets import QCompleter, QLineEdit, QMenu, QToolButton, QVBoxLayout, QWidget

from napari_phenolens.viewer.roles import Suggestion
from napari_phenolens.widgets.parts import hint, pause, plural, row
from napari_phenolens.widgets.tooltips import tip

WAIT_MS = 250


class _Line(QLineEdit):
    """A line that opens its suggestions with the down key."""

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Open the suggestions."""
        if event is not None and event.key() == Qt.Key.Key_Down and self.completer() is not None:
            self.completer().setCompletionPrefix(self.text())
            self.completer().complete()
            return
        super().keyPressEvent(event)


class QueryEdit(QWidget):
    """One query with its count."""

    query_changed = Signal(str)

    def __init__(self, key: str, placeholder: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.line = _Line()
        tip(self.line, key)
        self.line.setPlaceholderText(placeholder)
        self.line.setClearButtonEnabled(True)
        self._words = QStringListModel(self)
        completer = QCompleter(self._words, self)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.line.setCompleter(completer)
        self.menu_button = QToolButton()
        self.menu_button.setText("▾")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")  # one arrow is enough
        tip(self.menu_button, key)
        self.menu_button.setAccessibleName(f"{self.line.accessibleName()}: suggestions")
        self._menu = QMenu(self)
        self.menu_button.setMenu(self._menu)
        self.count = hint()
        self._timer = pause(self, WAIT_MS, self._emit)
        self.line.textEdited.connect(lambda _text: self._timer.start())
        self.line.returnPressed.connect(self._emit)
        completer.activated.connect(lambda _text: self._timer.start())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        layout.addLayout(row(self.line, self.menu_button, stretch=0))
        layout.addWidget(self.count)

    def _emit(self) -> None:
        self._timer.stop()
        self.query_changed.emit(self.line.text().strip())

    def set_query(self, query: str) -> None:
        """Show a query, silently, unless the user is typing another."""
        if self.line.text().strip() != query and not self._timer.isActive():
            self.line.setText(query)
            self.line.setCursorPosition(0)

    def set_suggestions(self, suggestions: Sequence[Suggestion]) -> None:
        """Offer these queries."""
        self._words.setStringList([s.query for s in suggestions])
        self._menu.clear()
        for suggestion in suggestions[:40]:
            action = QAction(f"{suggestion.query}    ({plural(suggestion.wells, 'well')})", self._menu)
            action.triggered.connect(lambda _checked=False, q=suggestion.query: self._take(q))
            self._menu.addAction(action)
        self.menu_button.setEnabled(bool(suggestions))

    def _take(self, query: str) -> None:
        self.line.setText(query)
        self._emit()

    def set_count(self, text: str, *, error: bool = False) -> None:
        """Say how many wells the query picks, or what is wrong with it."""
        self.count.setText(f"⚠ {text}" if error else text)
        self.count.setVisible(bool(text))
