"""Where cells come from in napari: preview, whole plate, a Labels layer; nothing of a preview stays."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt

from napari_phenolens.run import default_segmentation
from napari_phenolens.viewer.cell_finding import ROLE
from napari_phenolens.viewer.cell_source import FOLDER, LAYER, CellSource
from napari_phenolens.viewer.images import find_layer


@pytest.fixture(scope="module")
def folder(demo_with_cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the run with cells that tests may write into."""
    return shutil.copytree(demo_with_cells, tmp_path_factory.mktemp("sources") / "run")


@pytest.fixture
def dock(qtbot: Any, settle: Callable[[Any], None], folder: Path) -> Iterator[Any]:
    from napari.components import ViewerModel

    from napari_phenolens.viewer.workbench import workbench_for
    from napari_phenolens.widgets.cell_dock import CellDock

    viewer = ViewerModel()
    bench = workbench_for(viewer)
    bench.opening.run(folder)
    made = CellDock(viewer)
    qtbot.addWidget(made)
    made.resize(420, 900)
    made.show()
    settle(made)
    bench.showing.well("D08")
    settle(made)
    yield made
    bench.close()
    assert bench.jobs.wait(30)
    del viewer


def test_the_preview_is_what_the_plate_will_get_and_goes_again(qtbot: Any, dock: Any, settle: Any) -> None:
    bench, source = dock.bench, dock.source
    s = bench.session
    source.set_opened(True)
    before = len(bench.viewer.layers)
    qtbot.mouseClick(source.preview, Qt.MouseButton.LeftButton)
    settle(dock)
    image = s.plate.field("D08", None).read(list(s.run.channels))
    rule = default_segmentation(s.run, s.plate)
    layer = find_layer(bench.viewer, ROLE)
    np.testing.assert_array_equal(layer.data, rule.cells(image, s.run.lens.channels))
    assert f"{len(np.unique(layer.data)) - 1} cells in D08" in source.seen.text()
    # a setting changes it at once, and can be taken back
    source.reach.setValue(4)
    settle(dock)
    narrow = default_segmentation(s.run, s.plate, reach=4).cells(image, s.run.lens.channels)
    np.testing.assert_array_equal(layer.data, narrow)
    assert "Reach 4 px" in source.seen.text()
    bench.undo()
    settle(dock)
    assert s.cell_source == CellSource() and source.reach.text() == "automatic"
    # another field, then the end
    bench.showing.well("A04")
    settle(dock)
    assert layer.data.shape == s.run.cell_labels("A04").shape and "in A04" in source.seen.text()
    qtbot.mouseClick(source.preview, Qt.MouseButton.LeftButton)
    assert find_layer(bench.viewer, ROLE) is None and len(bench.viewer.layers) == before
    assert not source.seen.isVisible() and s.run.cell_source["reach"] == rule.reach


def test_the_preview_goes_with_the_dock(dock: Any, settle: Any) -> None:
    dock.bench.finding.preview()
    settle(dock)
    assert find_layer(dock.bench.viewer, ROLE) is not None
    dock.bench.cells.unwatch()
    assert find_layer(dock.bench.viewer, ROLE) is None and not dock.bench.session.previewing


def test_a_labels_layer_gives_the_cells_of_the_field_on_show(qtbot: Any, dock: Any, settle: Any) -> None:
    bench, source = dock.bench, dock.source
    s = bench.session
    source.set_opened(True)
    labels = np.zeros(s.plate.field(s.well, None).shape, np.uint16)
    labels[20:60, 20:60], labels[70:100, 20:60] = 4, 9
    bench.viewer.add_labels(labels[None], name="cp_masks")
    bench.finding.choose("x", kind=LAYER)
    assert source.layer.currentText() == "cp_masks" and not source.preview.isVisible()
    qtbot.mouseClick(source.find, Qt.MouseButton.LeftButton)
    settle(dock)
    assert s.problem is None, s.problem
    assert s.run.cells_given(s.well) == "layer cp_masks"
    here = s.run.cells().query(f"well == '{s.well}'")
    assert here["label"].tolist() == [4, 9] and s.cells == len(s.run.cells())
    bench.picking.at((40, 40))
    settle(dock)
    assert s.cell.card.label == 4 and s.cell.card.area == 1600
    assert "layer cp_masks" in dock.notes.text()


def test_label_files_are_previewed_and_a_missing_one_is_said(dock: Any, settle: Any, tmp_path: Path) -> None:
    bench, source = dock.bench, dock.source
    labels = np.zeros(bench.session.plate.field("D08", None).shape, np.uint16)
    labels[10:30, 10:30] = 5
    field = bench.session.field_name
    tifffile.imwrite(tmp_path / f"D08_{field}.tif", labels)
    bench.finding.choose("x", kind=FOLDER, folder=str(tmp_path))
    bench.finding.preview()
    settle(dock)
    assert source.seen.text().startswith("1 cells in D08")
    bench.showing.well("A04")
    settle(dock)
    assert "no label image" in source.seen.text() and find_layer(bench.viewer, ROLE) is None


def test_other_settings_go_over_the_plate_where_that_is_ticked(qtbot: Any, dock: Any, settle: Any) -> None:
    # last: it leaves the folder with other cells
    bench, source = dock.bench, dock.source
    run = bench.session.run
    stored = run.cells()
    source.set_opened(True)
    bench.finding.choose("x", nuclear="DNA", reach=5.0, cytoplasm=())
    qtbot.mouseClick(source.find, Qt.MouseButton.LeftButton)
    settle(dock)
    assert "holds other cells" in bench.session.problem.message
    assert run.cells().equals(stored)
    bench.session.problem = None
    bench.session.kept_cells = (3,)
    source.replace.setChecked(True)
    assert "Replace" in source.find.text()
    qtbot.mouseClick(source.find, Qt.MouseButton.LeftButton)
    assert bench.jobs.heavy is not None
    cells = Path(run.path) / "cells"

    def first() -> bool:  # a well of the new ones
        plan = cells / "cells.json"  # the folder goes and comes back
        return plan.is_file() and '"reach": 5.0' in plan.read_text() and any((cells / "done").glob("*.json"))

    qtbot.waitUntil(first, timeout=60_000)
    bench.jobs.cancel("cells")
    settle(dock)
    assert run.cell_source["reach"] == 5.0 and run.cell_source["cytoplasm"] == []
    assert not source.replace.isChecked()
