"""The coders on a GPU, on torch's CPU: the same codes as the literal rule and as the coders on the CPU."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from sparse_rows import dense, unit

torch = pytest.importorskip("torch")

from napari_phenolens.dictionary import (  # noqa: E402
    Dictionary,
    DictionaryError,
    Whitening,
    icfl_encode,
    icfl_encode_reference,
    torch_coder,
)
from napari_phenolens.dictionary import torch_products as products  # noqa: E402
from napari_phenolens.dictionary.coder import IcflCoder  # noqa: E402
from napari_phenolens.dictionary.topk import TopKWeights, batch_width  # noqa: E402
from napari_phenolens.dictionary.torch_coder import TorchIcflCoder, TorchTopKCoder  # noqa: E402
from napari_phenolens.errors import Cancelled  # noqa: E402

pytestmark = pytest.mark.torch
CPU = torch.device("cpu")


def by_torch(with_gram: bool):
    def encode(x, atoms, rounds, per_round, **options):
        coder = TorchIcflCoder(atoms, rounds, per_round, CPU, **options)
        coder._pays = lambda n: with_gram
        return coder.encode(x)

    return encode


PATHS = pytest.mark.parametrize("encode", [by_torch(True), by_torch(False)], ids=["Gram", "residual"])


@pytest.fixture
def gpu(monkeypatch):
    """A device's name that torch's CPU plays."""
    monkeypatch.setattr(products, "device_of", lambda name: CPU)
    return "gpu:0"


def assert_equal_codes(got, want, m):
    a, b = dense(got, m), dense(want, m)
    same = ((a != 0) == (b != 0)).all(axis=1)
    same[same] = np.abs(a[same] - b[same]).max(axis=1) < 1e-4
    assert same.mean() > 0.999
    assert (got[0] == want[0]).all(axis=1).mean() > 0.99, "the slots stand in the same order"


@lru_cache
def drawn(m: int, p: int, n: int = 1001):
    rng = np.random.default_rng(m)
    return unit(rng.normal(size=(m, p))), rng.normal(size=(n, p)).astype(np.float32)


@lru_cache
def literal(m: int, p: int, rounds: int, per_round: int, **options):
    atoms, x = drawn(m, p)
    return icfl_encode_reference(x, atoms, rounds, per_round, **options)


@PATHS
@pytest.mark.parametrize(("m", "per_round", "rounds", "p"), [(64, 7, 3, 30), (100, 1, 8, 20), (257, 2, 10, 48)])
def test_equals_the_oracle_and_the_coder_on_the_cpu(encode, m, per_round, rounds, p):
    atoms, x = drawn(m, p)
    got = encode(x, atoms, rounds, per_round)
    assert got[0].dtype == np.int32 and got[1].dtype == np.float32
    assert got[0].shape == got[1].shape == (1001, rounds * per_round)
    assert_equal_codes(got, literal(m, p, rounds, per_round), m)
    assert_equal_codes(got, icfl_encode(x, atoms, rounds, per_round), m)


@PATHS
@pytest.mark.parametrize(("select", "refit"), [("absolute", "none"), ("signed", "end"), ("absolute", 3)])
def test_options_equal_the_oracle(encode, select, refit):
    atoms, x = drawn(200, 40)
    got = encode(x, atoms, 5, 2, select=select, refit=refit)
    assert_equal_codes(got, literal(200, 40, 5, 2, select=select, refit=refit), 200)


@PATHS
def test_nested_levels_equal_the_coder_on_the_cpu(encode):
    atoms, x = drawn(300, 40)
    got = encode(x, atoms, 8, 2, levels=(18, 75, 300))
    assert_equal_codes(got, IcflCoder(atoms, 8, 2, levels=(18, 75, 300)).encode(x), 300)
    assert (got[0][:, :2] < 18).all() and (got[0] >= 75).any()


@PATHS
def test_ties_repicks_and_zero_rows(encode):
    atoms = np.concatenate([np.eye(40, dtype=np.float32), np.eye(40, dtype=np.float32)[::-1]])  # each direction twice
    x = np.zeros((4, 40), np.float32)
    x[0, 7], x[1, [3, 30, 21]], x[2, 5], x[2, 6] = 1.0, 0.5, 2.0, 1.0
    index, value = encode(x, atoms, 1, 3)
    assert index[0, 0] == 7 and index[1].tolist() == [3, 21, 30] and index[2].tolist() == [5, 74, 6]
    np.testing.assert_allclose(value[1:3], [[0.5] * 3, [1.0, 1.0, 1.0]], atol=1e-5)
    assert not index[3].any() and not value[3].any()
    assert encode(x[:0], atoms, 1, 3)[0].shape == (0, 3)
    # two atoms 60 degrees apart: with L = 1 they are picked in turns, the residual halving each time
    apart, row = unit(np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])), np.array([[1.0, 0.9]], np.float32)
    got, want = (f(row, apart, 7, 1, select="absolute") for f in (encode, icfl_encode_reference))
    assert got[0].tolist() == want[0].tolist() == [[1, 0, 0, 0, 0, 0, 0]] and (got[1] != 0).sum() == 2
    np.testing.assert_allclose(got[1], want[1], atol=1e-5)
    np.testing.assert_allclose(got[1][:, :2] @ apart[[1, 0]], row, atol=0.01)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("m", [5, 64, 200])
def test_largest_is_exact_where_all_is_ties(m, absolute):
    c = np.random.default_rng(m).integers(-3, 3, (300, m)).astype(np.float32)
    rank = np.abs(c) if absolute else c
    want = np.argsort(-rank, axis=1, kind="stable")
    for count in (1, 3, 5):
        found = products.largest(torch.from_numpy(c), count, absolute=absolute).numpy()
        assert (found == want[:, :count]).all()
    index, value = (part.numpy() for part in torch_coder._top(torch.from_numpy(c), 5))
    want = np.argsort(-c, axis=1, kind="stable")[:, :5]
    assert (index == want).all() and (value == np.take_along_axis(c, want, 1)).all()


def test_single_precision_throughout_does_as_well(monkeypatch):
    # what MPS, which has no float64, computes with
    monkeypatch.setattr(products, "exact_dtype", lambda where: torch.float32)
    atoms, x = drawn(257, 48)
    assert_equal_codes(by_torch(False)(x, atoms, 10, 2), literal(257, 48, 10, 2), 257)


def test_chunks_are_small_and_change_nothing(monkeypatch):
    rng = np.random.default_rng(6)
    atoms, x = unit(rng.normal(size=(500, 32))), rng.normal(size=(1000, 32)).astype(np.float16)
    coder = TorchIcflCoder(atoms, 4, 2, CPU)
    assert coder.chunk > 1000
    whole, seen = coder.encode(x), []
    monkeypatch.setattr(products, "CHUNK_BYTES", 10**6)
    real = coder._pursue
    coder._pursue = lambda rows, gram: seen.append(len(rows)) or real(rows, gram)
    parts = coder.encode(x)
    assert sum(seen) == 1000 and max(seen) == coder.chunk < 130
    assert_equal_codes(parts, whole, 500)
    asked = []
    with pytest.raises(Cancelled):
        coder.encode(x, cancel=lambda: asked.append(1) or len(asked) > 2)
    assert len(asked) == 3


def test_the_product_or_the_gram_matrix_by_the_devices_figures(monkeypatch):
    def pays(p, per_round, ratio, rounds=10, n=2000, m=1024):
        return products.gram_pays(n, m, p, rounds, per_round, ratio)

    capability = {"h100": (9, 0), "rtx 4090": (8, 9)}
    found = {}
    for name, of in capability.items():
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda where, of=of: of)
        found[name] = products.operations_a_byte(torch.device("cuda"))
    assert found == {"h100": 17, "rtx 4090": 60} and products.operations_a_byte(CPU) == 5
    assert pays(384, 5, found["h100"]) and not pays(384, 9, found["h100"])
    assert not pays(384, 2, found["rtx 4090"]) and pays(768, 2, found["rtx 4090"])
    assert not pays(384, 2, 17, rounds=1) and not pays(384, 2, 17, n=100), "nothing to make up for the matrix with"
    assert not pays(384, 2, 17, n=10**6, m=20_000), "it would take 1.6 GB"
    coder = TorchIcflCoder(np.eye(64, 200, dtype=np.float32), 4, 2, CPU)
    coder.encode(np.ones((8, 200), np.float32))
    assert not coder._grams
    coder.encode(np.ones((64, 200), np.float32))
    assert set(coder._grams) == {64}


def test_products_are_in_full_single_precision_whatever_is_set():
    rng = np.random.default_rng(7)
    atoms, x = unit(rng.normal(size=(300, 40))), rng.normal(size=(500, 40)).astype(np.float32)
    plain = by_torch(False)(x, atoms, 5, 2)
    with torch.autocast("cpu", torch.bfloat16):
        inside = by_torch(False)(x, atoms, 5, 2)
        with pytest.raises(DictionaryError, match="rounded below single precision"):
            products.check_products(CPU)
    assert (plain[0] == inside[0]).all() and (plain[1] == inside[1]).all()
    products.check_products(CPU)


@pytest.mark.parametrize("newer", [False, True])
def test_tf32_is_off_while_coding_and_back_afterwards(newer):
    matmul = torch.backends.cuda.matmul
    if newer and not hasattr(matmul, "fp32_precision"):
        pytest.skip("this torch has the older setting alone")
    before = matmul.fp32_precision if newer else torch.get_float32_matmul_precision()
    try:
        if newer:
            matmul.fp32_precision = "tf32"
        else:
            torch.set_float32_matmul_precision("high")
        with products.full_float32(CPU), products.full_float32(CPU):
            assert torch.get_float32_matmul_precision() == "highest" and not matmul.allow_tf32
        assert (matmul.fp32_precision == "tf32") if newer else torch.get_float32_matmul_precision() == "high"
    finally:
        if newer:
            matmul.fp32_precision = before
        else:
            torch.set_float32_matmul_precision(before)
    with products.full_float32(CPU):
        assert torch.get_float32_matmul_precision() == "highest"
    assert products._inside == 0 and products._restore is None


@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_topk_equals_the_coder_on_the_cpu(threshold, gpu):
    rng = np.random.default_rng(8)
    atoms = unit(rng.normal(size=(200, 24)))
    weights = TopKWeights(
        2 * atoms, rng.normal(-0.5, 0.2, 200).astype(np.float32), rng.normal(0, 0.1, 24).astype(np.float32), threshold
    )
    dictionary = Dictionary(atoms, "batchtopk" if threshold else "topk", (4, 2), topk=weights)
    x = rng.normal(size=(700, 24)).astype(np.float32)
    x[3] = 0
    want = dictionary.encode(x)
    got = dictionary.encode(x, device=gpu)
    assert got[0].shape == (700, batch_width(8, 200) if threshold else 8)
    assert_equal_codes(got, want, 200)
    assert not got[1][3].any() and (got[1] == 0).any() and not got[0][got[1] == 0].any()
    assert isinstance(dictionary._coder(gpu), TorchTopKCoder)


@pytest.mark.parametrize("method", ["icfl", "nested", "mpsae"])
def test_a_dictionary_codes_on_a_device(method, gpu):
    rng = np.random.default_rng(9)
    atoms, x = unit(rng.normal(size=(128, 24))), 30 * rng.normal(size=(900, 24)).astype(np.float32)
    x[5] = 0
    more = {"nested": {"levels": (8, 32, 128)}, "mpsae": {"bias": rng.normal(0, 0.05, 24).astype(np.float32)}}
    dictionary = Dictionary(atoms, method, (4, 2), **more.get(method, {}))
    got = dictionary.encode(x, device=gpu)
    assert_equal_codes(got, dictionary.encode(x), 128)
    assert not got[1][5].any() and dictionary._coder(gpu) is dictionary._coder(gpu)


def test_whitening_on_a_device(gpu):
    rng = np.random.default_rng(10)
    tokens = (rng.normal(size=(3000, 16)) * rng.uniform(0.1, 5, 16) + 40).astype(np.float32)
    groups = rng.integers(0, 4, 3000)
    whitening = Whitening.fit([(tokens, groups)])
    np.testing.assert_allclose(whitening(tokens, device=gpu), whitening(tokens), atol=1e-6)
    np.testing.assert_allclose(whitening(tokens, groups, device=gpu), whitening(tokens, groups), atol=1e-6)
    tokens[7, 3] = np.nan
    with pytest.raises(DictionaryError, match="token 7"):
        whitening(tokens, device=gpu)


def test_errors_are_clear(gpu, monkeypatch):
    atoms, x = np.eye(6, 8, dtype=np.float32), np.ones((4, 8), np.float32)
    bad = x.copy()
    bad[2, 3] = np.inf
    for arguments, words in [
        ((x, atoms * 1.1, 2, 2), "atom 0 has norm 1.1"),
        ((x[:, :5], atoms, 2, 2), r"\(4, 5\)"),
        ((bad, atoms, 2, 2), "row 2"),
        ((np.float64(x) * 1e300, atoms, 2, 2), "not finite"),
        ((x, atoms, 2, 7), "only 6 atoms"),
    ]:
        with pytest.raises(DictionaryError, match=words):
            icfl_encode(*arguments, device=gpu)
    with pytest.raises(DictionaryError, match="select"):
        icfl_encode(x, atoms, 2, 2, select="largest", device=gpu)  # type: ignore[arg-type]
    monkeypatch.undo()
    with pytest.raises(DictionaryError, match="nothing can be coded on device 'gpu:0'"):
        icfl_encode(x, atoms, 2, 2, device="gpu:0")
    if not torch.cuda.is_available():
        with pytest.raises(DictionaryError, match="'cuda'"):
            Dictionary(atoms, "icfl", (2, 2)).encode(x, device="cuda")
