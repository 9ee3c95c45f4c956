"""TopK and BatchTopK sparse autoencoders: baselines with their own encoder and biases.

Sources: Gao et al. 2024, arXiv 2406.04093; Bussmann et al. 2024, arXiv 2412.06410.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.dictionary.blocks import Work, run_blocks
from napari_phenolens.dictionary.coder import Codes, chunk_rows, padded, unit_rows
from napari_phenolens.dictionary.errors import DictionaryError
from napari_phenolens.dictionary.reference import check_rows, finite_rows
from napari_phenolens.progress import CancelCallback


@dataclass(frozen=True, eq=False)
class TopKWeights:
    """Encoder of a TopK SAE: a = encoder (x - bias) + encoder_bias; the decoder gives the bias back.

    Attributes
    ----------
    encoder : float32 array (m, p)
    encoder_bias : float32 array (m,)
    bias : float32 array (p,)
    threshold : float
        Entries must exceed it (BatchTopK; 0 otherwise).
    """

    encoder: NDArray[np.float32]
    encoder_bias: NDArray[np.float32]
    bias: NDArray[np.float32]
    threshold: float = 0.0

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        m, p = self.encoder.shape
        if self.encoder_bias.shape != (m,) or self.bias.shape != (p,):
            raise DictionaryError(
                f"encoder {self.encoder.shape}, bias {self.encoder_bias.shape} and {self.bias.shape} do not fit"
            )

    @property
    def shift(self) -> NDArray[np.float32]:
        """Both biases as one addition (m,): a = encoder x + shift."""
        off = np.einsum("mp,p->m", self.encoder, self.bias, dtype=np.float64)
        return np.asarray(self.encoder_bias - off, np.float32)


def batch_width(k: int, m: int) -> int:
    """Entries that a BatchTopK code has at most, where k is the mean."""
    return min(4 * k, m)


class TopKCoder:
    """Codes rows by the k largest positive pre-activations, in chunks that stay in cache.

    Parameters
    ----------
    weights : TopKWeights
    k : int
    """

    def __init__(self, weights: TopKWeights, k: int) -> None:
        self.k = k
        self._threshold = weights.threshold
        self.m, self.p = weights.encoder.shape
        self._encoder = padded(weights.encoder)
        self._shift = np.zeros(len(self._encoder), np.float32)
        self._shift[: self.m] = weights.shift

    def encode(self, x: Any, *, unit: bool = False, cancel: CancelCallback | None = None) -> Codes:
        """Code rows x (n, p); `unit` norms each row to one first; a row without direction then has an empty code."""
        from napari_phenolens.dictionary import selection

        check_rows(x, self.p)
        n = x.shape[0]
        index = np.zeros((n, self.k), np.int32)
        value = np.zeros((n, self.k), np.float32)
        block = chunk_rows(len(self._encoder))

        def make_work() -> Work:
            buffer = np.empty((min(block, max(n, 1)), len(self._encoder)), np.float32)

            def work(lo: int, hi: int) -> None:
                rows = finite_rows(x[lo:hi], lo)
                if unit:
                    rows = unit_rows(rows)
                c = buffer[: hi - lo]
                np.matmul(rows, self._encoder.T, out=c)
                c += self._shift
                selection.top_k(c, self.m, index[lo:hi], value[lo:hi])
                if self._threshold > 0:
                    below = value[lo:hi] <= self._threshold
                    index[lo:hi][below] = 0
                    value[lo:hi][below] = 0.0
                if unit:
                    empty = ~rows.any(axis=1)
                    index[lo:hi][empty] = 0
                    value[lo:hi][empty] = 0.0

            return work

        run_blocks(n, block, make_work, cancel)
        return index, value
