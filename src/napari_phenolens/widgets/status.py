"""What goes on now: one sentence at the bottom, and errors with a way out at the top."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFrame, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_phenolens.viewer.jobs import Job
from napari_phenolens.viewer.saving import TITLE as SESSION
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.busy_bar import BusyBar
from napari_phenolens.widgets.help_panel import open_help
from napari_phenolens.widgets.parts import Connections, hint, pause, row
from napari_phenolens.widgets.tooltips import tip

QUICK_MS = 200  # what is over before that needs no bar: showing and hiding it draws the whole window twice
SLOW = {"compare", "run", "estimate", "sample", "overview"}  # kinds of jobs that can be cancelled here


class ErrorBanner(QFrame):
    """An error in words; it goes away when dismissed, or with the next success of the same thing."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bench = bench
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setObjectName("phenolens-error")
        self.setStyleSheet(
            "#phenolens-error { background-color: #5c1f1f; border: 1px solid #d55e00; border-radius: 3px; }"
            "#phenolens-error QLabel { background-color: transparent; color: white; }"
        )
        self.text = hint()
        self.dismiss, self.copy = QToolButton(), QPushButton("Copy details")
        self.dismiss.setText("✕")
        tip(self.dismiss, "status.dismiss").clicked.connect(self._dismiss)
        tip(self.copy, "status.copy").clicked.connect(self._copy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 4, 4)
        top = row(self.text, self.dismiss, stretch=0)
        top.setAlignment(self.dismiss, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(top)
        layout.addLayout(row(self.copy))
        connections.connect(bench.session.events.problem, self._show)
        self._show()

    def _show(self, _value: object = None) -> None:
        problem = self.bench.session.problem
        self.setVisible(problem is not None)
        if problem is not None:
            message = problem.message[:1].upper() + problem.message[1:]
            self.text.setText(f"{problem.title} did not work.\n{message}")
            self.copy.setVisible(bool(problem.details))

    def _dismiss(self) -> None:
        self.bench.session.problem = None

    def _copy(self) -> None:
        problem = self.bench.session.problem
        clipboard = QApplication.clipboard()
        if problem is not None and clipboard is not None:
            clipboard.setText(f"{problem.title}: {problem.message}\n\n{problem.details}")


class StatusLine(QWidget):
    """One sentence: how things stand and what to do next; a thin bar while something is read."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bench = bench
        self.text = hint()
        self.text.setMinimumHeight(2 * self.text.fontMetrics().lineSpacing())  # two lines, so that nothing jumps
        self.text.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.bar = BusyBar()
        self.bar.set_busy()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        policy = self.bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(policy)
        self.bar.setVisible(False)
        self.bar.setAccessibleName("Something is being read or computed")
        self._patience = pause(self, QUICK_MS, self._busy)
        self.cancel = QToolButton()
        self.cancel.setText("Cancel")
        tip(self.cancel, "status.cancel").clicked.connect(lambda: bench.cancel())
        self.cancel.setVisible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 2, 6, 4)
        layout.setSpacing(2)
        layout.addWidget(self.bar)
        self.help = QPushButton("?")
        self.help.setFixedWidth(28)
        tip(self.help, "status.help").clicked.connect(self.show_help)
        bottom = row(self.text, self.cancel, self.help, stretch=0)
        bottom.setAlignment(self.help, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(bottom)
        connections.connect(bench.session.events.status, self._show)
        connections.connect(bench.jobs.started, self._jobs)
        connections.connect(bench.jobs.ended, self._jobs)
        self._show()

    def _show(self, _value: object = None) -> None:
        self.text.setText(self.bench.session.status)

    def show_help(self) -> None:
        """Open the help panel, or bring it to the front."""
        open_help(self.bench, self)

    def _jobs(self, _job: Job) -> None:
        if not self.bench.jobs.running:
            self._patience.stop()
            self._busy()
        elif not self.bar.isHidden():
            self._busy()
        elif not self._patience.isActive():
            self._patience.start()

    def _busy(self) -> None:
        """Show what goes on: the bar, and for what takes its time the button that ends it."""
        running = self.bench.jobs.running
        slow = [job for job in running if job.kind in SLOW or "again" in job.title or job.title == SESSION]
        self.bar.setVisible(bool(running))
        self.cancel.setVisible(bool(slow))
