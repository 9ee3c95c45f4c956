"""The slots' controls: a channel's part of the alignment, finer squares, by what a user clicks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_phenolens.viewer.session import KINDS
from napari_phenolens.viewer.settings import choose_for_now, preferences
from napari_phenolens.widgets.slots_section import FINENESS


def pick(combo: Any, place: int) -> None:
    """Choose an entry with the keyboard, as a user would."""
    combo.setFocus()
    QTest.keyClick(combo, Qt.Key.Key_Home)
    for _ in range(place):
        QTest.keyClick(combo, Qt.Key.Key_Down)


def test_channels_are_offered_where_the_run_tells_them_apart(
    opened: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots, s = opened.slots, opened.bench.session
    assert slots.kinds[0].count() == len(KINDS)
    run = s.run
    tokens = run.tokens("B04", "1")
    parts = np.stack([tokens @ run.lens.dictionary.atoms[3] * share for share in (0.25, 0.75)])
    monkeypatch.setattr(run, "channels_apart", True, raising=False)
    monkeypatch.setattr(run.lens, "channels", ("DNA", "GFP"), raising=False)
    monkeypatch.setattr(run, "channel_alignment", lambda *_a, **_k: parts, raising=False)
    slots._channels()
    words = [slots.kinds[0].itemText(i) for i in range(slots.kinds[0].count())]
    assert words[len(KINDS) :] == ["alignment by DNA", "alignment by GFP"]
    opened.bench.showing.feature(3)
    opened.bench.showing.well("B04")
    settle(opened)
    slots.set_opened(True)
    pick(slots.kinds[0], len(KINDS) + 1)
    settle(opened)
    assert s.slots[0].kind == "channel:GFP"
    layer = opened.bench.slots.layer(0)
    np.testing.assert_allclose(layer.data, parts[1], rtol=1e-6)
    assert layer.contrast_limits == [-1.5, 1.5] and layer.name == "F3 (alignment by GFP)"
    assert "white where against it" in slots.text.text()
    s.run = None
    assert slots.kinds[0].count() == len(KINDS)


def test_finer_squares_for_now(opened: Any, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slots = opened.slots
    slots.set_opened(True)
    shown = []
    monkeypatch.setattr(opened.bench.showing, "again", lambda: shown.append(preferences().fineness))
    assert slots.fineness.isEnabled() and slots.fineness.currentData() == 1
    try:
        pick(slots.fineness, 1)
        assert shown == [FINENESS[1][0]] == [2]
        slots._show()
        assert slots.fineness.currentData() == 2
    finally:
        choose_for_now(fineness=None)
    monkeypatch.setattr(opened.bench.session.run, "unit", "cell")
    slots._channels()
    assert not slots.fineness.isEnabled()
