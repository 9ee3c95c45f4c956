"""Cells stored with a run: from labels or pixels to tables, codes and back, whole after any interruption."""

from __future__ import annotations

import json
import shutil
import threading
import time

import numpy as np
import pandas as pd
import pytest
import tifffile
from miniplate import arrays_of

from napari_phenolens import add_cells, cell_card, cell_reference, explain, heatmap, open_run, put_cells
from napari_phenolens.cells import CellSegmentation
from napari_phenolens.errors import Cancelled
from napari_phenolens.run import RunError, default_segmentation


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the finished run, without cells."""
    return open_run(shutil.copytree(finished.path, tmp_path / "run"))


@pytest.fixture(scope="module")
def with_cells(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells") / "run"
    return add_cells(open_run(shutil.copytree(finished.path, folder)))


def squares(well: str, field: str) -> np.ndarray:
    """Labels that tell well and field: cells of 12 x 12 px, some across patches, one at the rim."""
    labels = np.zeros((168, 150), np.uint16)
    first = 3 + ord(well[0]) - ord("A")
    for i, (y, x) in enumerate(((10, 20), (60, 61), (100, 90), (150, 138))):
        labels[y : y + 12, x : x + 12] = first + 10 * i + (5 if field == "2" else 0)
    return labels


def test_no_cells_yet(run):
    assert not run.has_cells
    with pytest.raises(RunError, match=r"holds no cells yet.*phenolens cells"):
        run.cells()


def test_segmented_cells_are_in_row_major_order_and_in_their_labels(with_cells):
    run, cells = with_cells, with_cells.cells()
    assert run.has_cells and run.cells_skipped().empty
    assert run.cell_source["kind"] == "segmentation" and run.cell_source["nuclear"] == "DNA"
    assert cells.index.tolist() == list(range(len(cells))) and cells.index.name == "cell"
    keys = list(cells[["well", "field", "label"]].itertuples(index=False, name=None))
    assert keys == sorted(keys)
    # 14 cells were drawn in each of 16 fields; some overlap
    assert 8 < len(cells) / 16 <= 14
    for well, field in (("A02", "1"), ("D01", "2")):
        labels = run.cell_labels(well, field)
        mine = cells[(cells["well"] == well) & (cells["field"] == field)]
        assert labels.shape == (168, 150) and labels.dtype == np.int32
        assert sorted(set(labels.ravel()) - {0}) == mine["label"].tolist()
        for cell, row in mine.iterrows():
            inside = labels == row["label"]
            y, x = np.nonzero(inside)
            assert row["area"] == inside.sum() and (row["y"], row["x"]) == pytest.approx((y.mean(), x.mean()))
            assert (row["y0"], row["x0"], row["y1"], row["x1"]) == (y.min(), x.min(), y.max() + 1, x.max() + 1)
            assert row["border"] == (y.min() == 0 or x.min() == 0 or y.max() == 167 or x.max() == 149)
            assert run.cell_at(well, field, (y[0], x[0])) == cell
    assert run.cell_at("A02", "1", (-3, 5)) is None
    assert run.cell_at("A02", "1", tuple(np.argwhere(run.cell_labels("A02", "1") == 0)[0])) is None


def test_codes_are_what_explain_pools(with_cells):
    run, cells, codes = with_cells, with_cells.cells(), with_cells.cell_codes()
    assert codes.shape == (len(cells), run.n_features) and codes.dtype == np.float32
    for cell in (0, 17, len(cells) - 1):
        row = cells.loc[cell]
        known = explain(run, row["well"], row["field"], cell=(run.cell_labels(row["well"], row["field"]), row["label"]))
        mine = codes[cell].toarray()[0]
        np.testing.assert_allclose(mine[known.index], known["activation"], rtol=1e-5, atol=1e-7)
        assert np.count_nonzero(mine) == len(known)


def test_a_cells_alignment_is_the_mean_of_its_map(with_cells):
    run, cells = with_cells, with_cells.cells()
    features = [0, 7, 31]
    table = run.cell_alignment("B01", "2", features)
    mine = cells[(cells["well"] == "B01") & (cells["field"] == "2")]
    assert table.index.tolist() == mine.index.tolist() and table.columns.tolist() == features
    labels = run.cell_labels("B01", "2")
    for feature in features:
        small = heatmap(run, "B01", "2", feature, kind="alignment").values.astype(float)
        # every pixel of a cell looks up its patch: the mean over pixels is the one by area
        rows, columns = (
            np.minimum(np.arange(n) // run.patch, m - 1) for n, m in zip(labels.shape, small.shape, strict=True)
        )
        each = small[rows[:, None], columns[None, :]]
        means = np.bincount(labels.ravel(), each.ravel()) / np.maximum(np.bincount(labels.ravel()), 1)
        np.testing.assert_allclose(table[feature], means[mine["label"]], atol=1e-5)
        np.testing.assert_allclose(run.cell_weights("B01", "2") @ small.ravel(), table[feature], atol=1e-5)
    known = explain(run, "B01", "2", cell=(labels, int(mine["label"].iloc[1])))["alignment"]
    whole = run.cell_alignment("B01", "2").iloc[1]
    np.testing.assert_allclose(known, whole[known.index], atol=1e-5)


def test_measurements_are_those_of_the_room(with_cells):
    from napari_phenolens.cells import cell_concepts, segment_nuclei

    run, cells, measured = with_cells, with_cells.cells(), with_cells.cell_measurements()
    assert len(measured) == len(cells) and len(measured.columns) > 20
    image = run.plate().wells["C02"].fields[0].read(list(run.channels))
    nuclei = segment_nuclei(image[run.lens.channels.index("DNA")])
    known = cell_concepts(image, run.lens.channels, nuclei, run.cell_labels("C02", "1"), None, "DNA")
    mine = measured[(cells["well"] == "C02") & (cells["field"] == "1")]
    np.testing.assert_allclose(mine, known[list(mine.columns)], rtol=1e-5)


def test_broken_off_it_goes_on_and_ends_the_same(run, with_cells):
    seen = []
    with pytest.raises(Cancelled):
        add_cells(run, progress=seen.append, cancel=lambda: len(seen) >= 7)
    done = {p.stem for p in (run.path / "cells" / "done").glob("*.json")}
    assert 1 <= len(done) < 8
    assert set(run.cells()["well"]) == done
    with pytest.raises(RunError, match=r"D02.*not stored.*phenolens cells"):
        run.cell_labels("D02")
    del seen[:]
    add_cells(run, progress=seen.append)
    assert seen[-1].total == 2 * (8 - len(done)) == seen[-1].done
    one, other = arrays_of(run.path / "cells"), arrays_of(with_cells.path / "cells")
    assert set(one) == set(other) == {"labels", "table", "measured", "count", "index", "value"}
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    del seen[:]
    add_cells(run, progress=seen.append)
    assert not seen


def test_a_cancel_is_answered_at_once(run):
    taken = []
    for _ in range(3):  # a busy machine may miss it once
        began, wait = [], threading.Event()

        def slow(well, field, began=began, wait=wait):
            began.append(time.monotonic())
            wait.wait(20)
            return squares(well, field)

        try:
            with pytest.raises(Cancelled):
                add_cells(run, labels=slow, measure=False, replace=True, cancel=lambda began=began: bool(began))
            taken.append(time.monotonic() - began[0])
        finally:
            wait.set()
    assert min(taken) < 0.5


@pytest.mark.parametrize("kind", ["function", "arrays", "folder"])
def test_labels_of_the_user(run, tmp_path, kind):
    fields = [(well, field) for well in run.wells for field in ("1", "2")]
    if kind == "function":
        given = squares
    elif kind == "arrays":
        given = {(well.lower(), field): squares(well, field) for well, field in fields}
    else:
        given = tmp_path / "labels"
        given.mkdir()
        for number, (well, field) in enumerate(fields):
            name = f"{well}_f{field}_DNA_cp_masks.tif" if number % 2 else f"{well}_f{field}_labels.png"
            if name.endswith("png"):
                from PIL import Image

                Image.fromarray(squares(well, field)).save(given / name)
            else:
                tifffile.imwrite(given / name, squares(well, field))
    add_cells(run, labels=given, measure=False)
    assert run.cell_source["kind"] == kind and run.cells_skipped().empty
    cells = run.cells()
    assert len(cells) == 4 * len(fields) and run.cell_measurements().shape == (len(cells), 0)
    for well, field in (("A01", "1"), ("C02", "2")):
        np.testing.assert_array_equal(run.cell_labels(well, field), squares(well, field))
    assert cells["border"].sum() == len(fields) and set(cells["area"]) == {144}
    # rows are in the order of labels, which are those of the user
    assert cells[(cells["well"] == "C02") & (cells["field"] == "2")]["label"].tolist() == [10, 20, 30, 40]
    assert run.cell_at("C02", "2", (62, 63)) == cells.index[(cells["well"] == "C02") & (cells["label"] == 20)][0]


def test_bad_fields_are_noted_and_passed_over(run):
    def some(well, field):
        if well == "A02":
            raise OSError("disk gone")
        if (well, field) == ("B02", "1"):
            return np.zeros((9, 9), int)
        return squares(well, field).astype(float) if (well, field) == ("B02", "2") else squares(well, field)

    add_cells(run, labels=some, measure=False)
    skipped = run.cells_skipped()
    assert skipped[["well", "field"]].to_numpy().tolist() == [["A02", "1"], ["A02", "2"], ["B02", "1"], ["B02", "2"]]
    assert skipped["reason"].str.contains("disk gone|shape|whole numbers").all()
    assert set(run.cells()["well"]) == set(run.wells) - {"A02", "B02"}
    with pytest.raises(RunError, match=r"B02.*field 1 are not stored: labels of B02, field 1 have shape \(9, 9\)"):
        run.cell_at("B02", "1", (3, 3))
    seen = []
    add_cells(run, labels=some, measure=False, progress=seen.append)
    assert not seen  # what failed is not tried again and again


def test_other_cells_are_not_mixed_in(run):
    add_cells(run, labels=squares, measure=False)
    with pytest.raises(RunError, match=r"holds other cells \(kind function.*now kind segmentation.*replace"):
        add_cells(run)
    with pytest.raises(RunError, match="not both"):
        add_cells(run, labels=squares, segmentation=CellSegmentation("DNA", 3.0))
    with pytest.raises(RunError, match="folder of label images, a mapping"):
        add_cells(run, labels=17)
    with pytest.raises(RunError, match="no such folder"):
        add_cells(run, labels="/nowhere")
    before = len(run.cells())
    add_cells(run, segmentation=CellSegmentation("DNA", 2.0), measure=False, replace=True)
    assert run.cell_source["reach"] == 2.0 and len(run.cells()) != before
    assert run.cells()["area"].median() < 300


def test_two_label_images_for_one_field_are_refused(run, tmp_path):
    folder = tmp_path / "labels"
    folder.mkdir()
    for name in ("A01_f1_a.tif", "A01_f1_b.tif", "A01_f2.tif", "A01_f10.tif"):
        tifffile.imwrite(folder / name, squares("A01", name[5]))
    add_cells(run, labels=folder, measure=False)
    skipped = run.cells_skipped().set_index(["well", "field"])["reason"]
    assert "several label images (A01_f1_a.tif, A01_f1_b.tif)" in skipped["A01", "1"]
    assert "no label image" in skipped["B01", "1"]
    assert run.cells()["field"].unique().tolist() == ["2"]


def test_without_the_plates_files_labels_still_do(run):
    path = run.path / "run.json"
    plan = json.loads(path.read_text())
    plan["plate"]["path"] = "/gone"
    path.write_text(json.dumps(plan))
    again = open_run(run.path)
    with pytest.raises(RunError, match=r"files are needed to find cells.*or give labels"):
        add_cells(again)
    add_cells(again, labels=squares)
    assert len(again.cells()) == 64 and again.cell_measurements().shape[1] == 0


def test_the_reach_is_the_foregrounds(run):
    rule = default_segmentation(run)
    assert rule.reach == pytest.approx(run.lens.foreground.distance)
    assert rule.cytoplasm == ("GFP",)
    assert isinstance(add_cells(run, measure=False).cells(), pd.DataFrame)
    # cells are the foreground, parted: all of their area lies in it, but for patches half in and half out
    assert run.cells()["foreground"].mean() > 0.9


def test_labels_of_one_field_take_the_place_of_its_cells(run):
    add_cells(run, labels=squares)
    before, codes, measured = run.cells(), run.cell_codes(), run.cell_measurements()
    hand = np.zeros((168, 150), np.uint16)
    hand[20:50, 30:70] = 7
    hand[90:120, 30:70] = 300
    put_cells(run, "b2", "2", hand, given="layer  hand")
    assert run.cells_given("B02", "2") == "layer hand"
    assert run.cells_given("B02", "1") == "" and run.cell_source["kind"] == "function"
    cells = run.cells()
    mine = ((cells["well"] == "B02") & (cells["field"] == "2")).to_numpy()
    assert cells["label"][mine].tolist() == [7, 300] and cells["area"][mine].tolist() == [1200, 1200]
    np.testing.assert_array_equal(run.cell_labels("B02", "2"), hand)
    assert run.cell_at("B02", "2", (100, 40)) == np.flatnonzero(mine)[1]
    assert np.isfinite(run.cell_measurements().to_numpy()[mine]).mean() > 0.5
    # the mean of the run's codes under the mask, as for any cell
    expected = run.cell_weights("B02", "2") @ np.stack(
        [run.activation("B02", "2", f).ravel() for f in range(run.n_features)], axis=1
    )
    np.testing.assert_allclose(run.cell_codes()[mine].toarray(), expected, atol=1e-6)
    # every other cell is as it was, in its place
    other = ~((before["well"] == "B02") & (before["field"] == "2")).to_numpy()
    columns = [c for c in before.columns]
    pd.testing.assert_frame_equal(cells[~mine][columns].reset_index(drop=True), before[other].reset_index(drop=True))
    np.testing.assert_array_equal(run.cell_codes()[~mine].toarray(), codes[other].toarray())
    np.testing.assert_array_equal(run.cell_measurements().to_numpy()[~mine], measured.to_numpy()[other])
    again = open_run(run.path)
    pd.testing.assert_frame_equal(again.cells(), cells)


def test_labels_of_one_field_can_be_the_first_cells(run):
    with pytest.raises(RunError, match=r"B01, field 1 have shape \(9, 9\)"):
        put_cells(run, "B01", "1", np.ones((9, 9), int))
    with pytest.raises(RunError, match="hold no cell"):
        put_cells(run, "B01", "1", np.zeros((168, 150), int))
    assert not run.has_cells
    put_cells(run, "B01", "2", squares("B01", "2"))
    put_cells(run, "B01", "1", squares("B01", "1"))
    assert run.cells()["field"].tolist() == ["1"] * 4 + ["2"] * 4
    assert run.cell_source == {"kind": "fields"}
    with pytest.raises(RunError, match=r"A01: the cells of field 1 are not stored"):
        run.cell_at("A01", "1", (15, 25))
    # no control well has cells: a card tells the features, and no percentiles
    card = cell_card(cell_reference(run, ["A01", "A02"]), 0, tokens=False)
    assert len(card.features) and card.features["percentile"].isna().all() and card.missing.empty
    assert "0 control cells: too few for percentiles and z" in card.notes
    assert any("those of labels" in note for note in card.notes)
    with pytest.raises(RunError, match="holds other cells"):
        add_cells(run, labels=squares)


def test_other_settings_of_the_segmentation(run):
    own = default_segmentation(run)
    asked = default_segmentation(run, reach=7, cytoplasm=(), stiffness=2, smooth=0)
    assert (asked.reach, asked.cytoplasm, asked.stiffness, asked.smooth) == (7, (), 2, 0)
    assert asked.nuclear == own.nuclear == "DNA"
    stained = default_segmentation(run, by_stain=True)
    assert set(stained.thresholds) == {"GFP"} and stained.reach == own.reach
    with pytest.raises(RunError, match=r"no channel actin; the lens has"):
        default_segmentation(run, cytoplasm=("actin",))
