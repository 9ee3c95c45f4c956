"""The demo plate in the dock: offline, results ready, one number for a feature wherever it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_phenolens.errors import PhenoLensError


@pytest.fixture(scope="module")
def demo_run() -> Path:
    """Give the packaged run; it is made by tools/make_demo.py."""
    from napari_phenolens.demo import demo_run_path
    from napari_phenolens.demo.cache import PACKAGED_RUN

    if not PACKAGED_RUN.is_file():
        pytest.skip(f"{PACKAGED_RUN} is not made yet: run tools/make_demo.py")
    return demo_run_path()


@pytest.fixture
def demo_dock(dock: Any, demo_run: Path, settle: Any) -> Any:
    """Give the dock after a press on its demo button."""
    dock.plate.sample_button.click()
    settle(dock)
    assert dock.bench.session.problem is None, dock.bench.session.problem
    return dock


def test_the_story_is_told_at_once(demo_dock: Any) -> None:
    s = demo_dock.bench.session
    assert s.comparison is not None
    assert s.roles[s.well] == "perturbed"
    top = s.comparison.features.iloc[0]
    assert top["auroc"] >= 0.95
    assert s.slots[0].feature == top["feature"]
    assert demo_dock.bench.slots.layer(0).visible
    assert demo_dock.features.model.rowCount() == s.run.n_features
    assert demo_dock.wells.map.isVisible()


def test_python_command_line_and_layer_give_the_same_numbers(demo_dock: Any, demo_run: Path, tmp_path: Path) -> None:
    """Condition 4 of issue 2."""
    import tifffile

    from napari_phenolens import heatmap, open_run
    from napari_phenolens.cli import main

    s = demo_dock.bench.session
    feature, well = s.slots[0].feature, s.well
    layer = demo_dock.bench.slots.layer(0).data
    out = tmp_path / "heatmap.tif"
    with pytest.raises(SystemExit) as done:
        main(["heatmap", str(demo_run), "--well", well, "--feature", str(feature), "--out", str(out)])
    assert done.value.code == 0
    np.testing.assert_array_equal(layer, heatmap(open_run(demo_run), well, None, feature).values)
    np.testing.assert_array_equal(layer, tifffile.imread(out))


def test_a_pair_and_a_place(demo_dock: Any, settle: Any) -> None:
    bench = demo_dock.bench
    bench.showing.side_by_side()
    settle(demo_dock)
    assert bench.session.side_by_side
    bench.showing.end_side_by_side()
    values = bench.slots.layer(0).data
    i, j = np.unravel_index(int(values.argmax()), values.shape)
    patch = bench.session.run.patch
    bench.picking.at((int(i * patch), int(j * patch)))
    settle(demo_dock)
    assert bench.session.slots[0].feature in bench.session.explanation.index


def test_without_the_packaged_run_it_is_told(dock: Any, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import napari_phenolens.demo as room

    def missing() -> Path:
        raise PhenoLensError("the run is not in this installation; install napari-phenolens again")

    monkeypatch.setattr(room, "demo_run_path", missing)
    dock.plate.sample_button.click()
    settle(dock)
    assert "install napari-phenolens again" in dock.banner.text.text()
