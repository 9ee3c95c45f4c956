"""Which model, under which licence, and whether its weights are here; how to get them."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_phenolens.viewer.jobs import Job
from napari_phenolens.viewer.running import encoder_choices
from napari_phenolens.viewer.weights import weights_file
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.licence_dialog import LicenceDialog
from napari_phenolens.widgets.parts import Connections, hint, row, shorten_choice
from napari_phenolens.widgets.tooltips import tip

SHOWN = 18  # characters that the closed list asks for; the open one is as wide as its lines


class ModelChoice(QWidget):
    """The list of models; where the chosen one's weights are not here, how to get them."""

    changed = Signal()

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bench = bench
        self._files: dict[str, str] = {}  # encoder -> a weights file of the user's
        self.list = shorten_choice(QComboBox(), SHOWN)
        tip(self.list, "run.encoder")
        self.get, self.file = QPushButton("Get the weights…"), QPushButton("I have the file…")
        tip(self.get, "run.get_weights").clicked.connect(self._get)
        tip(self.file, "run.weights_file").clicked.connect(self._browse)
        self.text = hint()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.list)
        layout.addWidget(self.text)
        layout.addLayout(row(self.get, self.file))
        self.licence = LicenceDialog(bench, connections, self)
        self.refresh()
        self.list.currentIndexChanged.connect(self._chosen)
        connections.connect(bench.jobs.started, self._show)
        connections.connect(bench.jobs.ended, self._ended)

    def name(self) -> str:
        """Give the chosen encoder."""
        return str(self.list.currentData())

    def weights(self) -> str:
        """Give the file of its weights that the user has chosen; empty where there is none."""
        return self._files.get(self.name(), "")

    def refresh(self) -> None:
        """Read the list again, and keep the choice."""
        had = self.list.currentIndex()
        choices = encoder_choices()
        self.list.blockSignals(True)
        self.list.clear()
        for i, (name, line, words) in enumerate(choices):
            self.list.addItem(line, name)
            self.list.setItemData(i, words, Qt.ItemDataRole.ToolTipRole)
        self.list.setCurrentIndex(max(had, 0))
        self.list.blockSignals(False)
        view = self.list.view()
        if view is not None:
            widest = max(self.list.fontMetrics().horizontalAdvance(line) for _, line, _ in choices)
            view.setMinimumWidth(widest + 40)
        self._show()

    def take_file(self, path: str) -> None:
        """Use a weights file that the user has for the chosen model."""
        checked = self.bench.attempt("Taking the weights file", weights_file, path)
        if checked is not None:
            self._files[self.name()] = checked
            self._show()

    def _chosen(self, _index: int) -> None:
        self._show()
        self.changed.emit()

    def _get(self) -> None:
        self._files.pop(self.name(), None)
        self.bench.attempt("Downloading the weights", self.bench.weights.get, self.name())

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, f"Weights of {self.name()}", "", "Weights (*.safetensors *.bin *.pt *.pth);;All files (*)"
        )
        if path:
            self.take_file(path)

    def _ended(self, job: Job) -> None:
        if job.kind in ("weights", "run", "blocks", "estimate"):  # each may have downloaded
            self.refresh()

    def _show(self, _value: object = None) -> None:
        about = self.bench.weights.about(self.name())
        file = self.weights()
        needed = not (about.here or file)
        self.get.setVisible(needed and about.download)
        self.get.setEnabled(self.bench.jobs.heavy is None)
        self.file.setVisible(not about.here)
        self.text.setVisible(not about.here)
        if file:
            self.text.setText(f"Its weights are taken from {file}.")
        elif needed:
            how = "they are downloaded when they are first needed"
            if not about.download:
                how = "they are not public: give the file where you have it"
            elif about.asks:
                how = "you are shown their licence before they are downloaded"
            self.text.setText(f"Its weights ({about.name}) are not on this machine; {how}.")
