"""The fast coders on CPU: ICFL pursuit and top-k selection, in chunks that stay in cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_phenolens.dictionary.blocks import Work, run_blocks
from napari_phenolens.dictionary.reference import check_atoms, check_rows, check_sparsity, finite_rows
from napari_phenolens.dictionary.stages import Refit, Select, check_select, stages
from napari_phenolens.progress import CancelCallback

EPS = 1e-8  # a row of smaller norm has no direction: its code is empty
_BUFFER_BYTES = 2**22  # correlations of a chunk, about what stays near a core
_GRAM_BYTES = 2**30  # a larger Gram matrix is not built (22,528 atoms)
_COARSE = 4096  # atoms from which the Gram matrix is kept in 16 bits, as it no longer fits in the cache

Codes = tuple[NDArray[np.int32], NDArray[np.float32]]


def padded(atoms: NDArray[np.float32]) -> NDArray[np.float32]:
    """Atoms with zero rows added up to a multiple of the kernels' block."""
    from napari_phenolens.dictionary import selection  # numba: only where something is coded, not where a lens is read

    m, p = atoms.shape
    out = np.zeros((-(-m // selection.BLOCK) * selection.BLOCK, p), np.float32)
    out[:m] = atoms
    return out


def chunk_rows(m: int) -> int:
    """Tokens a chunk: a function of the number of atoms alone.

    A product of fewer rows spends much of its time on packing the atoms anew; of more rows, threads would wait for the
    last chunk of a field.
    """
    return int(np.clip(_BUFFER_BYTES // (4 * m), 256, 512))


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


def gram16_matrix(atoms: NDArray[np.float32], cancel: CancelCallback | None = None) -> NDArray[np.int16]:
    """Inner products of all pairs of rows, (m, m), as 16-bit whole numbers in units of 1 / GRAM16."""
    from napari_phenolens.dictionary import kernels, pursuit

    gram = np.empty((len(atoms), len(atoms)), np.int16)

    def make_work() -> Work:
        buffer = np.empty((128, len(atoms)), np.float32)

        def work(lo: int, hi: int) -> None:
            part = buffer[: hi - lo]
            np.matmul(atoms[lo:hi], atoms.T, out=part)
            kernels.quantise(part, pursuit.GRAM16, gram[lo:hi])

        return work

    run_blocks(len(atoms), 128, make_work, cancel)
    return gram


class IcflCoder:
    """ICFL coder of one set of atoms; builds its Gram matrix once, when it first pays.

    Parameters
    ----------
    atoms : array (m, p)
        Unit rows.
    rounds, per_round : int
        J and L.
    select : {"signed", "absolute"}
        Which correlations are the largest: the paper's rule, or by size.
    refit : {"none", "end"} or int
        Joint least squares on all atoms picked so far: never (the paper), after the last round, or also after every so
        many rounds.
    levels : sequence of int, optional
        Nested dictionaries: the first so many atoms each, growing, the last being all; the rounds are shared out among
        them by `level_rounds`.
    check : bool
        False where the caller knows that the atoms are fine (training).
    """

    def __init__(
        self,
        atoms: ArrayLike,
        rounds: int,
        per_round: int,
        *,
        select: Select = "signed",
        refit: Refit = "none",
        levels: Sequence[int] | None = None,
        check: bool = True,
    ) -> None:
        array = check_atoms(atoms) if check else np.asarray(atoms, np.float32)
        self.rounds, self.per_round = check_sparsity(rounds, per_round, len(array))
        self.stages = stages(self.rounds, self.per_round, len(array), refit, levels)
        check_select(select)
        self._absolute, self._refit = select == "absolute", refit != "none"
        self.m, self.p = array.shape
        self._atoms = padded(array)
        self._squares = np.einsum("mp,mp->m", self._atoms, self._atoms)
        self._gram: NDArray[Any] | None = None

    def _pays(self, n: int) -> bool:
        # Gram: 2 m m p once; else a product of 2 n m p for each further round. Also a matter of shapes alone, not of
        # what is already built, so that the same call always gives the same bits.
        size = 2 if self._coarse else 4
        return len(self._atoms) ** 2 * size <= _GRAM_BYTES and self.rounds * n >= self.m

    @property
    def _coarse(self) -> bool:
        return len(self._atoms) >= _COARSE

    def encode(self, x: Any, *, unit: bool = False, cancel: CancelCallback | None = None) -> Codes:
        """Code rows x (n, p); `unit` norms each row to one first. See `icfl_encode`."""
        return self.encode_stages(x, unit=unit, cancel=cancel)[-1]

    def encode_stages(self, x: Any, *, unit: bool = False, cancel: CancelCallback | None = None) -> list[Codes]:
        """Codes after each stage, the last being those of `encode`; earlier ones have as many slots as picks."""
        check_rows(x, self.p)
        n, k = x.shape[0], self.rounds * self.per_round
        taken = np.cumsum([stage.rounds for stage in self.stages]) * self.per_round
        codes = [(np.zeros((n, width), np.int32), np.zeros((n, width), np.float32)) for width in taken.tolist()]
        if n == 0:
            return codes
        block = chunk_rows(len(self._atoms))
        with_gram = self._pays(n)
        if with_gram and self._gram is None:
            self._gram = gram16_matrix(self._atoms, cancel) if self._coarse else gram_matrix(self._atoms, cancel)

        def make_work() -> Work:
            buffer = np.empty(min(block, n) * len(self._atoms), np.float32)

            def work(lo: int, hi: int) -> None:
                rows = finite_rows(x[lo:hi], lo)
                if unit:
                    rows = unit_rows(rows)
                index, value = np.zeros((hi - lo, k), np.int32), np.zeros((hi - lo, k), np.float32)
                self._pursue(rows, buffer, with_gram, index, value, [(i[lo:hi], v[lo:hi]) for i, v in codes])

            return work

        run_blocks(n, block, make_work, cancel)
        return codes

    def _pursue(
        self,
        rows: NDArray[np.float32],
        buffer: NDArray[np.float32],
        with_gram: bool,
        index: NDArray[np.int32],
        value: NDArray[np.float32],
        out: list[Codes],
    ) -> None:
        """Run all stages on a chunk; index and value are scratch."""
        from napari_phenolens.dictionary import kernels, pursuit, selection

        n = len(rows)
        residual = rows.copy() if len(self.stages) > 1 or self._coarse or not with_gram else rows
        used = np.zeros(n, np.int64)
        for number, stage in enumerate(self.stages):
            columns = -(-stage.columns // selection.BLOCK) * selection.BLOCK
            c = buffer[: n * columns].reshape(n, columns)
            atoms = self._atoms[:columns]
            if number:
                residual[:] = rows
                kernels.decode_rows(index, -value, self._atoms, residual)
            if with_gram:
                np.matmul(residual, atoms.T, out=c)
                if self._coarse:
                    pursue = pursuit.candidate_kernel(self.per_round, self._absolute)
                    beside = (residual, self._atoms, self._squares)
                    pursue(c, self._gram, *beside, stage.columns, stage.rounds, index, value, used)
                else:
                    pursue = pursuit.gram_kernel(self.per_round, self._absolute)
                    pursue(c, self._gram, stage.columns, stage.rounds, index, value, used)
            else:
                one_round = pursuit.residual_kernel(self.per_round, self._absolute)
                for _ in range(stage.rounds):
                    np.matmul(residual, atoms.T, out=c)
                    one_round(c, residual, self._atoms, stage.columns, index, value, used)
            if self._refit:
                kernels.refit_rows(rows, self._atoms, index, value, used)
            to_index, to_value = out[number]
            width = to_index.shape[1]
            to_index[:], to_value[:] = index[:, :width], value[:, :width]
            selection.squeeze_rows(to_index, to_value, used)


def icfl_encode(
    x: ArrayLike,
    atoms: ArrayLike,
    rounds: int,
    per_round: int,
    *,
    select: Select = "signed",
    refit: Refit = "none",
    device: str = "cpu",
) -> Codes:
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
        J and L; k = J * L. With L = 1 this is matching pursuit.
    select : {"signed", "absolute"}
        Pick the largest correlations (the paper), or those of the largest size: closer, but signs of atoms lose their
        meaning.
    refit : {"none", "end"} or int
        Fit the row anew on all atoms picked, by joint least squares: never (the paper), after the last round, or also
        after every so many rounds, which closes most of the gap to orthogonal matching pursuit at two to three times
        the time.
    device : str
        ``cpu``, or one of torch's: ``cuda``, ``cuda:1``, ``mps``.

    Returns
    -------
    indices : int32 array (n, k)
    values : float32 array (n, k)
        In order of picking; a re-pick is added at its first place; unused slots hold index 0 and value 0. A zero row
        gives zeros.

    Raises
    ------
    DictionaryError
        A ValueError: atoms that are no unit rows, wrong shapes, numbers that are not finite, per_round > m, rounds < 1,
        an option that is none, a device that is not on this machine.
    """
    if device != "cpu":
        from napari_phenolens.dictionary import torch_coder, torch_products

        where = torch_products.device_of(device)
        on_device = torch_coder.TorchIcflCoder(atoms, rounds, per_round, where, select=select, refit=refit)
        return on_device.encode(np.asarray(x))
    return IcflCoder(atoms, rounds, per_round, select=select, refit=refit).encode(np.asarray(x))


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
