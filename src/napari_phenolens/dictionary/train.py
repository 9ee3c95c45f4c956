"""Training steps: what all methods share, and ICFL, plain and nested.

Gradients are written out by hand. Codes of a step are held fixed (ICFL) or flow through the chosen entries alone, so
every gradient is a sum over non-zero code entries: no dense (n, m) array is made. All sums run in a fixed order in
fixed blocks: results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.dictionary import kernels
from napari_phenolens.dictionary.blocks import Work, run_blocks, single_threaded_blas
from napari_phenolens.dictionary.coder import Codes, IcflCoder, decode
from napari_phenolens.dictionary.stages import Refit, Select
from napari_phenolens.progress import CancelCallback

Array = NDArray[np.float32]

RESET_EVERY = 100
RESET_COSINE = 0.9
_ATOM_BLOCK = 128
_RESETS = 2  # key of the random stream of redrawn atoms


class Trainer(Protocol):
    """What `fit_dictionary` asks of a method."""

    arrays: dict[str, NDArray[Any]]  # all that a checkpoint holds, changed in place

    @property
    def atoms(self) -> Array:
        """Unit rows (m, p)."""

    def codes(self, x: Array, cancel: CancelCallback | None = None) -> Codes:
        """Code unit rows as the finished dictionary would."""

    def render(self, codes: Codes) -> Array:
        """Bring codes back to rows."""

    def step(self, x: Array, lr: float, number: int, cancel: CancelCallback | None) -> float:
        """Learn from unit rows x; give their mean squared error."""

    def parts(self) -> dict[str, Any]:
        """What a `Dictionary` holds beside its atoms."""


def uniform_atoms(m: int, p: int, seed: int) -> Array:
    """Initial atoms: U(-1, 1) an entry (the scale falls out), then unit rows."""
    atoms = np.random.default_rng([seed, 0]).uniform(-1.0, 1.0, (m, p))
    return np.asarray(atoms / np.linalg.norm(atoms, axis=1, keepdims=True), dtype=np.float32)


def scatter(codes: Codes, rows: Array, scale: float, grad: Array) -> None:
    """Add scale * codes^T rows to grad (m, p)."""
    index, value = codes
    starts = np.zeros(len(grad) + 1, np.int64)
    entries = np.empty(index.size, np.int64)
    kernels.bucket(index, value, starts, entries)

    def make_work() -> Work:
        def work(lo: int, hi: int) -> None:
            kernels.scatter_rows(value, rows, starts, entries, scale, grad, lo, hi)

        return work

    run_blocks(len(grad), _ATOM_BLOCK, make_work)


def adam(w: Array, grad: Array, first: Array, second: Array, lr: float, number: int, *, unit: bool = False) -> None:
    """One Adam step in place; vectors are taken as one row."""
    w2, g2, first2, second2 = np.atleast_2d(w, grad, first, second)

    def make_work() -> Work:
        def work(lo: int, hi: int) -> None:
            kernels.adam_rows(w2, g2, first2, second2, lr, number, unit, lo, hi)

        return work

    run_blocks(len(w2), _ATOM_BLOCK, make_work)


def sampled(codes: Codes, rows: Array, atoms: Array) -> Array:
    """Inner products of each row with the atoms of its code's non-zero entries, (n, k)."""
    index, value = codes
    out = np.empty(value.shape, np.float32)

    def make_work() -> Work:
        def work(lo: int, hi: int) -> None:
            kernels.sampled_dots(index[lo:hi], value[lo:hi], rows[lo:hi], atoms, out[lo:hi])

        return work

    run_blocks(len(rows), 1024, make_work)
    return out


def similar_atoms(atoms: Array, limit: float = RESET_COSINE) -> NDArray[np.int64]:
    """Atoms to redraw: of each pair with a cosine above `limit` the later one, while the other still stands."""
    drop = np.zeros(len(atoms), bool)
    with single_threaded_blas():
        for lo in range(0, len(atoms), 512):
            close = atoms[lo : lo + 512] @ atoms[lo:].T > limit
            for i in np.flatnonzero(close.sum(axis=1) > 1):
                if not drop[lo + i]:
                    drop[lo + i + 1 :] |= close[i, i + 1 :]
    return np.flatnonzero(drop)


class IcflTrainer:
    """ICFL: pursuit codes held fixed, decoder gradient of the squared error, unit atoms, similar atoms redrawn.

    No encoder, no bias, no auxiliary loss (Donhauser et al. 2025, algorithm 1 and section 3). With `levels` the early
    rounds pick from the coarse atoms alone, and the loss is the mean over the reconstructions after each level.

    Parameters
    ----------
    m, p : int
        Atoms and their dimensions.
    sparsity : (int, int)
        Rounds J and picks a round L.
    seed : int
    last_reset : int
        Step after which no atom is redrawn, as it could no longer learn.
    levels : sequence of int, optional
        Sizes of nested dictionaries.
    select, refit
        See `icfl_encode`.
    """

    def __init__(
        self,
        m: int,
        p: int,
        sparsity: tuple[int, int],
        seed: int,
        last_reset: int,
        *,
        levels: Sequence[int] | None = None,
        select: Select = "signed",
        refit: Refit = "none",
    ) -> None:
        self._sparsity, self._seed, self._last_reset = sparsity, seed, last_reset
        self._levels, self._select, self._refit = levels, select, refit
        self.arrays: dict[str, NDArray[Any]] = {
            "atoms": uniform_atoms(m, p, seed),
            "atoms.first": np.zeros((m, p), np.float32),
            "atoms.second": np.zeros((m, p), np.float32),
        }

    @property
    def atoms(self) -> Array:
        """Unit rows (m, p)."""
        return self.arrays["atoms"]

    def _coder(self) -> IcflCoder:
        return IcflCoder(
            self.atoms, *self._sparsity, select=self._select, refit=self._refit, levels=self._levels, check=False
        )

    def codes(self, x: Array, cancel: CancelCallback | None = None) -> Codes:
        """Code unit rows with the atoms as they are."""
        return self._coder().encode(x, cancel=cancel)

    def render(self, codes: Codes) -> Array:
        """Bring codes back to rows."""
        return decode(*codes, self.atoms)

    def step(self, x: Array, lr: float, number: int, cancel: CancelCallback | None) -> float:
        """Learn from unit rows x."""
        found = self._coder().encode_stages(x, cancel=cancel)
        if self._levels is None:
            found = found[-1:]
        grad = np.zeros_like(self.atoms)
        loss = 0.0
        for codes in found:
            residual = x - self.render(codes)
            scatter(codes, residual, -2.0 / (len(found) * len(x)), grad)
            loss += mean_square(residual) / len(found)
        first, second = self.arrays["atoms.first"], self.arrays["atoms.second"]
        adam(self.atoms, grad, first, second, lr, number, unit=True)
        if number % RESET_EVERY == 0 and number <= self._last_reset:
            redrawn = similar_atoms(self.atoms)
            new = np.random.default_rng([self._seed, _RESETS, number]).normal(size=(len(redrawn), x.shape[1]))
            self.atoms[redrawn] = new / np.linalg.norm(new, axis=1, keepdims=True)
            first[redrawn] = 0.0
            second[redrawn] = 0.0
        return loss

    def parts(self) -> dict[str, Any]:
        """Levels and options of the coder."""
        return {"levels": self._levels, "select": self._select, "refit": self._refit}


def mean_square(residual: Array) -> float:
    """Mean over rows of the squared norm."""
    return float(np.einsum("np,np->n", residual, residual, dtype=np.float64).mean())
