"""Heatmaps that lie over the cells: how fine they are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_phenolens.analysis import Heatmap
from napari_phenolens.viewer import overlays
from napari_phenolens.viewer.settings import Preferences


@pytest.mark.parametrize(
    ("fineness", "unit", "patch", "stride"),
    [(1, "patch", 8, None), (2, "patch", 8, 4), (4, "patch", 16, 4), (2, "cell", 8, None), (4, "patch", 14, None)],
)
def test_a_heatmap_is_as_fine_as_preferred(
    monkeypatch: pytest.MonkeyPatch, fineness: int, unit: str, patch: int, stride: int | None
) -> None:
    asked = []

    def fake(
        run: Any,
        well: str,
        field: str,
        feature: int,
        *,
        kind: str,
        stride: int | None,
        channel: str | None,
        cancel: Any,
    ) -> Heatmap:
        assert (kind, channel, cancel) == ("activation", None, None)
        asked.append(stride)
        return Heatmap(np.ones((2, 3), np.float32), (4.0, 4.0), (3.5, 3.5), (0.0, 1.0))

    monkeypatch.setattr("napari_phenolens.analysis.heatmap", fake)
    monkeypatch.setattr(overlays, "preferences", lambda: Preferences(fineness=fineness))
    run = SimpleNamespace(unit=unit, lens=SimpleNamespace(patch=patch))
    shown = overlays.read_overlay(run, "B04", "1", 3, "activation", None)
    assert asked == [stride]
    assert shown.values.shape == (2, 3) and shown.scale == (4, 4)


def test_a_channels_part_is_that_of_the_public_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(run: Any, well: str, field: str, feature: int, **asked: Any) -> Heatmap:
        assert asked == {"kind": "alignment", "stride": None, "channel": "DNA", "cancel": None}
        return Heatmap(np.full((2, 3), -1, np.float32), (8.0, 8.0), (3.5, 3.5), (-2.0, 2.0))

    monkeypatch.setattr("napari_phenolens.analysis.heatmap", fake)
    run = SimpleNamespace(unit="patch", lens=SimpleNamespace(patch=8))
    shown = overlays.read_overlay(run, "B04", "1", 3, "channel:DNA", None)
    assert shown.kind == "channel:DNA" and shown.name == "F3 (alignment by DNA)"
    assert shown.limits == (-2.0, 2.0)
    assert overlays.caption("orange", 3, "channel:DNA") == "orange: F3 (alignment by DNA), white: against it"


def test_what_is_chosen_for_now_comes_before_what_is_stored() -> None:
    from napari_phenolens.viewer.settings import choose_for_now, preferences

    try:
        choose_for_now(fineness=2)
        assert preferences().fineness == 2
        assert preferences().opacity == Preferences().opacity
        with pytest.raises(KeyError):
            choose_for_now(colour="red")
    finally:
        choose_for_now(fineness=None)
    assert preferences() == Preferences()
