"""Measured concepts against numbers worked out by hand, against scikit-image, and against what was drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage as ndi

from napari_phenolens.cells import CellsError, cell_concepts, cell_cycle, concept_words, expand_cells
from napari_phenolens.cells.compartments import part_cells
from napari_phenolens.cells.texture import LEVELS, OFFSET, cooccurrence, granularity, grey_levels, haralick

CHANNELS = ("DNA", "GFP")


def disc(shape: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    return np.hypot(*(axis - at for axis, at in zip(np.indices(shape), (y, x), strict=True))) <= radius


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two round cells on a background of 100: GFP is in the nucleus of cell 4, and round the nucleus of cell 9."""
    nuclei = np.zeros((128, 160), np.int32)
    nuclei[disc(nuclei.shape, 60, 40, 10)] = 1
    nuclei[disc(nuclei.shape, 60, 110, 12)] = 2
    grown = expand_cells(nuclei, 15)
    cells = np.choose(grown, [0, 4, 9])
    image = np.full((2, *nuclei.shape), 100.0)
    image[0][nuclei > 0] += 200
    image[1][(nuclei == 1)] += 80
    image[1][(grown == 1) & (nuclei == 0)] += 20
    image[1][(nuclei == 2)] += 20
    image[1][(grown == 2) & (nuclei == 0)] += 80
    image += np.random.default_rng(0).normal(0, 1.0, image.shape)
    return image, nuclei, cells


def test_light_and_ratio_of_drawn_cells(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    image, nuclei, cells = drawn
    table = cell_concepts(image, CHANNELS, nuclei, cells, nuclear="DNA")
    assert table.index.tolist() == [4, 9]
    np.testing.assert_allclose(table["area_nucleus"], np.bincount(nuclei.ravel())[1:])
    np.testing.assert_allclose(table["area_cell"], [(cells == 4).sum(), (cells == 9).sum()])
    np.testing.assert_allclose(table["mean_nucleus_GFP"], [80, 20], atol=2)
    np.testing.assert_allclose(table["mean_ring_GFP"], [20, 80], atol=2)
    np.testing.assert_allclose(table["mean_cytoplasm_GFP"], [20, 80], atol=2)
    np.testing.assert_allclose(table["ratio_ring_GFP"], [2, -2], atol=0.15)
    np.testing.assert_allclose(table["total_nucleus_DNA"], 200 * table["area_nucleus"], rtol=0.02)
    assert table.loc[4, "radial1_cell_GFP"] > 1.5 > 0.8 > table.loc[9, "radial1_cell_GFP"]
    # both are symmetric
    assert (table["offset_cell_GFP"] < 0.02).all()
    assert table["neighbours_cell"].tolist() == [1, 1]
    np.testing.assert_allclose(table["distance_cell"], 70, atol=0.2)
    assert table["contact_cell"].tolist() == [0, 0]


def test_unit_of_sizes(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    image, nuclei, cells = drawn
    px, um = (cell_concepts(image, CHANNELS, nuclei, cells, size) for size in (None, 0.5))
    np.testing.assert_allclose(um["area_cell"], px["area_cell"] / 4)
    np.testing.assert_allclose(um["perimeter_nucleus"], px["perimeter_nucleus"] / 2)
    np.testing.assert_allclose(um["distance_cell"], px["distance_cell"] / 2)
    same = [c for c in px if c.split("_")[0] not in ("area", "perimeter", "distance", "density", "neighbours")]
    pd.testing.assert_frame_equal(um[same], px[same])


def test_light_does_not_depend_on_background_or_its_slope(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    image, nuclei, cells = drawn
    slope = np.linspace(0, 30, image.shape[2])
    flat, uneven = (cell_concepts(i, CHANNELS, nuclei, cells) for i in (image, image + 500 + slope))
    np.testing.assert_allclose(uneven["mean_nucleus_GFP"], flat["mean_nucleus_GFP"], atol=4)
    np.testing.assert_allclose(uneven["ratio_ring_GFP"], flat["ratio_ring_GFP"], atol=0.3)


def test_shapes_are_those_of_scikit_image() -> None:
    from skimage.measure import regionprops_table

    rng = np.random.default_rng(1)
    blobs, n = ndi.label(ndi.gaussian_filter(rng.normal(size=(200, 200)), 6) > 0.03)
    names = ("area", "eccentricity", "perimeter_crofton", "solidity")
    wanted = pd.DataFrame(regionprops_table(blobs, properties=("label", *names))).set_index("label")
    table = cell_concepts(rng.normal(100, 5, (1, 200, 200)), ("a",), None, blobs)
    assert len(table) == n > 10
    y, x = np.nonzero(blobs)
    rim = np.unique(blobs[y, x][(y == 0) | (x == 0) | (y == 199) | (x == 199)])
    inner = ~table.index.isin(rim)
    assert table.loc[~inner, ["area_cell", "total_cell_a", "solidity_cell"]].isna().all(axis=None)
    assert table.loc[~inner, "mean_cell_a"].notna().all()
    for ours, theirs in zip(("area", "eccentricity", "perimeter", "solidity"), names, strict=True):
        kept = inner & (wanted["area"].to_numpy() >= 9)
        np.testing.assert_allclose(table.loc[kept, f"{ours}_cell"], wanted.loc[kept, theirs], err_msg=ours)
    assert not [c for c in table if "nucleus" in c or "ring" in c]


def test_texture_of_a_square_cell_is_that_of_scikit_image() -> None:
    from skimage.feature import graycomatrix, graycoprops

    rng = np.random.default_rng(2)
    light = ndi.gaussian_filter(rng.random((40, 50)), 1.0)
    cells = np.zeros((40, 50), np.int32)
    cells[5:30, 7:40] = 3
    part = part_cells(cells, None).cell
    levels = grey_levels(light, part)
    ours = cooccurrence(levels, part, (40, 50))
    square = levels.reshape(25, 33).astype(np.uint8)
    # scikit-image rounds a diagonal of length r; one px on either axis is asked for, as here
    counts = np.zeros((LEVELS, LEVELS))
    for angle, distance in (
        (0, OFFSET),
        (np.pi / 2, OFFSET),
        (np.pi / 4, OFFSET * 2**0.5),
        (-np.pi / 4, OFFSET * 2**0.5),
    ):
        counts += graycomatrix(square, [distance], [angle], levels=LEVELS, symmetric=True)[:, :, 0, 0]
    np.testing.assert_allclose(ours[0], counts / counts.sum())
    found = haralick(ours)
    theirs = (counts / counts.sum())[:, :, None, None]
    for name in ("contrast", "homogeneity", "correlation"):
        assert found[name][0] == pytest.approx(graycoprops(theirs, name)[0, 0]), name
    assert found["entropy"][0] == pytest.approx(graycoprops(theirs, "entropy")[0, 0] / np.log(2))


def test_texture_knows_fine_from_broad_and_not_bright_from_dim() -> None:
    rng = np.random.default_rng(3)
    cells = np.zeros((100, 220), np.int32)
    cells[20:80, 20:80], cells[20:80, 140:200] = 1, 2
    fine, broad = (ndi.gaussian_filter(rng.normal(size=cells.shape), s) for s in (0.8, 4.0))
    light = np.where(cells == 1, 100 + 30 * fine / fine.std(), np.where(cells == 2, 100 + 30 * broad / broad.std(), 0))
    part = part_cells(cells, None).cell
    found = haralick(cooccurrence(grey_levels(light, part), part, cells.shape))
    assert found["contrast"][0] > 2 * found["contrast"][1]
    assert found["correlation"][0] < 0.5 < 0.8 < found["correlation"][1]
    dim = haralick(cooccurrence(grey_levels(light / 7, part), part, cells.shape))
    np.testing.assert_allclose(dim["contrast"], found["contrast"])


def test_granularity_finds_the_width_of_what_was_drawn() -> None:
    cells = np.zeros((100, 320), np.int32)
    cells[10:90, 10:90], cells[10:90, 120:200], cells[10:90, 230:310] = 1, 2, 3
    light = np.where(cells > 0, 10.0, 0.0)
    for edge, left in ((3, 10), (9, 120), (15, 230)):
        for y in (20, 60):
            for x in (15, 50):
                light[y : y + edge, left + x : left + x + edge] += 100
    sizes = pd.DataFrame(granularity(light, part_cells(cells, None).cell))
    drawn = np.array([4 * e**2 * 100 for e in (3, 9, 15)]) / (
        80 * 80 * 10 + np.array([4 * e**2 * 100 for e in (3, 9, 15)])
    )
    # a structure is lost to the first square that is wider
    np.testing.assert_allclose(sizes, [[0, drawn[0], 0, 0], [0, 0, 0, drawn[1]], [0, 0, 0, drawn[2]]], atol=1e-6)


def test_nuclei_belong_to_the_cell_that_holds_most_of_them() -> None:
    cells, nuclei = np.zeros((30, 60), np.int32), np.zeros((30, 60), np.int32)
    cells[5:25, 5:30], cells[5:25, 30:55] = 20, 10
    nuclei[10:20, 10:18], nuclei[10:20, 26:33] = 7, 8  # the second sticks out of cell 20 by three columns
    parts = part_cells(cells, nuclei)
    assert parts.labels.tolist() == [10, 20]
    np.testing.assert_array_equal(parts.nucleus.count, [np.nan, 80 + 40])
    table = cell_concepts(np.random.default_rng(0).normal(50, 1, (1, 30, 60)), ("a",), nuclei, cells)
    assert np.isnan(table.loc[10, "mean_nucleus_a"])
    assert table.loc[20, "areashare_nucleus"] == pytest.approx(120 / 500)
    # 20 rows of the shared side; the outlines are 2 * (20 + 25)
    np.testing.assert_allclose(table["contact_cell"], 20 / 90)


def test_every_column_has_words_and_nothing_else_has() -> None:
    image = np.random.default_rng(0).normal(50, 1, (2, 30, 30))
    cells = np.zeros((30, 30), np.int32)
    cells[5:20, 5:20] = 1
    table = cell_concepts(image, ("DNA", "F-actin_488 (b)"), cells, cells, nuclear="DNA")
    words = concept_words([*table.columns, "well", "y", "cell_count", "made_up_GFP"], "DNA")
    assert words.index.tolist() == table.columns.tolist()
    assert (words[["name", "explanation", "more", "less"]] != "").all(axis=None)
    assert not words.stack().str.contains(r"[{}]").any()
    assert words["name"].is_unique and words["more"].is_unique and words["less"].is_unique
    assert words.loc["mean_nucleus_F-actin_488 (b)", "more"] == "brighter F-actin_488 (b) in the nucleus"
    assert words.loc["total_nucleus_DNA", "name"] == "DNA content"
    assert words.loc["area_nucleus", "more"] == "larger nuclei"


def test_no_cells_and_wrong_input() -> None:
    image, none = np.random.default_rng(0).normal(50, 1, (2, 30, 40)), np.zeros((30, 40), np.int32)
    empty = cell_concepts(image, CHANNELS, none, none, nuclear="DNA")
    one = none.copy()
    one[3:9, 3:9] = 1
    assert empty.empty and empty.columns.tolist() == cell_concepts(image, CHANNELS, one, one).columns.tolist()
    with pytest.raises(CellsError, match="do not fit"):
        cell_concepts(image, ("a",), none, none)
    with pytest.raises(CellsError, match="Hoechst"):
        cell_concepts(image, CHANNELS, none, none, nuclear="Hoechst")


def test_cell_cycle_of_a_made_histogram() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(["G1", "S", "G2", "M"], (500, 150, 250, 40))
    content = {"G1": lambda: 1.0, "S": lambda: 1.4 + 0.2 * rng.random(), "G2": lambda: 2.0, "M": lambda: 2.0}
    dna = 3000 * np.array([content[t]() for t in truth]) * np.exp(0.05 * rng.normal(size=len(truth)))
    light = np.where(truth == "M", 100, 35) * np.exp(0.05 * rng.normal(size=len(truth)))
    index = pd.Index(np.arange(len(truth)) + 5)
    found = cell_cycle(pd.Series(dna, index), pd.Series(light, index))
    assert (found.astype(str).to_numpy() == truth).mean() > 0.97
    assert found.index.equals(index)
    # the reference decides where G1 is: all cells of another well have twice the DNA
    doubled = cell_cycle(pd.Series(np.r_[dna, 2 * dna[:500]]), pd.Series(np.r_[light, light[:500]]),
                         np.arange(len(dna) + 500) < len(dna))  # fmt: skip
    assert (doubled[len(dna) :] == "G2").mean() > 0.97
    missing = cell_cycle(pd.Series([*dna, np.nan]), pd.Series([*light, 1.0]))
    assert missing.isna().tolist() == [False] * len(dna) + [True]
    with pytest.raises(CellsError, match="too few"):
        cell_cycle(pd.Series(dna[:20]), pd.Series(light[:20]))


def test_a_perturbed_demo_well_differs_in_what_was_planted() -> None:
    from napari_phenolens.cells import segment_nuclei
    from napari_phenolens.demo.phenotypes import CONDITIONS
    from napari_phenolens.demo.truth import CHANNELS as NAMES
    from napari_phenolens.demo.truth import picture

    def measured(condition: str) -> pd.Series:
        tables = []
        for well in ("C04", "E06"):
            image = picture(well, CONDITIONS[condition], 0)
            nuclei = segment_nuclei(image[list(NAMES).index("DNA")])
            tables.append(cell_concepts(image, NAMES, nuclei, expand_cells(nuclei, 14), nuclear="DNA"))
        return pd.concat(tables).mean()

    control = measured("negative")
    assert measured("nuclei")["area_nucleus"] > 1.4 * control["area_nucleus"]
    reporter = next(name for name in NAMES if name not in ("DNA", "actin", "Actin"))
    moved = measured("translocator 3")
    assert moved[f"ratio_ring_{reporter}"] > control[f"ratio_ring_{reporter}"] + 0.7
    assert abs(moved["area_nucleus"] / control["area_nucleus"] - 1) < 0.1
