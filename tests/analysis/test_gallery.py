"""A feature's examples as crops: the strongest, spread over wells, with silent places beside them, rightly outlined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import viewer_fakes

from napari_phenolens.analysis import AnalysisError, Crop, gallery
from napari_phenolens.plate import PlateError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = viewer_fakes.write_plate(tmp_path_factory.mktemp("plate") / "p", rows=2, columns=4)
    return viewer_fakes.FakeRun(folder, folder)


def test_examples_are_the_strongest_and_spread(run: Any) -> None:
    crops = gallery(run, 3, count=6, per_well=1, size=24)
    shown = [c for c in crops if c.side == "with"]
    assert len(shown) == 6 and len({c.well for c in shown}) == 6
    values = [c.value for c in shown]
    assert values == sorted(values, reverse=True)
    tops = {w: max(run.activation(w, f, 3).max() for f in run.fields(w)) for w in run.wells}
    assert values == pytest.approx(sorted(tops.values(), reverse=True)[:6])


def test_pixels_heat_and_place_belong_together(run: Any) -> None:
    for crop in gallery(run, 3, count=4, size=24):
        y, x = crop.origin
        whole = run.plate().field(crop.well, crop.field).read()
        np.testing.assert_array_equal(crop.pixels, whole[:, y : y + 24, x : x + 24])
        assert crop.channels == ("DNA", "GFP")
        heat = run.activation(crop.well, crop.field, 3)
        i, j = (int(c // crop.square) for c in crop.at)
        assert heat[i, j] == pytest.approx(crop.value)
        row = (y + crop.heat_origin[0]) / crop.square
        column = (x + crop.heat_origin[1]) / crop.square
        assert row == int(row) and column == int(column)
        h, w = crop.heat.shape
        np.testing.assert_array_equal(crop.heat, heat[int(row) : int(row) + h, int(column) : int(column) + w])
        assert crop.heat_origin[0] <= 0 and crop.heat_origin[0] + h * crop.square >= 24


def test_silent_places_are_of_the_same_field_and_do_not_overlap_the_example(run: Any) -> None:
    crops = gallery(run, 3, count=5, size=24)
    pairs = {c.example: c for c in crops if c.side == "with"}
    silent = [c for c in crops if c.side == "without"]
    assert len(silent) == 5
    for crop in silent:
        partner = pairs[crop.example]
        assert (crop.well, crop.field) == (partner.well, partner.field)
        assert crop.value == 0
        i, j = (int(c // crop.square) for c in crop.at)
        assert run.activation(crop.well, crop.field, 3)[i, j] == 0
        assert max(abs(a - b) for a, b in zip(crop.at, partner.at, strict=True)) >= 12
    again = [c.at for c in gallery(run, 3, count=5, size=24) if c.side == "without"]
    assert again == [c.at for c in silent]
    assert all(c.side == "with" for c in gallery(run, 3, count=5, without=False))


def test_wells_that_are_asked_for_and_a_silent_feature(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {c.well for c in gallery(run, 3, wells=["A03", "b01"])} == {"A03", "B01"}
    monkeypatch.setattr(
        run, "examples", lambda *_a, **_k: viewer_fakes.pd.DataFrame({"well": [], "field": [], "unit": [], "value": []})
    )
    assert gallery(run, 3) == []
    with pytest.raises(AnalysisError, match="1 or more"):
        gallery(run, 3, count=0)
    with pytest.raises(AnalysisError, match="no feature"):
        gallery(run, 99)


def test_a_damaged_file_hides_only_its_own_crops(tmp_path: Path) -> None:
    folder = viewer_fakes.write_plate(tmp_path / "p", rows=1, columns=3, fields=1)
    run = viewer_fakes.FakeRun(folder, folder)
    before = gallery(run, 3, count=8)
    assert {c.well for c in before} == {"A01", "A02"}
    (folder / "A02_f1_DNA.tif").write_bytes(b"no image")
    assert {c.well for c in gallery(run, 3, count=8)} == {"A01"}
    (folder / "A01_f1_DNA.tif").write_bytes(b"no image")
    with pytest.raises(PlateError, match="A0"):
        gallery(run, 3, count=8)


def crop_of(heat: np.ndarray, origin: tuple[float, float] = (0, 0), edge: int = 12) -> Crop:
    return Crop(
        np.zeros((1, edge, edge)), ("c",), "A01", "1", "with", 0, 0, 1.0, (0, 0), (0, 0), heat.astype(np.float32),
        origin, 4.0,
    )  # fmt: skip


def test_outline_runs_along_the_squares() -> None:
    heat = np.zeros((3, 3))
    heat[1, 1] = 0.4
    assert set(crop_of(heat).outline()) == {
        ((4, 4), (4, 8)), ((8, 4), (8, 8)), ((4, 4), (8, 4)), ((4, 8), (8, 8)),
    }  # fmt: skip
    assert crop_of(np.zeros((3, 3))).outline() == []
    # a square that reaches out of the crop is cut off at its edge, and the edge itself is no outline
    shifted = crop_of(np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 0]]), origin=(-2, -2), edge=8)
    assert set(shifted.outline()) == {((2, 0), (2, 2)), ((0, 2), (2, 2))}
