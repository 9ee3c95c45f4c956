"""ICFL coding, written out literally: the oracle of the fast coder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_phenolens.dictionary.errors import DictionaryError
from napari_phenolens.dictionary.stages import Refit, Select, check_select, stages

RIDGE = 1e-6
UNIT_TOLERANCE = 1e-3


def check_atoms(atoms: ArrayLike) -> NDArray[np.float32]:
    """Atoms as a contiguous float32 array (m, p) of finite unit rows.

    Raises
    ------
    DictionaryError
        Where they are none.
    """
    array = np.asarray(atoms)
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < 1:
        raise DictionaryError(f"atoms have shape {array.shape}; give an array (m, p), one atom a row")
    # a float64 number beyond float32's range becomes infinite here, and is refused as such
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    norms = np.sqrt(np.einsum("mp,mp->m", array, array, dtype=np.float64))
    bad = np.flatnonzero(~(np.abs(norms - 1.0) <= UNIT_TOLERANCE))
    if bad.size:
        raise DictionaryError(
            f"{bad.size} of {array.shape[0]} atoms are no unit rows (atom {bad[0]} has norm {norms[bad[0]]:.6g}); "
            "divide each row by its norm"
        )
    return array


def check_sparsity(rounds: int, per_round: int, m: int) -> tuple[int, int]:
    """Rounds J and picks a round L as ints, 1 <= J and 1 <= L <= m.

    Raises
    ------
    DictionaryError
        Where they are not.
    """
    for name, number in (("rounds", rounds), ("per_round", per_round)):
        if isinstance(number, bool) or int(number) != number or number < 1:
            raise DictionaryError(f"{name} is {number!r}; give a whole number of 1 or more")
    if per_round > m:
        raise DictionaryError(f"per_round is {per_round}, but there are only {m} atoms; lower it to {m} or below")
    return int(rounds), int(per_round)


def check_rows(x: Any, p: int) -> None:
    """Refuse anything but rows (n, p).

    Raises
    ------
    DictionaryError
        Where the shape is another one.
    """
    shape = getattr(x, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] != p:
        raise DictionaryError(f"x has shape {shape}; the atoms ask for rows of {p} numbers, an array (n, {p})")


def finite_rows(x: Any, first_row: int = 0) -> NDArray[np.float32]:
    """Rows as a contiguous float32 array.

    Raises
    ------
    DictionaryError
        Where a number is not finite; the message names its row.
    """
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(x, dtype=np.float32)
    if not np.isfinite(rows).all():
        bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise DictionaryError(f"row {first_row + bad} of x holds a number that is not finite; drop or mend such rows")
    return rows


def icfl_encode_reference(
    x: ArrayLike,
    atoms: ArrayLike,
    rounds: int,
    per_round: int,
    *,
    select: Select = "signed",
    refit: Refit = "none",
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Code rows by ICFL's rule, one row after the other, in float64 (slow; the oracle of `icfl_encode`).

    Each round takes the `per_round` atoms with the largest signed correlation with the residual (ties to the lowest
    index), fits the residual on those atoms alone by least squares with ridge 1e-6, subtracts, and adds up the codes.
    Source: Donhauser et al., ICML 2025, algorithm 1.

    Parameters
    ----------
    x : array (n, p)
        Rows to code, as they are.
    atoms : array (m, p)
        Unit rows.
    rounds, per_round : int
        J and L; k = J * L.
    select : {"signed", "absolute"}
        Pick the largest correlations, or those of the largest size.
    refit : {"none", "end"} or int
        Joint least squares on all atoms picked so far: never, after the last round, or also after every so many rounds.

    Returns
    -------
    indices : int32 array (n, k)
    values : float32 array (n, k)
        In order of picking; a re-pick is added at its first place; unused slots hold index 0 and value 0.

    Raises
    ------
    DictionaryError
        A ValueError: atoms that are no unit rows, wrong shapes, numbers that are not finite, per_round > m, rounds < 1.
    """
    w = check_atoms(atoms).astype(np.float64)
    rounds, per_round = check_sparsity(rounds, per_round, len(w))
    check_select(select)
    ends = np.cumsum([stage.rounds for stage in stages(rounds, per_round, len(w), refit)]).tolist()
    check_rows(np.asarray(x), w.shape[1])
    rows = finite_rows(x).astype(np.float64)
    indices = np.zeros((len(rows), rounds * per_round), np.int32)
    values = np.zeros((len(rows), rounds * per_round), np.float32)
    for t, row in enumerate(rows):
        residual = row.copy()
        code: dict[int, float] = {}
        for done in range(1, rounds + 1):
            correlation = w @ residual
            rank = np.abs(correlation) if select == "absolute" else correlation
            picks = np.argsort(-rank, kind="stable")[:per_round]
            a = w[picks]
            v = np.linalg.solve(a @ a.T + RIDGE * np.eye(per_round), a @ residual)
            residual -= v @ a
            for i, z in zip(picks.tolist(), v.tolist(), strict=True):
                code[i] = code.get(i, 0.0) + z
            if refit != "none" and done in ends:
                a = w[list(code)]
                v = np.linalg.solve(a @ a.T + RIDGE * np.eye(len(a)), a @ row)
                residual = row - v @ a
                code = dict(zip(code, v.tolist(), strict=True))
        used = [(i, z) for i, z in code.items() if np.float32(z) != 0.0]
        for s, (i, z) in enumerate(used):
            indices[t, s] = i
            values[t, s] = z
    return indices, values
