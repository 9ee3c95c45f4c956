"""How far a job is, with a button that cancels it."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_phenolens.progress import duration
from napari_phenolens.viewer.jobs import Job
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.busy_bar import BusyBar
from napari_phenolens.widgets.parts import Connections, hint, row
from napari_phenolens.widgets.tooltips import tip


class JobBar(QWidget):
    """Shows a job of some kinds while it runs, and takes no room else.

    Parameters
    ----------
    bench : Workbench
    connections : Connections
    kinds : str
        Kinds of jobs that it is about.
    """

    def __init__(self, bench: Workbench, connections: Connections, *kinds: str) -> None:
        super().__init__()
        self.bench, self._kinds = bench, kinds
        self.text, self.bar, self.cancel = hint(), BusyBar(), QPushButton("Cancel")
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(10)
        self.bar.setAccessibleName("Progress")
        tip(self.cancel, "cell.cancel").clicked.connect(self._cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.text)
        layout.addLayout(row(self.bar, self.cancel, stretch=0))
        for signal in (bench.jobs.started, bench.jobs.progressed, bench.jobs.ended):
            connections.connect(signal, self._show)
        self._show()

    def _show(self, _job: object = None) -> None:
        job = next((job for job in self.bench.jobs.running if job.kind in self._kinds), None)
        self.setVisible(job is not None)
        if job is None:
            return
        self.cancel.setEnabled(not job.cancelled())
        progress = job.progress
        if progress is not None and progress.total > 0:
            self.bar.set_progress(progress.done, progress.total)
        else:
            self.bar.set_busy()
        self.text.setText("Cancelling…" if job.cancelled() else self._words(job))

    @staticmethod
    def _words(job: Job) -> str:
        progress = job.progress
        if progress is None or not progress.total:
            return f"{job.title}…"
        left = f", about {duration(progress.eta)} left" if progress.eta is not None else ""
        return f"{job.title}: {progress.done:,} of {progress.total:,}{left}"

    def _cancel(self) -> None:
        for kind in self._kinds:
            self.bench.jobs.cancel(kind)
        self._show()
