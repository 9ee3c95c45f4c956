"""Whitening and coding where the engine computes. The GPU is played by torch's CPU."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from played_devices import play

from napari_phenolens.dictionary import DictionaryError, torch_products
from napari_phenolens.dictionary.coder import IcflCoder
from napari_phenolens.dictionary.torch_coder import TorchIcflCoder
from napari_phenolens.run import apply, apply_lens
from napari_phenolens.run.coding import Coding


@pytest.fixture
def coding(finished, monkeypatch):
    """Coding with the lens of a finished run on two played GPUs."""
    monkeypatch.setattr(torch_products, "device_of", lambda name: torch.device("cpu"))
    return Coding(finished.lens, SimpleNamespace(devices=("gpu:0", "gpu:1")))


@pytest.fixture
def tokens(finished):
    mean, d = finished.lens.whitening.mean, finished.lens.whitening.d
    return (mean + np.random.default_rng(0).normal(size=(600, d))).astype(np.float32)


def alike(got, want, atol=1e-4):
    a, b = (np.sort(np.where(value != 0, index, -1), axis=1) for index, value in (got, want))
    same = (a == b).all(axis=1)
    np.testing.assert_allclose(np.sort(got[1][same]), np.sort(want[1][same]), atol=atol)
    return same.mean()


def test_a_run_on_a_gpu_codes_there(finished, plate, tmp_path, monkeypatch):
    loaded, _ = play(monkeypatch, apply, "load_encoder")
    rows = []
    real = TorchIcflCoder.encode
    monkeypatch.setattr(TorchIcflCoder, "encode", lambda self, x, **how: rows.append(len(x)) or real(self, x, **how))

    def never(*_, **__):
        raise AssertionError("the CPU's coder was asked")

    monkeypatch.setattr(IcflCoder, "encode_stages", never)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = apply_lens(
            finished.lens, plate, tmp_path / "run", tokens=tmp_path / "t", device="gpu:0", batch=4, precision="float32"
        )
    assert run.complete and set(loaded) == {"gpu:0"}
    assert sum(rows) == int(run.field_table["foreground"].sum()) > 500
    halves = 1e-3  # what is stored is rounded to half precision
    shares = [alike(run.codes(w, f), finished.codes(w, f), halves) for w in run.wells for f in run.fields(w)]
    assert np.mean(shares) >= 0.999
    np.testing.assert_allclose(run.profiles(), finished.profiles(), atol=1e-3)
    assert "gpu:0" not in finished.lens.dictionary._coders, "the lens given holds nothing on the GPU afterwards"


def test_whitening_and_codes_are_those_of_the_cpu(coding, tokens, finished):
    lens = finished.lens
    white = coding.whiten(tokens, 1)
    np.testing.assert_allclose(white, lens.whitening(tokens), atol=1e-5)
    assert alike(coding.encode(white, 1), lens.dictionary.encode(white)) >= 0.999
    assert set(coding._own[1]._coders) == {"gpu:1"}, "another well, another GPU"
    with pytest.raises(DictionaryError, match="row 3"):  # no fault of the device
        white[3, 0] = np.nan
        coding.encode(white)
    assert not coding._failed


def test_short_memory_means_smaller_parts(coding, tokens, finished, monkeypatch):
    parts = []
    real = TorchIcflCoder.encode

    def small(self, x, **how):
        if len(x) > 160:
            raise torch.OutOfMemoryError(f"tried to allocate {len(x)} rows")
        parts.append(len(x))
        return real(self, x, **how)

    monkeypatch.setattr(TorchIcflCoder, "encode", small)
    white = coding.whiten(tokens)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert alike(coding.encode(white), finished.lens.dictionary.encode(white)) >= 0.999
    assert parts == [150] * 4


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA error: unspecified\nmore words"), NotImplementedError("no such op")]
)
def test_a_gpu_that_cannot_code_is_left_to_the_forwards_with_one_message(coding, tokens, finished, monkeypatch, error):
    asked = []

    def fails(self, x, **how):
        asked.append(len(x))
        raise error

    monkeypatch.setattr(TorchIcflCoder, "encode", fails)
    white = coding.whiten(tokens)
    words = str(error).splitlines()[0]
    with pytest.warns(UserWarning, match=rf"^gpu:0 cannot code \({words}\); tokens are coded on the CPU") as said:
        for _ in range(2):
            got, want = coding.encode(white), finished.lens.dictionary.encode(white)
            assert (got[0] == want[0]).all() and (got[1] == want[1]).all()
    assert len(said) == 1 and asked == [600]
    assert coding._engine.devices == ("gpu:0", "gpu:1")


def test_a_device_whose_products_are_rounded_is_not_used(coding, tokens, monkeypatch):
    def rounds(where):
        raise torch_products.DeviceError("matrix products are rounded")

    monkeypatch.setattr(torch_products, "check_products", rounds)
    white = coding.whiten(tokens)
    with pytest.warns(UserWarning, match="gpu:0 cannot code"):
        coding.encode(white)


def test_on_the_cpu_nothing_is_brought_elsewhere(finished, tokens):
    for engine in (None, SimpleNamespace(devices=("cpu",))):
        coding = Coding(finished.lens, engine)
        white = coding.whiten(tokens)
        got, want = coding.encode(white), finished.lens.dictionary.encode(white)
        assert (got[0] == want[0]).all() and (got[1] == want[1]).all() and "_own" not in vars(coding)
