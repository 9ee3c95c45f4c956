"""The licence of a model's weights, shown before anything is downloaded; the user accepts or declines."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt
from qtpy.QtGui import QCloseEvent, QPalette
from qtpy.QtWidgets import QDialog, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from napari_phenolens.viewer.weights import LicenceQuestion
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.parts import Connections, hint, row
from napari_phenolens.widgets.tooltips import tip


class LicenceDialog(QDialog):
    """Follows ``session.licence``: open while a licence waits for an answer; closing it declines. Not modal."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bench = bench
        self.setWindowTitle("PhenoLens: licence of the weights")
        self.head = QLabel()
        self.head.setWordWrap(True)
        self.head.setOpenExternalLinks(True)
        self.head.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        tip(self.text, "licence.text")
        self.foot = hint(
            "Accept it only if you may use the weights under these terms. What you accept is remembered on this "
            "machine, with its date, as the command line does it. If you decline, nothing is downloaded."
        )
        self.accept_button, self.decline_button = QPushButton("Accept and download"), QPushButton("Decline")
        self.decline_button.setDefault(True)  # Enter never accepts
        self.accept_button.setAutoDefault(False)
        tip(self.accept_button, "licence.accept").clicked.connect(self._accept)
        tip(self.decline_button, "licence.decline").clicked.connect(bench.weights.decline)
        layout = QVBoxLayout(self)
        layout.addWidget(self.head)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.foot)
        layout.addLayout(row(self.accept_button, self.decline_button))
        self.resize(560, 480)
        connections.connect(bench.session.events.licence, self._show)
        self._show()

    def _show(self, _value: object = None) -> None:
        asked: LicenceQuestion | None = self.bench.session.licence
        self.setVisible(asked is not None)
        if asked is None:
            return
        about = asked.about
        self.head.setText(
            f"The weights of <b>{escape(about.encoder)}</b> are not part of this plugin and stand under a licence of "
            f"their own:<br><b>{escape(about.name)}</b><br>Licence: {self._link(about.url)}<br>"
            f"Download from: {self._link(about.source)}"
        )
        self.text.setPlainText("Reading the licence…" if asked.reading else asked.text or _sentence(asked.unread))
        self.accept_button.setEnabled(not asked.reading)
        self.raise_()

    def _link(self, url: str) -> str:
        ink = self.head.palette().color(QPalette.ColorRole.WindowText).name()  # Qt's own blue drowns in a dark theme
        return f'<a href="{escape(url)}" style="color: {ink}">{escape(url)}</a>'

    def _accept(self) -> None:
        self.bench.attempt("Downloading the weights", self.bench.weights.accept)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take closing for a no."""
        self.bench.weights.decline()
        super().closeEvent(event)

    def reject(self) -> None:
        """Take Escape for a no."""
        self.bench.weights.decline()


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
