"""Where cells come from: segmentation with its settings and preview, a Labels layer, or label files."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_phenolens.viewer.cell_source import BUILT_IN, FOLDER, KINDS, LAYER
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.parts import Connections, Section, hint, row
from napari_phenolens.widgets.tooltips import tip

AUTOMATIC = "automatic"
OWN = {
    BUILT_IN: "Nuclei, grown outwards until they meet or have gone far enough. Preview it on a control well and on a "
    "treated one before it goes over the plate.",
    LAYER: "The layer's labels become the cells of the field on show; other fields keep theirs. Cells are compared "
    "with those of control wells, which need cells too: find those of all fields first.",
    FOLDER: "One label image a field, for all fields. Fields without one are passed over and noted.",
}


class CellSourceSection(Section):
    """Settings, preview, and the button that goes over the whole plate."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("Where cells come from", parent, opened=False)
        self.bench = bench
        self._channels: dict[str, QCheckBox] = {}
        self._shown_for: Any = None
        self._build()
        events = bench.session.events
        for signal in (events.cell_source, events.cell_preview, events.previewing, events.cells, events.plate):
            connections.connect(signal, self._show)
        for signal in (events.well, events.field_name):
            connections.connect(signal, self._show)
        connections.connect(events.run, self._run)
        for signal in (bench.jobs.started, bench.jobs.ended):
            connections.connect(signal, self._show)
        connections.connect(bench.finding.layers_changed, self._layers)
        self._run()

    def _build(self) -> None:
        self.source = QComboBox()
        self.source.addItems(list(KINDS))
        tip(self.source, "cell.source").activated.connect(
            lambda _i: self._choose("choose where cells come from", kind=self.source.currentText())
        )
        self.layer, self.folder, self.browse = QComboBox(), QLineEdit(), QPushButton("…")
        tip(self.layer, "cell.layer").activated.connect(
            lambda _i: self._choose("choose the layer of cells", layer=self.layer.currentText())
        )
        self.folder.setPlaceholderText("Folder of label files")
        tip(self.folder, "cell.folder").editingFinished.connect(
            lambda: self._choose("choose the folder of cells", folder=self.folder.text().strip())
        )
        self.browse.setFixedWidth(32)
        tip(self.browse, "cell.browse").clicked.connect(self._browse)
        self.settings = QWidget()
        form = QFormLayout(self.settings)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(4)
        self.nuclear = QComboBox()
        tip(self.nuclear, "cell.nuclear").activated.connect(
            lambda _i: self._choose("choose the channel of nuclei", nuclear=self.nuclear.currentText() or None)
        )
        self.reach, self.stiffness, self.smooth = (
            self._spin(key, *range_)
            for key, range_ in (("reach", (1.0, 999.0)), ("stiffness", (1.0, 10.0)), ("smooth", (0.5, 20.0)))
        )  # fmt: skip
        self.by_stain = QCheckBox("End cells at the stain")
        tip(self.by_stain, "cell.by_stain").clicked.connect(
            lambda on: self._choose("change where cells end", by_stain=bool(on))
        )
        self.channels = QWidget()
        self._channel_row = QHBoxLayout(self.channels)
        self._channel_row.setContentsMargins(0, 0, 0, 0)
        form.addRow("Nuclei in", self.nuclear)
        form.addRow("Reach", self.reach)
        form.addRow("Parted by", self.channels)
        form.addRow("Stiffness", self.stiffness)
        form.addRow("Smoothing", self.smooth)
        form.addRow("", self.by_stain)
        self.explained, self.seen = hint(), hint()
        self.preview = QPushButton("Preview")
        self.preview.setCheckable(True)
        tip(self.preview, "cell.preview").clicked.connect(self._preview)
        self.find = QPushButton()
        tip(self.find, "cell.find").clicked.connect(self._find)
        self.replace = QCheckBox("replace those that are stored")
        tip(self.replace, "cell.replace").toggled.connect(self._show)
        self.body.addWidget(self.source)
        self.body.addWidget(self.explained)
        self.body.addWidget(self.layer)
        self.body.addLayout(row(self.folder, self.browse, stretch=0))
        self.body.addWidget(self.settings)
        self.body.addLayout(row(self.preview, self.find, stretch=1))
        self.body.addWidget(self.replace)
        self.body.addWidget(self.seen)

    def _spin(self, name: str, step: float, most: float) -> QDoubleSpinBox:
        spin = QDoubleSpinBox()
        spin.setRange(-step, most)  # the lowest value stands for the run's own
        spin.setSpecialValueText(AUTOMATIC)
        spin.setSingleStep(step)
        spin.setDecimals(1)
        spin.setKeyboardTracking(False)
        if name != "stiffness":
            spin.setSuffix(" px")
        tip(spin, f"cell.{name}").valueChanged.connect(
            lambda value: self._choose(f"change the {name}", **{name: None if value < 0 else float(value)})
        )
        return spin

    # ---- from the session ---------------------------------------------------------------------------------------
    def _run(self, _value: object = None) -> None:
        run = self.bench.session.run
        lens = getattr(run, "lens", None)
        names = list(getattr(lens, "channels", ()) or getattr(run, "channels", ()))
        own = getattr(lens, "nuclear", None)
        with QSignalBlocker(self.nuclear):
            self.nuclear.clear()
            self.nuclear.addItems(([] if own else [""]) + names)
            self.nuclear.setCurrentText(own or "")
        for box in self._channels.values():
            self._channel_row.removeWidget(box)
            box.deleteLater()
        self._channels = {name: QCheckBox(name) for name in names}
        for box in self._channels.values():
            tip(box, "cell.cytoplasm").clicked.connect(self._parted)
            self._channel_row.addWidget(box)
        order = [self.reach, *self._channels.values(), self.stiffness]
        for one, other in pairwise(order):  # Tab goes as the eye does
            QWidget.setTabOrder(one, other)
        self.replace.setChecked(False)
        self.set_opened(run is not None and not self.bench.cells.stored)
        self._layers()
        self._show()

    def _layers(self, _event: object = None) -> None:
        names = self.bench.finding.layers()
        with QSignalBlocker(self.layer):
            self.layer.clear()
            self.layer.addItems(names)
            self.layer.setCurrentIndex(self.layer.findText(self.bench.finding.layer))
            self.layer.setPlaceholderText("Choose a Labels layer" if names else "There is no Labels layer yet")

    def _show(self, _value: object = None) -> None:
        s = self.bench.session
        source, stored = s.cell_source, self.bench.cells.stored
        own = getattr(getattr(s.run, "lens", None), "nuclear", None)
        nuclear = source.nuclear or own or ""
        others = [name for name in self._channels if name != nuclear]
        parted = others if source.cytoplasm is None else source.cytoplasm
        shown = [self.source, self.nuclear, self.by_stain, self.replace, self.preview, *self._channels.values()]
        blocked = [QSignalBlocker(w) for w in (*shown, self.reach, self.stiffness, self.smooth, self.folder)]
        self.source.setCurrentText(source.kind)
        self.nuclear.setCurrentText(nuclear)
        self.folder.setText(source.folder)
        for name, spin in (("reach", self.reach), ("stiffness", self.stiffness), ("smooth", self.smooth)):
            value = getattr(source, name)
            spin.setValue(spin.minimum() if value is None else value)
        for name, box in self._channels.items():
            box.setVisible(name != nuclear)
            box.setChecked(name in parted)
        self.by_stain.setChecked(source.by_stain)
        self.preview.setChecked(s.previewing)
        del blocked
        self.explained.setText(OWN[source.kind])
        self.settings.setVisible(source.kind == BUILT_IN)
        self.layer.setVisible(source.kind == LAYER)
        for part in (self.folder, self.browse):
            part.setVisible(source.kind == FOLDER)
        self.preview.setVisible(source.kind != LAYER)
        self.replace.setVisible(stored and source.kind != LAYER)
        busy = self.bench.jobs.heavy is not None
        here = f"{s.well}, field {s.field_name}" if s.well is not None else "the field on show"
        whole = "Replace the cells of all fields" if self.replace.isChecked() else "Find the cells of all fields"
        self.find.setText(f"Take it for {here}" if source.kind == LAYER else whole)
        # what is stored stays unless the box is ticked; a search that was broken off goes on
        self.find.setEnabled(s.run is not None and not busy)
        self.preview.setEnabled(s.run is not None and s.plate is not None)
        self.seen.setText(s.cell_preview.said if s.cell_preview is not None else "")
        self.seen.setVisible(bool(self.seen.text()))
        self.set_summary(f"{s.cells:,} cells" if stored and s.cells is not None else "" if stored else "none yet")

    # ---- intents ------------------------------------------------------------------------------------------------
    def _choose(self, title: str, **changes: Any) -> None:
        self.bench.attempt("Choosing where cells come from", lambda: self.bench.finding.choose(title, **changes))

    def _parted(self, _on: object = None) -> None:
        chosen = tuple(name for name, box in self._channels.items() if not box.isHidden() and box.isChecked())
        self._choose("choose what parts cells", cytoplasm=chosen)

    def _browse(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of label files", self.folder.text())
        if path:
            self._choose("choose the folder of cells", folder=path)

    def _preview(self, on: bool) -> None:
        self.bench.attempt("Showing the preview", self.bench.finding.preview, on)
        self._show()

    def _find(self) -> None:
        replaced = self.replace.isChecked()
        begin = self.bench.finding.start
        if self.bench.attempt("Finding the cells", lambda: begin(replace_stored=replaced)) is not None:
            self.replace.setChecked(False)
