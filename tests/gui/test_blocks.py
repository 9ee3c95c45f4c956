"""The dock's block: asked for off the main thread, drawn with its band, taken by the user."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt

import napari_phenolens
from napari_phenolens.progress import Progress, check_cancelled


@pytest.fixture
def plate_dock(dock: Any, plate_folder: Path, settle: Any) -> Any:
    dock.bench.opening.plate(plate_folder)
    settle(dock)
    dock.run.set_opened(True)
    return dock


def curve(blocks: int = 6, suggested: int = 3, held_out: float = 0.81) -> pd.DataFrame:
    score = np.linspace(0.6, 0.9, blocks)
    table = pd.DataFrame(
        {"balanced_accuracy": score, "low": score - 0.1, "high": np.minimum(score + 0.1, 1)},
        index=pd.Index(range(1, blocks + 1), name="block"),
    )
    table["suggested"] = table.index == suggested
    table.attrs = {
        "suggested": suggested, "reason": "the earliest within one standard error", "in_sample": 0.85,
        "held_out": held_out, "chance": 0.5, "chance_high": 0.66, "warnings": ["Few wells."], "encoder": "camae-micro",
    }  # fmt: skip
    return table


def test_the_curve_is_computed_beside_shown_and_taken(
    plate_dock: Any, qtbot: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def blocks(plate: Any, *, progress: Any, cancel: Any, **options: Any) -> pd.DataFrame:
        asked.update(options, thread=threading.current_thread())
        progress(Progress("probe", 1, 6))
        return curve()

    monkeypatch.setattr(napari_phenolens, "blocks", blocks)
    section = plate_dock.run.block
    assert section.number.text() == "the model's own"
    assert plate_dock.run.settings().block is None
    assert not section.curve.isVisible() and not section.take.isVisible()
    qtbot.mouseClick(section.ask, Qt.MouseButton.LeftButton)
    settle(plate_dock)
    s = plate_dock.bench.session
    assert asked["thread"] is not threading.main_thread()
    assert asked["controls"] == s.wells_of("control") and len(asked["controls"]) == 8
    assert asked["perturbed"] == s.wells_of("perturbed") and asked["encoder"] == "camae-micro"
    assert section.curve.isVisible()
    drawn = [item for item in section.curve.plot.listDataItems() if item.opts.get("symbol") == "o"]
    np.testing.assert_allclose(drawn[0].getData()[1], s.blocks["balanced_accuracy"])
    band = next(i for i in section.curve.plot.getPlotItem().items if type(i).__name__ == "FillBetweenItem")
    covered = band.path().boundingRect()
    assert covered.top() == pytest.approx(s.blocks["low"].min()) and covered.bottom() == pytest.approx(1.0)
    assert "block 3" in section.text.text() and "0.81" in section.text.text() and "Few wells" in section.text.text()
    assert plate_dock.run.settings().block is None  # a suggestion is no decision
    qtbot.mouseClick(section.take, Qt.MouseButton.LeftButton)
    assert plate_dock.run.settings().block == 3


def test_the_chosen_block_reaches_the_engine(plate_dock: Any) -> None:
    from napari_phenolens.viewer.running import options

    plate_dock.run.block.number.setValue(2)
    assert options(plate_dock.run.settings(), ["A01"])["block"] == 2
    plate_dock.run.block.number.setValue(0)
    assert "block" not in options(plate_dock.run.settings(), ["A01"])


def test_it_can_be_cancelled(plate_dock: Any, qtbot: Any, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def blocks(plate: Any, *, progress: Any, cancel: Any, **options: Any) -> None:
        for i in range(2000):
            check_cancelled(cancel)
            progress(Progress("blocks", i, 2000))
            threading.Event().wait(0.01)

    monkeypatch.setattr(napari_phenolens, "blocks", blocks)
    section = plate_dock.run.block
    qtbot.mouseClick(section.ask, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "blocks" in plate_dock.run.text.text(), timeout=5000)
    assert not section.ask.isEnabled()
    qtbot.mouseClick(plate_dock.run.cancel_button, Qt.MouseButton.LeftButton)
    settle(plate_dock)
    assert plate_dock.bench.session.blocks is None
    assert plate_dock.bench.session.problem is None
    assert section.ask.isEnabled()


def test_another_question_or_model_forgets_the_curve(
    plate_dock: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(napari_phenolens, "blocks", lambda plate, **options: curve(held_out=float("nan")))
    section = plate_dock.run.block
    section.ask.click()
    settle(plate_dock)
    assert section.curve.isVisible()
    assert "quoted on the others" not in section.text.text()
    plate_dock.bench.set_queries(perturbed="dose > 4")
    assert not section.curve.isVisible() and not section.take.isVisible()
    section.ask.click()
    settle(plate_dock)
    section.number.setValue(3)
    section.reset()
    assert section.value() is None
    assert plate_dock.bench.session.blocks is None


def test_what_is_missing_disables_it(dock: Any, plate_dock: Any) -> None:
    assert dock.run.block.ask.isEnabled()
    dock.bench.set_queries(control="")
    assert not dock.run.block.ask.isEnabled()
    assert "controls" in dock.bench.probing.missing()
