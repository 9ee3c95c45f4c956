"""The dock of the clicked cell: the numbers of Python, its likes, walking by rank, keeping, text and report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication

from napari_phenolens import cell_card, cell_reference, looks, open_run
from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED

POSITIVE = DEMO_PERTURBED["translocation"]


@pytest.fixture
def dock(qtbot: Any, settle: Callable[[Any], None], demo_with_cells: Path) -> Iterator[Any]:
    """Give the dock beside the demo plate's run, compared."""
    from napari.components import ViewerModel

    from napari_phenolens.viewer.workbench import workbench_for
    from napari_phenolens.widgets.cell_dock import CellDock

    viewer = ViewerModel()
    made = workbench_for(viewer)
    made.opening.run(demo_with_cells)
    assert made.jobs.wait(60)
    made.set_queries(DEMO_CONTROLS, POSITIVE, "")
    made.comparing.start()
    assert made.jobs.wait(60)
    assert made.session.problem is None, made.session.problem
    shown = CellDock(viewer)
    qtbot.addWidget(shown)
    shown.resize(420, 900)
    shown.show()
    settle(shown)
    yield shown
    made.close()
    assert made.jobs.wait(30)
    del viewer


def click(dock: Any, settle: Callable[[Any], None], cell: int) -> Any:
    """Click on a cell, as the canvas would say it."""
    bench = dock.bench
    row = bench.session.run.cells().loc[cell]
    bench.showing.well(str(row["well"]), str(row["field"]))
    settle(dock)
    size = bench.showing._pixel_size() or 1.0
    bench.picking.at_world((row["y"] * size, row["x"] * size))
    settle(dock)
    return bench.session.cell


@pytest.fixture(scope="module")
def reference(demo_with_cells: Path) -> Any:
    run = open_run(demo_with_cells)
    return cell_reference(run, DEMO_CONTROLS, POSITIVE, looks=looks(run, DEMO_CONTROLS, POSITIVE))


def whole_cell(reference: Any, well: str) -> int:
    cells = reference.cells
    return int(cells[(cells["well"] == well) & ~cells["border"]].index[0])


def test_the_card_is_that_of_python(dock: Any, settle: Any, reference: Any) -> None:
    cell = whole_cell(reference, "D08")
    page = click(dock, settle, cell)
    expected = cell_card(reference, cell)
    assert page.whole
    assert page.card.text() == expected.text()
    assert dock.features.rowCount() == len(expected.features)
    for i, (feature, row) in enumerate(expected.features.iterrows()):
        assert dock.features.item(i, 0).text() == f"F{feature}"
        assert dock.features.item(i, 2).text() == f"{row['share']:.0%}"
    assert "Looks perturbed" in dock.verdict.text()
    assert f"{expected.explained:.2f}" in dock.explained.text()
    for side, strip in dock.strips.items():
        shown = [strip.item(i).text().split()[0] for i in range(strip.count())]
        assert shown == list(expected.neighbours[side]["well"])


def test_the_cell_is_outlined_where_it_lies(dock: Any, settle: Any, reference: Any) -> None:
    cell = whole_cell(reference, "A04")
    click(dock, settle, cell)
    layer = next(layer for layer in dock.bench.viewer.layers if layer.name == "Explained cell")
    row = reference.cells.loc[cell]
    low, high = layer.data[0].min(0), layer.data[0].max(0)
    np.testing.assert_allclose(low, [row["y0"] - 0.5, row["x0"] - 0.5])
    np.testing.assert_allclose(high, [row["y1"] - 0.5, row["x1"] - 0.5])
    count = len(dock.bench.viewer.layers)
    click(dock, settle, whole_cell(reference, "B08"))
    assert len(dock.bench.viewer.layers) == count
    dock.bench.showing.well("C10")
    settle(dock)
    assert not layer.visible
    assert dock.bench.session.cell is None
    assert dock.words.isVisible()


def test_walking_by_rank(qtbot: Any, dock: Any, settle: Any, reference: Any) -> None:
    ranks = reference.looks.cells["rank"]
    page = click(dock, settle, whole_cell(reference, "C07"))
    seen = [ranks[page.card.cell]]
    for _ in range(3):
        qtbot.mouseClick(dock.forward, Qt.MouseButton.LeftButton)
        settle(dock)
        seen.append(ranks[dock.bench.session.cell.card.cell])
    assert seen == sorted(seen)
    order = list(ranks.sort_values(kind="stable").index)
    assert dock.bench.session.cell.card.cell == order[min(order.index(page.card.cell) + 3, len(order) - 1)]
    qtbot.mouseClick(dock.back, Qt.MouseButton.LeftButton)
    settle(dock)
    assert ranks[dock.bench.session.cell.card.cell] == seen[-2]
    dock.scope.setCurrentText("this well")
    dock.order.setCurrentText("the chosen feature")
    well = dock.bench.session.well
    qtbot.mouseClick(dock.forward, Qt.MouseButton.LeftButton)
    settle(dock)
    assert dock.bench.session.cell.card.well == well


def test_a_similar_cell_is_gone_to(qtbot: Any, dock: Any, settle: Any, reference: Any) -> None:
    page = click(dock, settle, whole_cell(reference, "A04"))
    wanted = int(page.card.neighbours["perturbed"].index[0])
    strip = dock.strips["perturbed"]
    at = strip.visualItemRect(strip.item(0)).center()
    qtbot.mouseClick(strip.viewport(), Qt.MouseButton.LeftButton, pos=at)
    settle(dock)
    assert dock.bench.session.cell.card.cell == wanted
    assert dock.bench.session.well == reference.cells.loc[wanted, "well"]
    outline = next(layer for layer in dock.bench.viewer.layers if layer.name == "Explained cell")
    assert outline.visible
    other = next(well for well in dock.bench.session.wells if well != dock.bench.session.well)
    dock.bench.showing.well(other)  # no place was clicked that would be left: the cell was gone to
    settle(dock)
    assert dock.bench.session.cell is None
    assert not outline.visible


def test_keep_copy_and_report(
    qtbot: Any, dock: Any, settle: Any, reference: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qtpy.QtWidgets import QFileDialog

    page = click(dock, settle, whole_cell(reference, "D08"))
    qtbot.mouseClick(dock.copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == page.card.text()
    qtbot.mouseClick(dock.keep, Qt.MouseButton.LeftButton)
    assert dock.bench.session.kept_cells == (page.card.cell,)
    out = tmp_path / "cells.html"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_a, **_k: (str(out), ""))
    qtbot.mouseClick(dock.report, Qt.MouseButton.LeftButton)
    settle(dock)
    assert f'id="cell-{page.card.cell}"' in out.read_text(encoding="utf-8")
    qtbot.mouseClick(dock.keep, Qt.MouseButton.LeftButton)
    assert dock.bench.session.kept_cells == ()


def test_a_place_without_a_cell(dock: Any, settle: Any, reference: Any) -> None:
    click(dock, settle, whole_cell(reference, "D08"))
    labels = dock.bench.session.run.cell_labels("D08")
    y, x = np.argwhere(labels == 0)[0]
    dock.bench.picking.at((int(y), int(x)))
    settle(dock)
    assert dock.bench.session.cell is None
    assert dock.words.isVisible()
    assert not dock.head.isVisible()


def test_cells_are_found_from_the_dock(qtbot: Any, settle: Any, demo_with_cells: Path, tmp_path: Path) -> None:
    from napari.components import ViewerModel

    from napari_phenolens.viewer.workbench import workbench_for
    from napari_phenolens.widgets.cell_dock import CellDock

    folder = shutil.copytree(demo_with_cells, tmp_path / "run")
    done = sorted((folder / "cells" / "done").glob("*.json"))
    for mark in done:
        mark.unlink()
    viewer = ViewerModel()
    bench = workbench_for(viewer)
    bench.opening.run(folder)
    made = CellDock(viewer)
    qtbot.addWidget(made)
    made.show()
    settle(made)
    assert made.source.opened and made.source.find.isVisible()
    qtbot.mouseClick(made.source.find, Qt.MouseButton.LeftButton)
    assert bench.jobs.heavy is not None
    qtbot.waitUntil(lambda: any((folder / "cells" / "done").glob("*.json")), timeout=60_000)
    bench.cancel()
    settle(made)
    kept = len(list((folder / "cells" / "done").glob("*.json")))
    assert 0 < kept < len(done)
    assert bench.jobs.heavy is None
    bench.close()
    assert bench.jobs.wait(30)
