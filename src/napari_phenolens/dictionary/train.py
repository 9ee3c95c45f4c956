"""One training step of each method: codes, sparse gradients written out by hand, Adam.

Codes of a step are held fixed (ICFL) or flow through the chosen entries alone (TopK), so every gradient is a sum over
non-zero code entries: no dense (n, m) array is made. All sums run in a fixed order in fixed blocks: results do not
depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.dictionary import kernels
from napari_phenolens.dictionary.blocks import Work, run_blocks, single_threaded_blas
from napari_phenolens.dictionary.coder import Codes, IcflCoder, decode
from napari_phenolens.dictionary.topk import TopKCoder, TopKWeights
from napari_phenolens.progress import CancelCallback

Array = NDArray[np.float32]

RESET_EVERY = 100
RESET_COSINE = 0.9
_ATOM_BLOCK = 128
_RESETS = 2  # key of the random stream of redrawn atoms


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

    No encoder, no bias, no auxiliary loss (Donhauser et al. 2025, algorithm 1 and section 3).
    """

    def __init__(self, m: int, p: int, sparsity: tuple[int, int], seed: int, last_reset: int) -> None:
        self._sparsity, self._seed, self._last_reset = sparsity, seed, last_reset
        self.arrays: dict[str, NDArray[Any]] = {
            "atoms": uniform_atoms(m, p, seed),
            "atoms.first": np.zeros((m, p), np.float32),
            "atoms.second": np.zeros((m, p), np.float32),
        }

    @property
    def atoms(self) -> Array:
        """Unit rows (m, p)."""
        return self.arrays["atoms"]

    def codes(self, x: Array, cancel: CancelCallback | None = None) -> Codes:
        """Code unit rows with the atoms as they are."""
        return IcflCoder(self.atoms, *self._sparsity, check=False).encode(x, cancel=cancel)

    def render(self, codes: Codes) -> Array:
        """Bring codes back to rows."""
        return decode(*codes, self.atoms)

    def step(self, x: Array, lr: float, number: int, cancel: CancelCallback | None) -> float:
        """Learn from unit rows x."""
        codes = self.codes(x, cancel)
        residual = x - self.render(codes)
        grad = np.zeros_like(self.atoms)
        scatter(codes, residual, -2.0 / len(x), grad)
        first, second = self.arrays["atoms.first"], self.arrays["atoms.second"]
        adam(self.atoms, grad, first, second, lr, number, unit=True)
        if number % RESET_EVERY == 0 and number <= self._last_reset:
            redrawn = similar_atoms(self.atoms)
            new = np.random.default_rng([self._seed, _RESETS, number]).normal(size=(len(redrawn), x.shape[1]))
            self.atoms[redrawn] = new / np.linalg.norm(new, axis=1, keepdims=True)
            first[redrawn] = 0.0
            second[redrawn] = 0.0
        return mean_square(residual)


class TopKTrainer:
    """TopK SAE with AuxK: own encoder, biases before and after, unit decoder rows.

    The encoder starts as the decoder's transpose; the decoder's gradient loses its part along each atom; atoms silent
    for `DEAD_STEPS` steps render the residual through their own top k, at 1/32 of the loss (Gao et al. 2024, appendix
    A).
    """

    DEAD_STEPS = 100
    AUX = 1.0 / 32.0

    def __init__(self, m: int, p: int, sparsity: tuple[int, int], seed: int, mean: Array) -> None:
        self.k = sparsity[0] * sparsity[1]
        # Gao et al.: half the width, a power of two
        self.k_aux = 2 ** max(0, int(np.log2(max(p // 2, 1))))
        atoms = uniform_atoms(m, p, seed)
        weights = {
            "atoms": atoms,
            "encoder": atoms.copy(),
            "encoder_bias": np.zeros(m, np.float32),
            "bias": mean.copy(),
        }
        self.arrays: dict[str, NDArray[Any]] = dict(weights)
        for name, w in weights.items():
            self.arrays[f"{name}.first"] = np.zeros_like(w)
            self.arrays[f"{name}.second"] = np.zeros_like(w)
        self.arrays["last_active"] = np.zeros(m, np.int64)

    @property
    def atoms(self) -> Array:
        """Unit rows (m, p)."""
        return self.arrays["atoms"]

    @property
    def weights(self) -> TopKWeights:
        """Encoder and biases."""
        return TopKWeights(self.arrays["encoder"], self.arrays["encoder_bias"], self.arrays["bias"])

    def codes(self, x: Array, cancel: CancelCallback | None = None) -> Codes:
        """Code unit rows with the parameters as they are."""
        return TopKCoder(self.weights, self.k).encode(x, cancel=cancel)

    def render(self, codes: Codes) -> Array:
        """Bring codes back to rows."""
        return np.asarray(decode(*codes, self.atoms) + self.arrays["bias"])

    def gradients(self, x: Array, number: int, cancel: CancelCallback | None = None) -> tuple[float, dict[str, Array]]:
        """Mean squared error of unit rows x, and the gradient of the whole loss by parameter."""
        w = self.weights
        codes = self.codes(x, cancel)
        residual = x - self.render(codes)
        last = self.arrays["last_active"]
        last[codes[0][codes[1] > 0]] = number
        dead = np.flatnonzero(number - last > self.DEAD_STEPS)
        grads = {name: np.zeros_like(self.arrays[name]) for name in ("atoms", "encoder", "encoder_bias", "bias")}
        slope = np.asarray(residual * np.float32(-2.0 / len(x)))
        grads["bias"] += slope.sum(axis=0)
        inputs = x - w.bias
        self._through(codes, slope, inputs, grads)
        if dead.size:
            part = TopKWeights(w.encoder[dead], w.encoder_bias[dead], w.bias)
            index, value = TopKCoder(part, min(self.k_aux, len(dead))).encode(x, cancel=cancel)
            aux = (dead.astype(np.int32)[index], value)
            self._through(
                aux, (residual - decode(*aux, self.atoms)) * np.float32(-2.0 * self.AUX / len(x)), inputs, grads
            )
        # the encoder sees x - bias
        grads["bias"] -= np.einsum("m,mp->p", grads["encoder_bias"], w.encoder)
        return mean_square(residual), grads

    def _through(self, codes: Codes, slope: Array, inputs: Array, grads: dict[str, Array]) -> None:
        """Add the gradient that comes through one set of codes, given that of the rendered rows."""
        index = codes[0]
        scatter(codes, slope, 1.0, grads["atoms"])
        back = (index, sampled(codes, slope, self.atoms))
        scatter(back, inputs, 1.0, grads["encoder"])
        grads["encoder_bias"] += np.bincount(index.ravel(), back[1].ravel(), len(self.atoms)).astype(np.float32)

    def step(self, x: Array, lr: float, number: int, cancel: CancelCallback | None) -> float:
        """Learn from unit rows x."""
        loss, grads = self.gradients(x, number, cancel)
        along = np.einsum("mp,mp->m", grads["atoms"], self.atoms)
        grads["atoms"] -= along[:, None] * self.atoms
        for name, grad in grads.items():
            moments = (self.arrays[f"{name}.first"], self.arrays[f"{name}.second"])
            adam(self.arrays[name], grad, *moments, lr, number, unit=name == "atoms")
        return loss


def mean_square(residual: Array) -> float:
    """Mean over rows of the squared norm."""
    return float(np.einsum("np,np->n", residual, residual, dtype=np.float64).mean())
