"""What lies in the heatmap slots can be taken back: feature, kind and limits."""

from __future__ import annotations

from typing import Any

import pytest

from napari_phenolens.viewer import slot_steps


def limits(bench: Any, index: int = 0) -> tuple[float, float]:
    return tuple(float(v) for v in bench.slots.layer(index).contrast_limits)


def test_features_and_kinds_there_and_back(opened: Any, settle: Any) -> None:
    s = opened.session
    first = s.slots[0].feature
    assert s.undo.undo_title == ""  # the first feature was nobody's choice
    opened.showing.feature(4)
    settle(opened)
    opened.showing.feature(7, 1, "alignment")
    settle(opened)
    opened.showing.feature(None, 0)
    assert s.undo.undo_title == "clear slot 1 of F4"
    assert opened.undo()
    settle(opened)
    assert (s.slots[0].feature, opened.slots.layer(0).name, opened.slots.layer(0).visible) == (4, "F4", True)
    assert s.undo.undo_title == "show F7 (alignment) in slot 2"
    assert opened.undo()
    settle(opened)
    assert (s.slots[1].feature, s.slots[1].kind, s.feature) == (None, "activation", 4)
    assert not opened.slots.layer(1).visible
    assert opened.undo()
    settle(opened)
    assert (s.slots[0].feature, s.feature, opened.slots.layer(0).name) == (first, first, f"F{first}")
    assert not opened.undo()
    for _ in range(3):
        assert opened.redo()
    settle(opened)
    assert [(slot.feature, slot.kind) for slot in s.slots[:2]] == [(None, "activation"), (7, "alignment")]
    opened.showing.feature(7, 1, "alignment")
    assert s.undo.undo_title == "clear slot 1 of F4"  # the same again is no step


def test_limits_come_back_with_their_feature(opened: Any, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s = opened.session
    opened.showing.feature(4)
    settle(opened)
    shared = limits(opened)
    for high in (0.7, 0.5, 0.3):  # a drag
        opened.slots.layer(0).contrast_limits = (0.1, high)
    opened.showing.well("C04")
    settle(opened)
    assert limits(opened) == (0.1, 0.3)
    opened.showing.feature(6)
    settle(opened)
    assert limits(opened) == s.run.limits(6)
    assert opened.undo()
    settle(opened)
    assert limits(opened) == (0.1, 0.3)
    assert s.undo.undo_title == "set the limits of F4"
    assert opened.undo()
    assert limits(opened) == shared  # one step for the drag
    assert opened.redo()
    assert limits(opened) == (0.1, 0.3)
    assert opened.redo()
    settle(opened)
    assert limits(opened) == s.run.limits(6)
    monkeypatch.setattr(slot_steps, "DRAG_S", 0.0)
    for high in (0.6, 0.4):
        opened.slots.layer(0).contrast_limits = (0.0, high)
    assert opened.undo()
    assert limits(opened) == (0.0, 0.6)


def test_limits_wait_for_a_heatmap_that_is_being_read(opened: Any, settle: Any) -> None:
    opened.showing.feature(4)
    settle(opened)
    opened.slots.layer(0).contrast_limits = (0.1, 0.3)
    opened.showing.feature(6)
    settle(opened)
    for _ in range(2):  # before the first heatmap is there
        assert opened.undo()
    settle(opened)
    assert opened.slots.layer(0).name == "F4"
    assert limits(opened) == opened.session.run.limits(4)


def test_another_run_forgets_them_and_keeps_the_rest(opened: Any, fakes: Any, settle: Any) -> None:
    s = opened.session
    opened.mark(("C03",), "control")
    opened.showing.feature(4)
    settle(opened)
    assert s.undo.undo_title == "show F4 in slot 1"
    s.run = fakes.FakeRun(s.run.folder, s.run.path)
    assert s.undo.undo_title == "mark C03 as control"
