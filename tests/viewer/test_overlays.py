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

    def fake(run: Any, well: str, field: str, feature: int, *, kind: str, stride: int | None) -> Heatmap:
        asked.append(stride)
        return Heatmap(np.ones((2, 3), np.float32), (4.0, 4.0), (3.5, 3.5), (0.0, 1.0))

    monkeypatch.setattr("napari_phenolens.analysis.heatmap", fake)
    monkeypatch.setattr(overlays, "preferences", lambda: Preferences(fineness=fineness))
    run = SimpleNamespace(unit=unit, lens=SimpleNamespace(patch=patch))
    shown = overlays.read_overlay(run, "B04", "1", 3, "activation", None)
    assert asked == [stride]
    assert shown.values.shape == (2, 3) and shown.scale == (4, 4)
