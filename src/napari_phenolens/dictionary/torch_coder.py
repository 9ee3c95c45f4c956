"""The coders on a GPU, in torch: the same rule, form and order of slots as `coder.IcflCoder` and `topk.TopKCoder`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from napari_phenolens.dictionary import torch_products as products
from napari_phenolens.dictionary.coder import Codes
from napari_phenolens.dictionary.reference import RIDGE, check_atoms, check_rows, check_sparsity
from napari_phenolens.dictionary.stages import Refit, Select, check_select, stages
from napari_phenolens.dictionary.topk import TopKWeights
from napari_phenolens.progress import CancelCallback, check_cancelled


class TorchIcflCoder:
    """ICFL coder of one set of atoms on a device of torch.

    Correlations and what they rank are float32; least squares and residuals are float64 (float32 on MPS), over the
    atoms themselves. From the second round of a stage on correlations come from another product with the residual, or
    from rows of the Gram matrix (`torch_products.gram_pays`).

    Parameters
    ----------
    atoms, rounds, per_round, select, refit, levels
        See `coder.IcflCoder`.
    where : torch.device
        The device.
    """

    def __init__(
        self,
        atoms: ArrayLike,
        rounds: int,
        per_round: int,
        where: torch.device,
        *,
        select: Select = "signed",
        refit: Refit = "none",
        levels: Sequence[int] | None = None,
    ) -> None:
        array = check_atoms(atoms)
        self.rounds, self.per_round = check_sparsity(rounds, per_round, len(array))
        self.stages = stages(self.rounds, self.per_round, len(array), refit, levels)
        check_select(select)
        self._absolute, self._refit = select == "absolute", refit != "none"
        self.m, self.p = array.shape
        self.where = where
        self._atoms = torch.tensor(array).to(where)
        # a row of zeros behind them: that is what index -1 gives
        self._fine = torch.nn.functional.pad(self._atoms.to(products.exact_dtype(where)), (0, 0, 0, 1))
        self._grams: dict[int, Tensor] = {}

    @property
    def chunk(self) -> int:
        """Rows of a chunk: a function of the sizes alone."""
        k, wide = self.rounds * self.per_round, self._fine.element_size()
        picks = k if self._refit else self.per_round
        small = wide * picks * (2 * self.p + 3 * picks)  # atoms picked, and their products
        each = 12 * self.m + 2 * wide * self.p + small + (wide + 1) * k * self.per_round + 32 * k
        each += products.BLOCK * (48 + self.per_round)  # the block that a pick looks at
        return int(np.clip(products.CHUNK_BYTES // each, 64, products.MOST_ROWS))

    def _pays(self, n: int) -> bool:
        if self.where.type == "mps":  # older versions of torch have no sums of rows there
            return False
        ratio = products.operations_a_byte(self.where)
        return products.gram_pays(n, self.m, self.p, self.rounds, self.per_round, ratio)

    def encode(self, x: Any, *, unit: bool = False, cancel: CancelCallback | None = None) -> Codes:
        """Code rows x (n, p); `unit` norms each row to one first. See `icfl_encode`."""
        check_rows(x, self.p)
        with_gram = self._pays(x.shape[0])

        def work(rows: Tensor) -> tuple[Tensor, Tensor]:
            return self._pursue(rows, with_gram)

        return _in_chunks(x, self.rounds * self.per_round, self.chunk, self.where, work, unit, cancel)

    def _gram(self, columns: int) -> Tensor:
        """Inner products of the first so many atoms, (columns, columns), made once."""
        if columns not in self._grams:
            atoms = self._atoms[:columns]
            self._grams[columns] = atoms @ atoms.T
        return self._grams[columns]

    def _pursue(self, rows: Tensor, with_gram: bool) -> tuple[Tensor, Tensor]:
        """Run all stages on a chunk; slots of picks that were added at an earlier place hold -1 and 0."""
        k, per_round = self.rounds * self.per_round, self.per_round
        start = rows.to(self._fine.dtype)
        residual = start.clone()
        index = torch.full((len(rows), k), -1, device=self.where)
        value = torch.zeros(len(rows), k, dtype=start.dtype, device=self.where)
        used = 0
        for stage in self.stages:
            atoms, c = self._atoms[: stage.columns], None
            for turn in range(stage.rounds):
                if c is None:
                    c = residual.float() @ atoms.T
                picks = products.largest(c, per_round, absolute=self._absolute)
                v = self._fit(picks, residual)
                if not with_gram:
                    c = None
                elif turn + 1 < stage.rounds:
                    gram = self._gram(stage.columns)
                    c += torch.nn.functional.embedding_bag(picks, gram, mode="sum", per_sample_weights=-v.float())
                _note(index, value, used, picks, v)
                used += per_round
            if self._refit:
                residual = start.clone()
                value[:, :used] = self._fit(index[:, :used], residual)
        return index, value

    def _fit(self, picks: Tensor, residual: Tensor) -> Tensor:
        """Fit residuals on atoms (n, L) by least squares with the ridge, and take the fit off; -1 is no atom."""
        a = self._fine[picks]
        system = a @ a.mT
        system.diagonal(dim1=1, dim2=2).add_(RIDGE)
        right = a @ residual[:, :, None]
        v: Tensor = torch.cholesky_solve(right, torch.linalg.cholesky_ex(system).L)
        residual -= (a.mT @ v)[:, :, 0]
        return v[:, :, 0]


class TorchTopKCoder:
    """Codes rows by the k largest positive pre-activations of an SAE on a device of torch.

    Parameters
    ----------
    weights, k
        See `topk.TopKCoder`.
    where : torch.device
        The device.
    """

    def __init__(self, weights: TopKWeights, k: int, where: torch.device) -> None:
        self.k, self.where = k, where
        self._threshold = weights.threshold
        self.m, self.p = weights.encoder.shape
        self._encoder, self._shift = (torch.tensor(part).to(where) for part in (weights.encoder, weights.shift))

    @property
    def chunk(self) -> int:
        """Rows of a chunk: a function of the sizes alone."""
        return int(np.clip(products.CHUNK_BYTES // (12 * self.m + 4 * self.p + 64 * self.k), 64, products.MOST_ROWS))

    def encode(self, x: Any, *, unit: bool = False, cancel: CancelCallback | None = None) -> Codes:
        """Code rows x (n, p); `unit` norms each row to one first; a row without direction then has an empty code."""
        check_rows(x, self.p)

        def work(rows: Tensor) -> tuple[Tensor, Tensor]:
            c = rows @ self._encoder.T
            c += self._shift
            index, value = _top(c, min(self.k, self.m))
            off = value <= self._threshold
            if unit:
                off |= ~rows.any(dim=1, keepdim=True)
            return index, value.masked_fill(off, 0)

        return _in_chunks(x, self.k, self.chunk, self.where, work, unit, cancel)


def _in_chunks(
    x: Any,
    k: int,
    chunk: int,
    where: torch.device,
    work: Callable[[Tensor], tuple[Tensor, Tensor]],
    unit: bool,
    cancel: CancelCallback | None,
) -> Codes:
    """Code rows x in chunks: on the device, and back."""
    n = x.shape[0]
    index, value = np.zeros((n, k), np.int32), np.zeros((n, k), np.float32)
    if n == 0:
        return index, value
    with products.full_float32(where):
        for lo in range(0, n, chunk):
            check_cancelled(cancel)
            hi = min(lo + chunk, n)
            codes = products.squeeze(*work(products.upload(x, lo, hi, where, unit=unit)))
            index[lo:hi, : codes[0].shape[1]], value[lo:hi, : codes[1].shape[1]] = codes
    return index, value


def _note(index: Tensor, value: Tensor, used: int, picks: Tensor, v: Tensor) -> None:
    """Add a round's picks to codes: a re-pick at its first place, its own slot then holding -1 and 0."""
    again = index[:, :used, None] == picks[:, None, :]
    value[:, :used] += torch.where(again, v[:, None, :], 0).sum(2)
    new = ~again.any(1)
    index[:, used : used + picks.shape[1]] = torch.where(new, picks, -1)
    value[:, used : used + picks.shape[1]] = torch.where(new, v, 0)


def _top(c: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Give columns and entries of the k largest of each row, falling, ties to the lowest index."""
    value, index = c.topk(k, dim=1)
    # topk leaves open which of equal entries it gives, and in which order
    index, order = index.sort(dim=1)
    value, order = value.gather(1, order).sort(dim=1, descending=True, stable=True)
    index = index.gather(1, order)
    tied = ((c >= value[:, -1:]).sum(1) > k).nonzero()[:, 0]
    if len(tied):
        among, first = c[tied].sort(dim=1, descending=True, stable=True)
        value[tied], index[tied] = among[:, :k], first[:, :k]
    return index, value
