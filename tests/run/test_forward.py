"""Forwards where memory is short, a device is lost, or several share the work. Devices are played by the CPU."""

from __future__ import annotations

import json
import shutil
import threading
import warnings

import numpy as np
import pytest
import tifffile
import torch
from miniplate import NEGATIVE, assert_same, draw, write_plate
from played_devices import Played, Watched, play

from napari_phenolens.encoders import load_encoder
from napari_phenolens.errors import Cancelled
from napari_phenolens.plate import open_plate
from napari_phenolens.run import RunError, apply, apply_lens, lanes
from napari_phenolens.run.engine import Engine, encode_field
from napari_phenolens.run.fleet import Choices
from napari_phenolens.run.lanes import find_batch, settle_precision
from napari_phenolens.run.stream import bundles
from napari_phenolens.run.token_store import TokenStore


@pytest.fixture
def devices(monkeypatch):
    return play(monkeypatch, apply, "load_encoder")


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Two wells of one field of 49 tiles."""
    folder = write_plate(tmp_path_factory.mktemp("wide") / "plate", ["A01", "C01"], 1)
    for w, well in enumerate(("A01", "C01")):
        image = np.tile(draw(np.random.default_rng([w, 9]), well == "C01"), (1, 4, 5))[:, :640, :640]
        for name, plane in zip(("DNA", "GFP"), image, strict=True):
            tifffile.imwrite(folder / f"{well}_f1_{name}.tif", plane)
    return open_plate(folder, folder / "platemap.csv")


def same_codes(one, other, wells, fields=(0,)):
    rows, alike = 0, 0
    for well in wells:
        for field in fields:
            (i, v), (j, w) = one.codes(well, field), other.codes(well, field)
            a, b = (np.sort(np.where(x != 0, y, -1), axis=1) for x, y in ((v, i), (w, j)))
            rows, alike = rows + len(a), alike + int((a == b).all(1).sum())
    return alike / rows


def stored(run, well, place=0):
    return TokenStore(run.path.parent / "t", run.plan.tokens).get(well, place)


def test_bundles_cover_the_list_and_do_not_depend_on_what_is_left():
    counts = [4, 4, 0, 9, 1, 1, 30, 4]
    found = bundles(counts, 8)
    assert [i for part in found for i in part] == list(range(8))
    assert [list(p) for p in found] == [[0, 1], [2, 3], [4, 5, 6], [7]]
    assert bundles(counts, 0) == [range(i, i + 1) for i in range(8)]
    assert bundles([], 8) == bundles([], 0) == []


def test_a_run_ends_at_a_smaller_batch_where_memory_is_short(finished, wide, tmp_path, devices):
    loaded, told = devices
    whole = apply_lens(finished.lens, wide, tmp_path / "a" / "run", tokens=tmp_path / "a" / "t", device="cpu", batch=32)
    assert set(loaded["cpu"].batches) == {32, 17}
    told["cpu"] = {"most": 8}
    short = apply_lens(finished.lens, wide, tmp_path / "b" / "run", tokens=tmp_path / "b" / "t", device="cpu", batch=32)
    assert short.complete and max(loaded["cpu"].batches) == 8 and set(loaded["cpu"].batches) <= {8, 4, 1}
    for well in ("A01", "C01"):
        a, b = stored(whole, well).astype(np.float64), stored(short, well).astype(np.float64)
        assert np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(a)
    assert same_codes(whole, short, ("A01", "C01")) >= 0.999
    kept = json.loads((short.path / "engine.json").read_text())
    assert kept["cpu"]["batch"] == 8 and kept["cpu"]["precision"] == "float32"
    # what was found once holds for what follows in that folder
    (short.path / "done" / "C01.json").unlink()
    shutil.rmtree(tmp_path / "b" / "t" / short.plan.tokens / "C01")
    before = stored(whole, "C01")
    apply_lens(finished.lens, wide, tmp_path / "b" / "run", tokens=tmp_path / "b" / "t", device="cpu")
    assert set(loaded["cpu"].batches) == {8, 1} and np.abs(stored(short, "C01") - before).max() < 0.01


def test_a_tile_that_does_not_fit_is_said(finished, wide, tmp_path, devices):
    devices[1]["cpu"] = {"most": 0}
    with pytest.raises(RunError, match="a single tile of 128 px does not fit into memory"):
        apply_lens(finished.lens, wide, tmp_path / "run", tokens=tmp_path / "t", device="cpu")


def test_a_lost_device_is_made_up_for_by_the_cpu_with_one_message(finished, plate, tmp_path, devices):
    loaded, told = devices
    told["gpu:0"] = {"lost_after": 6}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = apply_lens(
            finished.lens, plate, tmp_path / "run", tokens=tmp_path / "t", device="gpu:0", batch=4, precision="float32"
        )
    about = [str(w.message) for w in said if "stopped working" in str(w.message)]
    assert len(about) == 1
    assert "gpu:0 has stopped working (CUDA error: an illegal memory access was encountered on gpu:0)" in about[0]
    assert "computed on the CPU" in about[0]
    assert run.complete and not len(run.skipped) and len(loaded["cpu"].batches) > 0
    assert same_codes(run, finished, run.wells, (0, 1)) >= 0.999


def test_a_device_with_too_little_memory_leaves_the_work_to_the_cpu(finished, plate, tmp_path, devices):
    devices[1]["gpu:0"] = {"most": 0}
    with pytest.warns(UserWarning, match=r"gpu:0 has stopped working \(tried to allocate 1 tiles\)"):
        run = apply_lens(finished.lens, plate, tmp_path / "run", tokens=tmp_path / "t", device="gpu:0", batch=4)
    assert run.complete and not len(run.skipped) and same_codes(run, finished, run.wells, (0, 1)) >= 0.999


def test_an_encoder_that_fails_ends_the_run_and_skips_no_field(finished, plate, tmp_path, devices):
    devices[1]["cpu"] = {"lost_after": 6}
    with pytest.raises(RuntimeError, match="CUDA error"):
        apply_lens(finished.lens, plate, tmp_path / "run", tokens=tmp_path / "t", device="cpu")
    devices[1].clear()
    again = apply_lens(finished.lens, plate, tmp_path / "run", tokens=tmp_path / "t", device="cpu")
    assert again.complete and not len(again.skipped)


def test_damaged_tokens_are_computed_again(finished, plate, tmp_path):
    tokens = tmp_path / "t"
    shutil.copytree(finished.path.parent / "tokens", tokens)
    chunk = next((tokens / finished.plan.tokens / "B01" / "0").glob("c/*/*"))
    chunk.write_bytes(chunk.read_bytes()[:100])
    run = apply_lens(finished.lens, plate, tmp_path / "run", tokens=tokens, device="cpu")
    assert_same(finished.path, run.path)


def test_several_devices_share_the_work_and_one_may_go(finished, plate, tmp_path, devices):
    loaded, told = devices
    two = {"device": "gpu:0,gpu:1", "batch": 4, "precision": "float32"}
    run = apply_lens(finished.lens, plate, tmp_path / "a", tokens=tmp_path / "ta", **two)
    tiles = {name: sum(found.batches) for name, found in loaded.items()}
    # 16 fields of 4 tiles; four of them, for the rounding, were encoded one by one before
    assert set(tiles) == {"gpu:0", "gpu:1"} and sum(tiles.values()) >= 64 and tiles["gpu:1"] >= 16
    assert same_codes(run, finished, run.wells, (0, 1)) >= 0.999
    told["gpu:1"] = {"lost_after": 2}
    with pytest.warns(UserWarning, match=r"gpu:1 has stopped working .* computed on gpu:0"):
        other = apply_lens(finished.lens, plate, tmp_path / "b", tokens=tmp_path / "tb", **two)
    assert other.complete and "cpu" not in loaded and same_codes(other, run, run.wells, (0, 1)) >= 0.999


def test_batches_across_fields_are_the_same_after_a_break(finished, plate, tmp_path, devices, monkeypatch):
    # nothing is kept in the token store: what is left is encoded again, in the very batches
    monkeypatch.setattr(TokenStore, "room_for", lambda self, size: False)
    how = {"tokens": tmp_path / "t", "device": "gpu:0", "batch": 3, "precision": "float32", "controls": NEGATIVE}
    whole = apply_lens(finished.lens, plate, tmp_path / "whole", **how)
    assert 3 in devices[0]["gpu:0"].batches
    done = []
    with pytest.raises(Cancelled):
        apply_lens(
            finished.lens, plate, tmp_path / "broken", progress=lambda p: done.append(p.stage == "apply"),
            cancel=lambda: sum(done) >= 5, **how,
        )  # fmt: skip
    assert 0 < len(list((tmp_path / "broken" / "done").glob("*.json"))) < 8
    assert_same(whole.path, apply_lens(finished.lens, plate, tmp_path / "broken", **how).path)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_tokens_do_not_depend_on_the_number_of_threads(plate, finished, monkeypatch, threads):
    from napari_phenolens.run.again import _settings

    settings, encoder = _settings(finished), load_encoder("camae-micro", device="cpu", block=1)
    image = settings.read(plate.wells["A01"].fields[0])
    before = torch.get_num_threads()
    expected = encode_field(image, settings, encoder)
    monkeypatch.setenv("PHENOLENS_THREADS", threads)
    np.testing.assert_array_equal(encode_field(image, settings, encoder), expected)
    assert torch.get_num_threads() == before  # threads that compute alone leave the others theirs
    found = []
    other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert found == [before]


def played(most=10**9, forward=None):
    lane = Played(Watched("gpu:0", most=most))
    if forward is not None:
        lane.forward = lambda tiles, margin=0: forward(tiles, lane.dtype)
    return lane


@pytest.mark.parametrize(
    ("errors", "chosen"),
    [
        ({torch.float16: 1e-3}, "float16"),
        ({torch.float16: float("nan"), torch.bfloat16: 4e-3}, "bfloat16"),
        ({torch.float16: 0.02, torch.bfloat16: 0.1}, "float32"),
    ],
)
def test_half_precision_is_taken_where_it_is_close_enough(errors, chosen):
    rng = np.random.default_rng(0)
    exact = torch.from_numpy(rng.normal(40, 1, (4, 2, 16, 16, 8)).astype(np.float32))  # far from zero, spread 1
    noise = torch.from_numpy(rng.normal(0, 1, exact.shape).astype(np.float32))
    lane = played(forward=lambda tiles, dtype: exact + errors.get(dtype, 0.0) * noise)
    assert settle_precision(lane, torch.zeros(4, 2, 128, 128), "auto") == chosen
    assert lane.dtype == lanes.PRECISIONS[chosen]
    assert settle_precision(lane, torch.zeros(4, 2, 128, 128), "bfloat16") == "bfloat16"


def test_autocast_really_halves_the_forward():
    lane = played()
    tiles = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 2, 128, 128)).astype(np.float32))
    exact = lane.forward(tiles)
    lane.dtype = torch.bfloat16
    half = lane.forward(tiles)
    assert half.dtype == torch.float32 and float((half - exact).abs().max()) > 1e-4


def test_the_batch_is_found_within_memory():
    tiles = torch.zeros(8, 2, 128, 128)
    assert find_batch(played(most=16), tiles) in (4, 8)
    small = played(forward=lambda tiles, dtype: torch.zeros(1))
    assert 8 <= find_batch(small, torch.zeros(1, 1, 8, 8)) <= lanes.LAST_BATCH


def test_an_engine_keeps_to_what_it_is_told():
    def never(device):
        raise AssertionError("loaded")

    told = Engine(never, "cpu", batch=5)
    told.adopt(Choices(32, 0, "float32"), print)
    assert told.choices.batch == 5
    free = Engine(never, "cpu")
    free.adopt(Choices(32, 0, "float32"), print)
    assert free.choices.batch == 32
    free.adopt(Choices(), print)  # no record says nothing
    assert free.choices.batch == 32
    with pytest.raises(RunError, match="a batch of 0 tiles"):
        Engine(never, "cpu", batch=0)
    with pytest.raises(RunError, match="precision 'half' is unknown"):
        Engine(never, "cpu", precision="half")
    with pytest.raises(RunError, match="is for GPUs"):
        Engine(never, "cpu", precision="bfloat16")
    with pytest.raises(RunError, match="no device is named"):
        Engine(never, " , ")
