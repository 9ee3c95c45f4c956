"""Fitting a dictionary: the loop of steps, held-out measure, checkpoints, progress and cancel."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.dictionary.checkpoint import load_state, save_state
from napari_phenolens.dictionary.coder import EPS
from napari_phenolens.dictionary.errors import DictionaryError
from napari_phenolens.dictionary.model import Dictionary, Method, history_frame
from napari_phenolens.dictionary.plan import (
    LR,
    Decay,
    Plan,
    check_method,
    check_numbers,
    check_rate,
    check_tokens,
    default_batch,
    default_steps,
    draw,
    held_out,
    rate,
    unit_rows_at,
)
from napari_phenolens.dictionary.stages import Refit, Select, check_select
from napari_phenolens.dictionary.train import IcflTrainer, Trainer
from napari_phenolens.dictionary.train_mp import MpTrainer
from napari_phenolens.dictionary.train_topk import BatchTopKTrainer, TopKTrainer
from napari_phenolens.errors import Cancelled
from napari_phenolens.progress import CancelCallback, Progress, ProgressCallback, check_cancelled

STAGE = "dictionary"
EVALUATE_EVERY = 100
_TREE = 4  # key of the random stream
_TREE_ROWS = 16_384  # rows that tell which coarse atom a finer one goes with


def fit_dictionary(
    x: Any,
    atoms: int = 1024,
    sparsity: tuple[int, int] = (10, 2),
    method: Method = "icfl",
    steps: int | None = None,
    seed: int = 0,
    *,
    batch: int | None = None,
    lr: float | None = None,
    warmup: int | None = None,
    decay: Decay = "cosine",
    start: Dictionary | None = None,
    select: Select = "signed",
    refit: Refit = "none",
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 200,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> Dictionary:
    """Learn a dictionary from whitened tokens, each normed to one.

    ICFL (Donhauser et al., ICML 2025): codes by pursuit, held fixed; Adam on the atoms by the squared error alone;
    atoms kept at norm one; every 100 steps (but in the last tenth) the later of two atoms with a cosine above 0.9 is
    redrawn uniformly on the sphere and its Adam moments zeroed. The learning rate warms up over the first tenth (at
    most 100 steps) and falls to zero as a cosine.

    Nested ICFL: the first sixteenth of the atoms, the first quarter and all of them are dictionaries of their own;
    early rounds pick from the coarse ones alone, and the loss is the mean over the reconstructions after each. The
    baselines are sparse autoencoders: TopK (Gao et al. 2024; own encoder, biases, unit decoder, auxiliary loss for
    dead features), BatchTopK (Bussmann et al. 2024; as many entries on average over a batch), and matching pursuit
    (Costa et al. 2025; one atom a round, the gradient flowing back through all rounds).

    Parameters
    ----------
    x : array-like (n, p)
        float32 or float16; anything with a shape that takes a sorted integer array as row index.
    atoms : int
        m.
    sparsity : (int, int)
        Rounds J and picks a round L.
    method : {"icfl", "topk", "batchtopk", "mpsae", "nested"}
        The autoencoders have J * L entries.
    steps : int, optional
        Default: twenty passes over the rows, but between 500 and 5,000 (`default_steps`).
    seed : int
        Same seed, data and settings: same bits, on one machine, for any number of threads.
    batch : int, optional
        Default: as many as atoms, between 1,024 and 4,096; never more than there are training rows.
    lr : float, optional
        Default 1e-3 (pursuit) or 3e-3 (TopK, BatchTopK). A step should stay well below an entry of an atom,
        1 / sqrt(p): pursuit is warned of more than a tenth of it, without decay of more than a hundredth.
    warmup : int, optional
        Steps of the warm-up.
    decay : {"cosine", "none"}
    start : Dictionary, optional
        Start from its atoms (and encoder, where both have one) instead of random ones; of fewer atoms the rest are
        random. Its tokens must have been whitened alike.
    select, refit
        Options of the coder, see `icfl_encode`; for method "icfl", and `select` for "nested".
    checkpoint : path, optional
        Written (and replaced as a whole) every `checkpoint_every` steps, on cancel and at the end; where it exists
        the fit goes on from it, to the same bits as an uninterrupted one.
    checkpoint_every : int
    progress, cancel : callable, optional
        `cancel` is asked several times a step.

    Returns
    -------
    Dictionary
        Its history has a row for every hundred steps: the batches' mean squared error and the held-out mean cosine,
        of a tenth of the rows (at most 2,048) that are never trained on; below 20 rows, of all rows.

    Raises
    ------
    DictionaryError
        Settings or data that cannot be, or a checkpoint of another fit.
    Cancelled
        Where `cancel` said so.
    """
    check_numbers(
        atoms=atoms, steps=steps, batch=batch, lr=lr, seed=seed, warmup=warmup, checkpoint_every=checkpoint_every
    )
    rounds, per_round, levels = check_method(method, atoms, sparsity, refit)
    n, p = check_tokens(x)
    check_select(select)
    if method not in ("icfl", "nested") and (select, refit) != ("signed", "none"):
        raise DictionaryError(f"select and refit are options of pursuit; method {method!r} has its own rule")
    held = held_out(n, seed)
    held_rows = unit_rows_at(x, held)
    trained = n - len(held) if n >= 20 else n
    size = min(batch if batch is not None else default_batch(atoms), trained)
    planned = int(steps) if steps is not None else default_steps(n, size)
    plan = Plan(
        method=method,
        atoms=int(atoms),
        p=p,
        n=n,
        rounds=rounds,
        per_round=per_round,
        steps=planned,
        batch=size,
        lr=float(lr if lr is not None else LR[method]),
        seed=int(seed),
        data=hashlib.sha256(held_rows.tobytes()).hexdigest(),
        warmup=int(warmup) if warmup is not None else max(1, min(100, planned // 10)),
        decay=decay,
        select=select,
        refit=refit,
        start="" if start is None else hashlib.sha256(start.atoms.tobytes()).hexdigest(),
    )
    check_rate(method, plan.lr, p, decay)
    held_rows = held_rows[held_rows.any(axis=1)]
    if not len(held_rows):
        raise DictionaryError("the held-out rows are all zero; a dictionary needs tokens with a direction")

    trainer = _trainer(plan, levels, held_rows)
    if start is not None:
        _start_from(start, trainer)
    path = Path(checkpoint) if checkpoint is not None else None
    record = _Record()
    if path is not None and path.exists():
        _resume(path, plan, trainer, record)

    clock = _Clock(progress, plan.steps, record.step)
    while record.step < plan.steps:
        number = record.step + 1
        rows = unit_rows_at(x, draw(plan, number, held if trained < n else held[:0]))
        try:
            check_cancelled(cancel)
            loss = trainer.step(rows, rate(plan, number), number, cancel)
        except Cancelled:
            if path is not None:
                _save(path, plan, trainer, record)
            raise
        record.step = number
        record.pending.append(loss)
        if number % EVALUATE_EVERY == 0 or number == plan.steps:
            record.measure(_cosine(trainer, held_rows))
        if path is not None and (number % checkpoint_every == 0 or number == plan.steps):
            _save(path, plan, trainer, record)
        clock.tell(number, record)
    parts = trainer.parts()
    if levels is not None:
        parts["parents"] = _parents(x, trainer, levels, plan.seed, cancel)
    return Dictionary(
        atoms=trainer.atoms.copy(),
        method=method,
        sparsity=(rounds, per_round),
        seed=plan.seed,
        history=history_frame(record.history),
        settings={key: value for key, value in asdict(plan).items() if key in ("steps", "batch", "lr", "n")},
        **parts,
    )


def _trainer(plan: Plan, levels: tuple[int, ...] | None, held: NDArray[np.float32]) -> Trainer:
    shape, sparsity = (plan.atoms, plan.p), (plan.rounds, plan.per_round)
    if plan.method in ("icfl", "nested"):
        return IcflTrainer(
            *shape,
            sparsity,
            plan.seed,
            last_reset=int(0.9 * plan.steps),
            levels=levels,
            select=plan.select,  # type: ignore[arg-type]  # checked above
            refit=plan.refit,  # type: ignore[arg-type]
        )
    mean = held.mean(axis=0)
    if plan.method == "mpsae":
        return MpTrainer(*shape, sparsity, plan.seed, mean)
    of = BatchTopKTrainer if plan.method == "batchtopk" else TopKTrainer
    return of(*shape, sparsity, plan.seed, mean)


def _start_from(start: Dictionary, trainer: Trainer) -> None:
    """Put another dictionary's parameters in the place of random ones."""
    m, p = trainer.atoms.shape
    if start.p != p:
        raise DictionaryError(
            f"the dictionary to start from has atoms of {start.p} dimensions, the tokens have {p}; whiten them alike"
        )
    if start.m > m:
        raise DictionaryError(
            f"the dictionary to start from has {start.m} atoms, {m} are asked for; ask for as many, or more"
        )
    trainer.arrays["atoms"][: start.m] = start.atoms
    if "encoder" in trainer.arrays:
        trainer.arrays["encoder"][: start.m] = start.atoms if start.topk is None else start.topk.encoder
        if start.topk is not None:
            trainer.arrays["encoder_bias"][: start.m] = start.topk.encoder_bias
            trainer.arrays["bias"][:] = start.topk.bias


def _parents(
    x: Any, trainer: Trainer, levels: tuple[int, ...], seed: int, cancel: CancelCallback | None
) -> NDArray[np.int32]:
    from napari_phenolens.dictionary.hierarchy import parents

    n = int(x.shape[0])
    places = np.sort(np.random.default_rng([seed, _TREE]).choice(n, min(n, _TREE_ROWS), replace=False, shuffle=False))
    return parents(*trainer.codes(unit_rows_at(x, places), cancel), levels)


def _cosine(trainer: Trainer, rows: NDArray[np.float32]) -> float:
    back = trainer.render(trainer.codes(rows)).astype(np.float64)
    length = np.linalg.norm(back, axis=1)
    return float((np.einsum("np,np->n", rows, back) / np.maximum(length, EPS)).mean())


class _Record:
    """Where a fit stands."""

    def __init__(self) -> None:
        self.step = 0
        self.pending: list[float] = []
        self.history: list[tuple[int, float, float]] = []

    def measure(self, cosine: float) -> None:
        self.history.append((self.step, float(np.mean(self.pending)), cosine))
        self.pending = []


def _save(path: Path, plan: Plan, trainer: Trainer, record: _Record) -> None:
    meta = {"plan": asdict(plan), "step": record.step, "pending": record.pending, "history": record.history}
    save_state(path, trainer.arrays, meta)


def _resume(path: Path, plan: Plan, trainer: Trainer, record: _Record) -> None:
    arrays, meta = load_state(path)
    wanted, found = asdict(plan), meta.get("plan", {})
    differ = [
        f"{key} {found.get(key)!r} there, {value!r} here" for key, value in wanted.items() if found.get(key) != value
    ]
    if differ:
        raise DictionaryError(
            f"{path} is a checkpoint of another fit ({'; '.join(differ)}); fit with its settings and data, or delete it"
        )
    for name, array in trainer.arrays.items():
        if name not in arrays or arrays[name].shape != array.shape or arrays[name].dtype != array.dtype:
            raise DictionaryError(f"{path} lacks a fitting array {name!r}; delete it to start afresh")
        array[...] = arrays[name]
    record.step = int(meta["step"])
    record.pending = [float(loss) for loss in meta["pending"]]
    record.history = [(int(s), float(loss), float(cosine)) for s, loss, cosine in meta["history"]]


class _Clock:
    """Reports progress a few times a second, with the remaining time from the steps of this call."""

    def __init__(self, progress: ProgressCallback | None, steps: int, start: int) -> None:
        self._progress, self._steps, self._start = progress, steps, start
        self._begun = time.monotonic()
        self._told = 0.0

    def tell(self, number: int, record: _Record) -> None:
        now = time.monotonic()
        if self._progress is None or (now - self._told < 0.2 and number < self._steps):
            return
        self._told = now
        eta = (now - self._begun) / (number - self._start) * (self._steps - number)
        message = f"held-out cosine {record.history[-1][2]:.3f}" if record.history else "learning the dictionary"
        self._progress(Progress(STAGE, number, self._steps, message, eta))
