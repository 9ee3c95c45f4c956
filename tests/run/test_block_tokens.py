"""Mean foreground tokens of all blocks in one pass: they are those of the lens, they are kept, and bad fields pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from miniplate import NEGATIVE, WELLS, write_plate
from played_devices import play

from napari_phenolens.encoders import load_encoder
from napari_phenolens.errors import Cancelled
from napari_phenolens.plate import open_plate
from napari_phenolens.run import block_tokens as room
from napari_phenolens.run import fleet, opening
from napari_phenolens.run.block_sums import Shown, field_sums
from napari_phenolens.run.block_tokens import block_tokens
from napari_phenolens.run.engine import Engine
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import TokenSettings, pool_channels
from napari_phenolens.run.geometry import assemble, cut_tiles
from napari_phenolens.run.pixels import fit_normalisation, normalise

EVERY = [(0, well) for well in WELLS]


@pytest.fixture
def gather(plate: Any, tmp_path: Any) -> Any:
    def call(**given: Any) -> Any:
        chosen = {"device": "cpu", "tokens": tmp_path, "fields": 1} | given
        return block_tokens([plate], chosen.pop("wells", EVERY[:2]), {0: plate.select(NEGATIVE)}, **chosen)

    return call


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Any:
    return play(monkeypatch, opening, "load_encoder")


@pytest.mark.parametrize("pooling", ["concat", "mean"])
def test_they_are_the_means_over_the_foreground_of_the_assembled_tokens(
    plate: Any, gather: Any, pooling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(room, "TokenSettings", lambda *args: seen.setdefault("settings", TokenSettings(*args)))
    whole = room.Foreground.patches

    def patches(self: Any, *args: Any, **more: Any) -> Any:
        seen["foreground"] = whole(self, *args, **more)
        return seen["foreground"]

    monkeypatch.setattr(room.Foreground, "patches", patches)
    found = gather(wells=[(0, "C01")], channel_pooling=pooling, blocks=[2, 5])
    field, settings, foreground = plate.wells["C01"].fields[0], seen["settings"], seen["foreground"]
    assert 0 < foreground.mean() < 1
    assert found.patches.tolist() == [foreground.sum()]
    plan = settings.plan(field)
    tiles = cut_tiles(normalise(settings.read(field), settings.normalisation), plan)
    for block in (2, 5):
        tokens = pool_channels(load_encoder("camae-micro", device="cpu", block=block).tokens(tiles), pooling)
        expected = assemble(tokens, plan)[foreground].mean(0)
        assert found.means[block].shape == (1, len(expected))
        np.testing.assert_allclose(found.means[block][0], expected, atol=2e-5)


def test_all_blocks_of_all_wells(gather: Any) -> None:
    told: list[Any] = []
    found = gather(wells=[(0, "A01"), (0, "D02")], progress=told.append)
    assert found.blocks == (1, 2, 3, 4, 5, 6) == tuple(found.means)
    assert found.own == 4
    assert found.wells == ((0, "A01"), (0, "D02"))
    assert all(np.isfinite(means).all() and means.shape == (2, 384) for means in found.means.values())
    assert (told[-1].stage, told[-1].done, told[-1].total) == ("blocks", 2, 2)


def test_finished_wells_are_kept_and_damaged_ones_done_again(
    gather: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = gather(blocks=[1, 2])
    kept = sorted(tmp_path.rglob("*.npz"))
    assert [path.stem for path in kept] == ["A01", "A02"]
    kept[1].write_bytes(kept[1].read_bytes()[:100])
    encoded: list[int] = []
    sums = room.field_sums
    monkeypatch.setattr(room, "field_sums", lambda *args, **more: encoded.append(1) or sums(*args, **more))
    again = gather(blocks=[1, 2])
    assert len(encoded) == 1
    for block in (1, 2):
        np.testing.assert_array_equal(first.means[block], again.means[block])


def test_it_stops_and_goes_on(gather: Any, tmp_path: Any) -> None:
    done: list[Any] = []
    with pytest.raises(Cancelled):
        gather(blocks=[1], progress=done.append, cancel=lambda: any(p.stage == "blocks" and p.done for p in done))
    assert [path.stem for path in tmp_path.rglob("*.npz")] == ["A01"]
    assert len(gather(blocks=[1]).wells) == 2


def test_bad_fields_and_empty_wells_end_nothing(tmp_path: Any) -> None:
    folder = write_plate(tmp_path / "plate", wells=WELLS[:4], fields=1)
    (folder / "A02_f1_GFP.tif").write_bytes(b"no picture")
    shape = tifffile.imread(folder / "B02_f1_DNA.tif").shape
    tifffile.imwrite(folder / "B02_f1_DNA.tif", np.full(shape, 100, np.uint16))
    plate = open_plate(folder, folder / "platemap.csv")
    found = block_tokens([plate], EVERY[:4], {0: ["A01", "B01"]}, blocks=[1], device="cpu", tokens=tmp_path / "kept")
    assert found.patches[[0, 2]].all() and not found.patches[[1, 3]].any()
    assert np.isnan(found.means[1][[1, 3]]).all() and np.isfinite(found.means[1][[0, 2]]).all()
    assert [(p, w) for p, w, *_ in found.skipped] == [(0, "A02")]
    assert "A02" in found.skipped[0][3]
    # a file that cannot be read today may be there tomorrow: its well is not remembered
    assert sorted(path.stem for path in (tmp_path / "kept").rglob("*.npz")) == ["A01", "B01", "B02"]


def test_memory_that_runs_out_halves_the_batch(
    gather: Any, tmp_path: Any, devices: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, told = devices
    monkeypatch.setattr(fleet, "cpu_batch", lambda channels, tile: 32)
    whole = gather(blocks=[1, 3])
    assert max(loaded["cpu"].batches) > 1
    told["cpu"] = {"most": 1}
    less = gather(blocks=[1, 3], tokens=tmp_path / "other")
    assert set(loaded["cpu"].batches) == {1}
    for block in (1, 3):
        np.testing.assert_allclose(less.means[block], whole.means[block], rtol=1e-5, atol=1e-5)


def test_devices_share_the_wells_and_the_cpu_goes_on_alone(gather: Any, tmp_path: Any, devices: Any) -> None:
    loaded, told = devices
    whole = gather(wells=EVERY[1:5], blocks=[1, 2], device="cpu")
    how = {"wells": EVERY[1:5], "blocks": [1, 2], "batch": 2, "precision": "float32"}
    two = gather(device="gpu:0,gpu:1", tokens=tmp_path / "two", **how)
    assert loaded["gpu:0"].batches and loaded["gpu:1"].batches
    told["gpu:0"] = {"lost_after": 3}
    with pytest.warns(UserWarning, match=r"gpu:0 has stopped working .* computed on the CPU") as said:
        lost = gather(device="gpu:0", tokens=tmp_path / "lost", **how)
    assert len([w for w in said if "stopped working" in str(w.message)]) == 1
    assert loaded["cpu"].batches and not lost.skipped
    for found in (two, lost):
        np.testing.assert_array_equal(found.patches, whole.patches)
        for block in (1, 2):
            np.testing.assert_allclose(found.means[block], whole.means[block], rtol=1e-5, atol=1e-5)


def test_a_coarser_stage_gets_the_weight_of_its_patches(plate: Any) -> None:
    """A hierarchical network: tokens of the later block cover four patches each."""

    class Staged:
        device = "cpu"
        default_tile = 128

        def forward_tensor(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.forward_tensors(pixels, (2,))[2]

        def forward_tensors(self, pixels: torch.Tensor, blocks: Any) -> dict[int, torch.Tensor]:
            fine = torch.nn.functional.avg_pool2d(pixels, 8)[..., None]
            coarse = torch.nn.functional.avg_pool2d(pixels, 16)[..., None]
            return {1: fine, 2: torch.cat([coarse, coarse * 2], -1)}

    field = plate.wells["A01"].fields[0]
    image = field.read(["DNA", "GFP"])
    numbers = fit_normalisation([image], "plate", (0.0, 1.0))
    settings = TokenSettings(("DNA", "GFP"), ("DNA", "GFP"), "concat", 8, 128, 0, None, numbers)
    foreground = np.zeros(settings.plan(field).grid, bool)
    foreground[:4, :2] = True  # whole coarse patches of one tile alone
    engine = Engine(lambda _: Staged(), "cpu", batch=1)  # type: ignore[arg-type, return-value]
    found = field_sums([Shown(image, foreground)], settings, engine, (1, 2))[0]
    pixels = normalise(image, numbers)[:, :32, :16].mean((1, 2)) * 8
    np.testing.assert_allclose(found[1], pixels, rtol=1e-4)
    np.testing.assert_allclose(found[2], np.outer(pixels, [1, 2]).ravel(), rtol=1e-4)


@pytest.mark.parametrize(
    ("model", "name", "dims"),
    [
        ("tiny_dinov2", "?tile=112", [48, 48, 48]),
        ("tiny_hiera", "", None),
        ("tiny_dinov3", "?channels=triple&tile=128", [48] * 3),
    ],
)
def test_any_encoder_works(tmp_path: Any, model: str, name: str, dims: list[int] | None) -> None:
    from tiny_timm import make_weights

    make_weights(model, tmp_path / "weights.safetensors")
    folder = write_plate(tmp_path / "plate", wells=WELLS[:2], fields=1)
    triple = "triple" in name
    if triple:
        for well in WELLS[:2]:
            tifffile.imwrite(folder / f"{well}_f1_RNA.tif", tifffile.imread(folder / f"{well}_f1_DNA.tif")[::-1].copy())
    plate = open_plate(folder, folder / "platemap.csv")
    found = block_tokens(
        [plate], EVERY[:2], {0: WELLS[:2]}, encoder=f"timm:{model}{name}", weights=tmp_path / "weights.safetensors",
        device="cpu", tokens=tmp_path / "kept",
    )  # fmt: skip
    enc = load_encoder(f"timm:{model}{name}", weights=tmp_path / "weights.safetensors", device="cpu")
    assert found.blocks == tuple(range(1, enc.blocks + 1))
    times = 1 if triple else len(plate.channels)
    assert [means.shape for means in found.means.values()] == [(2, times * enc.dim_of(b)) for b in found.blocks]
    assert dims is None or [enc.dim_of(b) for b in found.blocks] == dims
    assert all(np.isfinite(means).all() for means in found.means.values())


def test_what_does_not_fit_says_so(gather: Any) -> None:
    with pytest.raises(RunError, match="blocks 1 to 6"):
        gather(blocks=[7])
    with pytest.raises(RunError, match="no channel X"):
        gather(channels=["X"])
    with pytest.raises(RunError, match="a margin of 8 patches leaves nothing"):
        gather(margin=8)
