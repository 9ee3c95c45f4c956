"""Step 6: the three heatmap slots over the cells."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QColor, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QToolButton,
    QWidget,
)

from napari_phenolens.analysis import contribution_channels
from napari_phenolens.export.channel_look import channel_labels
from napari_phenolens.viewer.overlays import NO_COMPARISON, kind_words
from napari_phenolens.viewer.session import KINDS, PHENOTYPE, SLOTS
from napari_phenolens.viewer.settings import choose_for_now, preferences
from napari_phenolens.viewer.slots import CHANNEL, HUE_NAMES, HUES, is_signed
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.parts import Connections, Section, hint, row, shorten_choice
from napari_phenolens.widgets.tooltips import tip

FINENESS = (
    (1, "one a patch, as computed"),
    (2, "four a patch (encodes 4 times)"),
    (4, "sixteen a patch (encodes 16 times)"),
)


class SlotsSection(Section):
    """Which feature is on the cells, in which colour."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("6  Heatmaps on the cells", parent)
        self.bench = bench
        self.names: list[QLabel] = []
        self.show_buttons: list[QPushButton] = []
        self.kinds: list[QComboBox] = []
        self.clear_buttons: list[QToolButton] = []
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        grid.setColumnStretch(1, 1)
        for index in range(SLOTS):
            self._build_slot(grid, index)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        tip(self.opacity, "slots.opacity")
        self.opacity.setRange(0, 100)
        self.opacity.setValue(round(preferences().opacity * 100))
        self.opacity.valueChanged.connect(lambda value: bench.showing.set_opacity(value / 100))
        self.visible = QCheckBox("Show")
        self.visible.setChecked(True)
        tip(self.visible, "slots.visible").toggled.connect(bench.showing.set_heatmaps_visible)
        self.dim = QCheckBox("Dim cells")
        self.dim.setChecked(bench.showing.dim)
        tip(self.dim, "slots.dim").toggled.connect(bench.showing.set_dim)
        self.fineness = QComboBox()
        for parts, words in FINENESS:
            self.fineness.addItem(words, parts)
        tip(self.fineness, "slots.fineness").activated.connect(self._finer)
        self.text = hint()
        self.body.addLayout(grid)
        self.body.addLayout(row(self.visible, self.dim, QLabel("Opacity"), self.opacity, stretch=3))
        self.body.addLayout(row(QLabel("Squares"), self.fineness))
        self.body.addWidget(self.text)
        events = bench.session.events
        connections.connect(events.run, self._channels)
        self._channels()
        for signal in (events.slots, events.feature, events.run, events.comparison):
            connections.connect(signal, self._show)
        self._show()

    def _build_slot(self, grid: QGridLayout, index: int) -> None:
        swatch = QLabel()
        pixmap = QPixmap(14, 14)
        pixmap.fill(QColor.fromRgbF(*HUES[index]))
        swatch.setPixmap(pixmap)
        swatch.setToolTip(f"Slot {index + 1} is drawn in {HUE_NAMES[index]}.")
        name = QLabel("empty")
        button, kind, clear = QPushButton("Show here"), QComboBox(), QToolButton()
        shorten_choice(kind, 10).setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for word in KINDS:
            kind.addItem(word, word)
        clear.setText("✕")
        tip(button, "slots.show").setAccessibleName(f"Show the chosen feature in slot {index + 1}")
        tip(kind, "slots.kind").setAccessibleName(f"Kind of heatmap in slot {index + 1}")
        tip(clear, "slots.clear").setAccessibleName(f"Clear slot {index + 1}")
        button.clicked.connect(lambda: self._put(index))
        kind.activated.connect(lambda _i: self._kind(index))
        clear.clicked.connect(lambda: self.bench.attempt("Clearing", self.bench.showing.feature, None, index))
        for column, part in enumerate((swatch, name, button, kind, clear)):
            grid.addWidget(part, index, column)
        self.names.append(name)
        self.show_buttons.append(button)
        self.kinds.append(kind)
        self.clear_buttons.append(clear)

    def _channels(self, _value: object = None) -> None:
        """Offer the channels' parts of the alignment where the run can tell them apart."""
        run = self.bench.session.run
        found = contribution_channels(run) if run is not None else ()
        plate = self.bench.session.plate
        labels = channel_labels(plate, run.channels) if found and plate is not None else found
        for kinds in self.kinds:
            for place in reversed(range(len(KINDS), kinds.count())):
                kinds.removeItem(place)
            for channel, known in zip(found, labels, strict=True):
                kinds.addItem(kind_words(CHANNEL + known), CHANNEL + channel)
                words = f"What {known} gives to the alignment; over all channels these maps add up to it."
                kinds.setItemData(kinds.count() - 1, words, Qt.ItemDataRole.ToolTipRole)
        finer = run is not None and run.unit == "patch"
        self.fineness.setEnabled(finer)
        for place, (parts, _) in enumerate(FINENESS):
            self.fineness.model().item(place).setEnabled(finer and run.lens.patch % parts == 0)

    def _finer(self, _place: int) -> None:
        choose_for_now(fineness=self.fineness.currentData())
        self.bench.attempt("Showing the heatmap", self.bench.showing.again)

    def _offer(self, kinds: QComboBox) -> None:
        """Offer the phenotype where wells were compared; say why where it is not offered."""
        compared, place = self.bench.session.comparison is not None, KINDS.index(PHENOTYPE)
        kinds.model().item(place).setEnabled(compared)
        words = "The score of the features that go together with this one." if compared else NO_COMPARISON
        kinds.setItemData(place, words, Qt.ItemDataRole.ToolTipRole)

    def _put(self, index: int) -> None:
        feature = self.bench.session.feature
        if feature is not None:
            self.bench.attempt("Showing the heatmap", self.bench.showing.feature, feature, index)

    def _kind(self, index: int) -> None:
        state = self.bench.session.slots[index]
        kind = self.kinds[index].currentData()
        if state.feature is not None:
            self.bench.attempt("Showing the heatmap", self.bench.showing.feature, state.feature, index, kind)

    def _show(self, _value: object = None) -> None:
        s = self.bench.session
        filled = [state for state in s.slots if state.feature is not None]
        for index, state in enumerate(s.slots):
            self.names[index].setText(f"F{state.feature}" if state.feature is not None else "empty")
            self.show_buttons[index].setEnabled(s.feature is not None)
            self.show_buttons[index].setText(f"Show F{s.feature}" if s.feature is not None else "Show here")
            self.kinds[index].setEnabled(state.feature is not None)
            with QSignalBlocker(self.kinds[index]):
                self.kinds[index].setCurrentIndex(max(0, self.kinds[index].findData(state.kind)))
                self._offer(self.kinds[index])
            self.clear_buttons[index].setEnabled(state.feature is not None)
        if self.bench.slots.opacity is not None:
            with QSignalBlocker(self.opacity):
                self.opacity.setValue(round(self.bench.slots.opacity * 100))
        with QSignalBlocker(self.fineness):
            self.fineness.setCurrentIndex(max(0, self.fineness.findData(preferences().fineness)))
        negative = self.bench.slots.negative
        if s.run is None:
            self.text.setText("Heatmaps need features: run the model or open results (step 4).")
        elif not filled:
            self.text.setText("Choose a feature in the table; it is laid over the cells in the first colour.")
        elif s.comparison is None and any(state.kind == PHENOTYPE for state in filled):
            self.text.setText(NO_COMPARISON)
        elif any(state.kind == PHENOTYPE for state in filled):
            self.text.setText(
                f"Phenotype: the slot's colour where a place looks more as in perturbed wells, {negative} where more "
                "as in controls; its features were chosen on these wells. Colours have the same limits on every well."
            )
        elif any(is_signed(state.kind) for state in filled):
            self.text.setText(
                f"Alignment: the slot's colour where a place points along the feature, {negative} where against it. "
                "Colours have the same limits on every well."
            )
        else:
            self.text.setText("Colours have the same limits on every well, so wells can be compared.")
        self.set_summary(", ".join(f"F{state.feature}" for state in filled) or "none")
