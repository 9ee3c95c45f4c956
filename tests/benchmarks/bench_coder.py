"""Tokens a second of our coder beside a bare matrix product, the literal algorithm in torch, and the peers.

Run: ``python tests/benchmarks/bench_coder.py [--tokens N] [--threads 1,2] [--settings 2048x4x4,...]``. Not a test: it
asserts no times. All rows of a table are taken in one run, in turns, each at its best of several; compare ratios, not
figures. Peers that are not installed are named as absent. To have them without touching the project's own packages, put
them into an environment beside it::

    python -m venv peers
    python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > peers/lib/python3.*/site-packages/base.pth
    peers/bin/python -m pip install sae-lens overcomplete spams-bin eai-sparsify dictionary-learning "matplotlib<3.11"
    PYTHONPATH=src peers/bin/python tests/benchmarks/bench_coder.py

The first rows of a table say how far the path that is timed gives the codes of the definition, in float64. "ours,
torch" is the coder of GPUs, on the first one where there is one, else on torch's CPU: the line above the table says
which.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Work = Callable[[], object]

SETTINGS = [(2048, 4, 4), (2048, 16, 4), (8192, 16, 4), (8192, 20, 5)]


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def fastest(works: dict[str, tuple[int, Work]], repeats: int) -> dict[str, float]:
    """Tokens a second of each, at its best; all take turns, so that a busy moment hits all."""
    best = dict.fromkeys(works, np.inf)
    for turn in range(repeats):
        for name, (_, work) in works.items():
            if turn and best[name] > 5:
                continue  # slow ones once
            begun = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - begun)
    return {name: works[name][0] / best[name] for name in works}


def agreement(x: np.ndarray, atoms: np.ndarray, rounds: int, per_round: int, ours: Any) -> str:
    """Rows whose support is that of the definition in float64, and the largest difference of values there."""
    w = atoms.astype(np.float64)
    same, worst = 0, 0.0
    for lo in range(0, len(x), 256):
        r = x[lo : lo + 256].astype(np.float64)
        want, got = np.zeros((2, len(r), len(w)))
        at = np.arange(len(r))[:, None]
        for _ in range(rounds):
            picks = np.argpartition(-(r @ w.T), per_round, axis=1)[:, :per_round]
            a = w[picks]
            gram = a @ a.transpose(0, 2, 1) + 1e-6 * np.eye(per_round)
            v = np.linalg.solve(gram, a @ r[..., None])[..., 0]
            r -= (v[:, None] @ a)[:, 0]
            want[at, picks] += v
        index, value = (part[lo : lo + 256] for part in ours)
        np.add.at(got, (at, index), value)
        rows = ((want != 0) == (got != 0)).all(axis=1)
        same += int(rows.sum())
        worst = max(worst, float(np.abs(want - got)[rows].max(initial=0.0)))
    return (
        f"{same} of {len(x)} rows ({same / len(x):.2%}) have the support of the definition; values differ by "
        f"{worst:.1e} at most"
    )


def ours_torch(x: np.ndarray, atoms: np.ndarray, rounds: int, per_round: int, checked: int) -> Work:
    import torch

    from napari_phenolens.dictionary.torch_coder import TorchIcflCoder

    where = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    coder = TorchIcflCoder(atoms, rounds, per_round, where)
    codes = coder.encode(x)
    said = agreement(x[:checked], atoms, rounds, per_round, [part[:checked] for part in codes])
    way = "rows of a Gram matrix" if coder._pays(len(x)) else "products with the residual"
    print(f"  ours, torch (on {where}, by {way}): {said}")
    return lambda: coder.encode(x)


def literal_torch(x: np.ndarray, atoms: np.ndarray, rounds: int, per_round: int) -> Work:
    import torch

    w, rows = torch.from_numpy(atoms), torch.from_numpy(x)
    ridge = 1e-6 * torch.eye(per_round)

    def work() -> object:
        codes = []
        with torch.inference_mode():
            for part in rows.split(256):
                r = part
                for _ in range(rounds):
                    picks = (r @ w.T).topk(per_round, dim=1).indices
                    a = w[picks]
                    v = torch.linalg.solve(a @ a.mT + ridge, a @ r[..., None]).squeeze(-1)
                    r = r - (v[:, None] @ a).squeeze(1)
                    codes.append((picks, v))
        return codes

    return work


def sae_lens(x: np.ndarray, atoms: np.ndarray, k: int) -> Work:
    import torch
    from sae_lens.saes.matching_pursuit_sae import _encode_matching_pursuit as encode

    w, rows = torch.from_numpy(atoms), torch.from_numpy(x)

    def work() -> object:
        with torch.inference_mode():
            return encode(rows, w, 0.0, max_iterations=k, stop_on_duplicate_support=False)

    return work


def overcomplete(x: np.ndarray, atoms: np.ndarray, k: int) -> Work:
    import torch
    from overcomplete.sae import MpSAE

    model = MpSAE(x.shape[1], len(atoms), k=k)
    w, rows = torch.from_numpy(atoms), torch.from_numpy(x)
    model.get_dictionary = lambda: w  # the very atoms

    def work() -> object:
        with torch.inference_mode():
            return model.encode(rows)

    return work


def spams(x: np.ndarray, atoms: np.ndarray, k: int, threads: int) -> Work:
    import spams as peer

    columns, w = np.asfortranarray(x.T), np.asfortranarray(atoms.T)
    return lambda: peer.omp(columns, D=w, L=k, numThreads=threads)


def scikit_learn(x: np.ndarray, atoms: np.ndarray, k: int) -> Work:
    from sklearn.linear_model import orthogonal_mp_gram

    gram, products = atoms @ atoms.T, atoms @ x.T
    return lambda: orthogonal_mp_gram(gram, products, n_nonzero_coefs=k)


def sparsify(x: np.ndarray, atoms: np.ndarray, k: int) -> Work:
    import torch
    from sparsify.fused_encoder import fused_encoder

    w, rows, bias = torch.from_numpy(atoms), torch.from_numpy(x), torch.zeros(len(atoms))

    def work() -> object:
        with torch.inference_mode():
            return fused_encoder(rows, w, bias, k, "topk")

    return work


def dictionary_learning(x: np.ndarray, atoms: np.ndarray, k: int) -> Work:
    import torch
    from dictionary_learning.trainers.top_k import AutoEncoderTopK

    model = AutoEncoderTopK(x.shape[1], len(atoms), k)
    model.encoder.weight.data = torch.from_numpy(atoms)
    rows = torch.from_numpy(x)

    def work() -> object:
        with torch.inference_mode():
            return model.encode(rows)

    return work


def threads_of(n: int) -> None:
    """Hold everybody to n threads."""
    os.environ["PHENOLENS_THREADS"] = str(n)
    from threadpoolctl import threadpool_limits

    threadpool_limits(n)
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(n)


def one_setting(m: int, rounds: int, per_round: int, tokens: int, d: int, threads: int, repeats: int) -> None:
    from napari_phenolens.dictionary.coder import IcflCoder
    from napari_phenolens.dictionary.topk import TopKCoder, TopKWeights

    rng = np.random.default_rng(0)
    k, checked = rounds * per_round, 2048
    atoms, x = unit(rng.normal(size=(m, d))), unit(rng.normal(size=(tokens, d)))
    print(f"\nm = {m}, J = {rounds}, L = {per_round} (k = {k}), {threads} thread{'s' * (threads > 1)}")
    coder = IcflCoder(atoms, rounds, per_round)
    coded = coder.encode(x)  # compiles, and builds the Gram matrix
    print(f"  {agreement(x[:checked], atoms, rounds, per_round, [part[:checked] for part in coded])}")
    pursuit = IcflCoder(atoms, k, 1)
    pursuit.encode(x[: -(-m // k)])
    zero = np.zeros(d, np.float32)
    topk = TopKCoder(TopKWeights(atoms, np.zeros(m, np.float32), zero), k)
    topk.encode(x[:8])
    product = np.empty((tokens, m), np.float32)
    works: dict[str, tuple[int, Work]] = {
        "ours": (tokens, lambda: coder.encode(x)),
        "bare product, numpy": (tokens, lambda: np.matmul(x, atoms.T, out=product)),
        "ours, L = 1": (tokens, lambda: pursuit.encode(x)),
        "ours, TopK": (tokens, lambda: topk.encode(x)),
        "ours, a new Gram matrix": (tokens, lambda: IcflCoder(atoms, rounds, per_round).encode(x)),
    }
    few, some = max(64, tokens // 16), max(256, tokens // 4)
    peers: list[tuple[str, int, Callable[[], Work]]] = [
        ("ours, torch", tokens, lambda: ours_torch(x, atoms, rounds, per_round, checked)),
        ("literal, torch", some, lambda: literal_torch(x[:some], atoms, rounds, per_round)),
        ("sae-lens, pursuit", few, lambda: sae_lens(x[:few], atoms, k)),
        ("overcomplete, MpSAE", few, lambda: overcomplete(x[:few], atoms, k)),
        ("SPAMS, omp", some, lambda: spams(x[:some], atoms, k, threads)),
        ("scikit-learn, omp gram", 8, lambda: scikit_learn(x[:8], atoms, k)),
        ("sparsify, TopK", tokens, lambda: sparsify(x, atoms, k)),
        ("dictionary_learning, TopK", tokens, lambda: dictionary_learning(x, atoms, k)),
    ]
    absent = []
    try:
        import torch

        rows, w, out = torch.from_numpy(x), torch.from_numpy(atoms), torch.from_numpy(product)
        works["bare product, torch"] = (tokens, lambda: torch.mm(rows, w.T, out=out))
    except ImportError:
        absent.append("torch")
    for name, n, make in peers:
        try:
            works[name] = (n, make())
        except ImportError as error:
            absent.append(f"{name} ({error})")
    speed = fastest(works, repeats)
    bare = max(speed[name] for name in speed if name.startswith("bare"))
    print(f"  {'':28s} {'tokens/s':>12s} {'ours over it':>13s} {'time / product':>15s}")
    for name, rate in sorted(speed.items(), key=lambda item: -item[1]):
        print(f"  {name:28s} {rate:12,.0f} {speed['ours'] / rate:12.2f}x {bare / rate:14.2f}x")
    for name in absent:
        print(f"  absent: {name}")


def training_step(m: int, rounds: int, per_round: int, batch: int, d: int, threads: int, repeats: int) -> None:
    """Time a step of ICFL and of our TopK beside a dense TopK step by autograd and Adam."""
    from napari_phenolens.dictionary.train import IcflTrainer
    from napari_phenolens.dictionary.train_topk import TopKTrainer

    rng = np.random.default_rng(0)
    k = rounds * per_round
    x = unit(rng.normal(size=(batch, d)))
    icfl = IcflTrainer(m, d, (rounds, per_round), 0, last_reset=0)
    topk = TopKTrainer(m, d, (rounds, per_round), 0, x.mean(axis=0))
    works: dict[str, tuple[int, Work]] = {
        "ours, ICFL": (batch, lambda: icfl.step(x, 1e-4, 1, None)),
        "ours, TopK": (batch, lambda: topk.step(x, 1e-4, 1, None)),
    }
    try:
        import torch
    except ImportError:
        print("\ntraining step: torch is absent")
        return
    rows = torch.from_numpy(x)
    encoder, decoder = torch.nn.Linear(d, m), torch.nn.Linear(m, d)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-4)

    def dense() -> object:
        optimiser.zero_grad()
        top = encoder(rows).relu().topk(k, dim=1)
        codes = torch.zeros(batch, m).scatter(1, top.indices, top.values)
        loss = ((decoder(codes) - rows) ** 2).sum(1).mean()
        loss.backward()
        optimiser.step()
        return loss

    works["dense TopK, autograd"] = (batch, dense)
    for _, work in works.values():
        work()
    speed = fastest(works, repeats)
    print(f"\ntraining step, m = {m}, k = {k}, batch {batch}, {threads} thread{'s' * (threads > 1)}")
    for name, rate in speed.items():
        print(f"  {name:28s} {rate:12,.0f} tokens/s {rate / speed['dense TopK, autograd']:8.2f}x the dense step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4096, help="of the training step; 0 leaves it out")
    parser.add_argument("--settings", help="such as 2048x4x4,8192x20x5 (m x J x L)")
    wanted = parser.parse_args()
    settings = SETTINGS
    if wanted.settings:
        settings = [tuple(map(int, part.split("x"))) for part in wanted.settings.split(",")]  # type: ignore[misc]
    print(f"{wanted.tokens} random unit tokens of {wanted.dim} dimensions; each at its best of {wanted.repeats}")
    for threads in map(int, wanted.threads.split(",")):
        threads_of(threads)
        for m, rounds, per_round in settings:
            one_setting(m, rounds, per_round, wanted.tokens, wanted.dim, threads, wanted.repeats)
        if wanted.batch:
            for rounds in (8, 16):
                training_step(2048, rounds, 4, wanted.batch, wanted.dim, threads, wanted.repeats)


if __name__ == "__main__":
    main()
