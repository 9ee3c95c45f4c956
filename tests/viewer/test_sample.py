"""File > Open Sample: the demo plate with its results, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_phenolens.viewer import opening, sample


@pytest.fixture
def demo(plate_folder: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a small plate and run stand in for the demo's."""
    import napari_phenolens.demo as room

    monkeypatch.setattr(room, "demo_plate_path", lambda: plate_folder)
    monkeypatch.setattr(room, "demo_run_path", lambda: run_folder)
    monkeypatch.setattr(room, "DEMO_PERTURBED", {"translocation": "control_type == 'trt'"})


@pytest.mark.usefixtures("demo")
def test_pictures_comparison_and_the_top_heatmap(bench: Any, fakes: Any, settle: Any) -> None:
    layers = sample.demo_plate()
    assert [options["name"] for _, options, _ in layers] == ["DNA", "GFP"]
    end = opening.watch(bench)
    for data, options, kind in layers:
        bench.viewer._add_layer_from_data(data, options, kind)
    settle(bench)
    end()
    s = bench.session
    assert s.problem is None, s.problem
    assert s.well == "A03"
    assert s.roles[s.well] == "perturbed"
    assert s.comparison.features["feature"].iloc[0] == fakes.PLANTED
    assert [layer.name for layer in bench.viewer.layers] == ["DNA", "GFP", f"F{fakes.PLANTED}"]
    assert bench.slots.layer(0).visible


@pytest.mark.usefixtures("demo")
def test_the_button_in_the_dock_does_the_same(bench: Any, fakes: Any, settle: Any) -> None:
    sample.open_sample(bench)
    settle(bench)
    s = bench.session
    assert s.problem is None, s.problem
    assert s.well == "A03"
    assert [layer.name for layer in bench.viewer.layers] == ["DNA", "GFP", f"F{fakes.PLANTED}"]


def test_a_missing_sample_is_told(bench: Any, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import napari_phenolens.demo as room
    from napari_phenolens.errors import PhenoLensError

    def missing() -> Path:
        raise PhenoLensError("the finished run is not in this installation; install napari-phenolens again")

    monkeypatch.setattr(room, "demo_plate_path", missing)
    sample.open_sample(bench)
    settle(bench)
    assert "install napari-phenolens again" in bench.session.problem.message
