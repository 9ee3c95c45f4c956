"""Fitting a dictionary: batches, learning rate, held-out measure, checkpoints, progress and cancel."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.dictionary.checkpoint import load_state, save_state
from napari_phenolens.dictionary.coder import EPS, unit_rows
from napari_phenolens.dictionary.errors import DictionaryError
from napari_phenolens.dictionary.model import Dictionary, Method, history_frame
from napari_phenolens.dictionary.reference import check_sparsity, finite_rows
from napari_phenolens.dictionary.train import IcflTrainer, TopKTrainer
from napari_phenolens.errors import Cancelled
from napari_phenolens.progress import CancelCallback, Progress, ProgressCallback, check_cancelled

Trainer = IcflTrainer | TopKTrainer

STAGE = "dictionary"
LR = {"icfl": 1e-3, "topk": 3e-3}  # chosen on planted dictionaries of 32 and 192 dimensions
EVALUATE_EVERY = 100
_HELD_OUT = 2048
_EPOCHS = 20
_ROWS, _SPLIT = 1, 3  # keys of the random streams (0: initial atoms, 2: redrawn atoms)


def default_batch(atoms: int) -> int:
    """Rows a step: as many as atoms (a step's Gram matrix costs as much as those rows do), from 1,024 to 4,096."""
    return int(np.clip(atoms, 1024, 4096))


def default_steps(n: int, batch: int) -> int:
    """Steps for n rows: twenty passes over them, but between 500 and 5,000 steps."""
    return int(np.clip(math.ceil(_EPOCHS * n / batch), 500, 5000))


@dataclass(frozen=True)
class _Plan:
    """All that a fit's result depends on, with the data; a checkpoint of another plan is refused."""

    method: str
    atoms: int
    p: int
    n: int
    rounds: int
    per_round: int
    steps: int
    batch: int
    lr: float
    seed: int
    data: str  # of the held-out rows


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
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 200,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> Dictionary:
    """Learn a dictionary from whitened tokens, each normed to one.

    ICFL (Donhauser et al., ICML 2025): codes by pursuit, held fixed; Adam on the atoms by the squared error alone;
    atoms kept at norm one; every 100 steps (but in the last tenth) the later of two atoms with a cosine above 0.9 is
    redrawn uniformly on the sphere and its Adam moments zeroed. TopK (Gao et al. 2024): a sparse autoencoder with the
    same number of entries J * L, own encoder, biases, unit decoder, auxiliary loss for dead features. The learning
    rate warms up over the first tenth (at most 100 steps) and falls to zero as a cosine.

    Parameters
    ----------
    x : array-like (n, p)
        float32 or float16; anything with a shape that takes a sorted integer array as row index.
    atoms : int
        m.
    sparsity : (int, int)
        Rounds J and picks a round L.
    method : {"icfl", "topk"}
    steps : int, optional
        Default: twenty passes over the rows, but between 500 and 5,000 (`default_steps`).
    seed : int
        Same seed, data and settings: same bits, on one machine, for any number of threads.
    batch : int, optional
        Default: as many as atoms, between 1,024 and 4,096; never more than there are training rows.
    lr : float, optional
        Default 1e-3 (ICFL) or 3e-3 (TopK). A step should stay well below an entry of an atom, 1 / sqrt(p).
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
    n, p = _check(x, atoms, method, steps, batch, lr, checkpoint_every, seed)
    rounds, per_round = check_sparsity(*sparsity, atoms)
    if method == "topk" and rounds * per_round > atoms:
        raise DictionaryError(f"a TopK code of {rounds * per_round} entries needs as many atoms; there are {atoms}")
    held = _held_out(n, seed)
    held_rows = _rows(x, held)
    trained = n - len(held) if n >= 20 else n
    size = min(batch if batch is not None else default_batch(atoms), trained)
    plan = _Plan(
        method=method,
        atoms=int(atoms),
        p=p,
        n=n,
        rounds=rounds,
        per_round=per_round,
        steps=int(steps) if steps is not None else default_steps(n, size),
        batch=size,
        lr=float(lr if lr is not None else LR[method]),
        seed=int(seed),
        data=hashlib.sha256(held_rows.tobytes()).hexdigest(),
    )
    held_rows = held_rows[held_rows.any(axis=1)]
    if not len(held_rows):
        raise DictionaryError("the held-out rows are all zero; a dictionary needs tokens with a direction")

    trainer: Trainer
    if method == "icfl":
        trainer = IcflTrainer(atoms, p, (rounds, per_round), seed, last_reset=int(0.9 * plan.steps))
    else:
        trainer = TopKTrainer(atoms, p, (rounds, per_round), seed, held_rows.mean(axis=0))
    path = Path(checkpoint) if checkpoint is not None else None
    record = _Record()
    if path is not None and path.exists():
        _resume(path, plan, trainer, record)

    clock = _Clock(progress, plan.steps, record.step)
    while record.step < plan.steps:
        number = record.step + 1
        rows = _rows(x, _draw(plan, number, held if trained < n else held[:0]))
        try:
            check_cancelled(cancel)
            loss = trainer.step(rows, _rate(plan, number), number, cancel)
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
    return Dictionary(
        atoms=trainer.atoms.copy(),
        method=method,
        sparsity=(rounds, per_round),
        seed=plan.seed,
        history=history_frame(record.history),
        topk=trainer.weights if isinstance(trainer, TopKTrainer) else None,
        settings={key: value for key, value in asdict(plan).items() if key in ("steps", "batch", "lr", "n")},
    )


def _check(
    x: Any, atoms: int, method: str, steps: int | None, batch: int | None, lr: float | None, every: int, seed: int
) -> tuple[int, int]:
    if method not in get_args(Method):
        raise DictionaryError(f"method {method!r} is unknown; choose one of {', '.join(get_args(Method))}")
    for name, number in (("atoms", atoms), ("steps", steps), ("batch", batch), ("checkpoint_every", every)):
        if number is not None and (isinstance(number, bool) or int(number) != number or number < 1):
            raise DictionaryError(f"{name} is {number!r}; give a whole number of 1 or more")
    if isinstance(seed, bool) or int(seed) != seed or seed < 0:
        raise DictionaryError(f"seed is {seed!r}; give a whole number of 0 or more")
    if lr is not None and not (math.isfinite(lr) and lr > 0):
        raise DictionaryError(f"lr is {lr!r}; give a number above 0")
    shape = getattr(x, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] < 1:
        raise DictionaryError(f"x has shape {shape}; give an array of tokens (n, p)")
    if shape[0] < 2:
        raise DictionaryError(
            f"x holds {shape[0]} tokens; a dictionary needs two at least, and does well with tens of thousands"
        )
    return int(shape[0]), int(shape[1])


def _rows(x: Any, places: NDArray[np.int64]) -> NDArray[np.float32]:
    rows = np.asarray(x[places])
    with np.errstate(over="ignore"):
        finite = np.isfinite(rows.astype(np.float32, copy=False)).all(axis=1)
    if not finite.all():
        raise DictionaryError(
            f"row {places[int(np.flatnonzero(~finite)[0])]} of x holds a number that is not finite; drop or mend it"
        )
    return unit_rows(finite_rows(rows))


def _held_out(n: int, seed: int) -> NDArray[np.int64]:
    """Sorted rows that are kept for the measure (all of them where there are too few to split)."""
    if n < 20:
        return np.arange(n)
    return np.sort(
        np.random.default_rng([seed, _SPLIT]).choice(n, min(_HELD_OUT, n // 10), replace=False, shuffle=False)
    )


def _draw(plan: _Plan, number: int, held: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sorted training rows of a step, a function of seed and step alone: the step is the generator's state."""
    generator = np.random.default_rng([plan.seed, _ROWS, number])
    places = np.sort(generator.choice(plan.n - len(held), plan.batch, replace=False, shuffle=False))
    # step over the held-out rows
    return np.asarray(places + np.searchsorted(held - np.arange(len(held)), places, side="right"))


def _rate(plan: _Plan, number: int) -> float:
    warm = max(1, min(100, plan.steps // 10))
    if number <= warm:
        return plan.lr * number / warm
    return plan.lr * 0.5 * (1.0 + math.cos(math.pi * (number - warm) / max(1, plan.steps - warm + 1)))


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


def _save(path: Path, plan: _Plan, trainer: Trainer, record: _Record) -> None:
    meta = {"plan": asdict(plan), "step": record.step, "pending": record.pending, "history": record.history}
    save_state(path, trainer.arrays, meta)


def _resume(path: Path, plan: _Plan, trainer: Trainer, record: _Record) -> None:
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
