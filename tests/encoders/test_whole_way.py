"""Encoders of other patch sizes go the whole way: lens, run, tokens once more, command line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile
from tiny_timm import make_weights
from typer.testing import CliRunner

from napari_phenolens import apply_lens, estimate, fit_lens, heatmap, load_lens, open_plate, open_run
from napari_phenolens.cli.commands import app
from napari_phenolens.encoders import LicenceNotAcceptedError, load_encoder
from napari_phenolens.lens import LensError
from napari_phenolens.run import RunError

WELLS = {"A04": "negcon", "D05": "negcon", "D08": "poscon", "E05": "poscon"}
SHAPE = (200, 156)  # px: no multiple of 14, and not square
GRID = (14, 11)  # a patch stays where its centre lies inside
FIT = {"atoms": 24, "sparsity": (3, 2), "steps": 20, "device": "cpu"}
CONTROLS = "control_type == 'negcon'"


@pytest.fixture(scope="module")
def plate(repo, tmp_path_factory):
    """Four wells of the demo plate, cut to an awkward size."""
    folder = tmp_path_factory.mktemp("plate")
    for well in WELLS:
        for source in (repo / "sample_data").glob(f"{well}_*.tif"):
            tifffile.imwrite(folder / source.name, tifffile.imread(source)[: SHAPE[0], : SHAPE[1]])
    pd.DataFrame({"well": list(WELLS), "control_type": list(WELLS.values())}).to_csv(folder / "map.csv", index=False)
    return open_plate(folder, folder / "map.csv")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "dinov2.safetensors"
    make_weights("tiny_dinov2", path)
    return path


@pytest.fixture(scope="module")
def finished(plate, weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    lens = fit_lens(
        plate, CONTROLS, encoder="timm:tiny_dinov2?tile=112", block=2, weights=weights, tokens=folder / "tokens", **FIT
    )
    lens.save(folder / "lens")
    again = load_lens(folder / "lens.safetensors")
    # No file is named: the one of the lens's checksum was used on this machine before.
    return apply_lens(again, plate, folder / "out", device="cpu", tokens=folder / "tokens")


def test_a_lens_says_which_encoder(finished, weights):
    lens = finished.lens
    assert lens.encoder == "timm:tiny_dinov2.test?tile=112" and lens.block == 2
    assert lens.encoder_sha256 == load_encoder("timm:tiny_dinov2", weights=weights, device="cpu").sha256
    assert (lens.patch, lens.tile, lens.channel_pooling) == (14, 112, "concat")
    assert lens.whitening.mean.shape == (3 * 48,)  # three channels, each with tokens of its own


def test_a_run_has_the_grid_of_the_patches(finished):
    assert finished.complete and len(finished.skipped) == 0 and list(finished.wells) == list(WELLS)
    index, values = finished.codes("D08")
    assert index.shape == values.shape == (GRID[0] * GRID[1], 6)
    assert np.isfinite(finished.profiles().to_numpy()).all()
    found = heatmap(finished, "D08", None, 0)
    assert found.values.shape == GRID and found.scale == (14, 14) and found.translate == (6.5, 6.5)


def test_tokens_are_encoded_once_more(finished, weights, tmp_path):
    stored = finished.tokens("D08")
    assert stored.shape[:2] == GRID
    elsewhere = open_run(finished.path)
    for file in (finished.path.parent / "tokens").rglob("zarr.json"):
        if file.parent.parent.name == "D08":
            file.unlink()  # the store no longer has this well's tokens
    np.testing.assert_allclose(elsewhere.tokens("D08"), stored, atol=2e-2)


def test_an_estimate_counts_its_tiles(plate, weights):
    found = estimate(plate, encoder="timm:tiny_dinov2?tile=112", weights=weights, device="cpu")
    assert found.fields == 4 and found.tiles == 4 * 4 * 4 - 4 * 4  # 4 x 3 tiles a field: steps of 4 patches
    with pytest.raises(RunError, match="leaves nothing of a tile of 4"):
        fit_lens(plate, CONTROLS, encoder="timm:tiny_dinov2?tile=56", weights=weights, **FIT)


def test_the_wrong_number_of_channels_is_said(plate, weights):
    with pytest.raises(RunError, match=r"takes 3 channels, 2 are chosen; choose with --channels"):
        fit_lens(
            plate, CONTROLS, encoder="timm:tiny_dinov2?channels=triple", channels=["DNA", "Actin"], weights=weights,
            **FIT,
        )  # fmt: skip


def test_other_weights_than_the_lens_has_are_refused(finished, plate, tmp_path):
    make_weights("tiny_dinov2", tmp_path / "other.safetensors", img_size=112)
    with pytest.raises((RunError, LensError), match="not those the lens was fitted with"):
        apply_lens(
            finished.lens, plate, tmp_path / "out", device="cpu", weights=tmp_path / "other.safetensors",
            tokens=tmp_path / "tokens",
        )  # fmt: skip


def test_a_triple_on_the_command_line(plate, tmp_path):
    path = tmp_path / "dinov3.safetensors"
    make_weights("tiny_dinov3", path)
    given = [
        "run", str(plate.path), "--platemap", str(plate.path / "map.csv"), "--tokens", str(tmp_path / "tokens"),
        "--device", "cpu",
    ]  # fmt: skip
    chosen = [
        "--controls", CONTROLS, "--encoder", "timm:tiny_dinov3?tile=128&channels=triple", "--block", "3",
        "--weights", str(path), "--channels", "DNA,Actin,Reporter", "--atoms", "16", "--sparsity", "2,2",
    ]  # fmt: skip
    done = CliRunner().invoke(app, [*given, *chosen, "--out", str(tmp_path / "one")])
    assert done.exit_code == 0, done.stderr
    one = open_run(tmp_path / "one")
    assert one.lens.encoder == "timm:tiny_dinov3.test?channels=triple&tile=128" and one.lens.block == 3
    assert one.lens.whitening.mean.shape == (48,) and one.lens.channels == ("DNA", "Actin", "Reporter")
    # The same lens on the same plate, its weights named again.
    lens = ["--lens", str(tmp_path / "one" / "lens.safetensors"), "--weights", str(path)]
    done = CliRunner().invoke(app, [*given, *lens, "--out", str(tmp_path / "two")])
    assert done.exit_code == 0, done.stderr
    pd.testing.assert_frame_equal(open_run(tmp_path / "two").profiles(), one.profiles())


def test_a_licence_stands_before_a_run(plate, tmp_path, monkeypatch):
    monkeypatch.setenv("PHENOLENS_CONFIG", str(tmp_path / "config"))
    with pytest.raises(LicenceNotAcceptedError, match="Recursion"):
        fit_lens(plate, CONTROLS, encoder="openphenom", **FIT)
    given = ["run", str(plate.path), "--platemap", str(plate.path / "map.csv"), "--out", str(tmp_path / "out")]
    given += ["--controls", CONTROLS, "--encoder", "openphenom"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 1 and "--accept-licence" in done.stderr and "openphenom" in done.stderr
    done = CliRunner().invoke(app, [*given, "--accept-licence"])
    assert "accepted, the licence of openphenom" in done.stderr and "out of reach" in done.stderr
