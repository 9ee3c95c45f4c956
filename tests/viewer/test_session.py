"""One session per viewer; the viewer may go."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from napari.components import ViewerModel

from napari_phenolens.viewer.session import Session, SlotState
from napari_phenolens.viewer.workbench import workbench_for


def test_one_workbench_per_viewer() -> None:
    a, b = ViewerModel(), ViewerModel()
    assert workbench_for(a) is workbench_for(a)
    assert workbench_for(a) is not workbench_for(b)


def test_a_proxy_gives_the_same_workbench() -> None:
    from napari.utils._proxies import PublicOnlyProxy

    viewer = ViewerModel()
    assert workbench_for(PublicOnlyProxy(viewer)) is workbench_for(viewer)


def test_the_workbench_does_not_keep_its_viewer() -> None:
    viewer = ViewerModel()
    workbench_for(viewer)
    gone = weakref.ref(viewer)
    del viewer
    gc.collect()
    assert gone() is None


def test_events_and_slots() -> None:
    session, seen = Session(), []
    session.events.slots.connect(seen.append)
    session.slots = session.with_slot(1, SlotState(7))
    assert [state.feature for state in session.slots] == [None, 7, None]
    assert len(seen) == 1


def test_tables_are_told_apart_by_identity() -> None:
    import pandas as pd

    session, seen = Session(), []
    session.events.explanation.connect(seen.append)
    table = pd.DataFrame({"a": [1, 2]})
    session.explanation = table
    session.explanation = table
    session.explanation = table.copy()
    assert len(seen) == 2


def test_nothing_of_one_plate_is_left_on_the_next(opened: Any, plate_folder: Any, tmp_path: Any, fakes: Any) -> None:
    other = fakes.write_plate(tmp_path / "other", rows=2, columns=3, fields=1)
    opened.mark(("A03",), "excluded")
    opened.session.selected = ("D05",)
    opened.opening.plate(other)
    assert opened.jobs.wait(60)
    s = opened.session
    assert s.plate.name == "other"
    assert (s.run, s.comparison, s.feature, s.explanation, dict(s.hand_roles), s.selected) == (
        None,
        None,
        None,
        None,
        {},
        (),
    )
    assert not any(layer.visible for layer in opened.slots.layers)
    assert s.well in s.plate.wells
