"""Copy as Python: the script runs, and what it shows is what was seen."""

from __future__ import annotations

from typing import Any

import napari
import numpy as np
import pandas as pd
import pytest

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer.copying import as_python


@pytest.fixture
def run_script(opened: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give what runs a script; its viewer has no window, and the run is the one that is open."""
    from napari.components import ViewerModel

    import napari_phenolens

    asked: list[str] = []

    def open_run(path: str) -> Any:
        asked.append(path)
        return opened.session.run

    monkeypatch.setattr(napari, "Viewer", ViewerModel)
    monkeypatch.setattr(napari, "run", lambda: None)
    monkeypatch.setattr(napari_phenolens, "open_run", open_run, raising=False)

    def run(text: str) -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(compile(text, "copied.py", "exec"), names)
        assert asked == [str(opened.session.run.path)]
        return names

    return run


def same_layer(new: Any, old: Any) -> None:
    assert np.array_equal(new.data, old.data)
    assert np.allclose(new.scale, old.scale)
    assert np.allclose(new.translate, old.translate)
    assert tuple(new.contrast_limits) == tuple(old.contrast_limits)
    assert new.opacity == pytest.approx(old.opacity, abs=1e-3)
    assert new.visible == old.visible
    assert np.allclose(new.colormap.colors, old.colormap.colors)
    assert new.blending == old.blending


def test_the_script_shows_what_was_seen(opened: Any, fakes: Any, settle: Any, run_script: Any) -> None:
    bench = opened
    bench.showing.well("C05", "2")
    settle(bench)
    bench.showing.feature(fakes.PLANTED)
    bench.showing.feature(7, 1, "alignment")
    bench.showing.feature(fakes.PLANTED, 2, "phenotype")
    settle(bench)
    bench.slots.layer(0).contrast_limits = (0.1, 0.4)
    bench.images.layers[1].visible = False
    made = run_script(as_python(bench))
    pd.testing.assert_frame_equal(
        made["table"].query("type == 'feature'").reset_index()[["feature", "effect", "q"]],
        bench.session.comparison.features[["feature", "effect", "q"]],
        check_dtype=False,
    )
    shown = [*bench.images.layers, *bench.slots.layers]
    assert len(made["viewer"].layers) == len(shown) == 5
    for new, old in zip(made["viewer"].layers, shown, strict=True):
        same_layer(new, old)


def test_all_fields_of_a_well(opened: Any, fakes: Any, settle: Any, run_script: Any) -> None:
    bench = opened
    bench.showing.feature(fakes.PLANTED)
    settle(bench)
    bench.showing.view("well")
    settle(bench)
    heatmaps = run_script(as_python(bench))["heatmaps"][f"F{fakes.PLANTED}"]
    run, well = bench.session.run, bench.session.well
    assert set(heatmaps) == set(run.fields(well))
    for field, heat in heatmaps.items():
        assert np.array_equal(heat.values, run.activation(well, field, fakes.PLANTED))


def test_a_comparison_picked_after_looking_stays_one(opened: Any, settle: Any, run_script: Any) -> None:
    s = opened.session
    opened.contrasting.by_selection(s.comparison.controls, ("A03", "B03", "C03"), picked_after=True)
    settle(opened)
    text = as_python(opened)
    assert "picked_after=True" in text
    table = run_script(text)["table"]
    assert "p" not in table or table["p"].isna().all()


def test_a_plate_alone_with_its_options(
    bench: Any, plate_folder: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari.components import ViewerModel

    with pytest.raises(PhenoLensError, match="nothing is open"):
        as_python(bench)
    bench.opening.plate(plate_folder, options={"pattern": "{well}_f{field}_{channel}.tif"})
    settle(bench)
    monkeypatch.setattr(napari, "Viewer", ViewerModel)
    monkeypatch.setattr(napari, "run", lambda: None)
    names: dict[str, Any] = {}
    text = as_python(bench)
    exec(compile(text, "copied.py", "exec"), names)
    assert names["plate"].options == bench.session.plate.options
    assert list(names["plate"].metadata.columns) == list(bench.session.plate.metadata.columns)
    for new, old in zip(names["viewer"].layers, bench.images.layers, strict=True):
        same_layer(new, old)
    assert "ph.compare" not in text
