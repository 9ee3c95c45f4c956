"""Cells grown from nuclei: where they end, what parts them, and their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_phenolens.cells import CellSegmentation, CellsError, locate_cells, pooling_weights

CHANNELS = ("DNA", "Actin")


def drawn() -> np.ndarray:
    """Two nuclei 34 px apart whose border, a dark line in actin, lies nearer to the left one; one cell alone."""
    y, x = np.mgrid[:96, :128].astype(float)
    dna, actin = np.zeros((2, 96, 128))
    for cy, cx in ((30, 30), (30, 64), (74, 100)):
        dna[np.hypot(y - cy, x - cx) < 8] = 800.0
    bodies = (np.hypot(y - 30, x - 26) < 15) | ((np.hypot(y - 30, x - 66) < 26) & (x > 41))
    actin[bodies | (np.hypot(y - 74, x - 100) < 13)] = 500.0
    actin[:, 40:42] = 0.0
    noise = np.random.default_rng(0).normal(0, 4, (2, 96, 128))
    return (ndi.gaussian_filter(np.stack([dna, actin]), (0, 1, 1)) + 100 + noise).astype(np.float32)


def test_edges_part_cells_that_touch() -> None:
    image = drawn()
    by_edges = CellSegmentation("DNA", 22.0, ("Actin",), stiffness=1.0)
    nuclei = by_edges.nuclei(image, CHANNELS)
    assert nuclei.max() == 3
    left, right, alone = nuclei[30, 30], nuclei[30, 64], nuclei[74, 100]
    cells = by_edges.cells(image, CHANNELS)
    nearest = CellSegmentation("DNA", 22.0).cells(image, CHANNELS, nuclei)
    assert cells.dtype == nearest.dtype == np.int32
    # halfway lies at column 47; the drawn border at 41
    assert nearest[30, 44] == left and cells[30, 44] == right
    assert cells[30, 38] == left
    for labels in (cells, nearest):
        assert (labels[nuclei > 0] == nuclei[nuclei > 0]).all()
        away = ndi.distance_transform_edt(nuclei == 0)
        np.testing.assert_array_equal(labels > 0, away <= 22.0)
    assert set(np.unique(cells)) == {0, left, right, alone}


def test_a_stain_that_moves_into_the_nucleus_leaves_the_cell_its_cytoplasm() -> None:
    image = drawn()
    moved = image.copy()
    y, x = np.mgrid[:96, :128]
    moved[1] = 104.0
    moved[1][np.hypot(y - 30, x - 64) < 26] = 130.0  # what is left in the cytoplasm of the right cell
    moved[1][np.hypot(y - 30, x - 64) < 8] = 900.0
    moved[1][np.hypot(y - 30, x - 26) < 15] = 500.0
    moved[1] = ndi.gaussian_filter(moved[1], 1.0)
    rule = CellSegmentation("DNA", 22.0, ("Actin",))
    nuclei = rule.nuclei(image, CHANNELS)
    before, after = (rule.cells(each, CHANNELS, nuclei) for each in (image, moved))
    right = nuclei[30, 64]
    assert (after == right).sum() > 0.8 * (before == right).sum() > 4 * (nuclei == right).sum()


def test_a_threshold_ends_cells_where_their_stain_does() -> None:
    image = drawn()
    rule = CellSegmentation.fit([image], CHANNELS, reach=22.0, by_stain=True)
    assert rule.nuclear == "DNA" and rule.cytoplasm == ("Actin",)
    cells = rule.cells(image, CHANNELS)
    alone = cells[74, 100]
    # a low threshold, so that dim rims stay: within four pixels of blur
    assert np.pi * 13**2 < (cells == alone).sum() < np.pi * 17**2
    free = CellSegmentation("DNA", 22.0, ("Actin",)).cells(image, CHANNELS)
    assert (free == free[74, 100]).sum() > 2 * (cells == alone).sum()


def test_numbers_are_fixed_on_controls_and_kept() -> None:
    rule = CellSegmentation.fit([drawn(), drawn()], CHANNELS)
    assert rule.reach == pytest.approx(0.85 * 16, rel=0.15)
    assert CellSegmentation.from_dict(rule.to_dict()) == rule
    bigger = drawn()
    y, x = np.mgrid[:96, :128]
    bigger[0][np.hypot(y - 74, x - 100) < 12] = 900.0  # swollen nuclei do not make cells reach further
    away = ndi.distance_transform_edt(rule.nuclei(bigger, CHANNELS) == 0)
    assert away[rule.cells(bigger, CHANNELS) > 0].max() <= rule.reach
    assert not rule.cells(np.full((2, 64, 64), 7.0), CHANNELS).any()


def test_what_cannot_be_segmented_is_said() -> None:
    with pytest.raises(CellsError, match="nuclear"):
        CellSegmentation.fit([drawn()], ("GFP", "Actin"))
    with pytest.raises(CellsError, match="channel 'Tubulin'"):
        CellSegmentation("DNA", 5.0, ("Tubulin",)).cells(drawn(), CHANNELS)
    with pytest.raises(CellsError, match="reach"):
        CellSegmentation("DNA", -1.0)
    with pytest.raises(CellsError, match="newer version"):
        CellSegmentation.from_dict({"nuclear": "DNA", "reach": 3.0, "magic": 1})
    with pytest.raises(CellsError, match="cytoplasm channel"):
        CellSegmentation.fit([drawn()], CHANNELS, cytoplasm=(), by_stain=True)


def test_where_cells_lie() -> None:
    labels = np.zeros((20, 24), np.int32)
    labels[2:10, 4:12] = 9
    labels[16:20, 16:20] = 3
    table = locate_cells(labels).set_index("label")
    assert table.index.tolist() == [3, 9]
    assert table.loc[9].tolist() == [5.5, 7.5, 2, 4, 10, 12, 64, False]
    assert table.loc[3].tolist() == [17.5, 17.5, 16, 16, 20, 20, 16, True]
    rng = np.random.default_rng(1)
    many = np.kron(rng.integers(0, 9, (12, 11)), np.ones((3, 4), np.int64))
    from skimage.measure import regionprops_table

    names = ("label", "centroid", "bbox", "area")
    known = regionprops_table(many, properties=names)
    found = locate_cells(many)
    for mine, theirs in zip(
        ("label", "y", "x", "y0", "x0", "y1", "x1", "area"),
        ("label", "centroid-0", "centroid-1", "bbox-0", "bbox-1", "bbox-2", "bbox-3", "area"),
        strict=True,
    ):
        np.testing.assert_allclose(found[mine], known[theirs], err_msg=mine)
    assert locate_cells(np.zeros((5, 5), int)).empty


def test_patches_of_resampled_fields_pool_by_the_place_of_pixels() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[3:13, 3:13] = 4
    weights = pooling_weights(labels, 8 / 1.5, (4, 4)).toarray()[0].reshape(4, 4)
    edge = np.bincount(((np.arange(3, 13) + 0.5) // (8 / 1.5)).astype(int), minlength=4) / 10
    np.testing.assert_allclose(weights, np.outer(edge, edge))
    with pytest.raises(CellsError, match="no whole pixels"):
        pooling_weights(labels, 8 / 1.5)
