"""The line that marks what is shown as provisional."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel

from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.parts import Connections
from napari_phenolens.widgets.tooltips import tip

LOOK = "background: #7a4f00; color: white; padding: 3px 6px; border-radius: 3px; font-weight: bold"


class ProvisionalNote(QLabel):
    """Says that figures will change, as long as the run on show is not whole."""

    def __init__(self, bench: Workbench, connections: Connections) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setStyleSheet(LOOK)
        tip(self, "provisional")
        self._bench = bench
        connections.connect(bench.session.events.provisional, self._show)
        self._show()

    def _show(self, _value: object = None) -> None:
        words = self._bench.session.provisional
        self.setText(words)
        self.setVisible(bool(words))
