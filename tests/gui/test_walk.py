"""The whole way by mouse and keys in a real window, from an empty napari to a session that is open again.

PHENOLENS_WALK_RUN names a finished run of BBBC013: then that plate is walked as well (its pictures are found as all
shared plates are). The pictures of docs/tutorial.md come from the same steps: tools/take_tutorial.py.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication
from walk import FIRST, Ground, Walk

from napari_phenolens.viewer.images import role_of

pytestmark = pytest.mark.gl

RUN = os.environ.get("PHENOLENS_WALK_RUN")
STEPS = [
    "panel",
    "plate",
    "choosing",
    "roles",
    "run",
    "ranked",
    "sorted",
    "feature",
    "coloured",
    "page",
    "pair",
    "dose",
    "saved",
]


@pytest.fixture(params=["demo", *(["bbbc013"] if RUN else [])])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Ground:
    """Give a plate and a copy of a finished run of it."""
    if request.param == "bbbc013":
        plate = request.getfixturevalue("shared_data") / "bbbc013"
        run = Path(shutil.copytree(str(RUN), tmp_path / "results"))
        return Ground(plate, run, "Wortmannin", excluded=("control_type", "empty"))
    from napari_phenolens.demo import demo_plate_path, demo_run_path

    run = Path(shutil.copytree(demo_run_path(), tmp_path / "results"))
    return Ground(demo_plate_path(), run, "translocator", excluded=("compound", "cell loss"))


@pytest.fixture
def new_window(
    make_napari_viewer_proxy: Any, qapp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Any]]:
    """Give what opens an empty napari window; file dialogs are Qt's own, and what is remembered is the test's."""
    from npe2 import PluginManager

    monkeypatch.setenv("PHENOLENS_CONFIG", str(tmp_path / "config"))
    native = Qt.ApplicationAttribute.AA_DontUseNativeDialogs
    before = QApplication.testAttribute(native)
    QApplication.setAttribute(native, True)
    made = []

    def make() -> Any:
        PluginManager.instance().discover()
        viewer = make_napari_viewer_proxy(show=True)
        viewer.window.resize(1366, 768)
        made.append(viewer)
        return viewer

    yield make
    QApplication.setAttribute(native, before)
    for viewer in made:
        with suppress(RuntimeError, AttributeError, ReferenceError):  # the window may be closed
            for widget in viewer.window.dock_widgets.values():
                bench = getattr(widget, "bench", None)
                if bench is not None:
                    bench.close()
                    assert bench.jobs.wait(60)


def test_the_whole_way(ground: Ground, new_window: Callable[[], Any], tmp_path: Path) -> None:
    path = tmp_path / "walk.phenolens.json"
    viewer = new_window()
    seen: list[str] = []
    walk = Walk(viewer, ground, lambda name: (seen.append(name), CHECKS.get(name, lambda _walk: None)(walk)))
    walk.there(path)
    assert [name for name in seen if name != "menu"] == STEPS
    before = state(walk)
    walk.window.hide()
    other = Walk(new_window(), ground)
    assert other.window is not walk.window
    other.back(path)
    after = state(other)
    table, again = before.pop("table"), after.pop("table")
    assert after == before
    pd.testing.assert_frame_equal(again, table)
    assert other.dock.bench.saving.notes == ()


def state(walk: Walk) -> dict[str, Any]:
    """Give what a session must bring back."""
    s = walk.session
    return {
        "plate": s.plate.name,
        "run": str(s.run.path),
        "roles": dict(s.roles),
        "queries": (s.control_query, s.perturbed_query, s.positive_query, s.excluded_query),
        "feature": s.feature,
        "slots": s.slots,
        "well": (s.well, s.field_name),
        "colour": s.colour_by,
        "contrasts": [(c.name, c.controls, c.perturbed) for c in s.contrasts],
        "layers": [(layer.name, layer.visible, tuple(layer.contrast_limits)) for layer in walk.viewer.layers],
        "table": s.comparison.features.drop(columns=["name", "note", "star"], errors="ignore"),
    }


# ---- what must hold after each step ----------------------------------------------------------------------------------
def plate(walk: Walk) -> None:
    """The plate is open, its controls are filled in, a control well is on the canvas."""
    s = walk.session
    assert Path(s.plate.path) == walk.ground.plate
    assert s.control_query == "control_type == 'negcon'"
    assert s.roles[s.well] == "control"
    assert [layer.data.shape for layer in walk.viewer.layers] == [s.plate.field(s.well).shape] * len(s.plate.channels)
    assert walk.dock.wells.map.isVisible()


def choosing(walk: Walk) -> None:
    """The ticked wells are outlined on the map and counted."""
    picked = walk.session.plate.select("control_type == 'poscon'")
    assert list(walk.session.preview) == picked
    assert walk.dock.roles.chooser.picked.text().startswith(f"{len(picked)} wells: ")


def roles(walk: Walk) -> None:
    """Positive controls are perturbed, and what was excluded is."""
    s, (column, value) = walk.session, walk.ground.excluded
    assert set(s.wells_of("perturbed")) == set(s.plate.select("control_type == 'poscon'"))
    assert set(s.wells_of("excluded")) == set(s.plate.select(f"{column} == '{value}'"))


def ranked(walk: Walk) -> None:
    """Roles are those that were set; features are ranked by their effect, the first lies over a perturbed well."""
    roles(walk)
    s = walk.session
    table = s.comparison.features
    assert set(s.comparison.controls) == set(s.wells_of("control"))
    assert set(s.comparison.perturbed) == set(s.wells_of("perturbed"))
    sizes = table["effect"].abs().dropna().to_numpy()
    assert (np.diff(sizes) <= 1e-9).all()
    assert s.slots[0].feature == int(table["feature"].iloc[0])


def sorted_by_effect(walk: Walk) -> None:
    """The largest rise stands first."""
    model, table = walk.dock.features.model, walk.session.comparison.features
    shown = [int(model.value(i, "feature")) for i in range(FIRST)]
    assert shown == table.sort_values("effect", ascending=False, kind="stable")["feature"].head(FIRST).tolist()


def feature(walk: Walk) -> None:
    """A click laid the feature over the cells, coloured the wells, and the canvas is not empty."""
    from napari_phenolens import heatmap

    s, dock = walk.session, walk.dock
    assert s.feature == s.slots[0].feature == int(dock.features.model.value(0, "feature"))
    assert s.colour_by == "feature"
    layer = dock.bench.slots.layer(0)
    assert layer.visible
    np.testing.assert_array_equal(layer.data, heatmap(s.run, s.well, s.field_name, s.feature).values)
    assert np.ptp(walk.viewer.screenshot(flash=False)[..., :3]) > 100


def page(walk: Walk) -> None:
    """The first five were looked at in the order of the table; the page shows the first one's examples."""
    model = walk.dock.features.model
    assert walk.looked == [int(model.value(i, "feature")) for i in range(FIRST)]
    shown = walk.session.page
    assert shown.feature == walk.looked[0]
    assert {crop.side for crop in shown.gallery} == {"with", "without"}


def pair(walk: Walk) -> None:
    """A control and a perturbed well are beside each other, channels and heatmap, in one contrast."""
    layers = {role_of(layer): layer for layer in walk.dock.bench.side.layers}
    for of in (*walk.session.plate.channels, None):
        control, perturbed = layers["side", "control", of], layers["side", "perturbed", of]
        assert control.visible and perturbed.visible
        assert tuple(control.contrast_limits) == tuple(perturbed.contrast_limits)
        assert not np.array_equal(control.data, perturbed.data)


def dose(walk: Walk) -> None:
    """The curve is that of the public function; on BBBC013 the EC50 is near the known one."""
    from napari_phenolens import dose_curves

    s = walk.session
    shown = s.charts["dose"].table
    row = shown.loc[walk.ground.compound]
    wells = [well for well in s.run.wells if s.roles.get(well) != "excluded"]
    theirs = dose_curves(s.run, s.feature, controls=list(s.comparison.controls), wells=wells).loc[walk.ground.compound]
    assert row["n_wells"] == theirs["n_wells"]
    np.testing.assert_allclose(row["ec50"], theirs["ec50"])
    if walk.ground.compound == "Wortmannin":
        assert 4 < row["ec50"] < 36
        assert row["unit"] == "nM"


CHECKS: dict[str, Callable[[Walk], None]] = {
    "plate": plate,
    "choosing": choosing,
    "roles": roles,
    "ranked": ranked,
    "sorted": sorted_by_effect,
    "feature": feature,
    "page": page,
    "pair": pair,
    "dose": dose,
}
