"""A run in memory with real whitening, dictionary and codes, over tokens whose truth is known."""

from __future__ import annotations

from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.dictionary import Dictionary, Whitening
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.plate import select_wells, well_name_of

P, TRUE, SIDE, FIELDS = 16, 24, 8, 2
OF_A, OF_B, OF_COLUMN = 1, 2, 5  # true atoms: of label a, of label b, rising with the column
ROWS, COLUMNS = 4, 9


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


ATOMS = unit(np.random.default_rng(1).normal(size=(TRUE, P)))
MIXING = np.random.default_rng(2).normal(size=(P, P))


def layout() -> dict[str, str]:
    """Labels of 36 wells, twelve each, scattered over the plate."""
    wells = [well_name_of(r, c) for r in range(ROWS) for c in range(COLUMNS)]
    order = np.random.default_rng(4).permutation(len(wells))
    return {w: ("control", "a", "b")[order[i] % 3] for i, w in enumerate(wells)}


def raw_tokens(well: str, label: str, place: int, seed: int) -> np.ndarray:
    """Tokens (patches, P) of a field as an encoder would give them."""
    rng = np.random.default_rng([seed, *well.encode(), place])
    share = np.full(TRUE, 0.12)
    share[OF_A] += 0.45 * (label == "a")
    share[OF_B] += 0.45 * (label == "b")
    share[OF_COLUMN] += 0.06 * (int(well[1:]) - 1)
    on = rng.random((SIDE * SIDE, TRUE)) < np.clip(share + rng.normal(0, 0.02, TRUE), 0, 1)
    tokens = (on * rng.uniform(0.8, 1.2, on.shape)) @ ATOMS + 0.05 * rng.normal(size=(SIDE * SIDE, P))
    return tokens @ MIXING + 3


class PlantedRun:
    """A run of a plate `layout`; its dictionary's atoms are the true ones, whitened, unless others are given."""

    def __init__(
        self, atoms: Any = None, *, seed: int = 0, name: str = "P1", levels: Any = None, fit: Any = None
    ) -> None:
        self.seed, self.plate_name, self.path = seed, name, f"run-{id(self)}"
        self.labels = layout()
        self.wells = list(self.labels)
        self.metadata = pd.DataFrame({"kind": list(self.labels.values())}, index=pd.Index(self.wells, name="well"))
        self.controls = [w for w, label in self.labels.items() if label == "control"]
        self.patch, self.unit, self.pixel_size = 8, "patch", None
        raw = [raw_tokens(w, self.labels[w], f, seed) for w in self.controls for f in range(FIELDS)]
        whitening = Whitening.fit(raw) if fit is None else fit
        if atoms is None:
            atoms = unit(ATOMS @ MIXING @ whitening.matrix)
        dictionary = atoms
        if not isinstance(atoms, Dictionary):
            dictionary = Dictionary(atoms, "icfl", (4, 1))
        self.has_tokens = True
        self.lens = SimpleNamespace(
            encoder="planted", encoder_sha256="0", block=1, channels=("DNA",), channel_pooling="mean", unit="patch",
            patch=8, whitening=whitening, dictionary=dictionary, plates=(name,), facts={},
        )  # fmt: skip

    @property
    def n_features(self) -> int:
        return self.lens.dictionary.m

    def fields(self, well: str) -> tuple[str, ...]:
        return tuple(str(f + 1) for f in range(FIELDS))

    def tokens(self, well: str, field: Any = None, stride: Any = None) -> np.ndarray:
        if not self.has_tokens:
            raise PhenoLensError(f"{well}: its tokens are not stored")
        raw = raw_tokens(well, self.labels[well], int(field) - 1, self.seed)
        return self.lens.whitening(raw).reshape(SIDE, SIDE, -1)

    def foreground(self, well: str, field: Any = None) -> np.ndarray:
        mask = np.ones((SIDE, SIDE), bool)
        mask[-1] = False
        return mask

    @cached_property
    def _codes(self) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
        had, self.has_tokens = self.has_tokens, True
        found = {}
        for well in self.wells:
            for field in self.fields(well):
                x = self.tokens(well, field).reshape(SIDE * SIDE, -1)
                index, value = self.lens.dictionary.encode(x)
                value = value.astype(np.float16).astype(np.float32)
                value[~self.foreground(well).ravel()] = 0
                found[well, field] = index.astype(np.int64), value
        self.has_tokens = had
        return found

    def codes(self, well: str, field: Any = None) -> tuple[np.ndarray, np.ndarray]:
        return self._codes[well, str(field or "1")]

    def field_profiles(self, kind: str = "activation") -> pd.DataFrame:
        rows = {}
        for (well, field), (index, value) in self._codes.items():
            here = self.foreground(well).ravel()
            amount = value[here] if kind == "activation" else (value[here] != 0).astype(float)
            rows[well, field] = np.bincount(index[here].ravel(), amount.ravel(), minlength=self.n_features) / here.sum()
        names = pd.MultiIndex.from_tuples(rows, names=["well", "field"])
        return pd.DataFrame(list(rows.values()), index=names)

    def profiles(self, per: str = "patch", kind: str = "activation") -> pd.DataFrame:
        return self.field_profiles(kind).groupby(level="well", sort=False).mean().loc[self.wells]

    @property
    def density(self) -> pd.Series:
        return self.profiles(kind="active").mean()

    def covariates(self) -> pd.DataFrame:
        return self.field_covariates().groupby(level="well").mean()

    def field_covariates(self) -> pd.DataFrame:
        """Plain measurements that follow label a, and noise."""
        rng = np.random.default_rng(7)
        keys = [(w, f) for w in self.wells for f in self.fields(w)]
        is_a = np.array([self.labels[w] == "a" for w, _ in keys], float)
        table = {"cell_count": rng.normal(30, 3, len(keys)), "area": 3 * is_a + rng.normal(size=len(keys)),
                 "focus": 3 * is_a + rng.normal(size=len(keys))}  # fmt: skip
        return pd.DataFrame(table, index=pd.MultiIndex.from_tuples(keys, names=["well", "field"]))

    def mean_tokens(self) -> pd.DataFrame:
        rows = {}
        for well in self.wells:
            parts = [self.tokens(well, f)[self.foreground(well)] for f in self.fields(well)]
            rows[well] = np.concatenate(parts).mean(axis=0)
        return pd.DataFrame.from_dict(rows, orient="index")

    def field_row(self, well: str, field: Any = None) -> pd.Series:
        return pd.Series({"field": field, "h": SIDE, "w": SIDE, "y": SIDE * 8, "x": SIDE * 8, "scale": 8.0})

    def select(self, query: Any) -> list[str]:
        return select_wells(self.metadata, query, self.wells)
