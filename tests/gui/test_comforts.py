"""Sessions, recent plates, the script and the help from the dock; keys are those of the table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent, QKeySequence, QShortcut
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_phenolens.viewer.copying import as_python
from napari_phenolens.viewer.helping import CELL, KEYS, MAP, PAGE, PANEL, bound, help_html


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHENOLENS_CONFIG", str(tmp_path / "config"))


def test_a_session_is_saved_dropped_and_open_again(
    opened: Any, fakes: Any, settle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "afternoon.phenolens.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_a, **_k: (str(file), ""))
    bench, s = opened.bench, opened.bench.session
    bench.showing.feature(fakes.PLANTED)
    bench.showing.set_opacity(0.35)
    settle(opened)
    opened.plate.tools.save_action.trigger()
    assert file.is_file()
    assert s.status == f"Saved the session as {file}."
    bench.opening.put(s.plate, None, None)
    bench.showing.set_opacity(0.9)
    assert not s.contrasts
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    opened.dropEvent(
        QDropEvent(
            QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        )
    )
    settle(opened)
    assert s.problem is None
    assert s.slots[0].feature == fakes.PLANTED
    assert len(s.contrasts) == 1
    assert opened.slots.opacity.value() == 35
    assert "open again" in s.status
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_a, **_k: (str(tmp_path / "no.json"), ""))
    opened.plate.tools.open_action.trigger()
    settle(opened)
    assert "no.json cannot be read" in opened.banner.text.text()


def test_saving_where_one_may_not_is_told(opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "s"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_a, **_k: (str(target), ""))
    opened.plate.tools.save_action.trigger()
    assert "cannot be written" in opened.bench.session.problem.message
    assert "choose another folder" in opened.bench.session.problem.message


def test_nothing_can_be_saved_before_something_is_open(dock: Any) -> None:
    tools = dock.plate.tools
    assert not tools.save_action.isEnabled()
    assert not tools.python_action.isEnabled()
    assert tools.open_action.isEnabled()


def test_the_script_is_copied(opened: Any) -> None:
    opened.plate.tools.python_action.trigger()
    assert QApplication.clipboard().text() == as_python(opened.bench)
    assert "on the clipboard" in opened.bench.session.status


def test_recent_plates_with_what_is_gone_in_grey(
    dock: Any, plate_folder: Path, run_folder: Path, settle: Any, tmp_path: Path
) -> None:
    from napari_phenolens.viewer.recent import Recent, note_recent

    tools = dock.plate.tools
    tools.fill_recent()
    assert [a.text() for a in tools.recent_menu.actions()] == ["Nothing was opened yet"]
    note_recent(Recent("plate", str(tmp_path / "gone"), "gone plate"))
    dock.bench.opening.plate(plate_folder)
    settle(dock)
    dock.bench.opening.run(run_folder)
    settle(dock)
    dock.bench.opening.put(None, None, None)
    tools.fill_recent()
    settle(dock)
    run, plate, gone = tools.recent_menu.actions()
    assert run.text().endswith("(results)")
    assert plate.text() == "small plate  (plate)"
    assert plate.isEnabled()
    assert not gone.isEnabled()
    assert "gone plate  (plate) – not there any more" in gone.text()
    note_recent(Recent("plate", str(tmp_path / "copies" / "here"), "small plate"))
    tools.fill_recent()
    texts = [a.text() for a in tools.recent_menu.actions()]
    assert f"small plate  (plate, {Path('copies', 'here')})" in texts
    assert f"small plate  (plate, {Path(*plate_folder.parts[-2:])})" in texts
    settle(dock)
    plate = tools.recent_menu.actions()[2]
    plate.trigger()
    settle(dock)
    assert dock.bench.session.plate.name == "small plate"


# ---- keys and help ----
def sequences(dock: Any) -> set[str]:
    return {made.key().toString() for made in dock.findChildren(QShortcut)}


def written(keys: dict[str, str]) -> set[str]:
    return {QKeySequence(key).toString() for key in keys}


def test_the_panel_binds_the_keys_of_the_table(dock: Any) -> None:
    assert sequences(dock) == written(bound(PANEL))


def test_the_other_docks_too(qtbot: Any) -> None:
    from napari.components import ViewerModel

    from napari_phenolens.widgets.cell_dock import CellDock
    from napari_phenolens.widgets.feature_dock import FeatureDock

    viewer = ViewerModel()
    for kind, where in ((FeatureDock, PAGE), (CellDock, CELL)):
        made = kind(viewer)
        qtbot.addWidget(made)
        assert sequences(made) == written(bound(where)), where


def test_letters_are_free_in_the_viewer() -> None:

    from napari.utils.shortcuts import default_shortcuts

    ours = {QKeySequence(k).toString() for w in (PANEL, PAGE, CELL) for k in bound(w)}
    viewers = {str(k) for name, keys in default_shortcuts.items() for k in keys if "activate" not in name}
    # While the panel has the focus these have their usual meanings; on the canvas they stay napari's. B belongs to
    # Labels and Shapes layers alone.
    assert ours & viewers <= {"Ctrl+Y", "B"}


@pytest.mark.gl
def test_no_key_of_ours_is_bound_in_the_whole_window(make_napari_viewer_proxy: Callable[..., Any]) -> None:
    """A key of a menu holds in the whole window: bound twice, neither would work."""
    from napari._app_model import get_app_model

    make_napari_viewer_proxy(show=False)
    menus = {QKeySequence(str(rule.keybinding)).toString() for rule in get_app_model().keybindings}
    assert "Ctrl+O" in menus
    assert not menus & {QKeySequence(k).toString() for w in (PANEL, PAGE, CELL) for k in bound(w)}


def test_walking_the_features_by_key(opened: Any, settle: Any, qtbot: Any) -> None:
    s = opened.bench.session
    ranked = s.comparison.features["feature"].tolist()
    steps = {made.key().toString(): made for made in opened.findChildren(QShortcut)}
    opened.bench.showing.feature(ranked[0])
    steps["N"].activated.emit()
    assert s.feature == ranked[1]
    steps["Shift+N"].activated.emit()
    assert s.feature == ranked[0]
    settle(opened)


def test_the_help_says_every_step_and_key(dock: Any, qtbot: Any) -> None:
    from napari_phenolens.widgets.help_panel import HelpPanel

    qtbot.mouseClick(dock.status.help, Qt.MouseButton.LeftButton)
    panel = dock.window().findChild(HelpPanel)
    text = panel.text.toPlainText()
    for where, entries in KEYS.items():
        assert where in text
        for entry in entries:
            assert entry.does in text
            assert " or ".join(entry.keys) in text
    for section in dock.sections:
        name = section._button.text().split(maxsplit=1)[1]
        assert name.split()[0].lower() in text.lower(), name
    dock.status.show_help()
    assert dock.window().findChildren(HelpPanel) == [panel]
    assert "color" not in help_html()  # the theme's colours, light and dark
    assert MAP in text


# ---- commands ----
def test_commands_reach_the_dock(opened: Any, fakes: Any, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_phenolens.viewer import commands, compat

    monkeypatch.setattr(compat, "open_dock", lambda _viewer=None, _name="": opened)
    monkeypatch.setattr(commands, "_bench", lambda _viewer: opened.bench)
    s = opened.bench.session
    opened.bench.showing.feature(s.comparison.features["feature"].iloc[0])
    settle(opened)
    commands.next_feature(None)
    assert s.feature == s.comparison.features["feature"].iloc[1]
    commands.previous_feature(None)
    assert s.feature == s.comparison.features["feature"].iloc[0]
    settle(opened)
    commands.toggle_heatmaps(None)
    assert not opened.bench.slots.layer(0).visible
    commands.toggle_heatmaps(None)
    assert opened.bench.slots.layer(0).visible
    asked: list[str] = []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_a, **_k: (asked.append("save"), ("", ""))[1])
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_a, **_k: (asked.append("open"), ("", ""))[1])
    commands.save_session(None)
    commands.open_session(None)
    assert asked == ["save", "open"]
    commands.copy_as_python(None)
    assert QApplication.clipboard().text().startswith("# What PhenoLens shows")


def test_the_reader_takes_a_session(opened: Any, settle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_phenolens.viewer import compat, reader
    from napari_phenolens.viewer.session_file import SessionError

    file = opened.bench.saving.save(tmp_path / "s")
    assert reader.get_reader(str(tmp_path / "other.json")) is None
    read = reader.get_reader(str(file))
    assert read is reader.read_session
    opened.bench.opening.put(None, None, None)
    monkeypatch.setattr(compat, "open_dock", lambda *_a: opened)
    assert read(str(file)) == [(None,)]
    settle(opened)
    assert opened.bench.session.run is not None
    monkeypatch.setattr(compat, "open_dock", lambda *_a: None)
    with pytest.raises(SessionError, match="window"):
        read(str(file))
