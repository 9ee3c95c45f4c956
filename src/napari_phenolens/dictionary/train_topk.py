"""Training steps of the TopK and BatchTopK sparse autoencoders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.dictionary.coder import Codes, decode
from napari_phenolens.dictionary.topk import TopKCoder, TopKWeights, batch_width
from napari_phenolens.dictionary.train import Array, adam, mean_square, sampled, scatter, uniform_atoms
from napari_phenolens.progress import CancelCallback


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

    def training_codes(self, x: Array, cancel: CancelCallback | None = None) -> Codes:
        """Code the rows of a step."""
        return self.codes(x, cancel)

    def render(self, codes: Codes) -> Array:
        """Bring codes back to rows."""
        return np.asarray(decode(*codes, self.atoms) + self.arrays["bias"])

    def gradients(self, x: Array, number: int, cancel: CancelCallback | None = None) -> tuple[float, dict[str, Array]]:
        """Mean squared error of unit rows x, and the gradient of the whole loss by parameter."""
        w = self.weights
        codes = self.training_codes(x, cancel)
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

    def parts(self) -> dict[str, Any]:
        """Encoder and biases."""
        return {"topk": self.weights}


class BatchTopKTrainer(TopKTrainer):
    """BatchTopK SAE (Bussmann et al. 2024, arXiv 2412.06410): k entries a row on average over the batch.

    A row has at most four times k entries (`batch_width`), so that no dense code is made. At inference the entries
    above a threshold are active: the running mean of the smallest value that the batches kept.
    """

    _KEEP = 0.99

    def __init__(self, m: int, p: int, sparsity: tuple[int, int], seed: int, mean: Array) -> None:
        super().__init__(m, p, sparsity, seed, mean)
        self.width = batch_width(self.k, m)
        self.arrays["threshold"] = np.zeros(1, np.float32)

    @property
    def weights(self) -> TopKWeights:
        """Encoder, biases and the threshold."""
        return replace(super().weights, threshold=float(self.arrays["threshold"][0]))

    def codes(self, x: Array, cancel: CancelCallback | None = None) -> Codes:
        """Code unit rows by the threshold."""
        return TopKCoder(self.weights, self.width).encode(x, cancel=cancel)

    def training_codes(self, x: Array, cancel: CancelCallback | None = None) -> Codes:
        """Keep the k n largest entries of the batch, and learn the threshold from the smallest of them."""
        index, value = TopKCoder(super().weights, self.width).encode(x, cancel=cancel)
        wanted = self.k * len(x)
        if wanted < value.size:
            least = np.partition(value, value.size - wanted, axis=None)[value.size - wanted]
            value[value < least] = 0.0
        kept = value[value > 0]
        if kept.size:
            old = self.arrays["threshold"]
            new = float(kept.min())
            old[0] = new if old[0] == 0 else self._KEEP * old[0] + (1 - self._KEEP) * new
        return index, value
