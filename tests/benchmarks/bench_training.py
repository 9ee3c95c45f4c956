"""Held-out cosine over time of our dictionaries and of the peers' on the patch tokens of a run.

Run: ``python tests/benchmarks/bench_training.py RUN [--tokens 600000] [--minutes 5] [--threads 2]``. Not a test: it
asserts no times. On a machine with other work, ``--clock cpu`` counts the process's CPU time over the threads in place
of the time on the wall, for all alike (with ``OMP_WAIT_POLICY=PASSIVE``, so that threads which wait cost nothing).

RUN is a finished run whose tokens are stored (or can be encoded again); its tokens of all wells, whitened and normed to
one, are held in memory in half precision. Fitted one after the other, on the same rows:

- ICFL by the defaults of `fit_dictionary`, then once more from the start with as many more steps as so many more
  minutes allow: what the longer fit gains is what the default leaves;
- our TopK by its defaults;
- dictionary_learning's TopK SAE at its own learning rate and at that of ours, and scikit-learn's
  MiniBatchDictionaryLearning (each entry's penalty 1 / sqrt(d)), for as long as our default took, evaluation not
  counted. The SAE's schedule is laid out over the steps that fit, measured before.

The same rows are held out for all. "own": reconstructions by the method's own codes (of scikit-learn's atoms by
orthogonal matching pursuit with as many entries, on 1,000 rows); "pursuit": by ICFL's codes of J rounds of L on its
atoms. Peers that are not installed are named as absent; how to have them, see ``bench_coder.py``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bench_coder import threads_of

Rows = np.ndarray[Any, np.dtype[np.floating[Any]]]
Cosine = Callable[[Rows], float]

HELD_OUT = 8192
BATCH = 1024
clock: Callable[[], float] = time.perf_counter
CURVE = 12  # rows of a curve that are printed


def tokens_of(run: Any, most: int) -> Rows:
    """Give whitened tokens of a run's wells, spread over all of them, as unit rows in half precision."""
    rows, wells = [], list(run.wells)
    each = -(-most // sum(len(run.fields(w)) for w in wells))
    for number, well in enumerate(wells):
        for field in run.fields(well):
            x = run.tokens(well, field)
            x = x.reshape(-1, x.shape[-1])
            x = x[np.sort(np.random.default_rng(number).permutation(len(x))[:each])]
            rows.append((x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-8)).astype(np.float16))
    return np.concatenate(rows)[:most]


def planted(n: int, d: int) -> Rows:
    """Give tokens to try the benchmark with: 12 of 4 d random directions each, and noise."""
    rng = np.random.default_rng(0)
    atoms = rng.normal(size=(4 * d, d)) / np.sqrt(d)
    x = np.einsum("nk,nkd->nd", rng.uniform(0.5, 1.5, (n, 12)), atoms[rng.integers(0, len(atoms), (n, 12))])
    x += 0.02 * rng.normal(size=x.shape)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)


def cosine(rows: Rows, back: Rows) -> float:
    """Mean cosine of unit rows and their reconstructions."""
    length = np.maximum(np.linalg.norm(back, axis=1), 1e-8)
    return float((np.einsum("np,np->n", rows, back) / length).mean())


def by_pursuit(atoms: Rows, test: Rows, sparsity: tuple[int, int]) -> float:
    """Mean cosine of ICFL's codes on somebody's atoms."""
    from napari_phenolens.dictionary import Dictionary

    length = np.linalg.norm(atoms, axis=1, keepdims=True)
    known = atoms[length[:, 0] > 1e-8] / length[length[:, 0] > 1e-8]
    dictionary = Dictionary(np.ascontiguousarray(known, np.float32), "icfl", sparsity)
    return cosine(test, dictionary.decode(*dictionary.encode(test)))


def show(curve: list[tuple[float, float]]) -> str:
    """Give a curve as seconds and cosines, the last point and some before it."""
    places = np.unique(np.linspace(0, len(curve) - 1, CURVE).round().astype(int)) if curve else []
    return "  ".join(f"{curve[i][0]:.0f} s {curve[i][1]:.3f}" for i in places)


def say(name: str, seconds: float, steps: int, own: float, pursuit: float, curve: list[tuple[float, float]]) -> None:
    print(f"{name}: {seconds:.0f} s, {steps:,} steps; held-out cosine {own:.4f} (own), {pursuit:.4f} (pursuit)")
    print(f"    {show(curve)}", flush=True)


def ours(
    x: Rows, test: Rows, method: Any, atoms: int, sparsity: tuple[int, int], steps: int | None, name: str
) -> tuple[float, int, float]:
    """Fit one of ours; give seconds, steps and the held-out cosine."""
    from napari_phenolens.dictionary import fit_dictionary

    began, at = clock(), {}
    fitted = fit_dictionary(
        x, atoms, sparsity, method, steps, batch=BATCH, progress=lambda p: at.update({p.done: clock()})
    )
    seconds = clock() - began
    known = np.array(sorted(at))
    when = np.interp(fitted.history["step"], known, [at[step] - began for step in known])  # told a few times a second
    curve = list(zip(when.tolist(), fitted.history["cosine"].tolist(), strict=True))
    own = cosine(test, fitted.decode(*fitted.encode(test)))
    done = int(fitted.settings["steps"])
    say(name, seconds, done, own, by_pursuit(fitted.atoms, test, sparsity), curve)
    return seconds, done, own


def batches(x: Rows, seed: int) -> Callable[[], Rows]:
    rng = np.random.default_rng(seed)
    return lambda: np.asarray(x[np.sort(rng.choice(len(x), min(BATCH, len(x)), replace=False))], np.float32)


def timed(
    update: Callable[[], object], measure: Callable[[], float], seconds: float, most: int | None = None
) -> list[tuple[float, float]]:
    """Update until the time or the steps are up, measuring a dozen times; the measures take none of the time."""
    curve: list[tuple[float, float]] = []
    spent, steps = 0.0, 0
    while spent < seconds and steps != most:
        began = clock()
        update()
        spent += clock() - began
        steps += 1
        if spent > seconds * (len(curve) + 1) / CURVE:
            curve.append((spent, measure()))
    if steps == most:
        curve.append((spent, measure()))
    return curve


def dictionary_learning(
    x: Rows, test: Rows, atoms: int, sparsity: tuple[int, int], seconds: float, lr: float | None
) -> None:
    """Fit the TopK SAE of dictionary_learning."""
    import torch
    from dictionary_learning.trainers.top_k import TopKTrainer

    k, rows = sparsity[0] * sparsity[1], torch.from_numpy(test)

    def trainer(steps: int) -> Any:
        return TopKTrainer(
            steps=steps, activation_dim=x.shape[1], dict_size=atoms, k=k, layer=0, lm_name="none", lr=lr, seed=0,
            warmup_steps=max(1, min(1000, steps // 10)), decay_start=int(0.8 * steps), device="cpu",
        )  # fmt: skip

    take, tried = batches(x, 1), trainer(1000)
    tried.update(0, torch.from_numpy(take()))
    began = clock()
    for step in range(1, 11):
        tried.update(step, torch.from_numpy(take()))
    steps = max(10, int(seconds / (clock() - began) * 10))
    fitted, done = trainer(steps), 0

    def update() -> None:
        nonlocal done
        fitted.update(done, torch.from_numpy(take()))
        done += 1

    def measure() -> float:
        with torch.inference_mode():
            return cosine(test, fitted.ae.decode(fitted.ae.encode(rows)).numpy())

    curve = timed(update, measure, seconds, steps)  # beyond its steps the rate of its schedule falls below zero
    learnt = fitted.ae.decoder.weight.detach().numpy().T
    name = f"dictionary_learning, TopK, lr {fitted.lr:.2g}, laid out for {steps:,} steps"
    say(name, curve[-1][0], done, measure(), by_pursuit(learnt, test, sparsity), curve)


def scikit_learn(x: Rows, test: Rows, atoms: int, sparsity: tuple[int, int], seconds: float) -> None:
    """Fit scikit-learn's MiniBatchDictionaryLearning by partial fits."""
    from sklearn.decomposition import MiniBatchDictionaryLearning
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import orthogonal_mp_gram

    take, done = batches(x, 2), 0
    fitted = MiniBatchDictionaryLearning(
        atoms, alpha=1 / np.sqrt(x.shape[1]), batch_size=BATCH, fit_algorithm="cd", random_state=0
    )

    def update() -> None:
        nonlocal done
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of each row's code, by a hair
            fitted.partial_fit(take())
        done += 1

    curve = timed(update, lambda: by_pursuit(fitted.components_, test[:1000], sparsity), seconds)
    learnt, few = fitted.components_.astype(np.float32), test[:1000]
    codes = orthogonal_mp_gram(learnt @ learnt.T, learnt @ few.T, n_nonzero_coefs=sparsity[0] * sparsity[1])
    own = cosine(few, codes.T @ learnt)
    say("scikit-learn, MiniBatchDictionaryLearning (curve: pursuit)", curve[-1][0], done, own,
        by_pursuit(learnt, test, sparsity), curve)  # fmt: skip


def _cpu_seconds(threads: int) -> float:
    return time.process_time() / threads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="planted tokens of 64 dimensions where not given")
    parser.add_argument("--tokens", type=int, default=600_000)
    parser.add_argument("--atoms", type=int, default=1024)
    parser.add_argument("--sparsity", default="10,2")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--steps", type=int, default=None, help="of ours, in place of the default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--first", action="store_true", help="our default fit alone: how long it takes")
    wanted = parser.parse_args()
    threads_of(wanted.threads)
    if wanted.clock == "cpu":
        global clock
        clock = partial(_cpu_seconds, wanted.threads)
    rounds, per_round = map(int, wanted.sparsity.split(","))
    sparsity, seconds = (rounds, per_round), 60 * wanted.minutes
    if wanted.run is None:
        x = planted(wanted.tokens + HELD_OUT, 64)
    else:
        from napari_phenolens import open_run

        x = tokens_of(open_run(wanted.run), wanted.tokens + HELD_OUT)
    order = np.random.default_rng(0).permutation(len(x))
    test = np.asarray(x[np.sort(order[:HELD_OUT])], np.float32)
    x = x[np.sort(order[HELD_OUT:])]
    print(
        f"{len(x):,} tokens of {x.shape[1]} dimensions, {HELD_OUT:,} more held out; {wanted.atoms} atoms, "
        f"{rounds} x {per_round}, {wanted.threads} threads, {wanted.clock} time"
    )
    common = wanted.atoms, sparsity
    ours(x[: 4 * BATCH], test, "icfl", *common, 10, "(compiles)")
    took, steps, first = ours(x, test, "icfl", *common, wanted.steps, "ours, ICFL")
    if wanted.first:
        return
    more = int(steps * (took + seconds) / took)
    _, _, second = ours(x, test, "icfl", *common, more, f"ours, ICFL, {wanted.minutes:g} minutes more")
    print(f"{wanted.minutes:g} more minutes gain {second - first:+.4f} of held-out cosine over the {took:.0f} s fit")
    ours(x, test, "topk", *common, wanted.steps, "ours, TopK")
    for name, peer in (
        ("dictionary_learning", lambda: dictionary_learning(x, test, *common, took, None)),
        ("dictionary_learning", lambda: dictionary_learning(x, test, *common, took, 3e-3)),
        ("scikit-learn", lambda: scikit_learn(x, test, *common, took)),
    ):
        try:
            peer()
        except ImportError as error:
            print(f"absent: {name} ({error})")


if __name__ == "__main__":
    main()
