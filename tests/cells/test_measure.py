"""Cells, pooling weights, measurements and covariates against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_phenolens.cells import CellsError, expand_cells, field_covariates, measure_cells, pooling_weights

LABELS = np.zeros((20, 24), np.int32)
LABELS[2:10, 4:12] = 3  # 8 x 8, over four patches
LABELS[16:20, 16:24] = 7  # in the rows beyond the last kept patch


def test_pooling_weights_are_area_overlaps() -> None:
    weights = pooling_weights(LABELS, 8)
    assert weights.shape == (2, 2 * 3)
    np.testing.assert_allclose(weights.sum(1), 1.0)
    np.testing.assert_allclose(weights.toarray()[0], np.array([6 * 4, 6 * 4, 0, 2 * 4, 2 * 4, 0]) / 64)
    np.testing.assert_allclose(weights.toarray()[1], [0, 0, 0, 0, 0, 1])


def test_pooling_weights_add_up_to_the_overlaps_of_any_labels() -> None:
    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, 6, (9, 10)), np.ones((5, 5), np.int64))[:43, :47]
    weights = pooling_weights(labels, 8).toarray()
    present = np.unique(labels[labels > 0])
    assert weights.shape == (len(present), 5 * 6)
    for row, label in zip(weights, present, strict=True):
        inside = labels == label
        # the grid's last patches take the pixels beyond them
        by_hand = [
            inside[8 * i : None if i == 4 else 8 * i + 8, 8 * j : None if j == 5 else 8 * j + 8].sum() / inside.sum()
            for i in range(5)
            for j in range(6)
        ]
        np.testing.assert_allclose(row, by_hand)


def test_pooling_weights_of_nothing() -> None:
    assert pooling_weights(np.zeros((16, 16), np.int32), 8).shape == (0, 4)


def test_measured_cells() -> None:
    image = np.zeros((2, 20, 24), np.uint16)
    image[0] = np.arange(24)
    image[1, 16:] = 50
    table = measure_cells(LABELS, image, ("a", "b"))
    assert table.columns.tolist() == ["label", "y", "x", "area", "mean_a", "std_a", "mean_b", "std_b"]
    assert table.label.tolist() == [3, 7]
    assert table.area.tolist() == [64, 32]
    np.testing.assert_allclose(table[["y", "x"]], [[5.5, 7.5], [17.5, 19.5]])
    np.testing.assert_allclose(table.mean_a, [7.5, 19.5])
    np.testing.assert_allclose(table.std_a, np.std(np.arange(8)))
    np.testing.assert_allclose(table.mean_b, [0, 50])
    assert measure_cells(np.zeros_like(LABELS), image, ("a", "b")).empty
    with pytest.raises(CellsError):
        measure_cells(LABELS, image, ("a",))


def test_expanded_cells_keep_their_labels_and_meet_halfway() -> None:
    nuclei = np.zeros((21, 21), np.int32)
    nuclei[10, 4], nuclei[10, 16] = 5, 9
    cells = expand_cells(nuclei, 8)
    assert set(np.unique(cells)) == {0, 5, 9}
    assert cells[10, 9] == 5
    assert cells[10, 11] == 9
    assert cells[0, 0] == 0


def made(scale: float = 1.0, blur: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    from scipy import ndimage as ndi

    rng = np.random.default_rng(seed)
    nuclei = np.zeros((64, 64), np.int32)
    nuclei[10:26, 10:26], nuclei[40:52, 40:52] = 1, 2
    texture = ndi.gaussian_filter(rng.normal(size=(64, 64)), 1.0) * 60
    cells = np.where(nuclei > 0, 200.0 + texture, 0.0) * scale
    image = 100.0 + (ndi.gaussian_filter(cells, blur) if blur else cells)
    return np.stack([np.full_like(image, 10.0), image]), nuclei


def test_covariates_of_a_made_field() -> None:
    image, nuclei = made()
    foreground = np.zeros((8, 8), np.bool_)
    foreground[2, 2] = True  # wholly inside the first nucleus
    values = field_covariates(image, ("flat", "DNA"), "DNA", nuclei, foreground)
    each = [f"{k}_{c}" for c in ("flat", "DNA") for k in ("intensity", "background", "focus")]
    assert set(values) == {"cell_count", "nuclear_area", "foreground_share", "focus", *each}
    assert all(type(value) is float for value in values.values())
    assert values["cell_count"] == 2
    assert values["nuclear_area"] == pytest.approx((256 + 144) / 2)
    assert values["foreground_share"] == pytest.approx(1 / 64)
    assert values["intensity_DNA"] == pytest.approx(image[1, 16:24, 16:24].mean() - 100, abs=5)
    assert values["background_DNA"] == pytest.approx(100, abs=5)
    assert values["intensity_flat"] == pytest.approx(0, abs=0.1)
    assert values["focus"] == values["focus_DNA"]


def test_focus_falls_with_blur_and_not_with_light() -> None:
    foreground = np.ones((8, 8), np.bool_)

    def focus(**how: float) -> float:
        image, nuclei = made(**how)
        return field_covariates(image, ("flat", "DNA"), "DNA", nuclei, foreground)["focus"]

    assert focus(blur=2.0) < focus() - 0.2
    assert focus(scale=0.3) == pytest.approx(focus(), abs=1e-3)


def test_covariates_without_nuclei_or_foreground_are_nan() -> None:
    image, _ = made()
    values = field_covariates(image, ("a", "b"), None, None, np.zeros((8, 8), np.bool_))
    assert np.isnan([values[k] for k in ("cell_count", "nuclear_area", "intensity_a", "focus")]).all()
    assert values["foreground_share"] == 0.0
    segmented = field_covariates(image, ("a", "b"), "b", None, np.ones((8, 8), np.bool_))
    assert segmented["cell_count"] == 2
    with pytest.raises(CellsError, match="DNA"):
        field_covariates(image, ("a", "b"), "DNA", None, np.ones((8, 8), np.bool_))
