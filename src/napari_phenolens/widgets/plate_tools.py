"""Beside the buttons that open things: what was open lately, sessions, and a script of what is seen."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtGui import QAction
from qtpy.QtWidgets import QApplication, QFileDialog, QMenu, QPushButton, QWidget

from napari_phenolens.viewer.copying import as_python
from napari_phenolens.viewer.jobs import Job
from napari_phenolens.viewer.recent import Recent, read_recent
from napari_phenolens.viewer.session_file import SUFFIX
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.parts import Connections, row
from napari_phenolens.widgets.tooltips import tip

FILTER = f"PhenoLens sessions (*{SUFFIX})"
LOOKING = "recent"  # the kind of the job that looks which recent plates are still there


class PlateTools(QWidget):
    """Recent and Session."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bench = bench
        self.recent_button, self.session_button = QPushButton("Recent"), QPushButton("Session")
        tip(self.recent_button, "plate.recent")
        tip(self.session_button, "plate.session")
        self.recent_menu, menu = QMenu(self), QMenu(self)
        for each in (self.recent_menu, menu):
            each.setToolTipsVisible(True)
        self.recent_menu.aboutToShow.connect(self.fill_recent)
        self.recent_button.setMenu(self.recent_menu)
        self.save_action = menu.addAction("Save session…", self.ask_save)
        self.save_action.setToolTip("Roles, contrasts, heatmaps, limits, well and view in one small file.")
        self.open_action = menu.addAction("Open session…", self.ask_open)
        self.open_action.setToolTip("Plate, results and all that was chosen, as they were saved.")
        self.python_action = menu.addAction("Copy as Python", self.copy_python)
        self.python_action.setToolTip("A script that opens the same, compares the same wells and shows the same.")
        self.session_button.setMenu(menu)
        self.setLayout(row(self.recent_button, self.session_button))
        for signal in (bench.session.events.plate, bench.session.events.run):
            connections.connect(signal, self._show)
        self._show()

    def _show(self, _value: object = None) -> None:
        there = self.bench.session.source is not None
        self.save_action.setEnabled(there)
        self.python_action.setEnabled(there)

    # ---- recent ------------------------------------------------------------------------------------------------------
    def fill_recent(self) -> None:
        """List what was open lately; what is gone turns grey, with the reason, as soon as that is known."""
        self.recent_menu.clear()
        entries = read_recent()
        if not entries:
            self.recent_menu.addAction("Nothing was opened yet").setEnabled(False)
            return
        names = [(entry.kind, entry.name) for entry in entries]
        actions = [self._add(entry, names.count((entry.kind, entry.name)) > 1) for entry in entries]

        def look(_job: Job) -> list[str]:  # a drive that is gone may take seconds to say so
            return [entry.why_gone for entry in entries]

        def found(reasons: list[str]) -> None:
            for action, why in zip(actions, reasons, strict=True):
                if why and action in self.recent_menu.actions():
                    action.setEnabled(False)
                    action.setText(f"{action.text()} – {why}")

        self.bench.jobs.start(LOOKING, look, found, title="Looking which recent plates are still there")

    def _add(self, entry: Recent, ambiguous: bool) -> QAction:
        """Add an entry; of several with one name, each says its folder."""
        words = {"plate": "plate", "run": "results", "session": "session"}[entry.kind]
        if ambiguous:
            words += f", {Path(*Path(entry.path).parts[-2:])}"
        text = f"{entry.name}  ({words})".replace("&", "&&")
        action = self.recent_menu.addAction(text)
        action.setToolTip(entry.path)
        action.triggered.connect(
            lambda _checked=False: self.bench.attempt("Opening", self.bench.remembering.open, entry)
        )
        return action

    # ---- sessions and scripts ----------------------------------------------------------------------------------------
    def ask_save(self) -> None:
        """Ask for a file and save the session there."""
        s = self.bench.session
        if s.source is None:
            s.status = "Nothing is open that could be saved: open a plate or results first."
            return
        name = getattr(s.source, "name", "") or getattr(s.source, "plate_name", "") or "session"
        path, _ = QFileDialog.getSaveFileName(self, "Save the session", str(Path.home() / f"{name}{SUFFIX}"), FILTER)
        if path:
            self.bench.attempt("Saving the session", self.bench.saving.save, path)

    def ask_open(self) -> None:
        """Ask for a session file and open it."""
        path, _ = QFileDialog.getOpenFileName(self, "Open a session", "", f"{FILTER};;All files (*)")
        if path:
            self.bench.attempt("Opening the session", self.bench.saving.open, path)

    def copy_python(self) -> None:
        """Put a script of what is seen on the clipboard."""
        text = self.bench.attempt("Copying as Python", as_python, self.bench)
        clipboard = QApplication.clipboard()
        if text and clipboard is not None:
            clipboard.setText(text)
            self.bench.session.status = "A Python script of what you see is on the clipboard."
