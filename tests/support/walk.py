"""The whole way through napari by mouse and keys, in one set of steps: a test walks it, and so does the tutorial.

`tests/gui/test_walk.py` walks it on the demo plate and says what must hold after each step;
`tools/take_tutorial.py` walks it on a real plate and takes a picture after each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMainWindow
from steady_hands import (
    choose,
    click,
    click_bar,
    click_item,
    click_menu,
    click_tab,
    click_title,
    in_file_dialog,
    press,
    reach,
    wait_until,
)

FIRST = 5  # features that are looked at
PANEL = "PhenoLens (PhenoLens)"  # as napari calls the panel in its menu and on its tab


@dataclass(frozen=True)
class Ground:
    """What is walked on: a plate, a finished run of it, and what its plate map says."""

    plate: Path
    run: Path
    compound: str  # whose dose-response is drawn
    perturbed: tuple[str, str] = ("control_type", "poscon")  # column and entry
    excluded: tuple[str, str] = ("control_type", "empty")


class Walk:
    """One user at one window.

    Parameters
    ----------
    viewer : napari.Viewer
        Shown, with nothing open.
    ground : Ground
    seen : callable
        Called with a step's name whenever there is something to look at.
    """

    def __init__(self, viewer: Any, ground: Ground, seen: Callable[[str], object] = lambda _name: None) -> None:
        self.viewer, self.ground, self.seen = viewer, ground, seen
        self.looked: list[int] = []  # the features in the order in which they were looked at
        self.session_file: Path | None = None
        self.window = next(w for w in QApplication.topLevelWidgets() if isinstance(w, QMainWindow) and w.isVisible())

    # ---- what is there ----------------------------------------------------------------------------------------------
    def docked(self, kind: str) -> Any:
        """Give the widget in a dock of this window, by the name of its class."""
        docks = self.viewer.window.dock_widgets.values
        return wait_until(lambda: next((w for w in docks() if type(w).__name__ == kind), None), f"the {kind}")

    @property
    def dock(self) -> Any:
        """The panel PhenoLens."""
        return self.docked("PhenoLensDock")

    @property
    def session(self) -> Any:
        """The state that the docks show."""
        return self.dock.bench.session

    def until(self, true: Callable[[], Any], what: str) -> Any:
        """Wait until something is true; a problem that the panel tells ends the walk with its words."""

        def or_problem() -> Any:
            problem = self.session.problem
            assert problem is None, f"{problem.title}: {problem.message}"
            return true()

        return wait_until(or_problem, what)

    def settle(self, more: int = 60) -> None:
        """Wait until no job runs and the window is painted."""
        self.until(lambda: not self.dock.bench.jobs.running, "the jobs end")
        QTest.qWait(more)
        self.until(lambda: not self.dock.bench.jobs.running, "the jobs end")

    def _seen(self, name: str) -> None:
        self.settle()
        self.seen(name)

    def _open(self, section: Any) -> None:
        """Unfold a part of the panel by its title."""
        if not section.opened:
            click(section._button)
        assert section.opened

    # ---- the steps --------------------------------------------------------------------------------------------------
    def open_panel(self) -> None:
        """Open the panel from the menu."""
        click_bar(self.window.menuBar(), "Plugins", "PhenoLens", PANEL, seen=lambda: self.seen("menu"))
        self._seen("panel")

    def open_plate(self) -> None:
        """Open the plate's folder by the button and the file dialog."""
        in_file_dialog(self.ground.plate)
        click(self.dock.plate.open_button)
        self.until(lambda: self.session.plate is not None, "the plate is open")
        self._seen("plate")

    def set_roles(self) -> None:
        """Choose perturbed and excluded wells by the plate map; the controls are filled in."""
        buttons = self.dock.roles.chooser.buttons
        self._tick(*self.ground.perturbed)
        self._seen("choosing")
        click(buttons["perturbed"])
        self._tick(*self.ground.excluded)
        click(buttons["excluded"])
        self._seen("roles")

    def _tick(self, column: str, value: str) -> None:
        choose(self.dock.roles.chooser.column, column)
        values = self.dock.roles.chooser.values
        place = next(i for i in range(values.count()) if values.item(i).text().startswith(value))
        click_item(values, values.model().index(place, 0), at_left=True)
        assert values.item(place).checkState() == Qt.CheckState.Checked

    def load_run(self) -> None:
        """Open the finished run by the file dialog; features are ranked at once."""
        run = self.dock.run
        self._open(run)
        reach(run)
        self._seen("run")
        in_file_dialog(self.ground.run)
        click(run.results_button)
        self.until(lambda: self.session.comparison is not None, "the features are ranked")
        self._seen("ranked")

    def sort_features(self) -> None:
        """Sort by the effect: what rises most comes first; two more clicks bring the ranking back."""
        features = self.dock.features
        title = features.model.column_of("effect")
        click_title(features.table.horizontalHeader(), title)
        self._seen("sorted")
        for _ in range(2):
            click_title(features.table.horizontalHeader(), title)

    def look_at_features(self) -> None:
        """Look at the first features on the cells and on their page: a click, then the key for the next row."""
        features = self.dock.features
        click_item(features.table, features.model.index(0, features.model.column_of("feature")))
        self.settle()
        self.looked = [self.session.feature]
        self._seen("feature")
        reach(self.dock.wells.map)
        self._seen("coloured")
        for _ in range(1, FIRST):
            press(self.window, Qt.Key.Key_Down)
            self.settle()
            self.looked.append(self.session.feature)
        click_item(features.table, features.model.index(0, features.model.column_of("feature")))
        click(features.page_button)
        page = self.docked("FeatureDock")
        self.until(lambda: page.gallery.crops, "the examples are there")
        self._seen("page")
        click_tab(self.window, PANEL)

    def compare(self) -> None:
        """Show a typical control well beside a typical perturbed one, and go back."""
        side = self.dock.compare
        self._open(side)
        click(side.button)
        self.until(lambda: self.session.side_by_side, "two wells are side by side")
        self._seen("pair")
        click(side.button)
        self.until(lambda: not self.session.side_by_side, "one well is on show")
        self.settle()

    def dose_response(self) -> None:
        """Draw the compound's dose-response in the charts."""
        click(self.dock.compare.charts)
        charts = self.docked("ChartsDock")
        choose(charts.which, "Dose-response")
        self.settle()
        dose = charts.charts[charts.which.currentIndex()]
        self.until(lambda: dose.compound.count() > 0, "the curves are fitted")
        choose(dose.compound, self.ground.compound)
        self._seen("dose")

    def save(self, path: Path) -> None:
        """Save the session by the menu and the file dialog."""
        if self.dock.visibleRegion().isEmpty():  # the charts lie over it
            click_tab(self.window, PANEL)
        self._open(self.dock.plate)
        in_file_dialog(path)
        click_menu(self.dock.plate.tools.session_button, "Save session")
        self.session_file = self.until(lambda: path if path.is_file() else None, "the session is written")
        self._seen("saved")

    def reopen(self, path: Path) -> None:
        """Open the session in a fresh window."""
        in_file_dialog(path)
        click_menu(self.dock.plate.tools.session_button, "Open session")
        self.until(lambda: self.session.comparison is not None, "the session is open again")
        self._seen("reopened")

    def there(self, path: Path) -> None:
        """Walk from the empty window to the saved session."""
        self.open_panel()
        self.open_plate()
        self.set_roles()
        self.load_run()
        self.sort_features()
        self.look_at_features()
        self.compare()
        self.dose_response()
        self.save(path)

    def back(self, path: Path) -> None:
        """Walk from another empty window to where the session was."""
        self.open_panel()
        self.reopen(path)
