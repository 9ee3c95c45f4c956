from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.analysis import AnalysisError, explain, heatmap
from napari_phenolens.cells import pooling_weights
from napari_phenolens.errors import PhenoLensError


@pytest.fixture
def run(make_run, scattered):
    return make_run(scattered, m=12)


def test_activation_heatmap(run):
    got = heatmap(run, "a2", None, 3)
    assert got.values.shape == (4, 5) and got.values.dtype == np.float32
    assert got.scale == (8.0, 8.0) and got.translate == (3.5, 3.5)
    assert got.limits == (0.0, 1.0)
    assert (got.well, got.field, got.feature, got.kind) == ("A02", "1", 3, "activation")
    np.testing.assert_array_equal(got.values, run.activation("A02", "1", 3))
    assert (got.values[-1] == 0).all()  # background


def test_alignment_averages_exactly_and_cosine_is_bounded(run):
    tokens, atoms = run.tokens("A02"), run.lens.dictionary.atoms
    alignment = heatmap(run, "A02", 0, 3, kind="alignment")
    assert alignment.values.dtype == np.float32
    assert alignment.values.mean() == pytest.approx(tokens.reshape(-1, 5).mean(axis=0) @ atoms[3], abs=1e-6)
    cosine = heatmap(run, "A02", "1", 3, kind="cosine")
    assert np.abs(cosine.values).max() <= 1 + 1e-6
    np.testing.assert_allclose(cosine.values * run.strength("A02"), alignment.values, rtol=1e-4, atol=1e-6)
    assert cosine.limits is None  # the run has none


def test_a_resampled_field_keeps_the_map_on_its_pixels(run):
    run.factor = 0.8  # 8 px of the resampled field are 10 of the plate's
    got = heatmap(run, "A02", None, 3)
    assert got.scale == (10.0, 10.0) and got.translate == (4.5, 4.5)
    first = explain(run, "A02", at=(9.4, 9.6)).iloc[0]
    assert (first["i"], first["j"], first["y"], first["x"]) == (0, 1, 4.5, 14.5)


def test_heatmap_errors(run):
    with pytest.raises(AnalysisError, match="no results for well H12"):
        heatmap(run, "H12", None, 3)
    with pytest.raises(PhenoLensError, match="no field '7'"):
        heatmap(run, "A02", "7", 3)
    with pytest.raises(PhenoLensError, match="no field 4"):
        heatmap(run, "A02", 4, 3)
    with pytest.raises(AnalysisError, match="features 0 to 11"):
        heatmap(run, "A02", None, 12)
    with pytest.raises(AnalysisError, match="activation, alignment, cosine"):
        heatmap(run, "A02", None, 1, kind="heat")


def test_explain_a_patch(run):
    got = explain(run, "A02", at=(9.2, 33.0))
    index, value = run.codes("A02")
    patch = 1 * 5 + 4
    assert list(got.index) == list(index[patch][np.argsort(-value[patch])])
    np.testing.assert_allclose(got["activation"], np.sort(value[patch])[::-1], rtol=1e-6)
    assert got["share"].sum() == pytest.approx(1)
    first = got.iloc[0]
    assert (first["i"], first["j"], first["y"], first["x"]) == (1, 4, 11.5, 35.5)
    token = run.tokens("A02")[1, 4]
    np.testing.assert_allclose(got["alignment"], run.lens.dictionary.atoms[got.index] @ token, rtol=1e-5)
    np.testing.assert_allclose(got["cosine"], got["alignment"] / np.linalg.norm(token), rtol=1e-5)
    assert first["strength"] == pytest.approx(np.linalg.norm(token), rel=1e-5)
    # percentile, counted patch by patch
    feature = got.index[0]
    maps = [run.activation(c, "1", feature)[run.foreground(c)] for c in run.controls]
    flat = np.concatenate(maps)
    v = np.float32(first["activation"])
    assert first["percentile"] == pytest.approx(100 * (np.mean(flat < v) + np.mean(flat == v) / 2))
    others = run.values.loc[[c for c in run.controls if c != "A02"], feature]
    assert first["well_z"] == pytest.approx((run.values.loc["A02", feature] - others.mean()) / others.std())
    assert got.attrs["notes"] == [] and got.attrs["foreground"]


def test_the_remainder_of_a_field_goes_with_its_last_patch(run):
    got = explain(run, "A02", at=(34.4, 0))
    assert got.attrs["patches"] == 1 and got.empty
    assert "background" in got.attrs["notes"][0]


def test_explain_a_cell_pools_by_area(run):
    labels = np.zeros((35, 40), dtype=np.int32)
    labels[4:12, 0:8] = 6  # half in patch (0, 0), half in (1, 0)
    got = explain(run, "A02", "1", cell=(labels, 6))
    activation = {f: (run.activation("A02", "1", f)[0, 0] + run.activation("A02", "1", f)[1, 0]) / 2 for f in range(12)}
    assert got["activation"].to_dict() == pytest.approx({f: v for f, v in activation.items() if v})
    assert got.attrs["cell"] == 6 and got.attrs["patches"] == 2
    assert got["share"].sum() == pytest.approx(1)
    token = run.tokens("A02")[:2, 0].mean(axis=0)
    np.testing.assert_allclose(got["alignment"], run.lens.dictionary.atoms[got.index] @ token, rtol=1e-4, atol=1e-6)
    assert got["percentile"].isna().all()
    labels[14:17, 3:9] = 2
    from napari_phenolens.analysis.explain import _weights
    from napari_phenolens.analysis.places import find_field

    pooled = pooling_weights(labels, 8).toarray()
    for row, label in enumerate((2, 6)):
        np.testing.assert_allclose(_weights(find_field(run, "A02", None), None, (labels, label))[0], pooled[row])
    same = explain(run, "A02", "1", cell=labels == 6)
    assert same["activation"].to_dict() == got["activation"].to_dict()
    clicked = explain(run, "A02", "1", at=(5, 5), cell=labels)
    assert clicked["activation"].to_dict() == got["activation"].to_dict()


def test_explain_errors(run):
    with pytest.raises(AnalysisError, match=r"outside field 1 of well A02, which has 35 x 40 pixels"):
        explain(run, "A02", at=(35, 0))
    with pytest.raises(AnalysisError, match="outside"):
        explain(run, "A02", at=(-1, 0))
    with pytest.raises(AnalysisError, match="needs a place"):
        explain(run, "A02")
    labels = np.zeros((35, 40), dtype=np.int32)
    with pytest.raises(AnalysisError, match="no cell 0"):
        explain(run, "A02", at=(1, 1), cell=labels)
    with pytest.raises(AnalysisError, match="no cell 3"):
        explain(run, "A02", cell=(labels, 3))
    with pytest.raises(AnalysisError, match="shape"):
        explain(run, "A02", cell=np.zeros((3, 3), bool))


def test_without_tokens_or_controls_it_says_what_is_missing(make_run, scattered):
    run = make_run(scattered, m=12, has_tokens=False, controls=[])
    got = explain(run, "A02", at=(1, 1))
    assert got["alignment"].isna().all() and got["percentile"].isna().all() and got["well_z"].isna().all()
    assert len(got.attrs["notes"]) == 3 and "files are gone" in got.attrs["notes"][0]


def test_tile_position_share(run):
    from types import SimpleNamespace

    from napari_phenolens.analysis import tile_position_share
    from napari_phenolens.run.geometry import plan_tiles, tile_positions

    run.h, run.w, run.lens.patch = 40, 38, 8
    run.lens.tile, run.lens.margin = 64, 1
    run.__class__.__hash__ = object.__hash__
    position = tile_positions(plan_tiles((323, 304), 8, 64, 1)).ravel()
    rng = np.random.default_rng(0)
    inside = np.zeros((40, 38), dtype=bool)
    inside[2:, 3:] = True

    def codes(well, field=None):
        value = np.abs(rng.normal(size=(40 * 38, 3)))
        value[:, 1] += 3 * (position % 8)  # feature 5 follows the column in the tile
        index = np.tile([4, 5, 6], (40 * 38, 1))
        return index, value

    run.codes, run.foreground = codes, lambda well, field=None: inside
    got = tile_position_share(run)
    assert got[5] > 0.9
    assert abs(got[4]) < 0.02 and abs(got[6]) < 0.02
    assert np.isnan(got[0])
    # against a table of groups
    frame = pd.DataFrame({"g": position, "v": codes("A01")[1][:, 1]})[inside.ravel() & (position >= 0)]
    r2 = frame.groupby("g")["v"].transform("mean").var() / frame["v"].var()
    assert got[5] == pytest.approx(r2, abs=0.02)
    run.lens = SimpleNamespace()
    with pytest.raises(PhenoLensError, match="lenses of patches"):
        tile_position_share(run)
