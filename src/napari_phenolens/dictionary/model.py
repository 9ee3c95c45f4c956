"""A fitted dictionary: atoms, how tokens are coded on them, and how it was fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_phenolens.dictionary.coder import Codes, IcflCoder, decode
from napari_phenolens.dictionary.errors import DictionaryError
from napari_phenolens.dictionary.reference import check_atoms, check_sparsity
from napari_phenolens.dictionary.topk import TopKCoder, TopKWeights

Method = Literal["icfl", "topk"]


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Unit atoms and the rule that codes tokens on them.

    Attributes
    ----------
    atoms : float32 array (m, p)
        Unit rows.
    method : {"icfl", "topk"}
    sparsity : (int, int)
        Rounds J and picks a round L.
    seed : int
    history : DataFrame
        Columns step, loss (mean squared error of the batches since the row before), cosine (held-out).
    topk : TopKWeights or None
        Encoder and biases of a TopK SAE.
    settings : dict
        How it was fitted (steps, batch, lr, rows), for the record.
    """

    atoms: NDArray[np.float32]
    method: Method
    sparsity: tuple[int, int]
    seed: int = 0
    history: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["step", "loss", "cosine"]))
    topk: TopKWeights | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        if self.method not in get_args(Method):
            raise DictionaryError(f"method {self.method!r} is unknown; choose one of {', '.join(get_args(Method))}")
        if (self.topk is None) == (self.method == "topk"):
            raise DictionaryError(
                f"a dictionary of method {self.method!r} {'lacks' if self.topk is None else 'has'} encoder weights"
            )
        object.__setattr__(self, "atoms", check_atoms(self.atoms))
        object.__setattr__(self, "sparsity", check_sparsity(*self.sparsity, len(self.atoms)))

    @property
    def k(self) -> int:
        """Most entries a code can have, J * L."""
        return self.sparsity[0] * self.sparsity[1]

    @property
    def m(self) -> int:
        """Atoms."""
        return len(self.atoms)

    @property
    def p(self) -> int:
        """Dimensions of a token."""
        return int(self.atoms.shape[1])

    @cached_property
    def _coder(self) -> IcflCoder | TopKCoder:
        if self.topk is None:
            return IcflCoder(self.atoms, *self.sparsity)
        return TopKCoder(self.topk, self.k)

    def encode(self, x: ArrayLike) -> Codes:
        """Code tokens x (n, p), each normed to one first.

        Returns
        -------
        indices : int32 array (n, k)
        values : float32 array (n, k)
            In order of picking (ICFL) or of falling value (TopK); unused slots hold index 0 and value 0. A row whose
            norm is below 1e-8 has an empty code.

        Raises
        ------
        DictionaryError
            Another width, or numbers that are not finite.
        """
        return self._coder.encode(np.asarray(x), unit=True)

    def decode(self, indices: ArrayLike, values: ArrayLike) -> NDArray[np.float32]:
        """Bring codes (n, k) back to rows (n, p) float32, on the scale of unit tokens (with the bias of a TopK SAE).

        Raises
        ------
        DictionaryError
            Shapes that differ, or an index that is no atom.
        """
        index, value = np.asarray(indices), np.asarray(values, np.float32)
        if index.ndim != 2 or index.shape != value.shape:
            raise DictionaryError(f"indices have shape {index.shape}, values {value.shape}; both must be (n, k)")
        if index.size and (index.min() < 0 or index.max() >= self.m):
            raise DictionaryError(
                f"indices run from {index.min()} to {index.max()}; this dictionary has {self.m} atoms"
            )
        rows = decode(index.astype(np.int32, copy=False), value, self.atoms)
        return rows if self.topk is None else rows + self.topk.bias

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays to save; `from_arrays` with `meta` brings the dictionary back."""
        arrays: dict[str, NDArray[Any]] = {"atoms": self.atoms}
        if self.topk is not None:
            arrays |= {"encoder": self.topk.encoder, "encoder_bias": self.topk.encoder_bias, "bias": self.topk.bias}
        return arrays

    def meta(self) -> dict[str, Any]:
        """What is not an array, ready for JSON."""
        return {
            "method": self.method,
            "sparsity": list(self.sparsity),
            "seed": self.seed,
            "history": [[int(s), float(loss), float(cos)] for s, loss, cos in self.history.itertuples(index=False)],
            "settings": self.settings,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike], meta: Mapping[str, Any]) -> Dictionary:
        """Bring back what `to_arrays` and `meta` gave."""
        try:
            topk = None
            if meta["method"] == "topk":
                topk = TopKWeights(
                    *(np.array(arrays[name], np.float32) for name in ("encoder", "encoder_bias", "bias")),
                )
            rounds, per_round = meta["sparsity"]
            return cls(
                atoms=np.array(arrays["atoms"], np.float32),
                method=meta["method"],
                sparsity=(int(rounds), int(per_round)),
                seed=int(meta["seed"]),
                history=history_frame(meta["history"]),
                topk=topk,
                settings=dict(meta.get("settings", {})),
            )
        except KeyError as missing:
            raise DictionaryError(
                f"a saved dictionary lacks {missing}; it was not written by Dictionary.to_arrays"
            ) from None


def history_frame(rows: Any) -> pd.DataFrame:
    """History rows (step, loss, cosine) as a DataFrame."""
    frame = pd.DataFrame([tuple(row) for row in rows], columns=["step", "loss", "cosine"])
    return frame.astype({"step": "int64", "loss": "float64", "cosine": "float64"})
