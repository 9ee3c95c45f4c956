"""Tokens with a known truth: sparse atoms under a dense nuisance that controls share, and what was found of them.

The generator and the measures are those of the planted benchmark (tests/benchmarks/bench_recovery.py), of which
tests/dictionary/test_recovery.py is the short version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.dictionary import Dictionary, Whitening, fit_dictionary

Floats = NDArray[np.float64]

D = 64  # dimensions
TRUE = 96  # atoms, half of them active under perturbation alone
RANK = 12  # of the nuisance: cell cycle, density, batch
ATOMS, SPARSITY = 128, (4, 2)
BATCH, STEPS = 1024, 2500
N_CONTROL, N_TOKENS = 20_000, 100_000
FOUND = 0.9  # cosine from which an atom counts as recovered


@dataclass(frozen=True)
class World:
    """Truth of one seed: unit atoms (96, 64), the nuisance's axes (12, 64) scaled by their spread, noise."""

    atoms: Floats
    nuisance: Floats
    noise: float = 0.05

    @classmethod
    def draw(cls, seed: int, nuisance: float) -> World:
        """Draw a world; the nuisance's standard deviations run from `nuisance` down to 0.4 of it."""
        rng = np.random.default_rng([seed, 1])
        atoms = rng.normal(size=(TRUE, D))
        atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
        axes = np.linalg.qr(rng.normal(size=(D, RANK)))[0].T
        return cls(atoms, nuisance * np.linspace(1.0, 0.4, RANK)[:, None] * axes)

    def along_the_nuisance(self) -> World:
        """The same with every perturbation-only atom turned along one of the four strongest axes of the nuisance."""
        atoms = self.atoms.copy()
        half = TRUE // 2
        axes = self.nuisance[np.arange(half) % 4]
        atoms[half:] = axes / np.linalg.norm(axes, axis=1, keepdims=True) + 0.3 * atoms[half:]
        atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
        return World(atoms, self.nuisance, self.noise)

    def tokens(self, n: int, seed: int, *, perturbed: bool) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Tokens (n, 64) of control or perturbed wells, and which atoms are in them (n, 96)."""
        rng = np.random.default_rng([seed, 2 + perturbed])
        active = rng.random((n, TRUE)) < 0.06
        if not perturbed:
            active[:, TRUE // 2 :] = False
        x = (active * rng.uniform(0.5, 1.5, (n, TRUE))) @ self.atoms
        x += rng.normal(size=(n, RANK)) @ self.nuisance + self.noise * rng.normal(size=(n, D))
        return x.astype(np.float32), active


@dataclass(frozen=True)
class Arm:
    """One way to fit: a method, with or without whitening, and its learning rate (None: the default)."""

    name: str
    method: str
    whitened: bool
    lr: float | None = None


ARMS = (
    Arm("TopK raw", "topk", False),
    Arm("ICFL raw", "icfl", False),
    Arm("TopK whitened", "topk", True),
    Arm("ICFL whitened", "icfl", True),
)


def fit(
    arm: Arm, control: NDArray[np.float32], tokens: NDArray[np.float32], seed: int, *, steps: int = STEPS, **white: Any
) -> tuple[Whitening, Dictionary]:
    """Whiten by the controls (or take off their mean) and learn on tokens of perturbed wells."""
    whitening = Whitening.fit([control], "pca" if arm.whitened else "center", **white)
    method: Any = arm.method
    fitted = fit_dictionary(whitening(tokens), ATOMS, SPARSITY, method, steps, seed, batch=BATCH, lr=arm.lr)
    return whitening, fitted


def directions(whitening: Whitening, dictionary: Dictionary) -> Floats:
    """Atoms as unit directions of the tokens: whitened ones are mapped back first."""
    back = whitening.inverse(dictionary.atoms) - whitening.inverse(np.zeros((1, whitening.p)))
    return np.asarray(back / np.linalg.norm(back, axis=1, keepdims=True), np.float64)


def recovery(truth: Floats, found: Floats) -> dict[str, float]:
    """MMCS (the mean over true atoms of the largest |cosine|; Sharkey et al. 2022) and the share above 0.9."""
    half = len(truth) // 2
    best = np.abs(truth @ found.T).max(axis=1)
    return {
        "mmcs": float(best.mean()),
        "mmcs_perturbed": float(best[half:].mean()),
        "recovered": float((best > FOUND).mean()),
        "recovered_perturbed": float((best[half:] > FOUND).mean()),
    }


def auroc(score: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Area under the ROC curve of each column of scores (n, m) for the positives (n,), ties counted half."""
    from scipy.stats import rankdata

    ranks = rankdata(score, axis=0)
    n1, n0 = int(positive.sum()), int((~positive).sum())
    return np.asarray((ranks[positive].sum(axis=0) - n1 * (n1 + 1) / 2) / (n1 * n0))


def detection(
    dictionary: Dictionary, rows: NDArray[np.float32], active: NDArray[np.bool_], *, permute: int | None = None
) -> float:
    """Tell how well the best feature of each perturbation-only atom tells it: AUROC, mean over atoms.

    The feature is chosen on one half of the rows and scored on the other. `permute` shuffles the truth first.
    """
    index, value = dictionary.encode(rows)
    z = np.zeros((len(rows), dictionary.m))
    np.put_along_axis(z, index, value, axis=1)
    truth = active
    if permute is not None:
        truth = active[np.random.default_rng(permute).permutation(len(active))]
    half = len(rows) // 2
    out = []
    for atom in range(truth.shape[1] // 2, truth.shape[1]):
        best = int(np.argmax(auroc(z[:half], truth[:half, atom])))
        out.append(float(auroc(z[half:, [best]], truth[half:, atom])[0]))
    return float(np.mean(out))
