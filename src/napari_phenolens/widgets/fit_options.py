"""How the dictionary is learnt: the part of the run section that most plates do not need."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QLabel, QLineEdit, QToolButton

from napari_phenolens.viewer.running import METHODS, WHITENINGS
from napari_phenolens.widgets.parts import row, shorten_choice
from napari_phenolens.widgets.tooltips import tip


class FitOptions:
    """Method, whitening, a lens to start from, and the wells to fit on, as rows of a form."""

    def __init__(self, form: QFormLayout) -> None:
        self.method, self.whitening = QComboBox(), QComboBox()
        for box, key, choices in (
            (self.method, "run.method", METHODS),
            (self.whitening, "run.whitening", WHITENINGS),
        ):
            tip(box, key)
            for name, words in choices.items():
                box.addItem(words, name)
            shorten_choice(box, 12)
        self.start = QLineEdit()
        self.start.setPlaceholderText("none: from random features")
        tip(self.start, "run.start_lens")
        self.browse = QToolButton()
        self.browse.setText("…")
        tip(self.browse, "run.start_browse").clicked.connect(self._browse)
        self.fit_on = QLineEdit()
        self.fit_on.setPlaceholderText("all wells")
        tip(self.fit_on, "run.fit_on")
        form.addRow(QLabel("Method"), self.method)
        form.addRow(QLabel("Whitening"), self.whitening)
        form.addRow(QLabel("Start from"), row(self.start, self.browse, stretch=0))
        form.addRow(QLabel("Fit on wells"), self.fit_on)

    def values(self) -> dict[str, Any]:
        """Read the form, as the fields of `RunSettings`."""
        return {
            "method": str(self.method.currentData()),
            "whitening": str(self.whitening.currentData()),
            "start": self.start.text().strip(),
            "fit_on": self.fit_on.text().strip(),
        }

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self.browse, "Lens to start from", "", "Lens (*.safetensors)")
        if path:
            self.start.setText(path)
