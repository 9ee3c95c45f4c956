"""One field, all fields of a well, the whole plate; several pairs; and the viewer as it was afterwards."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_phenolens.errors import Cancelled, PhenoLensError
from napari_phenolens.plate import open_plate
from napari_phenolens.viewer import compat, thumbnails
from napari_phenolens.viewer.images import KEY
from napari_phenolens.viewer.mosaic import compose, grid, shrink
from napari_phenolens.viewer.thumbnails import Thumbnails, central_field
from napari_phenolens.viewer.well_mosaic import ALL


def visible(bench: Any) -> list[str]:
    return [layer.name for layer in bench.viewer.layers if layer.visible]


def look(bench: Any) -> tuple[Any, ...]:
    return compat.look(bench.viewer)


# ---- all fields of a well -------------------------------------------------------------------------------------------
def test_the_mosaic_shows_all_fields_in_the_same_layers(opened: Any, fakes: Any, settle: Any) -> None:
    opened.showing.feature(fakes.PLANTED)
    opened.showing.well("B04")
    settle(opened)
    before = list(opened.viewer.layers)
    opened.showing.view("well")
    settle(opened)
    assert list(opened.viewer.layers) == before
    s = opened.session
    fields = s.plate.wells["B04"].fields
    layout = grid([field.shape for field in fields], 2)
    expected = compose([field.read() for field in fields], layout)
    for layer, plane in zip(opened.images.layers, expected, strict=True):
        np.testing.assert_array_equal(layer.data, plane)
    assert "2 fields in a grid: the files state no positions" in s.status
    heat = opened.slots.layer(0)
    assert heat.data.shape == expected.shape[1:]
    second = s.run.activation("B04", fields[1].name, fakes.PLANTED)
    x = layout.origins[1][1]
    assert heat.data[0, x] == second[0, 0]
    assert heat.data[fakes.PATCH, x + fakes.PATCH] == second[1, 1]
    assert heat.contrast_limits == [0.0, s.run.limits(fakes.PLANTED)[1]]


def test_switching_the_well_keeps_mosaic_and_feature(opened: Any, fakes: Any, settle: Any) -> None:
    opened.showing.feature(fakes.PLANTED)
    opened.showing.view("well")
    settle(opened)
    opened.showing.well("C05")
    settle(opened)
    assert (opened.session.view, opened.slots.layer(0).metadata[KEY]["well"]) == ("well", "C05")
    opened.showing.feature(7)
    settle(opened)
    note = opened.slots.layer(0).metadata[KEY]
    assert (note["feature"], note["field"], opened.slots.layer(0).visible) == (7, ALL, True)


def test_a_click_in_the_mosaic_shows_that_field_and_the_camera_returns(opened: Any, settle: Any) -> None:
    opened.showing.well("B04")
    settle(opened)
    compat.camera(opened.viewer).zoom = 7.25
    opened.showing.view("well")
    settle(opened)
    assert compat.camera(opened.viewer).zoom != 7.25
    y, x = opened.session.plate.field("B04").shape
    size = opened.session.plate.pixel_size
    opened.picking.at_world((y / 2 * size, (x + 20) * size))
    settle(opened)
    second = opened.session.plate.wells["B04"].fields[1].name
    assert (opened.session.view, opened.session.field_name) == ("field", second)
    assert compat.camera(opened.viewer).zoom == 7.25
    np.testing.assert_array_equal(opened.images.layers[0].data, opened.session.plate.field("B04", second).read()[0])
    assert tuple(opened.images.layers[0].translate) == (0, 0)


def test_reading_a_mosaic_is_off_the_main_thread(opened: Any, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_phenolens.plate.model import Field

    threads = []
    read = Field.read
    monkeypatch.setattr(Field, "read", lambda self, *a: (threads.append(threading.current_thread()), read(self, *a))[1])
    opened.showing.view("well")
    settle(opened)
    opened.showing.well("C05")
    settle(opened)
    assert threads
    opened.showing.view("plate")
    settle(opened)
    assert threading.main_thread() not in threads


def test_a_view_that_cannot_be_shown_is_refused(bench: Any) -> None:
    with pytest.raises(PhenoLensError, match="open the plate's folder"):
        bench.showing.view("plate")
    with pytest.raises(PhenoLensError, match="field, well, plate"):
        bench.showing.view("nothing")


# ---- the plate ------------------------------------------------------------------------------------------------------
def test_the_plate_overview_shows_every_well_at_its_place(opened: Any, settle: Any) -> None:
    opened.viewer.add_points([[1, 1]], name="mine")
    opened.showing.feature(3)
    settle(opened)
    compat.camera(opened.viewer).zoom = 5.5
    opened.images.layers[0].gamma = 0.7
    before = [(layer, layer.visible) for layer in opened.viewer.layers], look(opened)
    opened.showing.view("plate")
    settle(opened)
    s, found = opened.session, opened.overview.thumbnails
    assert visible(opened) == [f"Plate: {layer.name}" for layer in opened.images.layers]
    assert found.complete
    for well in ("A01", "C05", "D06"):
        field = s.plate.field(well)
        small = shrink(field.read(), -(-max(field.shape) // (found.edge - found.gap)))
        i, j = s.plate.wells[well].row * found.edge, s.plate.wells[well].column * found.edge
        np.testing.assert_array_equal(found.levels[0][:, i : i + small.shape[1], j : j + small.shape[2]], small)
    assert not found.levels[0][:, : found.edge, 5 * found.edge :].any()  # A06 has no images
    layers = opened.overview.layers
    assert [layer.multiscale for layer in layers] == [True, True]
    assert layers[0].gamma == 0.7
    assert "one field a well" in s.status
    edge = layers[0].scale[-1] * found.edge
    origin = layers[0].translate
    assert opened.overview.well_at((origin[0] + 2.5 * edge, origin[1] + 3.5 * edge)) == "C04"
    assert opened.overview.well_at((origin[0] + 0.5 * edge, origin[1] + 5.5 * edge)) is None
    assert opened.overview.well_at((origin[0] - edge, origin[1])) is None
    opened.showing.view("field")
    settle(opened)
    assert [(layer, layer.visible) for layer in opened.viewer.layers if layer not in layers] == before[0]
    assert look(opened) == before[1]
    assert not any(layer.visible for layer in layers)


def test_choosing_a_well_leaves_the_overview_and_coming_back_adds_nothing(opened: Any, settle: Any) -> None:
    opened.showing.view("plate")
    settle(opened)
    layers = list(opened.viewer.layers)
    opened.showing.well("C05")
    settle(opened)
    assert (opened.session.view, opened.session.well) == ("field", "C05")
    assert all(layer.visible for layer in opened.images.layers)
    opened.showing.view("plate")
    opened.showing.feature(5)
    settle(opened)
    assert list(opened.viewer.layers) == layers
    assert all(name.startswith("Plate: ") for name in visible(opened))
    opened.showing.well("C05")
    settle(opened)
    assert opened.slots.layer(0).metadata[KEY]["feature"] == 5
    assert opened.slots.layer(0).visible


def test_what_the_user_does_meanwhile_stays(opened: Any, settle: Any) -> None:
    """Layers that the user shows, and the looks of channels that he sets, outlive the overview."""
    own = opened.viewer.add_points([[1, 1]], name="mine", visible=False)
    opened.showing.view("plate")
    settle(opened)
    first, second = opened.overview.layers
    own.visible, first.contrast_limits, second.visible = True, (3.0, 400.0), False
    opened.showing.view("plate")  # pressed once more: nothing is set back
    settle(opened)
    assert (first.contrast_limits, second.visible) == ([3.0, 400.0], False)
    opened.showing.view("field")
    settle(opened)
    images = opened.images.layers
    assert (own.visible, images[0].contrast_limits, images[1].visible) == (True, [3.0, 400.0], False)


def test_a_cancelled_overview_says_so_and_goes_on(opened: Any, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(self: Any, report: Any, cancelled: Any, build: Any = Thumbnails.build) -> None:
        def stop() -> bool:
            opened.jobs.cancel("overview")
            return cancelled()

        build(self, report, stop)

    monkeypatch.setattr(Thumbnails, "build", slow)
    monkeypatch.setattr(thumbnails, "default_folder", lambda: Path(opened.session.run.path) / "cache")
    opened.showing.view("plate")
    settle(opened)
    assert "press Whole plate to go on" in opened.session.status
    assert not opened.overview.thumbnails.complete
    monkeypatch.undo()
    opened.showing.view("plate")
    settle(opened)
    assert opened.overview.thumbnails.complete


def test_another_plate_takes_the_overview_away(opened: Any, plate_folder: Path, settle: Any) -> None:
    opened.showing.view("plate")
    settle(opened)
    opened.opening.take({"plate": str(plate_folder)})
    settle(opened)
    assert opened.overview.layers == []
    assert (opened.session.view, opened.overview.thumbnails) == ("field", None)


def test_thumbnails_are_kept_and_follow_the_files(tmp_path: Path, fakes: Any) -> None:
    folder = fakes.write_plate(tmp_path / "plate", 2, 3, 1)
    first = Thumbnails(open_plate(folder), tmp_path / "cache")
    assert not first.complete
    first.build()
    again = Thumbnails(open_plate(folder), tmp_path / "cache")
    assert again.path == first.path
    assert again.complete
    np.testing.assert_array_equal(again.levels[2], first.levels[2])
    changed = folder / "A01_f1_DNA.tif"
    changed.write_bytes(changed.read_bytes() + b"\0")
    assert Thumbnails(open_plate(folder), tmp_path / "cache").path != first.path


def test_building_goes_on_where_it_was_cancelled(tmp_path: Path, fakes: Any) -> None:
    plate = open_plate(fakes.write_plate(tmp_path / "plate", 2, 3, 1))
    found = Thumbnails(plate, tmp_path / "cache")
    seen = []
    with pytest.raises(Cancelled):
        found.build(seen.append, lambda: len(seen) == 2)
    assert (found.state == thumbnails.DONE).sum() == 2
    drawn = []
    again = Thumbnails(plate, tmp_path / "cache")
    again.build(drawn.append)
    assert [p.message for p in drawn] == ["B01", "B02", "B03", ""]
    assert (drawn[0].done, drawn[0].total, again.complete) == (2, 5, True)


def test_a_damaged_field_leaves_its_well_black_and_is_named(tmp_path: Path, fakes: Any) -> None:
    folder = fakes.write_plate(tmp_path / "plate", 2, 3, 1)
    (folder / "B02_f1_GFP.tif").write_bytes(b"II*\0 cut off")
    found = Thumbnails(open_plate(folder), tmp_path / "cache")
    found.build()
    assert (found.unreadable(), found.complete) == (["B02"], True)
    assert not found.levels[0][:, found.edge :, found.edge : 2 * found.edge].any()


def test_a_full_disk_and_old_overviews(tmp_path: Path, fakes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plate = open_plate(fakes.write_plate(tmp_path / "plate", 2, 3, 1))
    old = tmp_path / "cache" / "old"
    old.mkdir(parents=True)
    (old / "level0.npy").write_bytes(bytes(20000))
    monkeypatch.setattr(thumbnails, "KEPT", 10000)
    Thumbnails(plate, tmp_path / "cache")
    assert not old.exists()
    monkeypatch.setattr(thumbnails, "RESERVE", 2**60)
    with pytest.raises(PhenoLensError, match="make room there"):
        Thumbnails(plate, tmp_path / "cache")


def test_the_central_field() -> None:
    from types import SimpleNamespace as Some

    well = Some(fields=[Some(position=p) for p in ((0.0, 0.0), (10.0, 10.0), (20.0, 20.0))])
    assert central_field(well) is well.fields[1]
    well.fields[2].position = None
    assert central_field(well) is well.fields[0]


# ---- pairs ----------------------------------------------------------------------------------------------------------
def test_several_pairs_need_no_more_layers(opened: Any, fakes: Any, settle: Any) -> None:
    opened.showing.feature(fakes.PLANTED)
    opened.showing.side_by_side("A01", "B04")
    settle(opened)
    layers = list(opened.viewer.layers)
    opened.showing.side_by_side("A01", "B04", pairs=3)
    settle(opened)
    assert list(opened.viewer.layers) == layers
    s = opened.session
    controls, perturbed = opened.pairing.sides(3, "A01", "B04")
    assert (len(controls), len(set(perturbed)), controls[0], perturbed[0]) == (3, 3, "A01", "B04")
    by_role = {tuple(layer.metadata[KEY]["role"]): layer for layer in opened.side.layers}
    h, w = s.plate.field("A01").shape
    layout = grid([(h, w)] * 3, 1)
    for side, wells in (("control", controls), ("perturbed", perturbed)):
        for n, well in enumerate(wells):
            y = layout.origins[n][0]
            np.testing.assert_array_equal(
                by_role["side", side, "GFP"].data[y : y + h], s.plate.field(well).read(["GFP"])[0]
            )
            heat = s.run.activation(well, None, fakes.PLANTED)
            assert by_role["side", side, None].data[y, 0] == heat[0, 0]
            assert by_role["side", side, None].data[y + h - 1, w - 1] == heat[-1, -1]
        assert all(well in by_role["side", side, None].name for well in wells)
    assert by_role["side", "control", None].contrast_limits == by_role["side", "perturbed", None].contrast_limits
    assert "3 pairs, the most typical wells first" in s.status


def test_wells_are_paired_by_how_typical_they_are(opened: Any, fakes: Any) -> None:
    s = opened.session
    s.feature, s.well, s.selected = fakes.PLANTED, None, ()
    controls, perturbed = opened.pairing.sides(4)
    values = opened.comparing.feature_values(fakes.PLANTED)
    for wells, side in ((controls, s.wells_of("control")), (perturbed, s.wells_of("perturbed", "positive"))):
        far = (values - values.reindex(side).median()).abs()
        assert list(far[wells]) == sorted(far[side])[:4]
    assert len(opened.pairing.sides(50)[0]) == 8  # as many as there are controls


def test_camera_and_selection_are_as_before_at_the_end(opened: Any, settle: Any) -> None:
    own = opened.viewer.add_points([[1, 1]], name="mine")
    opened.viewer.layers.selection = {own}
    compat.camera(opened.viewer).zoom = 3.5
    compat.camera(opened.viewer).center = (0, 12.0, 7.0)
    before = look(opened)
    opened.showing.side_by_side()
    settle(opened)
    assert look(opened) != before
    opened.showing.end_side_by_side()
    settle(opened)
    assert look(opened) == before
    assert opened.viewer.layers.selection == {own}
