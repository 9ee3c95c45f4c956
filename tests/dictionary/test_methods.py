"""Baselines and nested dictionaries: gradients, planted atoms, resuming, saving, starting from another dictionary."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sparse_rows import dense, planted, unit

from napari_phenolens.dictionary import Dictionary, fit_dictionary, reconstruction
from napari_phenolens.dictionary.coder import IcflCoder
from napari_phenolens.dictionary.hierarchy import parents
from napari_phenolens.dictionary.stages import level_rounds, nested_levels
from napari_phenolens.dictionary.train import IcflTrainer
from napari_phenolens.dictionary.train_mp import MpTrainer
from napari_phenolens.dictionary.train_topk import BatchTopKTrainer
from napari_phenolens.errors import Cancelled

METHODS = ["batchtopk", "mpsae", "nested"]


X, ATOMS = planted(8000)
UNIT = unit(X[:400])


def same(a: Dictionary, b: Dictionary) -> bool:
    arrays = [d.to_arrays() for d in (a, b)]
    return (
        arrays[0].keys() == arrays[1].keys()
        and all(np.array_equal(arrays[0][n], arrays[1][n]) for n in arrays[0])
        and a.meta() == b.meta()
    )


@pytest.mark.parametrize("method", METHODS)
def test_planted_atoms_come_back(method: str) -> None:
    fitted = fit_dictionary(X, 96, (4, 1), method, 2000, seed=1)
    np.testing.assert_allclose(np.linalg.norm(fitted.atoms, axis=1), 1.0, atol=1e-5)
    found = (np.abs(ATOMS @ fitted.atoms.T).max(axis=1) > 0.9).mean()
    # early rounds of a nested one must take coarse atoms, which average over what they stand for: data without a
    # hierarchy are none for it
    assert found >= (0.7 if method == "nested" else 0.95)
    quality = reconstruction(fitted, planted(2000)[0])
    assert quality["cosine"] > 0.92 and quality["fvu"] < 0.2
    assert fitted.history["cosine"].iloc[-1] > fitted.history["cosine"].iloc[0]


@pytest.mark.parametrize("method", METHODS)
def test_saved_resumed_and_without_direction(method: str, tmp_path: Path) -> None:
    arguments = (X[:1500], 48, (3, 2), method, 130)
    whole = fit_dictionary(*arguments, seed=5, batch=256)
    path = tmp_path / "fit.safetensors"
    for stop in (37, 90):
        calls = 0

        def count(stop: int = stop) -> bool:
            nonlocal calls
            calls += 1
            return calls > stop

        with pytest.raises(Cancelled):
            fit_dictionary(*arguments, seed=5, batch=256, checkpoint=path, checkpoint_every=50, cancel=count)
    assert same(fit_dictionary(*arguments, seed=5, batch=256, checkpoint=path), whole)
    back = Dictionary.from_arrays(whole.to_arrays(), json.loads(json.dumps(whole.meta())))
    assert same(back, whole) and back.k == whole.k
    codes = whole.encode(X)
    for a, b in zip(codes, back.encode(X), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(whole.decode(*codes), back.decode(*codes))
    index, value = whole.encode(np.zeros((3, 32), np.float32))
    assert index.shape == (3, whole.k) and not index.any() and not value.any()


@pytest.mark.torch
def test_mpsae_gradients_equal_autograd() -> None:
    torch = pytest.importorskip("torch")
    trainer = MpTrainer(96, 32, (3, 2), 0, UNIT.mean(axis=0))
    loss, grads = trainer.gradients(UNIT)
    w = torch.tensor(trainer.atoms, requires_grad=True)
    bias = torch.tensor(trainer.arrays["bias"], requires_grad=True)
    r = torch.tensor(UNIT) - bias
    for _ in range(6):
        atom = w[(r.detach() @ w.detach().T).argmax(dim=1)]
        r = r - (r * atom).sum(1, keepdim=True) * atom
    square = (r**2).sum(1).mean()
    square.backward()
    assert loss == pytest.approx(float(square.detach()), rel=1e-5)
    np.testing.assert_allclose(grads["atoms"], w.grad.numpy(), atol=2e-6)
    np.testing.assert_allclose(grads["bias"], bias.grad.numpy(), atol=2e-6)


def test_batchtopk_keeps_k_entries_on_average() -> None:
    trainer = BatchTopKTrainer(96, 32, (3, 2), 0, UNIT.mean(axis=0))
    index, value = trainer.training_codes(UNIT)
    assert value.shape == (400, 24) and (value != 0).sum() == 6 * 400
    assert np.unique((value != 0).sum(axis=1)).size > 3, "rows share out the entries"
    a = (UNIT - trainer.arrays["bias"]) @ trainer.arrays["encoder"].T
    kept = dense((index, value), 96)
    assert (kept.max(axis=1) > 0).any() and a[kept > 0].min() >= np.sort(a[(kept == 0) & (a > 0)])[-1] - 1e-5
    assert trainer.arrays["threshold"][0] == value[value > 0].min()
    fitted = fit_dictionary(X, 96, (2, 2), "batchtopk", 300, seed=1)
    assert fitted.k == 16 and fitted.topk is not None and fitted.topk.threshold > 0
    entries = (fitted.encode(X)[1] != 0).sum(axis=1)
    assert 2.5 < entries.mean() < 5.5 and entries.std() > 0.3


def test_levels_share_the_rounds_and_the_loss() -> None:
    assert nested_levels(2048) == (128, 512, 2048) and nested_levels(8) == (1, 2, 8)
    assert level_rounds(20, 3) == (5, 5, 10) and level_rounds(10, 3) == (2, 2, 6) and level_rounds(3, 3) == (1, 1, 1)
    trainer = IcflTrainer(64, 32, (4, 2), 0, last_reset=0, levels=(4, 16, 64))
    stages = IcflCoder(trainer.atoms, 4, 2, levels=(4, 16, 64)).encode_stages(UNIT)
    z = [dense(codes, 64) for codes in stages]
    assert z[0][:, 4:].max() == 0 and z[1][:, 16:].max() == 0 and (z[2][:, 16:] != 0).any()
    assert [(level != 0).sum(axis=1).max() for level in z] == [2, 4, 8]
    coarse = IcflCoder(trainer.atoms[:4], 1, 2).encode(UNIT)
    np.testing.assert_allclose(z[0][:, :4], dense(coarse, 4), atol=1e-6)
    residual = UNIT - z[1] @ trainer.atoms
    # after two levels the next picks are the two best for what is left
    best = np.argsort(-(residual @ trainer.atoms.T), axis=1)[:, :2]
    third = IcflCoder(trainer.atoms, 1, 2).encode(residual.astype(np.float32))[0]
    assert (np.sort(third, axis=1) == np.sort(best, axis=1)).all(axis=1).mean() > 0.99
    atoms = trainer.atoms.astype(np.float64)
    want = sum(-2 / 400 * level.T @ (UNIT - level @ atoms) for level in z) / 3
    loss = trainer.step(UNIT, 0.0, 1, None)
    assert loss == pytest.approx(np.mean([((UNIT - level @ atoms) ** 2).sum(1).mean() for level in z]), rel=1e-4)
    np.testing.assert_allclose(trainer.arrays["atoms.first"], 0.1 * want, atol=1e-7)


def test_a_child_is_hung_on_the_parent_it_goes_with() -> None:
    # atoms 0..3 coarse, 4..15 fine; a child is active only where its parent is; atom 0 is active nearly everywhere
    rng = np.random.default_rng(0)
    n, truth = 6000, np.array([1, 2, 3] * 4)
    active = np.zeros((n, 16), bool)
    active[:, 0] = rng.random(n) < 0.9
    active[:, 1:4] = rng.random((n, 3)) < 0.2
    active[:, 4:] = (rng.random((n, 12)) < 0.3) & active[:, truth]
    active[:, 15] = False
    active[:5, 15] = True
    index = np.argsort(~active, axis=1, kind="stable")
    value = np.take_along_axis(active, index, 1).astype(np.float32)
    found = parents(np.where(value > 0, index, 0), value, (4, 16))
    assert found[:4].tolist() == [-1] * 4
    assert found[4:15].tolist() == truth[:11].tolist(), "and not on the densest one"
    assert found[15] == -1, "too rare to tell"


def test_a_nested_dictionary_has_a_tree() -> None:
    fitted = fit_dictionary(X, 64, (4, 2), "nested", 200)
    assert fitted.levels == (4, 16, 64) and fitted.level.tolist() == [0] * 4 + [1] * 12 + [2] * 48
    tree = fitted.tree
    assert (tree["parent"][:4] == -1).all() and (tree["parent"][4:] >= 0).mean() > 0.8
    known = tree[tree["parent"] >= 0]
    assert (fitted.level[known["parent"]] < known["level"]).all()
    with pytest.raises(ValueError, match="no levels"):
        _ = fit_dictionary(X[:100], 8, (2, 2), steps=2).tree


def test_start_from_another_dictionary() -> None:
    first = fit_dictionary(X, 64, (2, 2), "icfl", 400, seed=1)
    on = fit_dictionary(X, 64, (2, 2), "icfl", 5, seed=2, start=first, warmup=1, lr=1e-4)
    assert (np.sum(on.atoms * first.atoms, axis=1) > 0.99).all()
    more = fit_dictionary(X, 80, (2, 2), "icfl", 5, seed=2, start=first, lr=1e-4)
    assert (np.sum(more.atoms[:64] * first.atoms, axis=1) > 0.99).all()
    topk = fit_dictionary(X, 64, (2, 2), "topk", 5, start=first, lr=1e-4)
    assert topk.topk is not None and (np.sum(topk.topk.encoder * first.atoms, axis=1) > 0.99).all()
    for arguments, words in [((32, 32), "ask for as many, or more"), ((64, 30), "30")]:
        with pytest.raises(ValueError, match=words):
            fit_dictionary(X[:, : arguments[1]], arguments[0], (2, 2), steps=2, start=first)


def test_options_of_the_fit() -> None:
    fitted = fit_dictionary(X[:800], 48, (3, 2), steps=30, select="absolute", refit="end")
    assert fitted.meta()["select"] == "absolute" and fitted.meta()["refit"] == "end"
    back = Dictionary.from_arrays(fitted.to_arrays(), fitted.meta())
    assert (back.select, back.refit) == ("absolute", "end")
    plain = dataclasses.replace(fitted, refit="none")
    x = X[:200] / np.linalg.norm(X[:200], axis=1, keepdims=True)
    errors = [np.linalg.norm(x - d.decode(*d.encode(x))) for d in (fitted, plain)]
    assert errors[0] < errors[1]
    with pytest.warns(UserWarning, match="not to settle"):
        fit_dictionary(X[:100], 8, (2, 2), steps=2, lr=0.02)
    with pytest.warns(UserWarning, match="decay 'none'"):
        fit_dictionary(X[:100], 8, (2, 2), steps=2, lr=4e-3, decay="none")
    for options, words in [
        ({"select": "best"}, "select"),
        ({"refit": -1}, "refit"),
        ({"method": "topk", "refit": "end"}, "pursuit"),
        ({"method": "nested", "refit": "end", "sparsity": (3, 1)}, "refitted"),
        ({"method": "nested", "sparsity": (2, 1)}, "nested"),
        ({"method": "nested", "sparsity": (3, 2)}, "coarsest"),
        ({"method": "mpsae", "sparsity": (9, 1)}, "9 entries"),
        ({"decay": "linear"}, "decay"),
        ({"warmup": -1}, "warmup"),
    ]:
        with pytest.raises(ValueError, match=words):
            fit_dictionary(X[:100], 8, **{"sparsity": (2, 2), "steps": 2, **options})


_CHILD = """
import hashlib, numpy as np
from napari_phenolens.dictionary import fit_dictionary
x = np.random.default_rng(0).normal(size=(1500, 32)).astype(np.float32)
d = fit_dictionary(x, 64, (4, 2), steps=20, batch=512)
print(hashlib.sha256(d.atoms.tobytes() + b"".join(a.tobytes() for a in d.encode(x))).hexdigest())
"""


def test_code_just_compiled_and_code_from_the_cache_give_the_same_bits(tmp_path: Path) -> None:
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), NUMBA_CACHE_DIR=str(tmp_path))
    said = [
        subprocess.run([sys.executable, "-c", _CHILD], env=env, check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    assert any(tmp_path.iterdir()) and len(said[0]) > 60 and said[0] == said[1]
