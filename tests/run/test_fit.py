"""Fitting a lens: all methods and whitenings, warm starts, wells left out."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from miniplate import NEGATIVE, SETTINGS, write_plate
from scipy.ndimage import gaussian_filter

from napari_phenolens.analysis.sides import lens_key
from napari_phenolens.dictionary import DictionaryError
from napari_phenolens.lens import Normalisation, load_lens
from napari_phenolens.plate import open_plate
from napari_phenolens.run import RunError, apply_lens, fit_lens, open_run, run_plate

FEW = {**SETTINGS, "steps": 12}
pytestmark = pytest.mark.filterwarnings("ignore:only .* control tokens:UserWarning")


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    """Eight wells of one field."""
    folder = write_plate(tmp_path_factory.mktemp("fits") / "mini", fields=1)
    return open_plate(folder, folder / "platemap.csv")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """Token stores, so that the plate is encoded once."""
    return tmp_path_factory.mktemp("tokens")


def fitted(plate, tokens, **settings):
    return fit_lens(plate, NEGATIVE, tokens=tokens, **(FEW | settings))


@pytest.mark.parametrize(
    ("method", "whitening"), [("nested", "none"), ("batchtopk", "center"), ("mpsae", "tvn"), ("topk", "pca")]
)
def test_a_lens_of_every_method_and_whitening_saved_and_coded_with(plate, tokens, tmp_path, method, whitening):
    lens = fitted(plate, tokens, method=method, whitening=whitening)
    assert lens.dictionary.method == method == lens.facts["settings"]["method"]
    assert lens.whitening.kind == whitening == lens.facts["settings"]["whitening"]
    assert lens.dictionary.levels == ((3, 12, 48) if method == "nested" else None)
    assert not lens.align and lens.common is None and "start" not in lens.facts and "fit_on" not in lens.facts
    back = load_lens(lens.save(tmp_path / "lens"))
    assert back.fingerprint == lens.fingerprint and back.dictionary.k == lens.dictionary.k
    x = np.random.default_rng(0).normal(size=(20, lens.whitening.p)).astype(np.float32)
    for a, b in zip(lens.dictionary.encode(x), back.dictionary.encode(x), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_cannot_be_is_said_before_anything_is_encoded(plate, tmp_path):
    for error, what, settings in [
        (RunError, "whitening 'zca' is unknown", {"whitening": "zca"}),
        (DictionaryError, "method 'kmeans' is unknown", {"method": "kmeans"}),
        (DictionaryError, "2 rounds cannot be shared out", {"method": "nested", "sparsity": (2, 2)}),
        (DictionaryError, "needs as many atoms", {"method": "topk", "atoms": 4}),
        (RunError, "none of the 4 control wells is among the 4 wells to fit on", {"fit_on": "well > 'C'"}),
    ]:
        with pytest.raises(error, match=what):
            fitted(plate, tmp_path, **settings)
    assert not list(tmp_path.iterdir())


def test_aligned_plates(plate, tokens, tmp_path, monkeypatch):
    lens = fitted(plate, tokens, whitening="align")
    assert lens.align and lens.whitening.kind == "tvn" and lens.whitening.aligned_to == 0
    run = apply_lens(lens, plate, tmp_path / "one", tokens=tokens, device="cpu")
    assert run.lens.whitening.aligned_to > 0 and not run.plan.recentre
    assert run.lens.common is not None and run.lens.common.aligned_to == 0
    assert run.lens.fingerprint == lens.fingerprint == run.plan.lens
    assert apply_lens(lens, plate, tmp_path / "one", tokens=tokens, device="cpu").already_complete

    # a plate out of focus: its own controls become the origin and the unit of spread
    folder = shutil.copytree(plate.path, tmp_path / "blurred")
    for path in folder.glob("*.tif"):
        tifffile.imwrite(path, gaussian_filter(tifffile.imread(path), 2))
    blurred = open_plate(folder, folder / "platemap.csv")
    with pytest.raises(RunError, match="aligns every plate to its own controls; name them with --controls"):
        apply_lens(lens, blurred, tmp_path / "none", tokens=tokens, device="cpu")
    # from the lens of a run as from the lens itself: the common whitening is what is aligned
    other = apply_lens(run.lens, blurred, tmp_path / "two", controls=NEGATIVE, tokens=tokens, device="cpu")
    same = apply_lens(lens, blurred, tmp_path / "three", controls=NEGATIVE, tokens=tokens, device="cpu")
    np.testing.assert_array_equal(other.lens.whitening.matrix, same.lens.whitening.matrix)
    assert np.abs(other.lens.whitening.matrix - run.lens.whitening.matrix).max() > 1e-3
    means = []
    for white in (lens.whitening, other.lens.whitening):
        moved = replace(other.lens, whitening=white)
        monkeypatch.setattr(type(other), "lens", property(lambda _, lens=moved: lens))
        rows = [other.tokens(w)[other.foreground(w)] for w in other.select(NEGATIVE)]
        means.append(np.abs(np.concatenate(rows).mean(0)).max())
    assert means[0] > 0.3 and means[1] < 1e-3
    monkeypatch.undo()
    assert lens_key(other.lens) == lens_key(run.lens) == lens_key(lens)  # features of both are the same things


def test_start_from_another_lens(plate, tokens, tmp_path):
    first = fitted(plate, tokens, atoms=24, seed=5)
    path = first.save(tmp_path / "first")
    again = fitted(plate, tokens, atoms=48, steps=1, start=path)
    # one step, at the end of its decay: atoms stay where they started, and the new ones are random
    assert again.facts["start"] == first.fingerprint
    cosine = (again.dictionary.atoms[:24] * first.dictionary.atoms).sum(1)
    assert cosine.min() > 0.99
    fresh = fitted(plate, tokens, atoms=48, steps=1)
    assert np.abs((fresh.dictionary.atoms[:24] * first.dictionary.atoms).sum(1)).max() < 0.9

    # through another whitening an atom stays the same direction of tokens
    plain = fitted(plate, tokens, atoms=24, steps=1, whitening="center", start=first)
    back = first.whitening.inverse(first.dictionary.atoms) - first.whitening.inverse(np.zeros((1, first.whitening.p)))
    back /= np.linalg.norm(back, axis=1, keepdims=True)
    assert (plain.dictionary.atoms * back).sum(1).min() > 0.98

    for what, settings in [
        ("block 1 there, 2 here", {"block": 2}),
        ("channels DNA, GFP there, GFP, DNA here", {"channels": ["GFP", "DNA"]}),
        ("channel pooling concat there, mean here", {"channel_pooling": "mean"}),
        ("has 24 features, 16 are asked for", {"atoms": 16}),
    ]:
        with pytest.raises(RunError, match=what):
            fitted(plate, tmp_path / "tokens", **({"atoms": 48, "start": first} | settings))


def test_wells_left_out_of_fitting_decide_nothing(plate, tokens, tmp_path):
    # the same lens comes out where all files of the wells left out are replaced by noise
    query = "well.str.endswith('1')"
    lens = fitted(plate, tokens, fit_on=query)
    assert lens.facts["fit_on"] == [f"{plate.name}/{w}" for w in ("A01", "B01", "C01", "D01")]
    assert lens.controls_of(plate.name) == ["A01", "B01"] and lens.facts["dictionary_wells"] == 4
    assert lens.fingerprint != fitted(plate, tokens).fingerprint
    folder = shutil.copytree(plate.path, tmp_path / plate.path.name)
    for path in folder.glob("?02_*.tif"):
        tifffile.imwrite(path, np.random.default_rng(1).integers(0, 9000, (168, 150)).astype(np.uint16))
    noisy = open_plate(folder, folder / "platemap.csv")
    assert fitted(noisy, tmp_path / "tokens", fit_on=query).fingerprint == lens.fingerprint
    # the wells left out are coded all the same, with the pixel rule of those fitted on
    run = apply_lens(lens, plate, tmp_path / "run", tokens=tokens, device="cpu")
    assert list(run.wells) == list(plate.wells) and run.profiles().notna().all(axis=None)
    assert Normalisation.from_dict(run.plan.normalisation) == lens.normalisation


def test_one_command_with_all_of_it(plate, tokens, tmp_path):
    first = fitted(plate, tokens)
    settings = {**FEW, "method": "nested", "whitening": "align", "start": first, "fit_on": "well < 'D'", "seed": 2}
    run = run_plate(plate, tmp_path / "run", controls=NEGATIVE, tokens=tokens, **settings)
    alone = fit_lens(plate, NEGATIVE, tokens=tokens, **settings)
    assert run.lens.fingerprint == alone.fingerprint and run.lens.dictionary.levels == (3, 12, 48)
    assert run_plate(plate, tmp_path / "run", controls=NEGATIVE, tokens=tokens, **settings).already_complete
    assert open_run(tmp_path / "run").lens.facts["start"] == first.fingerprint
    with pytest.raises(RunError, match="other settings"):
        run_plate(plate, tmp_path / "run", controls=NEGATIVE, tokens=tokens, **settings | {"fit_on": "well < 'C'"})


def test_wells_are_left_out_of_each_of_several_plates(plate, tokens, tmp_path):
    second = open_plate(
        write_plate(tmp_path / "second", wells=["A01", "C01"], fields=1), tmp_path / "second/platemap.csv"
    )
    lens = fitted([plate, second], tokens, whitening="align", fit_on="well.str.endswith('1')")
    assert lens.plates == ("mini", "second") and lens.facts["fit_on"][-2:] == ["second/A01", "second/C01"]
    assert lens.controls == ("mini/A01", "mini/B01", "second/A01")
