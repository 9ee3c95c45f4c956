"""What a fit does at each step: how many rows and steps, which rows, what learning rate."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.dictionary.coder import unit_rows
from napari_phenolens.dictionary.errors import DictionaryError
from napari_phenolens.dictionary.model import Method
from napari_phenolens.dictionary.reference import check_sparsity, finite_rows
from napari_phenolens.dictionary.stages import Refit, nested_levels, stages

# chosen on planted dictionaries of 32 and 192 dimensions
LR = {"icfl": 1e-3, "nested": 1e-3, "mpsae": 1e-3, "topk": 3e-3, "batchtopk": 3e-3}
# Adam moves an entry by about lr a step, and the entries of a unit atom are about 1 / sqrt(p). On planted dictionaries
# of 64 dimensions, without decay, pursuit found 90 % of the atoms at 1e-3 (0.008 of that) and 49 % at 2e-3; with decay
# it still found all at 1e-2 (0.08).
_LARGEST_STEP = {"none": 0.01, "cosine": 0.1}
_HELD_OUT = 2048
_EPOCHS = 20
_ROWS, _SPLIT = 1, 3  # keys of the random streams (0: initial atoms, 2: redrawn atoms)

Decay = Literal["cosine", "none"]


def default_batch(atoms: int) -> int:
    """Rows a step: as many as atoms (a step's Gram matrix costs as much as those rows do), from 1,024 to 4,096."""
    return int(np.clip(atoms, 1024, 4096))


def default_steps(n: int, batch: int) -> int:
    """Steps for n rows: twenty passes over them, but between 500 and 5,000 steps."""
    return int(np.clip(math.ceil(_EPOCHS * n / batch), 500, 5000))


@dataclass(frozen=True)
class Plan:
    """All that a fit's result depends on, with the data; a checkpoint of another plan is refused.

    Attributes
    ----------
    data : str
        Checksum of the held-out rows.
    start : str
        Checksum of the atoms to start from, empty where they are random.
    """

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
    data: str
    warmup: int
    decay: str
    select: str
    refit: str | int
    start: str


def check_numbers(**numbers: Any) -> None:
    """Refuse what is no whole number of 1 or more (None passes), or for ``lr`` no number above 0, for ``seed`` below 0.

    Raises
    ------
    DictionaryError
        Where one is.
    """
    for name, number in numbers.items():
        if number is None:
            continue
        if name == "lr":
            if not (math.isfinite(number) and number > 0):
                raise DictionaryError(f"lr is {number!r}; give a number above 0")
            continue
        least = 0 if name in ("seed", "warmup") else 1
        if isinstance(number, bool) or int(number) != number or number < least:
            raise DictionaryError(f"{name} is {number!r}; give a whole number of {least} or more")


def check_method(
    method: str, atoms: int, sparsity: tuple[int, int], refit: Refit = "none"
) -> tuple[int, int, tuple[int, ...] | None]:
    """Tell whether atoms and sparsity suit a method, before any token is there.

    Returns
    -------
    rounds, per_round : int
    levels : tuple of int or None
        Sizes of nested dictionaries.

    Raises
    ------
    DictionaryError
        Where they do not, or the method is unknown.
    """
    if method not in get_args(Method):
        raise DictionaryError(f"method {method!r} is unknown; choose one of {', '.join(get_args(Method))}")
    check_numbers(atoms=atoms)
    rounds, per_round = check_sparsity(*sparsity, atoms)
    levels = nested_levels(atoms) if method == "nested" else None
    stages(rounds, per_round, atoms, refit, levels)
    if method in ("topk", "batchtopk", "mpsae") and rounds * per_round > atoms:
        raise DictionaryError(f"a code of {rounds * per_round} entries needs as many atoms; there are {atoms}")
    return rounds, per_round, levels


def check_tokens(x: Any) -> tuple[int, int]:
    """Give the shape of the tokens (n, p).

    Raises
    ------
    DictionaryError
        Where they are none.
    """
    shape = getattr(x, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] < 1:
        raise DictionaryError(f"x has shape {shape}; give an array of tokens (n, p)")
    if shape[0] < 2:
        raise DictionaryError(
            f"x holds {shape[0]} tokens; a dictionary needs two at least, and does well with tens of thousands"
        )
    return int(shape[0]), int(shape[1])


def check_rate(method: str, lr: float, p: int, decay: str) -> None:
    """Warn of a learning rate at which unit atoms do not settle.

    Raises
    ------
    DictionaryError
        Where the decay is unknown.
    """
    if decay not in get_args(Decay):
        raise DictionaryError(f"decay is {decay!r}; choose one of {', '.join(get_args(Decay))}")
    limit = _LARGEST_STEP[decay] / math.sqrt(p)
    if method in ("icfl", "nested", "mpsae") and lr > limit:
        warnings.warn(
            f"a learning rate of {lr:g} is high for atoms of {p} dimensions with decay {decay!r}: beyond {limit:.2g} "
            "atoms were seen not to settle",
            UserWarning,
            stacklevel=3,
        )


def unit_rows_at(x: Any, places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Unit rows of the tokens at sorted places.

    Raises
    ------
    DictionaryError
        Where a number is not finite; the message names its row.
    """
    rows = np.asarray(x[places])
    with np.errstate(over="ignore"):
        finite = np.isfinite(rows.astype(np.float32, copy=False)).all(axis=1)
    if not finite.all():
        raise DictionaryError(
            f"row {places[int(np.flatnonzero(~finite)[0])]} of x holds a number that is not finite; drop or mend it"
        )
    return unit_rows(finite_rows(rows))


def held_out(n: int, seed: int) -> NDArray[np.int64]:
    """Sorted rows that are kept for the measure (all of them where there are too few to split)."""
    if n < 20:
        return np.arange(n)
    return np.sort(
        np.random.default_rng([seed, _SPLIT]).choice(n, min(_HELD_OUT, n // 10), replace=False, shuffle=False)
    )


def draw(plan: Plan, number: int, held: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sorted training rows of a step, a function of seed and step alone: the step is the generator's state."""
    generator = np.random.default_rng([plan.seed, _ROWS, number])
    places = np.sort(generator.choice(plan.n - len(held), plan.batch, replace=False, shuffle=False))
    # step over the held-out rows
    return np.asarray(places + np.searchsorted(held - np.arange(len(held)), places, side="right"))


def rate(plan: Plan, number: int) -> float:
    """Learning rate of a step: a straight rise, then a cosine to zero (or none)."""
    warm = plan.warmup
    if number <= warm:
        return plan.lr * number / warm
    if plan.decay == "none":
        return plan.lr
    return plan.lr * 0.5 * (1.0 + math.cos(math.pi * (number - warm) / max(1, plan.steps - warm + 1)))
