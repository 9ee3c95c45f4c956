"""Models whose weights stand behind a licence: shown first, answered, remembered, downloaded as a job."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from qtpy.QtCore import Qt
from small_hub import SmallHub

from napari_phenolens.encoders import memory
from napari_phenolens.encoders.catalogue import OPENPHENOM_HUB
from napari_phenolens.viewer.running import RunSettings

CONTENT = bytes(range(256)) * 4000  # a megabyte
TEXT = "You may look, and nothing else."
REPO = OPENPHENOM_HUB.repo


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHENOLENS_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = SmallHub({f"{REPO}/model.safetensors": CONTENT, f"{REPO}/LICENSE": TEXT.encode()})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", made.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", made.url + "/{repo_id}/resolve/{revision}/{filename}")
    yield made
    made.stop()


@pytest.fixture
def model(dock: Any) -> Any:
    dock.run.set_opened(True)
    choose(dock, "openphenom")
    return dock.run.model


def choose(dock: Any, name: str) -> None:
    listed = dock.run.model.list
    listed.setCurrentIndex(next(i for i in range(listed.count()) if listed.itemData(i) == name))


def weights_asked(hub: Any) -> list[str]:
    return [path for _, path, _ in hub.asked if path.endswith("model.safetensors")]


def click(qtbot: Any, button: Any) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_the_list_says_licence_and_place(dock: Any) -> None:
    listed = dock.run.model.list
    lines = [listed.itemText(i) for i in range(listed.count())]
    assert lines[0] == "camae-micro  ·  BSD-3-Clause  ·  on this machine"
    assert f"openphenom  ·  {OPENPHENOM_HUB.licence}  ·  not on this machine" in lines
    assert dock.run.settings().encoder == "camae-micro"
    model = dock.run.model
    assert not (model.get.isVisible() or model.file.isVisible() or model.text.isVisible())


def test_what_is_not_public_asks_for_the_file(dock: Any, model: Any) -> None:
    choose(dock, "mae-l8")
    assert not model.get.isVisible() and model.file.isVisible() and "not public" in model.text.text()
    dock.bench.attempt("Downloading", dock.bench.weights.get, "mae-l8")
    assert "I have the file" in dock.bench.session.problem.message


def test_the_licence_is_shown_first_and_a_yes_is_remembered(
    dock: Any, model: Any, hub: Any, qtbot: Any, settle: Any
) -> None:
    assert model.get.isVisible() and "licence before" in model.text.text()
    told: list[Any] = []
    dock.bench.jobs.progressed.connect(lambda job: told.append(job.progress))
    click(qtbot, model.get)
    dialog = model.licence
    assert dialog.isVisible() and not dialog.isModal() and not dialog.accept_button.isEnabled()
    settle(dock)
    assert dialog.text.toPlainText() == TEXT and dialog.accept_button.isEnabled()
    assert OPENPHENOM_HUB.licence in dialog.head.text() and OPENPHENOM_HUB.licence_url in dialog.head.text()
    assert OPENPHENOM_HUB.url in dialog.head.text()
    assert not weights_asked(hub) and not memory.is_accepted(REPO, OPENPHENOM_HUB.licence)
    click(qtbot, dialog.accept_button)
    assert not dialog.isVisible() and dock.bench.jobs.heavy.kind == "weights"
    settle(dock)
    kept = json.loads(memory.config_file().read_text(encoding="utf-8"))["accepted"][REPO]
    assert kept["licence"] == OPENPHENOM_HUB.licence and kept["date"]
    assert OPENPHENOM_HUB.cached().read_bytes() == CONTENT
    assert {p.stage for p in told} == {"download"} and told[-1].total == len(CONTENT)
    assert dock.bench.session.problem is None and "on this machine" in dock.bench.session.status
    assert model.name() == "openphenom" and model.list.currentText().endswith("·  on this machine")
    assert not model.get.isVisible()


@pytest.mark.parametrize("how", ["button", "close", "escape"])
def test_a_no_downloads_and_remembers_nothing(
    dock: Any, model: Any, hub: Any, qtbot: Any, settle: Any, how: str
) -> None:
    begun: list[int] = []
    dock.bench.weights.need(RunSettings("out", encoder="openphenom"), lambda: begun.append(1))
    settle(dock)
    dialog = model.licence
    if how == "button":
        click(qtbot, dialog.decline_button)
    elif how == "close":
        dialog.close()
    else:
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    settle(dock)
    assert not dialog.isVisible() and dock.bench.session.licence is None
    assert not weights_asked(hub) and not memory.config_file().exists() and not begun
    assert "Declined" in dock.bench.session.status


def test_a_download_is_cancelled_from_the_dock(
    dock: Any, model: Any, hub: Any, qtbot: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_phenolens.encoders import accept_licence

    accept_licence("openphenom")
    slowed = dock.bench.jobs.start

    def slow(kind: str, work: Any, *args: Any, **more: Any) -> Any:
        def begin(job: Any) -> Any:
            told = job.report
            job.report = lambda progress: (told(progress), time.sleep(0.1))
            return work(job)

        return slowed(kind, begin, *args, **more)

    monkeypatch.setattr(dock.bench.jobs, "start", slow)
    begun: list[int] = []
    dock.bench.weights.need(RunSettings("out", encoder="openphenom"), lambda: begun.append(1))
    assert not model.licence.isVisible()  # it was accepted before
    qtbot.waitUntil(lambda: "download" in dock.run.text.text(), timeout=10_000)
    assert dock.run.bar.isVisible() and dock.run.cancel_button.isVisible()
    click(qtbot, dock.run.cancel_button)
    settle(dock)
    assert "Nothing of the download is kept" in dock.run.text.text()
    assert OPENPHENOM_HUB.cached() is None and dock.bench.session.problem is None and not begun


def test_what_was_asked_for_goes_on_after_the_download(dock: Any, model: Any, hub: Any, settle: Any) -> None:
    begun: list[bool] = []
    settings = RunSettings("out", encoder="openphenom")
    dock.bench.weights.need(settings, lambda: begun.append(OPENPHENOM_HUB.cached() is not None))
    settle(dock)
    dock.bench.weights.accept()
    settle(dock)
    assert begun == [True]
    dock.bench.weights.need(settings, lambda: begun.append(True))  # now it is here: at once
    assert begun == [True, True]


def test_offline_the_dialog_says_where_to_read_and_the_download_how_to_go_on(
    dock: Any, model: Any, qtbot: Any, settle: Any
) -> None:
    click(qtbot, model.get)
    settle(dock)
    shown = model.licence.text.toPlainText()
    assert "out of reach" in shown and OPENPHENOM_HUB.licence_url in shown and "HF_HUB_OFFLINE" in shown
    click(qtbot, model.licence.accept_button)
    settle(dock)
    assert "out of reach" in dock.bench.session.problem.message
    assert model.get.isVisible()


def test_a_file_of_ones_own_needs_no_licence(dock: Any, model: Any, tmp_path: Path, settle: Any) -> None:
    from napari_phenolens.viewer.running import options

    model.take_file(str(tmp_path / "none.safetensors"))
    assert "no such weights file" in dock.bench.session.problem.message and model.weights() == ""
    import numpy as np
    from safetensors.numpy import save_file

    path = tmp_path / "mine.safetensors"
    save_file({"a": np.zeros(1, np.float32)}, path)
    model.take_file(str(path))
    assert str(path) in model.text.text() and not model.get.isVisible()
    settings = dock.run.settings()
    assert settings.weights == str(path) and options(settings, ["A01"])["weights"] == str(path)
    begun: list[int] = []
    dock.bench.weights.need(settings, lambda: begun.append(1))
    assert begun == [1] and not memory.config_file().exists() and dock.bench.session.licence is None
    choose(dock, "camae-micro")
    assert dock.run.settings().weights == ""  # a file is one model's


def test_every_control_has_a_name_and_a_tip(model: Any) -> None:
    dialog = model.licence
    for control in (model.list, model.get, model.file, dialog.text, dialog.accept_button, dialog.decline_button):
        assert control.accessibleName() and control.toolTip()
    assert dialog.decline_button.isDefault() and not dialog.accept_button.autoDefault()
