"""The fast coders on CPU: ICFL pursuit and top-k selection, in chunks that stay in cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_phenolens.dictionary.blocks import Work, run_blocks
from napari_phenolens.dictionary.reference import check_atoms, check_rows, check_sparsity, finite_rows
from napari_phenolens.progress import CancelCallback

EPS = 1e-8  # a row of smaller norm has no direction: its code is empty
_BUFFER_BYTES = 2**21  # correlations of a chunk, about what a core's cache holds
_GRAM_BYTES = 2**30  # a larger Gram matrix is not built (16,384 atoms)

Codes = tuple[NDArray[np.int32], NDArray[np.float32]]


def padded(atoms: NDArray[np.float32]) -> NDArray[np.float32]:
    """Atoms with zero rows added up to a multiple of the kernels' block."""
    from napari_phenolens.dictionary import kernels  # numba: only where something is coded, not where a lens is read

    m, p = atoms.shape
    out = np.zeros((-(-m // kernels.BLOCK) * kernels.BLOCK, p), np.float32)
    out[:m] = atoms
    return out


def chunk_rows(m: int) -> int:
    """Tokens a chunk: a function of the number of atoms alone."""
    return int(np.clip(_BUFFER_BYTES // (4 * m), 128, 1024))


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows divided by their norm; a row below `EPS` becomes zero."""
    norms = np.sqrt(np.einsum("np,np->n", rows, rows, dtype=np.float64))
    with np.errstate(divide="ignore"):
        scale = np.where(norms > EPS, 1.0 / norms, 0.0).astype(np.float32)
    # two steps for rows whose squares or scale leave float32's range are not needed: norms are float64
    return np.asarray(rows * scale[:, None], dtype=np.float32)


def gram_matrix(atoms: NDArray[np.float32], cancel: CancelCallback | None = None) -> NDArray[np.float32]:
    """Inner products of all pairs of rows, (m, m) float32, in fixed blocks over our threads."""
    gram = np.empty((len(atoms), len(atoms)), np.float32)

    def make_work() -> Work:
        def work(lo: int, hi: int) -> None:
            np.matmul(atoms[lo:hi], atoms.T, out=gram[lo:hi])

        return work

    run_blocks(len(atoms), 512, make_work, cancel)
    return gram


class IcflCoder:
    """ICFL coder of one set of atoms; builds its Gram matrix once, when it first pays.

    Parameters
    ----------
    atoms : array (m, p)
        Unit rows.
    rounds, per_round : int
        J and L.
    check : bool
        False where the caller knows that the atoms are fine (training).
    """

    def __init__(self, atoms: ArrayLike, rounds: int, per_round: int, *, check: bool = True) -> None:
        array = check_atoms(atoms) if check else np.asarray(atoms, np.float32)
        self.rounds, self.per_round = check_sparsity(rounds, per_round, len(array))
        self.m, self.p = array.shape
        self._atoms = padded(array)
        self._gram: NDArray[np.float32] | None = None

    def _pays(self, n: int) -> bool:
        # Gram: 2 m m p once; else a product of 2 n m p for each further round. Also a matter of shapes alone, not of
        # what is already built, so that the same call always gives the same bits.
        return len(self._atoms) ** 2 * 4 <= _GRAM_BYTES and self.rounds * n >= self.m

    def encode(self, x: Any, *, unit: bool = False, cancel: CancelCallback | None = None) -> Codes:
        """Code rows x (n, p); `unit` norms each row to one first. See `icfl_encode`."""
        from napari_phenolens.dictionary import kernels

        check_rows(x, self.p)
        n, k = x.shape[0], self.rounds * self.per_round
        index = np.zeros((n, k), np.int32)
        value = np.zeros((n, k), np.float32)
        if n == 0:
            return index, value
        block = chunk_rows(len(self._atoms))
        with_gram = self._pays(n)
        if with_gram and self._gram is None:
            self._gram = gram_matrix(self._atoms, cancel)

        def make_work() -> Work:
            buffer = np.empty((min(block, n), len(self._atoms)), np.float32)

            def work(lo: int, hi: int) -> None:
                rows = finite_rows(x[lo:hi], lo)
                if unit:
                    rows = unit_rows(rows)
                c = buffer[: hi - lo]
                if with_gram:
                    np.matmul(rows, self._atoms.T, out=c)
                    pursue = kernels.gram_kernel(self.per_round)
                    pursue(c, self._gram, self.m, self.rounds, index[lo:hi], value[lo:hi])
                else:
                    self._pursue_without_gram(rows, c, index[lo:hi], value[lo:hi])

            return work

        run_blocks(n, block, make_work, cancel)
        return index, value

    def _pursue_without_gram(
        self, rows: NDArray[np.float32], c: NDArray[np.float32], index: NDArray[np.int32], value: NDArray[np.float32]
    ) -> None:
        from napari_phenolens.dictionary import kernels

        one_round = kernels.residual_kernel(self.per_round)
        residual = rows.copy()
        used = np.zeros(len(rows), np.int64)
        for _ in range(self.rounds):
            np.matmul(residual, self._atoms.T, out=c)
            one_round(c, residual, self._atoms, self.m, index, value, used)
        kernels.squeeze_rows(index, value, used)


def icfl_encode(x: ArrayLike, atoms: ArrayLike, rounds: int, per_round: int) -> Codes:
    """Code rows by ICFL's pursuit.

    Each round takes the `per_round` atoms with the largest signed correlation with the residual (ties to the lowest
    index), fits the residual on those atoms alone by least squares with ridge 1e-6, subtracts, and adds up the codes.
    Source: Donhauser et al., ICML 2025, algorithm 1. Memory beyond the result: one Gram matrix (m, m), and a few MiB
    a thread.

    Parameters
    ----------
    x : array (n, p)
        Rows to code, as they are (nothing is normed).
    atoms : array (m, p)
        Unit rows.
    rounds, per_round : int
        J and L; k = J * L.

    Returns
    -------
    indices : int32 array (n, k)
    values : float32 array (n, k)
        In order of picking; a re-pick is added at its first place; unused slots hold index 0 and value 0. A zero row
        gives zeros.

    Raises
    ------
    DictionaryError
        A ValueError: atoms that are no unit rows, wrong shapes, numbers that are not finite, per_round > m, rounds < 1.
    """
    return IcflCoder(atoms, rounds, per_round).encode(np.asarray(x))


def decode(index: NDArray[Any], value: NDArray[Any], atoms: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum of the coded atoms, (n, p) float32."""
    from napari_phenolens.dictionary import kernels

    out = np.zeros((len(index), atoms.shape[1]), np.float32)

    def make_work() -> Work:
        def work(lo: int, hi: int) -> None:
            kernels.decode_rows(index[lo:hi], value[lo:hi], atoms, out[lo:hi])

        return work

    run_blocks(len(index), 1024, make_work)
    return out
