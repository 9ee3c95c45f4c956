"""A fitted dictionary: atoms, how tokens are coded on them, and how it was fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_phenolens.dictionary.coder import Codes, IcflCoder, decode, unit_rows
from napari_phenolens.dictionary.errors import DictionaryError
from napari_phenolens.dictionary.reference import check_atoms, check_rows, check_sparsity, finite_rows
from napari_phenolens.dictionary.stages import Refit, Select, check_select, stages
from napari_phenolens.dictionary.topk import TopKCoder, TopKWeights, batch_width

Method = Literal["icfl", "topk", "batchtopk", "mpsae", "nested"]
_ENCODED = ("topk", "batchtopk")  # methods with an encoder of their own


class Coder(Protocol):
    """What a dictionary asks of a coder, on whatever device."""

    def encode(self, x: Any, *, unit: bool = False) -> Codes:
        """Code rows x (n, p)."""


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Unit atoms and the rule that codes tokens on them.

    Attributes
    ----------
    atoms : float32 array (m, p)
        Unit rows.
    method : {"icfl", "topk", "batchtopk", "mpsae", "nested"}
    sparsity : (int, int)
        Rounds J and picks a round L; the SAEs have J * L entries.
    seed : int
    history : DataFrame
        Columns step, loss (mean squared error of the batches since the row before), cosine (held-out).
    topk : TopKWeights or None
        Encoder, biases and threshold of a TopK or BatchTopK SAE.
    settings : dict
        How it was fitted (steps, batch, lr, rows), for the record.
    bias : float32 array (p,) or None
        Of a matching-pursuit SAE: comes off before coding, and is given back.
    levels : tuple of int or None
        Of a nested dictionary: the sizes, the first so many atoms each.
    parents : int32 array (m,) or None
        Of a nested dictionary: the coarser atom that each atom goes with, -1 for none (see `tree`).
    select : {"signed", "absolute"}
    refit : {"none", "end"} or int
        Options of the coder, see `icfl_encode`; may be changed with `dataclasses.replace`.
    """

    atoms: NDArray[np.float32]
    method: Method
    sparsity: tuple[int, int]
    seed: int = 0
    history: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["step", "loss", "cosine"]))
    topk: TopKWeights | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    bias: NDArray[np.float32] | None = None
    levels: tuple[int, ...] | None = None
    parents: NDArray[np.int32] | None = None
    select: Select = "signed"
    refit: Refit = "none"

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        if self.method not in get_args(Method):
            raise DictionaryError(f"method {self.method!r} is unknown; choose one of {', '.join(get_args(Method))}")
        if (self.topk is None) == (self.method in _ENCODED):
            raise DictionaryError(
                f"a dictionary of method {self.method!r} {'lacks' if self.topk is None else 'has'} encoder weights"
            )
        if (self.bias is None) == (self.method == "mpsae"):
            raise DictionaryError(
                f"a dictionary of method {self.method!r} {'lacks' if self.bias is None else 'has'} a bias of pursuit"
            )
        object.__setattr__(self, "atoms", check_atoms(self.atoms))
        object.__setattr__(self, "sparsity", check_sparsity(*self.sparsity, len(self.atoms)))
        if (self.levels is None) == (self.method == "nested"):
            raise DictionaryError(
                f"a dictionary of method {self.method!r} {'lacks' if self.levels is None else 'has'} nested levels"
            )
        check_select(self.select)
        stages(*self.sparsity, self.m, self.refit, self.levels)

    @property
    def k(self) -> int:
        """Most entries a code can have: J * L, of a BatchTopK SAE four times that."""
        k = self.sparsity[0] * self.sparsity[1]
        return batch_width(k, self.m) if self.method == "batchtopk" else k

    @property
    def level(self) -> NDArray[np.int32]:
        """The level of each atom (m,), 0 the coarsest; all 0 where nothing is nested."""
        sizes = self.levels or (self.m,)
        return np.searchsorted(np.asarray(sizes), np.arange(self.m), side="right").astype(np.int32)

    @property
    def tree(self) -> pd.DataFrame:
        """The coarse-to-fine tree of a nested dictionary: a row a feature, with its level and its parent.

        The parent is the coarser atom whose activity goes most with the feature's: the largest P(parent | feature) -
        P(parent) over the tokens it was fitted on, among atoms of the levels above. -1: of the coarsest level, or too
        rarely active to tell.

        Raises
        ------
        DictionaryError
            Where nothing is nested.
        """
        if self.levels is None or self.parents is None:
            raise DictionaryError(f"a dictionary of method {self.method!r} has no levels; fit one of method 'nested'")
        index = pd.RangeIndex(self.m, name="feature")
        return pd.DataFrame({"level": self.level, "parent": self.parents}, index=index)

    @property
    def m(self) -> int:
        """Atoms."""
        return len(self.atoms)

    @property
    def p(self) -> int:
        """Dimensions of a token."""
        return int(self.atoms.shape[1])

    @cached_property
    def _coders(self) -> dict[str, Coder]:
        """Coders by the device they are on, each made when it is first asked for."""
        return {}

    def _coder(self, device: str) -> Coder:
        if device not in self._coders:
            self._coders[device] = self._coder_for(device)
        return self._coders[device]

    def _coder_for(self, device: str) -> Coder:
        rounds, per_round = (self.k, 1) if self.method == "mpsae" else self.sparsity
        options: dict[str, Any] = {"select": self.select, "refit": self.refit, "levels": self.levels}
        if device == "cpu":
            return TopKCoder(self.topk, self.k) if self.topk else IcflCoder(self.atoms, rounds, per_round, **options)
        from napari_phenolens.dictionary import torch_coder, torch_products

        where = torch_products.device_of(device)
        if self.topk is not None:
            return torch_coder.TorchTopKCoder(self.topk, self.k, where)
        return torch_coder.TorchIcflCoder(self.atoms, rounds, per_round, where, **options)

    def encode(self, x: ArrayLike, *, device: str = "cpu") -> Codes:
        """Code tokens x (n, p), each normed to one first.

        Parameters
        ----------
        x : array (n, p)
        device : str
            ``cpu``, or one of torch's: ``cuda``, ``cuda:1``, ``mps``. What a GPU needs stays in its memory as long as
            this dictionary lives.

        Returns
        -------
        indices : int32 array (n, k)
        values : float32 array (n, k)
            In order of picking (pursuit) or of falling value (TopK, BatchTopK); unused slots hold index 0 and value
            0. A row whose norm is below 1e-8 has an empty code.

        Raises
        ------
        DictionaryError
            Another width, numbers that are not finite, or a device that is not on this machine.
        """
        rows, coder = np.asarray(x), self._coder(device)
        if self.bias is None:
            return coder.encode(rows, unit=True)
        check_rows(rows, self.p)
        unit = unit_rows(finite_rows(rows))
        # a row without direction stays without a code
        return coder.encode(np.where(unit.any(axis=1, keepdims=True), unit - self.bias, np.float32(0)))

    def decode(self, indices: ArrayLike, values: ArrayLike) -> NDArray[np.float32]:
        """Bring codes (n, k) back to rows (n, p) float32, on the scale of unit tokens (with the bias of an SAE).

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
        bias = self.bias if self.topk is None else self.topk.bias
        return rows if bias is None else rows + bias

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays to save; `from_arrays` with `meta` brings the dictionary back."""
        arrays: dict[str, NDArray[Any]] = {"atoms": self.atoms}
        if self.topk is not None:
            arrays |= {"encoder": self.topk.encoder, "encoder_bias": self.topk.encoder_bias, "bias": self.topk.bias}
        if self.bias is not None:
            arrays["bias"] = self.bias
        if self.parents is not None:
            arrays["parents"] = self.parents
        return arrays

    def meta(self) -> dict[str, Any]:
        """What is not an array, ready for JSON."""
        meta: dict[str, Any] = {
            "method": self.method,
            "sparsity": list(self.sparsity),
            "seed": self.seed,
            "history": [[int(s), float(loss), float(cos)] for s, loss, cos in self.history.itertuples(index=False)],
            "settings": self.settings,
        }
        # what only some dictionaries have: the others' files and fingerprints stay as they were
        if self.topk is not None and self.topk.threshold:
            meta["threshold"] = self.topk.threshold
        if self.levels is not None:
            meta["levels"] = list(self.levels)
        if self.select != "signed":
            meta["select"] = self.select
        if self.refit != "none":
            meta["refit"] = self.refit
        return meta

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike], meta: Mapping[str, Any]) -> Dictionary:
        """Bring back what `to_arrays` and `meta` gave."""
        try:
            topk = None
            if meta["method"] in _ENCODED:
                encoder, encoder_bias, bias = (
                    np.array(arrays[name], np.float32) for name in ("encoder", "encoder_bias", "bias")
                )
                topk = TopKWeights(encoder, encoder_bias, bias, float(meta.get("threshold", 0.0)))
            rounds, per_round = meta["sparsity"]
            return cls(
                atoms=np.array(arrays["atoms"], np.float32),
                method=meta["method"],
                sparsity=(int(rounds), int(per_round)),
                seed=int(meta["seed"]),
                history=history_frame(meta["history"]),
                topk=topk,
                settings=dict(meta.get("settings", {})),
                bias=np.array(arrays["bias"], np.float32) if meta["method"] == "mpsae" else None,
                levels=tuple(int(size) for size in meta["levels"]) if meta["method"] == "nested" else None,
                parents=np.array(arrays["parents"], np.int32) if "parents" in arrays else None,
                select=meta.get("select", "signed"),
                refit=meta.get("refit", "none"),
            )
        except KeyError as missing:
            raise DictionaryError(
                f"a saved dictionary lacks {missing}; it was not written by Dictionary.to_arrays"
            ) from None


def history_frame(rows: Any) -> pd.DataFrame:
    """History rows (step, loss, cosine) as a DataFrame."""
    frame = pd.DataFrame([tuple(row) for row in rows], columns=["step", "loss", "cosine"])
    return frame.astype({"step": "int64", "loss": "float64", "cosine": "float64"})
