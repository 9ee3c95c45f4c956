"""Step 4: run the model over the plate, or open results that are there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QToolButton,
    QWidget,
)

from napari_phenolens.progress import duration
from napari_phenolens.viewer.jobs import Job
from napari_phenolens.viewer.running import RunSettings, default_out
from napari_phenolens.viewer.settings import preferences
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.block_choice import BlockChoice
from napari_phenolens.widgets.busy_bar import BusyBar
from napari_phenolens.widgets.fit_options import FitOptions
from napari_phenolens.widgets.model_choice import ModelChoice
from napari_phenolens.widgets.parts import Connections, Section, hint, row
from napari_phenolens.widgets.tooltips import tip


class RunSection(Section):
    """Settings, estimate, progress, cancel."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("4  Run the model", parent)
        self.bench = bench
        self._proposed = ""
        self.model = ModelChoice(bench, connections)
        self.block = BlockChoice(bench, self.settings, connections)
        self.model.changed.connect(self.block.reset)
        self.out = QLineEdit()
        tip(self.out, "run.out")
        self.browse = QToolButton()
        self.browse.setText("…")
        tip(self.browse, "run.browse").clicked.connect(self._browse)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(QLabel("Model"), self.model)
        form.addRow(QLabel("Block"), self.block)
        form.addRow(QLabel("Results in"), row(self.out, self.browse, stretch=0))
        self._build_options()
        self.estimate_button, self.run_button = QPushButton("Estimate"), QPushButton("Run")
        self.cancel_button, self.results_button = QPushButton("Cancel"), QPushButton("Open results…")
        tip(self.estimate_button, "run.estimate").clicked.connect(self._estimate)
        tip(self.run_button, "run.start").clicked.connect(self._run)
        tip(self.cancel_button, "run.cancel").clicked.connect(self._cancel)
        tip(self.results_button, "plate.results").clicked.connect(self._open)
        self.bar = BusyBar()
        self.bar.setTextVisible(True)
        self.bar.setAccessibleName("Progress of the run")
        self.bar.setToolTip("How much of the run is done, and how long it will still take.")
        self.text = hint()
        self.body.addLayout(form)
        self.body.addWidget(self.more)
        self.body.addWidget(self.options)
        self.body.addLayout(row(self.estimate_button, self.run_button, self.cancel_button, self.results_button))
        self.body.addWidget(self.bar)
        self.body.addWidget(self.text)
        events = bench.session.events
        for signal in (events.plate, events.run, events.roles, events.blocks):
            connections.connect(signal, self._show)
        connections.connect(bench.jobs.started, self._started)
        connections.connect(bench.jobs.progressed, self._progressed)
        connections.connect(bench.jobs.ended, self._ended)
        connections.connect(bench.jobs.failed, self._failed)
        self._show()

    def _build_options(self) -> None:
        self.more = QToolButton()
        self.more.setText("More options")
        self.more.setCheckable(True)
        self.more.setAutoRaise(True)
        self.more.setArrowType(Qt.ArrowType.RightArrow)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        tip(self.more, "run.options").toggled.connect(self._unfold)
        self.atoms, self.rounds, self.per_round = QSpinBox(), QSpinBox(), QSpinBox()
        for box, key, low, high, value in (
            (self.atoms, "run.atoms", 16, 65536, 1024),
            (self.rounds, "run.rounds", 1, 64, 10),
            (self.per_round, "run.per_round", 1, 16, 2),
        ):
            tip(box, key)
            box.setRange(low, high)
            box.setValue(value)
        self.device = QComboBox()
        self.device.addItems(["auto", "cpu", "cuda", "mps"])
        self.device.setCurrentText(preferences().device)
        tip(self.device, "run.device")
        self.lens = QLineEdit()
        self.lens.setPlaceholderText("none: fit one on this plate's controls")
        tip(self.lens, "run.lens")
        self.lens_browse = QToolButton()
        self.lens_browse.setText("…")
        tip(self.lens_browse, "run.lens_browse").clicked.connect(self._browse_lens)
        self.channels = QLineEdit()
        self.channels.setPlaceholderText("all, by their own names")
        tip(self.channels, "run.channels")
        self.unit = QComboBox()
        self.unit.addItems(["patch", "cell", "crop"])
        tip(self.unit, "run.unit")
        self.options = QWidget()
        form = QFormLayout(self.options)
        form.setContentsMargins(12, 0, 0, 0)
        form.addRow(QLabel("Features"), self.atoms)
        form.addRow(QLabel("Rounds"), self.rounds)
        form.addRow(QLabel("Features per round"), self.per_round)
        form.addRow(QLabel("Channels"), self.channels)
        form.addRow(QLabel("Learn on"), self.unit)
        self.fit = FitOptions(form)
        form.addRow(QLabel("Device"), self.device)
        form.addRow(QLabel("Apply lens"), row(self.lens, self.lens_browse, stretch=0))
        self.options.setVisible(False)

    def _unfold(self, opened: bool) -> None:
        self.more.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self.options.setVisible(opened)

    def settings(self) -> RunSettings:
        """Read the form."""
        return RunSettings(
            out=self.out.text().strip(),
            encoder=self.model.name(),
            weights=self.model.weights(),
            atoms=self.atoms.value(),
            rounds=self.rounds.value(),
            per_round=self.per_round.value(),
            device=self.device.currentText(),
            lens=self.lens.text().strip(),
            channels=self.channels.text().strip(),
            unit=self.unit.currentText(),
            block=self.block.value(),
            **self.fit.values(),
        )

    def _browse(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder for the results", self.out.text())
        if path:
            self.out.setText(path)

    def _browse_lens(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Lens file", "", "Lens (*.safetensors)")
        if path:
            self.lens.setText(path)

    def _open(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open the folder of finished results (it holds run.json)")
        if path:
            self.bench.attempt("Opening the results", self.bench.opening.run, path)

    def _estimate(self) -> None:
        settings = self.settings()
        begin = partial(self.bench.running.estimate, settings, self.text.setText)
        self._with_weights("Estimating", settings, begin)

    def _run(self) -> None:
        settings = self.settings()
        self._with_weights("Running the model", settings, partial(self.bench.running.start, settings))

    def _with_weights(self, title: str, settings: RunSettings, begin: Callable[[], Job]) -> None:
        """Begin once the model's weights are here; the user is asked about their licence before they are downloaded."""
        bench = self.bench
        bench.attempt(title, bench.weights.need, settings, lambda: bench.attempt(title, begin))

    def _cancel(self) -> None:
        self.cancel_button.setEnabled(False)
        self.cancel_button.setText("Cancelling…")
        heavy = self.bench.jobs.heavy  # whatever it is: the bar above is about it
        for kind in ("run", "estimate", "blocks", "weights", *([heavy.kind] if heavy is not None else [])):
            self.bench.jobs.cancel(kind)

    def _show(self, _value: object = None) -> None:
        """Follow plate, run and roles."""
        s = self.bench.session
        folder = str(s.run.path) if s.run is not None else str(default_out(s.plate.name)) if s.plate is not None else ""
        if folder and self.out.text() in ("", self._proposed):  # what the user typed stays
            self.out.setText(folder)
        self._proposed = folder
        if s.plate is None:
            self.text.setText("Open a plate to run the model (step 1), or open results that are there.")
        elif not s.wells_of("control"):
            self.text.setText("Choose the control wells first (step 3): the model learns from them what is normal.")
        elif s.run is None:
            self.text.setText("Estimate says how long it will take. A run can be cancelled and goes on later.")
        else:
            self.text.setText("The results are open. Another folder or other options make another run.")
        self._buttons()

    def _buttons(self) -> None:
        """Offer what can be done now."""
        s = self.bench.session
        busy = self.bench.jobs.heavy is not None
        ready = s.plate is not None and bool(s.wells_of("control")) and not busy
        self.estimate_button.setEnabled(ready)
        self.run_button.setEnabled(ready)
        self.run_button.setVisible(not busy)
        self.cancel_button.setVisible(busy)
        self.bar.setVisible(busy)
        partial = s.run is not None and not s.run.complete
        self.run_button.setText("Go on" if partial else "Run" if s.run is None else "Run again")
        if busy:
            self.set_summary("running")
        elif s.run is not None:
            self.set_summary(f"{s.run.n_features:,} features" + (" (provisional)" if partial else ""))
        else:
            self.set_summary("not run yet" if s.plate is not None else "")

    def _started(self, job: Job) -> None:
        if job.heavy:
            self.bar.set_busy()
            self.text.setText(f"{job.title}…")
            self.cancel_button.setEnabled(True)
            self.cancel_button.setText("Cancel")
            self._buttons()

    def _progressed(self, job: Job) -> None:
        progress = job.progress
        if not job.heavy or progress is None:
            return
        if progress.total > 0:
            self.bar.set_progress(progress.done, progress.total)
        else:
            self.bar.set_busy()
        counts = progress.total and progress.stage != "download"  # its message says megabytes
        counted = f" {progress.done:,} of {progress.total:,}" if counts else ""
        left = f", about {duration(progress.eta)} left" if progress.eta is not None else ""
        message = f"\n{progress.message}" if progress.message else ""
        self.text.setText(f"{progress.stage}{counted}{left}{message}")

    def _ended(self, job: Job) -> None:
        if job.heavy:
            if job.cancelled():
                kept = "What was computed is kept; Run goes on from there."
                self.text.setText(f"Cancelled. {kept if job.kind != 'weights' else 'Nothing of the download is kept.'}")
            elif job.kind == "weights":
                self._show()
            self._buttons()

    def _failed(self, job: Job, problem: object) -> None:
        if job.heavy:
            self.text.setText(f"⚠ {getattr(problem, 'message', problem)}")
