"""The spectrum of control tokens: which components are kept, what is added to their variances, and a table of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.dictionary.errors import DictionaryError

if TYPE_CHECKING:
    import pandas as pd

    from napari_phenolens.dictionary.whitening import Whitening

Floor = float | Literal["oas"]
Floats = NDArray[np.float64]

TOKENS_A_COMPONENT = 5  # control tokens that each kept component asks for
_RELATIVE_TAIL = 1e-6  # components with less variance than this share of the largest are dropped
_MOST_SHRINKAGE = 0.99


def oas(values: Floats, n: int) -> float:
    """Share by which a covariance with these eigenvalues is drawn to a multiple of the identity.

    Oracle approximating shrinkage of n rows (Chen, Wiesel, Eldar, Hero 2010, equation 23).
    """
    d = len(values)
    total, squares = float(values.sum()), float((values**2).sum())
    spread = squares - total**2 / d
    if spread <= 0:
        return _MOST_SHRINKAGE
    return min(_MOST_SHRINKAGE, ((1 - 2 / d) * squares + total**2) / ((n + 1 - 2 / d) * spread))


def components(covariance: Floats, n: int, floor: Floor, limit: int) -> tuple[Floats, Floats, float, list[str]]:
    """Eigenvalues (falling, all), the kept vectors (d, p) with settled signs, the floor, and what to warn of.

    Raises
    ------
    DictionaryError
        Where nothing varies.
    """
    d = len(covariance)
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    if values[0] <= 0:
        raise DictionaryError(
            "the control tokens are all the same; whitening has nothing to go by: check the control wells"
        )
    share = floor
    if share == "oas":
        shrinkage = oas(values, n)
        share = shrinkage / (1 - shrinkage)
    floor_value = share * float(values.mean())
    p = max(1, min(int((values > _RELATIVE_TAIL * values[0]).sum()), limit))
    notes = []
    if n < TOKENS_A_COMPONENT * d:
        notes.append(
            f"only {n} control tokens for {d} dimensions; {TOKENS_A_COMPONENT * d} or more are wanted: "
            f"{p} components are kept, and the last of them are uncertain"
        )
    vectors = vectors[:, :p]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(p)]
    return values, vectors * np.where(largest < 0, -1.0, 1.0), floor_value, notes


def alignment(covariance: Floats, n: int, ridge: float) -> tuple[Floats, list[str]]:
    """The symmetric matrix sqrt(1 + ridge) (C + ridge I)^(-1/2), and what to warn of."""
    p = len(covariance)
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    turn = (vectors * np.sqrt((1 + ridge) / (np.maximum(values, 0.0) + ridge))) @ vectors.T
    notes = []
    if n < TOKENS_A_COMPONENT * p:
        notes.append(
            f"aligned by {n} control tokens of the plate for {p} components; {TOKENS_A_COMPONENT * p} or more are "
            "wanted, or a larger ridge"
        )
    return turn, notes


def diagnosis_table(whitening: Whitening) -> pd.DataFrame:
    """See `Whitening.diagnosis`."""
    import pandas as pd

    if whitening.kind in ("none", "center"):
        raise DictionaryError(f"a whitening of kind {whitening.kind!r} looks at no spectrum; fit one of 'pca' or 'tvn'")
    values = whitening.spectrum if whitening.spectrum is not None else whitening.eigenvalues
    kept = np.arange(len(values)) < whitening.p
    floored = values + whitening.floor_value
    share = values / values.sum()
    table = pd.DataFrame(
        {
            "eigenvalue": values,
            "share": share,
            "cumulative": share.cumsum(),
            "floored": floored,
            "kept": kept,
            "whitened": np.where(kept, values / floored, np.nan),
            "noise_gain": np.where(kept, np.sqrt(floored[0] / floored), np.nan),
        },
        index=pd.RangeIndex(len(values), name="component"),
    )
    table.attrs = {
        "kind": whitening.kind,
        "n": whitening.n,
        "d": whitening.d,
        "p": whitening.p,
        "floor": whitening.floor,
        "floor_value": whitening.floor_value,
        "tokens_a_component": whitening.n / whitening.p,
        "whole_spectrum": whitening.spectrum is not None,
        "warnings": list(whitening.warnings),
    }
    return table
