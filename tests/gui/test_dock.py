"""The dock: light to build, never taller than the screen, never a dead end, and it goes without a trace."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QWidget,
)

BUILD = """
import sys, time, warnings
warnings.simplefilter("ignore")
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
app = QApplication([])
viewer = ViewerModel()
before = {name.partition(".")[0] for name in sys.modules}
from napari_phenolens.widgets.dock import PhenoLensDock
start = time.perf_counter()
dock = PhenoLensDock(viewer)
took = time.perf_counter() - start
new = {name.partition(".")[0] for name in sys.modules} - before
print(f"{took:.3f}", *sorted(new & {"torch", "zarr", "numba", "timm", "sklearn", "pyqtgraph"}))
"""


def test_building_it_is_light_and_quick() -> None:
    """Condition 7 of issue 2: nothing heavy is loaded, and it takes under half a second after its imports."""
    best, extra = 99.0, []
    for _ in range(3):  # the machine may be busy: the best of three is what the code takes
        done = subprocess.run([sys.executable, "-c", BUILD], capture_output=True, text=True, check=True, timeout=120)
        took, *extra = done.stdout.split()
        assert extra == []
        best = min(best, float(took))
        if best < 0.5:
            break
    assert best < 0.5


def test_the_empty_dock_says_what_to_do(dock: Any) -> None:
    assert "Drag a plate's folder here" in dock.plate.text.text()
    assert dock.plate.opened
    assert dock.plate.sample_button.isVisible()
    for section in dock.sections[1:]:
        section.set_opened(True)
    words = " ".join(label.text() for label in dock.findChildren(QLabel) if label.isVisible())
    assert "The wells appear here once a plate is open" in words
    assert "Open a plate first (step 1)" in words
    assert "Run the model or open finished results (step 4)" in words
    assert not dock.run.run_button.isEnabled()
    assert not dock.features.compare_button.isEnabled()
    assert not dock.compare.button.isEnabled()


def test_it_fits_a_small_screen(opened: Any, qtbot: Any) -> None:
    for section in opened.sections:
        section.set_opened(True)
    qtbot.wait(50)
    assert opened.minimumSizeHint().height() < 400
    assert opened.minimumSizeHint().width() <= 430
    opened.resize(430, 500)
    qtbot.wait(50)
    assert opened.height() == 500
    inner = opened.scroll.widget()
    assert inner.width() <= opened.scroll.viewport().width()
    assert inner.minimumSizeHint().width() <= opened.scroll.viewport().width()  # nothing sticks out at the side


def controls(dock: Any) -> list[QWidget]:
    kinds = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QAbstractSlider, QAbstractItemView)
    found = []
    for widget in dock.findChildren(QWidget):
        inside = widget.parent()
        own = not isinstance(inside, (QComboBox, QAbstractSpinBox, QLineEdit, QAbstractItemView))
        if isinstance(widget, kinds) and own and "ScrollBar" not in type(widget).__name__:
            found.append(widget)
    return found


def test_every_control_has_a_tooltip_and_a_name(opened: Any) -> None:
    def standard(widget: QWidget) -> bool:  # parts that Qt makes inside tables, completers and boxes
        parents = []
        parent = widget.parent()
        while parent is not None:
            parents.append(type(parent).__name__)
            parent = parent.parent()
        inner = {
            "QComboBox",
            "QHeaderView",
            "QTableView",
            "_Table",
            "QComboBoxPrivateContainer",
            "PlotWidget",
            "QCompleter",
        }
        return bool(inner & set(parents)) or type(widget).__name__ in {"QHeaderView", "QComboBoxListView", "PlotWidget"}

    missing = [
        f"{type(widget).__name__} {widget.objectName()} {getattr(widget, 'text', str)()}"
        for widget in controls(opened)
        if not standard(widget) and not (widget.toolTip() and widget.accessibleName())
    ]
    assert missing == []


def test_every_tooltip_is_used_or_gone() -> None:
    from napari_phenolens.widgets import tooltips

    folder = Path(tooltips.__file__).parent
    text = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py") if path.name != "tooltips.py")
    assert [key for key in tooltips.TIPS if f'"{key}"' not in text] == []


def test_dropping_a_folder_opens_it(dock: Any, plate_folder: Path, settle: Any) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(plate_folder))])
    event = QDropEvent(
        QPointF(10, 10), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    dock.dropEvent(event)
    settle(dock)
    assert dock.bench.session.plate.name == "small plate"
    assert "small plate: 23 wells of 24" in dock.plate.text.text()
    assert "0.65 µm per pixel" in dock.plate.text.text()


def test_an_error_is_shown_and_can_be_dismissed(dock: Any, tmp_path: Path, settle: Any, qtbot: Any) -> None:
    assert not dock.banner.isVisible()
    dock.bench.opening.anything(tmp_path / "gone")
    settle(dock)
    assert dock.banner.isVisible()
    assert "Opening gone did not work." in dock.banner.text.text()
    assert str(tmp_path / "gone") in dock.banner.text.text()
    qtbot.mouseClick(dock.banner.dismiss, Qt.MouseButton.LeftButton)
    assert not dock.banner.isVisible()


def test_a_long_error_does_not_widen_the_dock(dock: Any, qtbot: Any) -> None:
    from napari_phenolens.viewer.session import Problem

    before = dock.width()
    dock.bench.session.problem = Problem("Opening", "word " * 200 + "x" * 400, "Traceback ...")
    dock.bench.session.status = "a very long sentence " * 30
    qtbot.wait(50)
    assert dock.width() == before
    assert dock.minimumSizeHint().width() <= 430
    assert dock.banner.copy.isVisible()


def test_the_sections_follow_the_way(opened: Any) -> None:
    assert not opened.plate.opened
    assert opened.wells.opened
    assert not opened.run.opened
    assert opened.features.opened
    assert "small plate · 23 wells" in opened.plate._summary.text()


def test_keys_of_the_dock(opened: Any, qtbot: Any, settle: Any) -> None:
    opened.activateWindow()
    opened.wells.map.setFocus()
    s = opened.bench.session
    first = s.well
    opened.bench.showing.step(1)
    settle(opened)
    assert s.well == s.wells[s.wells.index(first) + 1]
    opened.bench.showing.step(-1)
    settle(opened)
    assert s.well == first
    opened.bench.showing.step(-1)
    settle(opened)
    assert s.well == s.wells[-1] if first == s.wells[0] else True


def test_nothing_is_left_of_a_closed_dock(qtbot: Any, run_folder: Path, settle: Any) -> None:
    from napari.components import ViewerModel

    from napari_phenolens.viewer.workbench import workbench_for
    from napari_phenolens.widgets.dock import PhenoLensDock

    viewer = ViewerModel()
    bench = workbench_for(viewer)
    own = {name: len(signal) for name, signal in bench.session.events.signals.items()}  # its actions listen too
    dock = PhenoLensDock(viewer)
    assert dock.bench is bench
    assert len(bench.session.events.plate) > own["plate"]
    bench.opening.run(run_folder)
    settle(dock)
    dock.close()
    dock.deleteLater()
    qtbot.wait(50)
    del dock
    gc.collect()
    assert {name: len(signal) for name, signal in bench.session.events.signals.items()} == own
    bench.session.status = "still fine"  # no widget is there to be told
    again = PhenoLensDock(viewer)  # the session is as it was
    qtbot.addWidget(again)
    assert again.bench is bench
    assert again.features.model.rowCount() > 0
    bench.close()


@pytest.mark.parametrize("wells", [384])
def test_opening_many_wells_is_quick(dock: Any, wells: int, tmp_path: Path, settle: Any, fakes: Any) -> None:
    import numpy as np
    import tifffile

    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(16):
        for j in range(24):
            tifffile.imwrite(folder / f"{chr(65 + i)}{j + 1:02d}_f1_DNA.tif", np.full((16, 16), i + j, np.uint16))
    dock.bench.opening.plate(folder)
    settle(dock)
    assert len(dock.bench.session.plate.wells) == wells
    assert dock.wells.map.height() > 16 * 8
