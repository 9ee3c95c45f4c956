"""A run without a plate: everything that analysis reads, made of arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.plate import select_wells, well_name_of


@dataclass
class FakeRun:
    """A run held in memory; `values` are its patch activation profiles."""

    values: pd.DataFrame
    metadata: pd.DataFrame
    plate_name: str = "P1"
    controls: list[str] = field(default_factory=list)
    extra: pd.DataFrame | None = None
    views: dict[tuple[str, str], pd.DataFrame] = field(default_factory=dict)
    lens: Any = None
    patch: int = 8
    p: int = 5
    k: int = 3
    h: int = 4
    w: int = 5
    path: str | None = None
    complete: bool = True
    provisional: bool = False
    pixel_size: float | None = 0.5
    seed: int = 0
    has_tokens: bool = True
    factor: float = 1.0
    names: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.lens is None:
            atoms = np.random.default_rng(7).normal(size=(self.n_features, self.p))
            atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
            self.lens = SimpleNamespace(
                dictionary=SimpleNamespace(atoms=atoms.astype(np.float32)),
                controls=[],
                encoder="fake",
                block=1,
                patch=self.patch,
            )

    @property
    def n_features(self) -> int:
        return self.values.shape[1]

    @property
    def annotations(self) -> Any:
        given = pd.Series([self.names.get(f, "") for f in range(self.n_features)])
        return SimpleNamespace(names=lambda: given)

    @property
    def wells(self) -> list[str]:
        return list(self.values.index)

    @property
    def density(self) -> pd.Series:
        return pd.Series(np.linspace(0.01, 0.1, self.n_features), index=range(self.n_features))

    def field_row(self, well: str, field: Any = None) -> pd.Series:
        if field not in (None, 0, "1"):
            raise PhenoLensError(f"{well}: no field {field!r} with results")
        y, x = self.h * self.patch + 3, self.w * self.patch
        return pd.Series(
            {"field": "1", "h": self.h, "w": self.w, "y": y, "x": x, "scale": float(self.patch) / self.factor}
        )

    def select(self, query: Any) -> list[str]:
        return select_wells(self.metadata, query, self.wells)

    def profiles(self, per: str = "patch", kind: str = "activation") -> pd.DataFrame:
        if (per, kind) in self.views:
            return self.views[per, kind]
        if per == "cell":
            raise PhenoLensError("this run has no cells")
        return (self.values != 0).astype(float) if kind == "active" else self.values

    def covariates(self) -> pd.DataFrame:
        return self.extra if self.extra is not None else pd.DataFrame(index=self.values.index)

    def fields(self, well: str) -> tuple[str, ...]:
        return ("1",)

    def _draw(self, well: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.wells.index(well)])

    def codes(self, well: str, field: Any = None) -> tuple[np.ndarray, np.ndarray]:
        rng = self._draw(well)
        n = self.h * self.w
        index = np.stack([rng.permutation(self.n_features)[: self.k] for _ in range(n)])
        value = rng.uniform(0.1, 1, size=(n, self.k)).astype(np.float32)
        value[~self.foreground(well).ravel()] = 0
        index[value == 0] = 0
        return index, value

    def foreground(self, well: str, field: Any = None) -> np.ndarray:
        mask = np.ones((self.h, self.w), dtype=bool)
        mask[-1] = False
        return mask

    def tokens(self, well: str, field: Any = None) -> np.ndarray:
        if not self.has_tokens:
            raise PhenoLensError("the plate's files are gone")
        return self._draw(well).normal(size=(self.h, self.w, self.p)).astype(np.float32)

    def strength(self, well: str, field: Any = None) -> np.ndarray:
        return np.linalg.norm(self.tokens(well), axis=-1) if self.has_tokens else np.ones((self.h, self.w), np.float32)

    def activation(self, well: str, field: Any, feature: int) -> np.ndarray:
        index, value = self.codes(well, field)
        return np.where(index == feature, value, 0).sum(axis=1).reshape(self.h, self.w).astype(np.float32)

    def weighted_activation(self, well: str, field: Any, weights: np.ndarray) -> np.ndarray:
        index, value = self.codes(well, field)
        return (weights[index] * value).sum(axis=1).reshape(self.h, self.w)

    def limits(self, feature: int, kind: str = "activation") -> tuple[float, float]:
        if kind == "cosine":
            raise PhenoLensError("no limits for cosine")
        return (0.0, 1.0)


def plate_of(rows: int, columns: int) -> list[str]:
    return [well_name_of(r, c) for r in range(rows) for c in range(columns)]


@pytest.fixture
def make_run():
    """Make a run: `sides` maps well names to 'negcon', 'poscon' or 'trt'; values are noise over a mean."""

    def make(
        sides: dict[str, str], m: int = 50, effects: dict[int, float] | None = None, seed: int = 0, **given: Any
    ) -> FakeRun:
        rng = np.random.default_rng(seed)
        wells = list(sides)
        spread = rng.uniform(0.5, 1.5, size=m)
        values = pd.DataFrame(10 + spread * rng.normal(size=(len(wells), m)), index=pd.Index(wells, name="well"))
        moved = np.array([s != "negcon" for s in sides.values()])
        for feature, effect in (effects or {}).items():
            values.loc[moved, feature] += effect * spread[feature]
        metadata = pd.DataFrame({"control_type": list(sides.values())}, index=pd.Index(wells, name="well"))
        given.setdefault("controls", [w for w, s in sides.items() if s == "negcon"])
        return FakeRun(values, metadata, **given)

    return make


@pytest.fixture
def scattered():
    """Twelve controls and twelve positives that share rows, columns and rim."""
    wells = plate_of(4, 6)
    order = np.random.default_rng(3).permutation(24)
    return {w: ("negcon" if order[i] < 12 else "poscon") for i, w in enumerate(wells)}
