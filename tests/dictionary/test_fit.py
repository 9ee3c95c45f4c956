"""Fitting: planted atoms come back, fits resume to the same bits, errors are clear."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sparse_rows import planted

from napari_phenolens.dictionary import Dictionary, default_steps, fit_dictionary, reconstruction
from napari_phenolens.dictionary.train import IcflTrainer, similar_atoms
from napari_phenolens.dictionary.train_topk import TopKTrainer
from napari_phenolens.errors import Cancelled
from napari_phenolens.progress import Progress

X, ATOMS = planted(8000)


def same(a: Dictionary, b: Dictionary) -> bool:
    arrays = [d.to_arrays() for d in (a, b)]
    return arrays[0].keys() == arrays[1].keys() and all(np.array_equal(arrays[0][n], arrays[1][n]) for n in arrays[0])


@pytest.mark.parametrize("method", ["icfl", "topk"])
def test_planted_atoms_come_back(method: str) -> None:
    fitted = fit_dictionary(X, 96, (2, 2), method, 700, seed=1)
    np.testing.assert_allclose(np.linalg.norm(fitted.atoms, axis=1), 1.0, atol=1e-5)
    assert (np.abs(ATOMS @ fitted.atoms.T).max(axis=1) > 0.9).mean() >= 0.95
    fresh = planted(2000, seed=0)[0]
    quality = reconstruction(fitted, fresh)
    assert quality["cosine"] > 0.95 and quality["fvu"] < 0.2
    assert quality["dead"] < 0.2 and 1.0 <= quality["l0"] <= 4.0
    assert fitted.history["step"].tolist() == list(range(100, 701, 100))
    assert fitted.history["cosine"].iloc[-1] > fitted.history["cosine"].iloc[0]
    assert fitted.history["loss"].iloc[-1] < fitted.history["loss"].iloc[0]
    index, value = fitted.encode(fresh)
    assert index.shape == value.shape == (2000, 4) and index.dtype == np.int32 and value.dtype == np.float32
    if method == "topk":
        assert (value >= 0).all() and (np.diff(value, axis=1) <= 0).all()
        assert all(len(set(row[v > 0])) == (v > 0).sum() for row, v in zip(index, value, strict=True))


@pytest.mark.parametrize("method", ["icfl", "topk"])
def test_saved_and_half_precision_input(method: str) -> None:
    fitted = fit_dictionary(X[:600].astype(np.float16), 40, (2, 2), method, 30)
    back = Dictionary.from_arrays(fitted.to_arrays(), json.loads(json.dumps(fitted.meta())))
    codes = fitted.encode(X)
    for a, b in zip(codes, back.encode(X), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(fitted.decode(*codes), back.decode(*codes))
    assert back.history.equals(fitted.history) and back.meta() == fitted.meta() and back.k == 4
    # rows are normed to one; those without direction have no code
    scaled = X[:50] * np.geomspace(1e-3, 1e3, 50)[:, None].astype(np.float32)
    assert (fitted.encode(scaled)[0] == fitted.encode(X[:50])[0]).mean() > 0.99
    index, value = fitted.encode(np.zeros((3, 32), np.float32))
    assert not index.any() and not value.any()


def test_seeds() -> None:
    one, again, other = (fit_dictionary(X[:500], 32, (2, 2), "icfl", 20, seed=s) for s in (3, 3, 4))
    assert same(one, again) and not same(one, other)


def test_steps_follow_the_data() -> None:
    assert (
        default_steps(100, 100) == 500 and default_steps(100_000, 2000) == 1000 and default_steps(10**8, 1024) == 5000
    )
    assert fit_dictionary(X[:60], 16, (2, 1)).settings["steps"] == 500


@pytest.mark.parametrize("method", ["icfl", "topk"])
def test_resumed_equals_uninterrupted(method: str, tmp_path: Path) -> None:
    arguments = (X[:1500], 48, (3, 2), method, 230)
    whole = fit_dictionary(*arguments, seed=5, batch=256)
    path = tmp_path / "deep" / "fit.safetensors"
    for stop in (37, 150, 151):
        calls = 0

        def count(stop: int = stop) -> bool:
            nonlocal calls
            calls += 1
            return calls > stop

        with pytest.raises(Cancelled):
            fit_dictionary(*arguments, seed=5, batch=256, checkpoint=path, checkpoint_every=50, cancel=count)
        assert path.exists()
    assert same(fit_dictionary(*arguments, seed=5, batch=256, checkpoint=path), whole)
    resumed = fit_dictionary(*arguments, seed=5, batch=256, checkpoint=path, cancel=lambda: True)
    assert same(resumed, whole) and resumed.history.equals(whole.history), "a finished fit is read, not repeated"
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with pytest.raises(ValueError, match=r"another fit .*seed 5 there, 6 here"):
        fit_dictionary(*arguments, seed=6, batch=256, checkpoint=path)
    with pytest.raises(ValueError, match=r"another fit .*data"):
        fit_dictionary(X[1500:3000], *arguments[1:], seed=5, batch=256, checkpoint=path)
    path.write_bytes(b"nothing of ours")
    with pytest.raises(ValueError, match="no checkpoint of a dictionary fit"):
        fit_dictionary(*arguments, seed=5, batch=256, checkpoint=path)


_CHILD = """
import sys, numpy as np
from napari_phenolens.dictionary import fit_dictionary
x = np.load(sys.argv[1])
fit_dictionary(x, 64, (4, 2), "icfl", 4000, 7, batch=512, checkpoint=sys.argv[2], checkpoint_every=40)
"""


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    data, path = tmp_path / "x.npy", tmp_path / "fit.safetensors"
    np.save(data, X[:1500])
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(data), str(path)], env=env)
    try:
        end = time.monotonic() + 60
        while not path.exists() and child.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.05)
        assert child.poll() is None, "killed in the middle"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    # the same plan for both; each is stopped by cancel after the checkpoint of one step
    stop = 400

    whole = tmp_path / "whole.safetensors"
    for target in (path, whole):
        with pytest.raises(Cancelled):
            fit_dictionary(
                *(X[:1500], 64, (4, 2), "icfl", 4000, 7),
                batch=512,
                checkpoint=target,
                checkpoint_every=stop,
                cancel=lambda target=target: _step_of(target) >= stop,
            )
    from safetensors.numpy import load_file

    one, two = load_file(path), load_file(whole)
    assert _step_of(path) == _step_of(whole)
    assert one.keys() == two.keys() and all(np.array_equal(one[n], two[n]) for n in one)


def _step_of(path: Path) -> int:
    from napari_phenolens.dictionary.checkpoint import load_state

    return int(load_state(path)[1]["step"]) if path.exists() else 0


def test_progress_and_cancel_within_half_a_second() -> None:
    reports: list[Progress] = []
    fit_dictionary(X[:2000], 32, (2, 2), "icfl", 120, progress=reports.append)
    assert reports[-1].done == reports[-1].total == 120 and reports[-1].eta == 0.0
    assert "cosine" in reports[-1].message and all(r.stage == "dictionary" for r in reports)
    rng = np.random.default_rng(0)
    big = rng.normal(size=(4096, 128)).astype(np.float32)
    begun = time.monotonic()
    asked: list[float] = []

    def cancel() -> bool:
        now = time.monotonic()
        if now - begun > 1.0:
            asked.append(now)
        return bool(asked)

    with pytest.raises(Cancelled):
        fit_dictionary(big, 4096, (20, 2), "icfl", 1000, batch=4096, cancel=cancel)
    assert time.monotonic() - asked[0] < 1.5, "a chunk or two after the answer (half a second on an idle machine)"


def test_similar_atoms_are_redrawn_with_their_moments() -> None:
    rng = np.random.default_rng(0)
    atoms = rng.normal(size=(600, 40))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    atoms[590] = atoms[3]
    atoms[591] = atoms[3]
    atoms[520] = atoms[519]
    assert similar_atoms(atoms).tolist() == [520, 590, 591]
    trainer = IcflTrainer(64, 32, (2, 2), 0, last_reset=200)
    trainer.atoms[10] = trainer.atoms[4]
    before = trainer.atoms.copy()
    trainer.step(X[:256] / np.linalg.norm(X[:256], axis=1, keepdims=True), 1e-9, 100, None)
    assert np.abs(trainer.atoms[10] - before[10]).max() > 0.1 and np.abs(trainer.atoms[4] - before[4]).max() < 1e-3
    assert not trainer.arrays["atoms.first"][10].any() and trainer.arrays["atoms.first"][4].any()
    assert abs(np.linalg.norm(trainer.atoms[10]) - 1) < 1e-5


def test_icfl_gradient_is_that_of_the_squared_error() -> None:
    x = (X[:300] / np.linalg.norm(X[:300], axis=1, keepdims=True)).astype(np.float32)
    trainer = IcflTrainer(64, 32, (2, 2), 0, last_reset=0)
    index, value = trainer.codes(x)
    z = np.zeros((300, 64))
    np.put_along_axis(z, index, value, 1)
    atoms = trainer.atoms.astype(np.float64)
    want = -2 / 300 * z.T @ (x - z @ atoms)
    loss = trainer.step(x, 0.0, 1, None)
    assert loss == pytest.approx(((x - z @ atoms) ** 2).sum(1).mean(), rel=1e-4)
    np.testing.assert_allclose(trainer.arrays["atoms.first"], 0.1 * want, atol=1e-7)


@pytest.mark.torch
def test_topk_gradients_equal_autograd() -> None:
    torch = pytest.importorskip("torch")
    x = (X[:400] / np.linalg.norm(X[:400], axis=1, keepdims=True)).astype(np.float32)
    trainer = TopKTrainer(96, 32, (3, 2), 0, x.mean(axis=0))
    trainer.arrays["encoder_bias"][:] = np.random.default_rng(0).normal(size=96) * 0.05
    trainer.arrays["encoder_bias"][:12] -= 0.4  # these fall silent ...
    trainer.arrays["last_active"][:12] = -1000  # ... and have long been
    w = {n: torch.tensor(trainer.arrays[n], requires_grad=True) for n in ("atoms", "encoder", "encoder_bias", "bias")}
    loss, grads = trainer.gradients(x, 5)
    dead = np.flatnonzero(5 - trainer.arrays["last_active"] > trainer.DEAD_STEPS)
    assert len(dead) > 3
    t = torch.tensor(x)
    a = (t - w["bias"]) @ w["encoder"].T + w["encoder_bias"]

    def kept(a, k):
        top = a.topk(k, dim=1)
        return torch.zeros_like(a).scatter(1, top.indices, top.values.relu())

    back = kept(a, 6) @ w["atoms"] + w["bias"]
    square = ((t - back) ** 2).sum(1).mean()
    aux = kept(a[:, dead], min(trainer.k_aux, len(dead))) @ w["atoms"][dead]
    total = square + trainer.AUX * (((t - back).detach() - aux) ** 2).sum(1).mean()
    total.backward()
    assert loss == pytest.approx(float(square.detach()), rel=1e-5)
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, w[name].grad.numpy(), atol=2e-6, err_msg=name)


def test_errors_are_clear() -> None:
    nan = X[:100].copy()
    nan[5] = np.inf
    fitted = fit_dictionary(X[:100], 8, (2, 2), steps=2)
    for make, words in [
        (lambda: fit_dictionary(X[0]), "tokens"),
        (lambda: fit_dictionary(X[:1]), "1 tokens"),
        (lambda: fit_dictionary(nan, 8, (2, 2), steps=2), "row 5"),
        (lambda: fit_dictionary(np.zeros((50, 4)), 8, (2, 2), steps=2), "all zero"),
        (lambda: fit_dictionary(X, 0), "atoms"),
        (lambda: fit_dictionary(X, 8, (2, 9)), "only 8 atoms"),
        (lambda: fit_dictionary(X, 8, (5, 2), "topk"), "10 entries"),
        (lambda: fit_dictionary(X, 8, (2, 2), "nmf"), "unknown"),
        (lambda: fit_dictionary(X, 8, (2, 2), steps=0), "steps"),
        (lambda: fit_dictionary(X, 8, (2, 2), seed=-1), "seed"),
        (lambda: fit_dictionary(X, 8, (2, 2), lr=0.0), "lr"),
        (lambda: fitted.encode(X[:, :5]), r"\(n, 32\)"),
        (lambda: fitted.encode(nan), "row 5"),
        (lambda: fitted.decode(np.full((1, 4), 8), np.ones((1, 4))), "8 atoms"),
        (lambda: fitted.decode(np.zeros((1, 4)), np.ones((1, 3))), "both"),
        (lambda: Dictionary(fitted.atoms, "topk", (2, 2)), "lacks"),
        (lambda: Dictionary(fitted.atoms * 2, "icfl", (2, 2)), "unit"),
        (lambda: Dictionary.from_arrays({}, {"method": "icfl"}), "lacks"),
        (lambda: reconstruction(fitted, np.zeros((3, 32))), "direction"),
    ]:
        with pytest.raises(ValueError, match=words):
            make()


def test_reconstruction_by_hand() -> None:
    fitted = fit_dictionary(X[:300], 40, (3, 2), steps=40)
    x = np.concatenate([X[:200], np.zeros((3, 32), np.float32)])
    quality = reconstruction(fitted, x)
    unit = X[:200] / np.linalg.norm(X[:200], axis=1, keepdims=True)
    index, value = fitted.encode(unit)
    back = fitted.decode(index, value)
    cosine = (unit * back).sum(1) / np.linalg.norm(back, axis=1)
    assert quality["n"] == 200
    assert quality["cosine"] == pytest.approx(cosine.mean(), abs=1e-5)
    assert quality["fvu"] == pytest.approx(((unit - back) ** 2).sum() / ((unit - unit.mean(0)) ** 2).sum(), abs=1e-5)
    assert quality["l0"] == pytest.approx((value != 0).sum(1).mean())
    used = np.bincount(index[value != 0], minlength=40)
    assert quality["dead"] == (used == 0).mean() and quality["dense"] == (used > 20).mean()


def test_the_room_is_lazy() -> None:
    code = (
        "import sys, napari_phenolens.dictionary as d; "
        "bad = [m for m in ('torch', 'numba', 'scipy', 'sklearn', 'zarr') if m in sys.modules]; assert not bad, bad; "
        "assert {'fit_dictionary', 'icfl_encode', 'Whitening', 'Dictionary'} <= set(dir(d)); d.Whitening; "
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)))
