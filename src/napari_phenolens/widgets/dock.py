"""The dock "PhenoLens": the scientist's way from top to bottom, in a scroll area."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_phenolens.viewer.helping import PANEL, bound
from napari_phenolens.viewer.opening import watch
from napari_phenolens.viewer.workbench import workbench_for
from napari_phenolens.widgets.compare_section import CompareSection
from napari_phenolens.widgets.dictionary_section import DictionarySection
from napari_phenolens.widgets.explain_section import ExplainSection
from napari_phenolens.widgets.features_section import FeaturesSection
from napari_phenolens.widgets.parts import Connections, JobPump, scrolled, shortcut
from napari_phenolens.widgets.plate_section import PlateSection
from napari_phenolens.widgets.roles_section import RolesSection
from napari_phenolens.widgets.run_section import RunSection
from napari_phenolens.widgets.slots_section import SlotsSection
from napari_phenolens.widgets.status import ErrorBanner, StatusLine
from napari_phenolens.widgets.wells_section import WellsSection

if TYPE_CHECKING:
    import napari

WIDTH = 430


class PhenoLensDock(QWidget):
    """The one dock of the plugin.

    Parameters
    ----------
    napari_viewer : napari.Viewer or napari.components.ViewerModel
        The viewer whose session is shown; napari gives it by this very name.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.bench = workbench_for(napari_viewer)
        self._connections = Connections()
        self._pump = JobPump(self.bench.jobs, self._connections, self)
        self.banner = ErrorBanner(self.bench, self._connections)
        self.plate = PlateSection(self.bench, self._connections)
        self.wells = WellsSection(self.bench, self._connections)
        self.roles = RolesSection(self.bench, self._connections)
        self.run = RunSection(self.bench, self._connections)
        self.features = FeaturesSection(self.bench, self._connections)
        self.slots = SlotsSection(self.bench, self._connections)
        self.compare = CompareSection(self.bench, self._connections)
        self.explain = ExplainSection(self.bench, self._connections)
        self.dictionary = DictionarySection(self.bench, self._connections)
        self.status = StatusLine(self.bench, self._connections)
        self.sections = (
            self.plate,
            self.wells,
            self.roles,
            self.run,
            self.features,
            self.slots,
            self.compare,
            self.explain,
            self.dictionary,
        )
        self.scroll = scrolled(*self.sections, margin=2, spacing=2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.banner)
        layout.addWidget(self.scroll, 1)
        layout.addWidget(self.status)
        self.setAcceptDrops(True)
        self.setMinimumWidth(360)
        self._shortcuts()
        events = self.bench.session.events
        self._connections.connect(events.plate, self._fold)
        self._connections.connect(events.run, self._fold)
        self._connections.connect(events.comparison, self._fold)
        self._fold()
        unwatch = watch(self.bench)
        connections, bench = self._connections, self.bench

        def gone() -> None:  # holds nothing of the dock, which is gone by then
            connections.close()
            unwatch()
            bench.close()

        self.destroyed.connect(gone)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for a width at which nothing is cut off; the height is napari's to give."""
        return QSize(WIDTH, 600)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Never make napari's window taller than the screen."""
        return QSize(360, 120)

    def _fold(self, _value: object = None) -> None:
        """Open the parts that the user needs now, fold those that are done or not yet possible."""
        s = self.bench.session
        something = s.source is not None
        self.plate.set_opened(not something)
        self.wells.set_opened(something)
        self.roles.set_opened(something and s.comparison is None)
        self.run.set_opened(something and s.run is None)
        self.features.set_opened(s.run is not None)
        for section in (self.slots, self.compare, self.explain):
            section.set_opened(s.comparison is not None)

    def _shortcuts(self) -> None:
        bench = self.bench
        actions: dict[str, Callable[[], object]] = {
            "next_well": lambda: bench.attempt("Showing a well", bench.showing.step, 1),
            "previous_well": lambda: bench.attempt("Showing a well", bench.showing.step, -1),
            "next_feature": lambda: bench.attempt("Showing a feature", bench.page.step, 1),
            "previous_feature": lambda: bench.attempt("Showing a feature", bench.page.step, -1),
            "heatmaps": self.slots.visible.toggle,
            "explain": self.explain.enabled.toggle,
            "side_by_side": self.compare.button.click,
            "plate_map": self.wells.map.setFocus,
            "help": self.status.show_help,
            "undo": bench.undo,
            "redo": bench.redo,
        }
        for key, action in bound(PANEL).items():
            shortcut(self, key, actions[action])

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take folders, plate maps and saved sessions."""
        if event is not None and event.mimeData() is not None and event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802 - Qt's name
        """Open what was dropped."""
        if event is None or event.mimeData() is None:
            return
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.bench.attempt("Opening", self.bench.opening.anything, paths[0])
