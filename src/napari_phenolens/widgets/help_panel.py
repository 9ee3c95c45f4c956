"""The help panel: the way step by step, and every key."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QTextBrowser, QVBoxLayout, QWidget

from napari_phenolens.viewer import compat
from napari_phenolens.viewer.helping import help_html
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.tooltips import tip

NAME = "PhenoLens help"


class HelpPanel(QWidget):
    """Text that can be read, selected and scrolled."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle(NAME)
        self.text = QTextBrowser()
        tip(self.text, "help.text")
        self.text.setHtml(help_html())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        self.setFocusProxy(self.text)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for as much as the text needs to be read."""
        return QSize(420, 560)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Never make napari's window taller than the screen."""
        return QSize(280, 120)


def open_help(bench: Workbench, beside: QWidget) -> QWidget:
    """Open the help in a dock, or bring it to the front; in a window where the viewer has none."""
    there: QWidget | None = compat.find_dock(bench.viewer, NAME) or beside.window().findChild(HelpPanel)
    if there is None:
        there = HelpPanel()
        if not compat.add_dock(bench.viewer, there, NAME):
            there.setParent(beside.window(), Qt.WindowType.Window)
    there.show()
    there.setFocus()
    return there
