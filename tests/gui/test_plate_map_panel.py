"""The plate map in the dock: what colours it, what it tells, roles by its columns, undo, saving, the large one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QAbstractButton, QCheckBox, QComboBox, QListWidget

from napari_phenolens.widgets.large_map import NAME, LargeMap


def centre(made: Any, well: str) -> QPoint:
    return made.rect_of(well).center().toPoint()


def click(qtbot: Any, made: Any, well: str, keys: Any = Qt.KeyboardModifier.NoModifier) -> None:
    qtbot.mouseClick(made, Qt.MouseButton.LeftButton, keys, centre(made, well))


def drag(qtbot: Any, made: Any, start: str, end: str) -> None:
    qtbot.mousePress(made, Qt.MouseButton.LeftButton, pos=centre(made, start))
    qtbot.mouseMove(made, centre(made, start) + QPoint(6, 6))
    qtbot.mouseMove(made, centre(made, end))
    qtbot.mouseRelease(made, Qt.MouseButton.LeftButton, pos=centre(made, end))


def pick(box: QComboBox, key: str) -> None:
    box.setCurrentIndex(box.findData(key))
    box.activated.emit(box.currentIndex())


def tick(values: QListWidget, text: str, on: bool = True) -> None:
    items = [values.item(i) for i in range(values.count())]
    item = next(item for item in items if item.text().startswith(text))
    item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)


def test_colour_by_everything_with_numbers_on_the_bar(opened: Any, qtbot: Any) -> None:
    panel, s = opened.wells.panel, opened.bench.session
    before = panel.map.picture.painted
    pictures = set()
    for key in ("role", "fields", "feature", "covariate:cell_count", "map:compound", "map:dose"):
        pick(panel.colour, key)
        assert s.colour_by == key
        pictures.add(tuple(sorted((w, c.name()) for w, c in (panel.map._colours or {}).items())))
    assert len(pictures) == 6
    panel.map.grab()
    assert panel.map.picture.painted > before
    assert panel.legend._shown.limits == (0.0, 5.0)


def test_z_against_controls_is_one_tick_away(opened: Any, qtbot: Any) -> None:
    panel, s = opened.wells.panel, opened.bench.session
    pick(panel.colour, "covariate:cell_count")
    assert panel.z.isEnabled()
    qtbot.mouseClick(panel.z, Qt.MouseButton.LeftButton, pos=QPoint(6, panel.z.height() // 2))
    assert s.colour_by == "covariate:cell_count z"
    shown = opened.bench.comparing.shown()
    assert shown.diverging
    assert abs(shown.values.reindex(s.wells_of("control")).median()) < 1e-9
    assert panel.colour.currentData() == "covariate:cell_count"
    pick(panel.colour, "map:compound")  # words have no z
    assert (s.colour_by, panel.z.isEnabled()) == ("map:compound", False)


def test_pointing_tells_compound_dose_fields_and_value(opened: Any, fakes: Any, qtbot: Any) -> None:
    panel, s = opened.wells.panel, opened.bench.session
    opened.bench.showing.feature(fakes.PLANTED)
    pick(panel.colour, "feature")
    qtbot.mouseMove(panel.map, centre(panel.map, "B04") + QPoint(1, 1))
    qtbot.mouseMove(panel.map, centre(panel.map, "B04"))
    said = panel.readout.text()
    value = s.run.profiles().loc["B04", fakes.PLANTED]
    for part in ("B04", "compound 3", "dose 3", "perturbed", "2 fields", f"F{fakes.PLANTED} = {value:.3g} (z "):
        assert part in said
    assert panel.map.describe("A06").splitlines() == ["A06", "no images (it is in the plate map)"]
    assert panel.map.accessibleDescription() == said


def test_roles_from_the_columns_of_the_plate_map(opened: Any, qtbot: Any) -> None:
    s, chooser, panel = opened.bench.session, opened.roles.chooser, opened.wells.panel
    columns = [chooser.column.itemText(i) for i in range(chooser.column.count())]
    assert columns == ["control_type", "compound", "dose"]
    chooser.column.setCurrentText("dose")
    chooser.column.activated.emit(chooser.column.currentIndex())
    assert [chooser.values.item(i).text() for i in range(2)] == ["0    4 wells", "1    4 wells"]
    assert not chooser.buttons["control"].isEnabled()
    before = dict(s.roles)
    tick(chooser.values, "2 ")
    tick(chooser.values, "3 ")
    assert panel.map._preview == s.preview
    assert s.preview == tuple(f"{row}{column}" for row in "ABCD" for column in ("03", "04"))
    assert chooser.picked.text().startswith("8 wells: A03, A04, B03")
    assert s.roles == before  # nothing has changed yet
    qtbot.mouseClick(chooser.buttons["perturbed"], Qt.MouseButton.LeftButton)
    assert s.perturbed_query == "dose in [2.0, 3.0]"
    assert s.wells_of("perturbed") == list(f"{row}{column}" for row in "ABCD" for column in ("03", "04"))
    assert s.preview == ()
    tick(chooser.values, "1 ")
    qtbot.mouseClick(chooser.buttons["excluded"], Qt.MouseButton.LeftButton)
    assert s.wells_of("excluded") == ["A02", "B02", "C02", "D02"]
    assert s.wells_of("control") == ["A01", "B01", "C01", "D01"]
    qtbot.mouseClick(opened.roles.undo, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(opened.roles.undo, Qt.MouseButton.LeftButton)
    assert s.roles == before
    assert not opened.roles.undo.isEnabled()


def test_undo_and_redo_by_keys(opened: Any, qtbot: Any) -> None:
    panel, s = opened.wells.panel, opened.bench.session
    before = dict(s.roles)
    opened.activateWindow()
    panel.map.setFocus()
    qtbot.waitUntil(panel.map.hasFocus)
    drag(qtbot, panel.map, "B03", "C04")
    assert s.selected == ("B03", "B04", "C03", "C04")
    qtbot.mouseClick(panel.marks[3], Qt.MouseButton.LeftButton)
    assert s.wells_of("excluded") == ["B03", "B04", "C03", "C04"]
    panel.map.setFocus()
    qtbot.keyClick(panel.map, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert (s.roles, len(s.selected)) == (before, 4)
    assert s.status == "Undone: mark 4 wells as excluded."
    qtbot.keyClick(panel.map, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert s.selected == ()
    assert panel.map.selected == ()
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(panel.map, Qt.Key.Key_Z, both)
    qtbot.keyClick(panel.map, Qt.Key.Key_Z, both)
    assert s.wells_of("excluded") == ["B03", "B04", "C03", "C04"]


def test_walking_over_wells_is_no_step(opened: Any, qtbot: Any, settle: Any) -> None:
    s = opened.bench.session
    for well in ("B03", "B04", "C03"):
        click(qtbot, opened.wells.map, well)
        settle(opened)
    assert (s.well, s.selected, s.undo.undo_title) == ("C03", ("C03",), "")


def test_the_menu_selects_the_like_and_marks(opened: Any, qtbot: Any) -> None:
    panel, s = opened.wells.panel, opened.bench.session
    menu = panel.menu_for("B04")
    like = next(action.menu() for action in menu.actions() if action.menu() is not None)
    next(a for a in like.actions() if a.text() == "compound: compound 3").trigger()
    assert s.selected == ("A04", "B04", "C04", "D04")
    next(a for a in menu.actions() if a.text() == "Mark as positive").trigger()
    assert s.wells_of("positive") == ["A04", "B04", "B06", "C04", "C06", "D04", "D06"]


def test_saved_is_what_is_shown_and_what_python_gives(
    opened: Any, fakes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same numbers in napari, in Python and on the command line."""
    import json

    from typer.testing import CliRunner

    import napari_phenolens
    from napari_phenolens.cli.commands import app
    from napari_phenolens.export import plate_map

    panel, s = opened.wells.panel, opened.bench.session
    s.positive_query = ""
    opened.bench.update_roles()
    opened.bench.showing.feature(fakes.PLANTED)
    s.colour_by = "feature z"
    panel._save(ask=lambda *_: (str(tmp_path / "from napari"), "Table (*.csv)"))
    assert s.problem is None
    saved = pd.read_csv(tmp_path / "from napari.csv", index_col="well")
    run = s.run
    run.controls = s.wells_of("control")
    python = plate_map(run, fakes.PLANTED, z=True).table()
    title = f"robust z of F{fakes.PLANTED}: mean activation"
    pd.testing.assert_series_equal(saved[title], python[title])
    assert list(saved["role"].fillna("")) == list(python["role"])
    monkeypatch.setattr(napari_phenolens, "open_run", lambda _path: run, raising=False)
    command = ["platemap", "RUN", "--feature", str(fakes.PLANTED), "--z", "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    rows = {row["well"]: row for row in json.loads(result.stdout)["rows"]}
    assert {w: r[title] for w, r in rows.items() if r[title] is not None} == pytest.approx(
        python[title].dropna().to_dict()
    )
    svg = tmp_path / "map.svg"
    result = CliRunner().invoke(app, ["platemap", "RUN", "--by", "cell_count", "--out", str(svg)])
    assert result.exit_code == 0, result.output
    assert ">cell count<" in svg.read_text(encoding="utf-8")
    assert CliRunner().invoke(app, ["platemap", "RUN", "--by", "nothing"]).exit_code == 1


def test_saving_where_it_cannot_be_written_is_told(opened: Any) -> None:
    opened.wells.panel._save(ask=lambda *_: ("/proc/no/map.png", "Figure (*.png)"))
    assert "cannot write" in opened.bench.session.problem.message


def test_the_large_map_shows_and_changes_the_same_session(opened: Any, qtbot: Any, settle: Any) -> None:
    s = opened.bench.session
    qtbot.mouseClick(opened.wells.panel.open_large, Qt.MouseButton.LeftButton)
    large = opened.window().findChild(LargeMap)
    assert large.windowTitle() == NAME
    large.resize(900, 500)
    qtbot.wait(20)
    assert large.panel.map.cell() > opened.wells.map.cell()
    click(qtbot, large.panel.map, "C04")
    settle(opened)
    assert (s.well, opened.wells.map.selected) == ("C04", ("C04",))
    qtbot.mouseClick(opened.wells.panel.open_large, Qt.MouseButton.LeftButton)
    assert len(opened.window().findChildren(LargeMap)) == 1  # brought to the front, not opened twice
    for part in large.findChildren(QAbstractButton) + large.findChildren(QComboBox):
        if part.objectName().startswith("wells."):
            assert part.toolTip() and part.accessibleName()
    assert isinstance(large.panel.z, QCheckBox)


def test_a_choice_forgets_nothing_of_another_plate(opened: Any, plate_folder: Path, settle: Any) -> None:
    """What was chosen on one plate is neither shown nor undone on the next."""
    opened.bench.mark(("B03",), "excluded")
    opened.bench.selecting.preview("dose > 2")
    opened.bench.opening.take({"plate": str(plate_folder)})
    settle(opened)
    s = opened.bench.session
    assert (s.undo.undo_title, s.preview, s.hand_roles) == ("", (), {})


def test_building_it_opens_no_window(opened: Any, qtbot: Any) -> None:
    """A part that is shown before it has a parent would flash as a window of its own."""
    from qtpy.QtCore import QEvent, QObject
    from qtpy.QtWidgets import QApplication

    from napari_phenolens.widgets.large_map import LargeMap
    from napari_phenolens.widgets.parts import Connections
    from napari_phenolens.widgets.wells_section import WellsSection

    shown = []

    class Watch(QObject):
        def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
            if event.type() == QEvent.Type.Show and getattr(watched, "isWindow", bool)():
                shown.append(watched)
            return False

    watch = Watch()
    QApplication.instance().installEventFilter(watch)
    connections = Connections()
    for made in (WellsSection(opened.bench, connections), LargeMap(opened.bench)):
        qtbot.addWidget(made)
    QApplication.instance().removeEventFilter(watch)
    connections.close()
    assert shown == []
