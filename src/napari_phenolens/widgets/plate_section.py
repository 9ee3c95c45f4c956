"""Step 1: open a plate, its map, the sample or finished results; say what was opened."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QWidget

from napari_phenolens.viewer.sample import open_sample
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.parts import Connections, Section, hint, plural, row
from napari_phenolens.widgets.plate_tools import PlateTools
from napari_phenolens.widgets.tooltips import tip

EMPTY = (
    "Drag a plate's folder here, or open it with the button. "
    "No plate at hand? The demo plate comes with its results, so the whole story is seen in a minute."
)


class PlateSection(Section):
    """Opens things."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("1  Plate", parent)
        self.bench = bench
        self.open_button = QPushButton("Open plate…")
        self.results_button = QPushButton("Open results…")
        self.sample_button = QPushButton("Demo plate")
        self.map_button = QPushButton("Plate map…")
        tip(self.open_button, "plate.open")
        tip(self.results_button, "plate.results")
        tip(self.sample_button, "plate.sample")
        tip(self.map_button, "plate.map")
        self.open_button.clicked.connect(self._ask_plate)
        self.results_button.clicked.connect(self._ask_results)
        self.sample_button.clicked.connect(self._sample)
        self.map_button.clicked.connect(self._ask_map)
        self.text = hint(EMPTY)
        self.warnings = hint()
        self.warnings.setVisible(False)
        self.body.addLayout(row(self.open_button, self.results_button, self.sample_button))
        self.body.addWidget(self.text)
        self.body.addWidget(self.warnings)
        self.tools = PlateTools(bench, connections)
        self.body.addLayout(row(self.map_button, self.tools))
        connections.connect(bench.session.events.plate, self._show)
        connections.connect(bench.session.events.run, self._show)
        self._show()

    def _ask_plate(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open the folder of a plate")
        if path:
            self.bench.attempt("Opening the plate", self.bench.opening.anything, path)

    def _ask_results(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open the folder of finished results (it holds run.json)")
        if path:
            self.bench.attempt("Opening the results", self.bench.opening.run, path)

    def _ask_map(self) -> None:
        plate = self.bench.session.plate
        start = str(plate.path) if plate is not None else ""
        path, _ = QFileDialog.getOpenFileName(
            self, "Open the plate map", start, "Tables (*.csv *.tsv *.txt);;All files (*)"
        )
        if path:
            self.bench.attempt("Reading the plate map", self.bench.opening.map, path)

    def _sample(self) -> None:
        self.bench.attempt("Opening the demo plate", open_sample, self.bench)

    def _show(self, _value: object = None) -> None:
        s = self.bench.session
        plate, run = s.plate, s.run
        self.map_button.setVisible(plate is not None)
        if plate is None and run is None:
            self.text.setText(EMPTY)
            self.set_summary("nothing open")
            self.warnings.setVisible(False)
            return
        lines = []
        if plate is not None:
            fields = sum(len(well.fields) for well in plate.wells.values())
            rows, columns = plate.format
            size = f"{plate.pixel_size:.3g} µm per pixel" if plate.pixel_size else "pixel size unknown"
            lines.append(
                f"{plate.name}: {plural(len(plate.wells), 'well')} of {rows * columns}, "
                f"{plural(fields, 'field')}, {size}."
            )
            labels = getattr(plate, "channel_labels", {}) or {}
            names = [f"{labels[c]} ({c})" if labels.get(c) else c for c in plate.channels]
            lines.append(f"Channels: {', '.join(names)}.")
            table = self.bench.opening.platemap
            columns_known = len(plate.metadata.columns)
            if columns_known:
                lines.append(
                    f"Plate map: {Path(table).name if table else 'of the plate'}, {plural(columns_known, 'column')}."
                )
            else:
                lines.append("No plate map: load one below, or mark the control wells by hand in step 2.")
        if run is not None:
            state = " (provisional first pass)" if getattr(run, "provisional", False) else ""
            lines.append(f"Results: {plural(len(run.wells), 'well')}, {run.n_features:,} features{state}.")
        self.text.setText("\n".join(lines))
        source = plate if plate is not None else run
        name = getattr(source, "name", "") or getattr(source, "plate_name", "")
        self.set_summary(f"{name} · {plural(len(source.wells), 'well')}")
        notes = list(getattr(plate, "warnings", ()) or ())
        skipped = getattr(run, "skipped", None)
        if skipped is not None and len(skipped):
            first = skipped.iloc[0]
            notes.append(f"{plural(len(skipped), 'field')} could not be run, e.g. {first['well']}: {first['reason']}")
        self.warnings.setVisible(bool(notes))
        more = f"\n…and {len(notes) - 3} more" if len(notes) > 3 else ""
        self.warnings.setText("\n".join(f"⚠ {note}" for note in notes[:3]) + more)
        self.warnings.setToolTip("\n".join(notes))

    @property
    def labels(self) -> tuple[QLabel, QLabel]:
        """The text and the warnings (for tests)."""
        return self.text, self.warnings
