"""Responders, escapers and cells told apart in napari: the numbers of Python, on the picture and on the plate map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_phenolens import distinguish, subpopulations
from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED
from napari_phenolens.viewer.copying import as_python
from napari_phenolens.viewer.images import find_layer
from napari_phenolens.viewer.responding import COLOURS, ESCAPERS, ROLE
from napari_phenolens.viewer.telling_apart import GATE, REGION

POSITIVE = DEMO_PERTURBED["translocation"]


@pytest.fixture(scope="module")
def viewer() -> Any:
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture(scope="module")
def bench(viewer: Any, demo_with_cells: Path) -> Iterator[Any]:
    """Give the demo plate's run with cells, compared; made once, since tests only look."""
    from napari_phenolens.viewer.workbench import workbench_for

    made = workbench_for(viewer)
    made.opening.run(demo_with_cells)
    assert made.jobs.wait(60)
    made.set_queries(DEMO_CONTROLS, POSITIVE, "")
    made.comparing.start()
    assert made.jobs.wait(60)
    yield made
    made.close()
    assert made.jobs.wait(30)


@pytest.fixture
def dock(qtbot: Any, settle: Callable[[Any], None], viewer: Any, bench: Any) -> Any:
    from napari_phenolens.widgets.cell_dock import CellDock

    made = CellDock(viewer)
    qtbot.addWidget(made)
    made.resize(420, 900)
    made.show()
    settle(made)
    return made


def test_responders_on_picture_and_plate_map_are_those_of_python(qtbot: Any, dock: Any, settle: Any) -> None:
    bench, section = dock.bench, dock.responders
    s = bench.session
    section.set_opened(True)
    bench.showing.well("D08")
    settle(dock)
    qtbot.mouseClick(section.count, Qt.MouseButton.LeftButton)
    settle(dock)
    assert s.problem is None, s.problem
    controls, perturbed = (list(wells) for wells in s.responders.sides)
    others = [w for w in s.run.wells if w not in controls]
    expected = subpopulations(s.run, controls, perturbed, wells=others)
    found = s.responders.found
    assert found.wells.equals(expected.wells) and found.cells.equals(expected.cells)
    assert (
        f"{expected.false_positives:.1%}" in section.text.text() and "12 held-out control wells" in section.text.text()
    )
    assert section.table.rowCount() == len(others)

    # the picture: each cell in the colour of its state, its state under the mouse
    layer = find_layer(bench.viewer, ROLE)
    np.testing.assert_array_equal(layer.data, s.run.cell_labels("D08"))
    here = expected.cells.query("well == 'D08'")
    for label, state in zip(here["label"], here["state"], strict=True):
        rgb = [int(COLOURS[state][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        np.testing.assert_allclose(layer.get_color(label)[:3], rgb, atol=0.01)
    assert layer.features["state"].tolist() == here["state"].tolist()
    assert f"{(here['state'] == 'responder').sum()} responders" in section.legend.text()

    # the plate map: the share of escapers, its interval under the mouse; control wells say what was false
    assert s.colour_by == ESCAPERS
    shown = bench.comparing.shown()
    assert shown.values.equals(expected.wells["escapers"]) and shown.limits == (0.0, 1.0)
    row = expected.wells.loc["D08"]
    assert any(
        f"{row['escapers_low']:.0%} to {row['escapers_high']:.0%}" in line for line in bench.selecting.told("D08")
    )
    control = controls[0]
    assert any("held out" in line and "false" in line for line in bench.selecting.told(control))
    assert f"{expected.false_positives.value:.1%}" in shown.note

    # another well is painted anew in the same layer; off and on again
    count = len(bench.viewer.layers)
    bench.showing.well(control)
    assert not layer.visible
    settle(dock)
    assert layer.visible and len(bench.viewer.layers) == count
    assert set(layer.features["state"]) <= {"control", "false positive"}
    box = QPoint(8, section.paint.height() // 2)
    qtbot.mouseClick(section.paint, Qt.MouseButton.LeftButton, pos=box)
    assert not layer.visible
    bench.undo()
    settle(dock)
    assert layer.visible and section.paint.isChecked()
    assert "ph.subpopulations(run, like_control, like_perturbed, wells=counted)" in as_python(bench)


def test_other_sides_forget_the_count(dock: Any, settle: Any) -> None:
    bench = dock.bench
    bench.responding.count("perturbed wells")
    settle(dock)
    assert set(bench.session.responders.values.told) == set(sum(bench.session.responders.sides, ()))
    former = bench.session.comparison
    bench.comparing.between(former.controls[:6], former.perturbed, name="x", by="selection", picked_after=True)
    settle(dock)
    assert bench.session.responders is None and not find_layer(bench.viewer, ROLE).visible
    assert "Count responders" in bench.comparing.shown().title
    bench.comparing.present(former)
    settle(dock)


def test_what_distinguishes_cells_is_what_python_says(qtbot: Any, dock: Any, settle: Any) -> None:
    bench, section = dock.bench, dock.telling
    run = bench.session.run
    section.set_opened(True)
    section.way.setCurrentText(GATE)
    condition = "area_nucleus > 120"
    section.gate.setText(condition)
    qtbot.mouseClick(section.tell, Qt.MouseButton.LeftButton)
    settle(dock)
    expected = distinguish(run, condition)
    assert bench.session.told_apart.table.equals(expected)
    held = expected.attrs["held_out"]
    assert f"AUROC {held['value']:.2f} [{held['low']:.2f}, {held['high']:.2f}]" in section.text.text()
    assert "no p and no q" in section.text.text()
    assert not {"p", "q"} & set(expected.columns)
    first = int(expected.index[0])
    assert section.table.item(0, 0).text() == f"F{first}"
    assert section.table.item(0, 3).text() == f"{expected['held_out'].iloc[0]:.2f}"
    assert f"ph.distinguish(run, cells={condition!r})" in as_python(bench)


def test_a_region_drawn_on_the_field(qtbot: Any, dock: Any, settle: Any) -> None:
    bench, section = dock.bench, dock.telling
    s = bench.session
    bench.showing.well("D08")
    settle(dock)
    section.way.setCurrentText(REGION)
    section.set_opened(True)
    assert section.draw.isVisible() and not section.gate.isVisible()
    qtbot.mouseClick(section.tell, Qt.MouseButton.LeftButton)
    assert "draw a region" in s.problem.message
    s.problem = None
    height, width = s.plate.field("D08", None).shape
    corners = np.array([[-1, -1], [-1, width / 2], [height, width / 2], [height, -1]])
    bench.regions.draw().add([corners], shape_type="polygon")
    qtbot.mouseClick(section.tell, Qt.MouseButton.LeftButton)
    settle(dock)
    assert s.problem is None, s.problem
    expected = distinguish(s.run, region=("D08", s.field_name, corners))
    assert s.told_apart.table.equals(expected)
    assert "in one well" in section.text.text()
