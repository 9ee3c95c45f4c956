"""Tokens a second of the ICFL coder beside a bare product, the literal algorithm in torch, and scikit-learn.

Run: python tests/benchmarks/bench_coder.py [--tokens N] [--dim D]. Not a test: it asserts no times. All rows of a table
are taken in one run, on the thread budget of PHENOLENS_THREADS; compare ratios, not absolute figures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from napari_phenolens.dictionary.coder import IcflCoder
from napari_phenolens.threads import budget

SETTINGS = [(1024, 10, 2), (2048, 4, 4), (2048, 16, 4), (8192, 20, 5)]


def best(work: Callable[[], object], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def literal_torch(x: np.ndarray, atoms: np.ndarray, rounds: int, per_round: int) -> Callable[[], object]:
    import torch

    torch.set_num_threads(budget())
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--dim", type=int, default=384)
    wanted = parser.parse_args()
    rng = np.random.default_rng(0)
    print(f"{wanted.tokens} tokens of {wanted.dim} dimensions, {budget()} threads; tokens/s (ours over it)")
    for m, rounds, per_round in SETTINGS:
        atoms = rng.normal(size=(m, wanted.dim)).astype(np.float32)
        atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
        x = rng.normal(size=(wanted.tokens, wanted.dim)).astype(np.float32)
        coder = IcflCoder(atoms, rounds, per_round)
        coder.encode(x)  # compiles, and builds the Gram matrix
        ours = len(x) / best(partial(coder.encode, x))
        rows = {"ours": ours, "bare product": len(x) / best(partial(np.matmul, x, atoms.T))}
        begun = time.perf_counter()
        IcflCoder(atoms, rounds, per_round).encode(x)
        rows["ours with its Gram"] = len(x) / (time.perf_counter() - begun)
        try:
            work = literal_torch(x[:1024], atoms, rounds, per_round)
            rows["literal, torch"] = 1024 / best(work, 2)
        except ImportError:
            print("torch is not installed: its row is left out")
        try:
            from sklearn.decomposition import sparse_encode

            few = 16
            begun = time.perf_counter()
            sparse_encode(x[:few], atoms, algorithm="omp", n_nonzero_coefs=rounds * per_round)
            rows["scikit-learn OMP"] = few / (time.perf_counter() - begun)
        except ImportError:
            print("scikit-learn is not installed: its row is left out")
        print(f"m={m} J={rounds} L={per_round}")
        for name, speed in rows.items():
            print(f"  {name:20s} {speed:12,.0f}  ({ours / speed:.2f}x)")


if __name__ == "__main__":
    main()
