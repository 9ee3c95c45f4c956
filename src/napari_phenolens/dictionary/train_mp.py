"""Training step of the matching-pursuit sparse autoencoder (MP-SAE; Costa et al. 2025, arXiv 2506.03093)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.dictionary.blocks import Work, run_blocks
from napari_phenolens.dictionary.coder import Codes, IcflCoder, chunk_rows, decode, gram_matrix, padded
from napari_phenolens.dictionary.train import Array, adam, mean_square, uniform_atoms
from napari_phenolens.progress import CancelCallback

_PARTS = 4  # gradients are summed up in so many fixed parts of a batch, then in their order


class MpTrainer:
    """Matching pursuit, one atom a round, with the gradient of the squared error flowing back through all its rounds.

    Each round takes the atom of the largest signed correlation with the residual. Atoms keep norm one; a bias comes off
    first and is given back. There is no auxiliary loss, and no atom is redrawn.

    Parameters
    ----------
    m, p : int
        Atoms and their dimensions.
    sparsity : (int, int)
        J and L; there are J * L rounds of one atom.
    seed : int
    mean : array (p,)
        The bias to start from.
    """

    def __init__(self, m: int, p: int, sparsity: tuple[int, int], seed: int, mean: Array) -> None:
        self.k = sparsity[0] * sparsity[1]
        self.arrays: dict[str, NDArray[Any]] = {"atoms": uniform_atoms(m, p, seed), "bias": mean.copy()}
        for name in ("atoms", "bias"):
            self.arrays[f"{name}.first"] = np.zeros_like(self.arrays[name])
            self.arrays[f"{name}.second"] = np.zeros_like(self.arrays[name])

    @property
    def atoms(self) -> Array:
        """Unit rows (m, p)."""
        return self.arrays["atoms"]

    def codes(self, x: Array, cancel: CancelCallback | None = None) -> Codes:
        """Code unit rows with the parameters as they are."""
        return IcflCoder(self.atoms, self.k, 1, check=False).encode(x - self.arrays["bias"], cancel=cancel)

    def render(self, codes: Codes) -> Array:
        """Bring codes back to rows."""
        return np.asarray(decode(*codes, self.atoms) + self.arrays["bias"])

    def gradients(self, x: Array, cancel: CancelCallback | None = None) -> tuple[float, dict[str, Array]]:
        """Mean squared error of unit rows x, and its gradient by parameter."""
        from napari_phenolens.dictionary import pursuit

        n, (m, p) = len(x), self.atoms.shape
        atoms = padded(self.atoms)
        gram = gram_matrix(atoms, cancel)
        residual = np.asarray(x - self.arrays["bias"])
        part = -(-n // _PARTS)
        grads = np.zeros((-(-n // part), m, p), np.float32)
        bias = np.zeros((len(grads), p), np.float32)
        chunk = chunk_rows(len(atoms))

        def make_work() -> Work:
            buffer = np.empty(min(chunk, n) * len(atoms), np.float32)

            def work(lo: int, hi: int) -> None:
                for start in range(lo, hi, chunk):
                    rows = residual[start : min(start + chunk, hi)]
                    c = buffer[: len(rows) * len(atoms)].reshape(len(rows), len(atoms))
                    picks, values = np.empty((len(rows), self.k), np.int32), np.empty((len(rows), self.k), np.float32)
                    np.matmul(rows, atoms.T, out=c)
                    pursuit.matching_pursuit(c, gram, rows, atoms, m, picks, values)
                    pursuit.pursue_back(rows, atoms, picks, values, 2.0 / n, grads[lo // part], bias[lo // part])

            return work

        run_blocks(n, part, make_work, cancel)
        return mean_square(residual), {"atoms": grads.sum(axis=0), "bias": bias.sum(axis=0)}

    def step(self, x: Array, lr: float, number: int, cancel: CancelCallback | None) -> float:
        """Learn from unit rows x."""
        loss, grads = self.gradients(x, cancel)
        grads["atoms"] -= np.einsum("mp,mp->m", grads["atoms"], self.atoms)[:, None] * self.atoms
        for name, grad in grads.items():
            moments = (self.arrays[f"{name}.first"], self.arrays[f"{name}.second"])
            adam(self.arrays[name], grad, *moments, lr, number, unit=name == "atoms")
        return loss

    def parts(self) -> dict[str, Any]:
        """The bias."""
        return {"bias": self.arrays["bias"].copy()}
