"""A small plate on disk and a run of it in memory, for the tests of viewer and dock: no torch, no zarr."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.plate import open_plate, select_wells, well_name, well_name_of

PATCH, SHAPE, FEATURES, ROUNDS = 8, (64, 96), 24, 4
PIXEL_SIZE = 0.65
PLANTED, TECHNICAL = 3, 5  # what is higher in perturbed wells; what follows the row


def write_plate(
    folder: Path, rows: int = 4, columns: int = 6, fields: int = 2, pixel_size: float | None = PIXEL_SIZE
) -> Path:
    """Write a plate of TIFFs with a plate map; columns 1 and 2 are controls, well A06 has no images."""
    import tifffile

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]]
    table = []
    for i in range(rows):
        for j in range(columns):
            well = well_name_of(i, j)
            role = "negcon" if j < 2 else "poscon" if j == columns - 1 else "trt"
            table.append(
                {"well": well, "control_type": role, "compound": "DMSO" if j < 2 else f"compound {j}", "dose": float(j)}
            )
            if well == f"A{columns:02d}":
                continue
            for f in range(1, fields + 1):
                y, x = rng.uniform(15, 45), rng.uniform(20, 75)
                blob = np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / 80) * 2000 + rng.normal(200, 10, SHAPE)
                for channel, gain in (("DNA", 1.0), ("GFP", 0.3 + 0.2 * j)):
                    image = np.clip(blob * gain, 0, 65535).astype(np.uint16)
                    known: dict[str, Any] = {}
                    if pixel_size is not None:
                        known = {"imagej": True, "resolution": (1 / pixel_size,) * 2, "metadata": {"unit": "um"}}
                    tifffile.imwrite(folder / f"{well}_f{f}_{channel}.tif", image, **known)
    pd.DataFrame(table).to_csv(folder / "platemap.csv", index=False)
    return folder


class FakeRun:
    """What viewer and analysis read of a run, made of a seed."""

    def __init__(self, folder: Path, path: Path, features: int = FEATURES) -> None:
        self.path = path
        self.folder = folder
        self.n_features = features
        self.patch, self.unit = PATCH, "patch"
        self.complete, self.provisional, self.already_complete = True, False, False
        self._plate = open_plate(folder, folder / "platemap.csv")
        self.plate_name, self.plate_path = self._plate.name, str(folder)
        self.channels, self.pixel_size = self._plate.channels, self._plate.pixel_size
        self.metadata = self._plate.metadata
        self.wells = list(self._plate.wells)
        self.controls = self._plate.select("control_type == 'negcon'")
        self.skipped = pd.DataFrame(columns=["well", "field", "reason"])
        atoms = np.random.default_rng(1).normal(size=(features, 6)).astype(np.float32)
        atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
        self.lens = SimpleNamespace(
            dictionary=SimpleNamespace(atoms=atoms),
            controls=[],
            encoder="fake",
            block=0,
            patch=PATCH,
            nuclear="DNA",
            plate=None,
        )

    @cached_property
    def annotations(self) -> Any:
        from napari_phenolens.run.annotations import Annotations

        return Annotations(self.path, "fake", self.n_features)

    def plate(self) -> Any:
        return open_plate(self.folder, self.folder / "platemap.csv")

    @property
    def grid(self) -> tuple[int, int]:
        return SHAPE[0] // PATCH, SHAPE[1] // PATCH

    @cached_property
    def field_table(self) -> pd.DataFrame:
        h, w = self.grid
        rows = []
        for well in self.wells:
            for place, field in enumerate(self.fields(well)):
                rows.append(
                    {
                        "well": well, "field": field, "place": place, "offset": len(rows) * h * w, "units": h * w,
                        "h": h, "w": w, "y": SHAPE[0], "x": SHAPE[1], "scale": float(PATCH),
                        "foreground": h * w, "cells": 1,
                    }
                )  # fmt: skip
        return pd.DataFrame(rows)

    def select(self, query: Any) -> list[str]:
        return select_wells(self.metadata, query, self.wells)

    def fields(self, well: str) -> tuple[str, ...]:
        return tuple(field.name for field in self._plate.wells[well_name(well)].fields)

    def _field(self, well: str, field: Any) -> str:
        names = self.fields(well)
        return names[0] if field is None else names[field] if isinstance(field, int) else field

    def field_row(self, well: str, field: Any = None) -> pd.Series:
        name = self._field(well, field)
        return self.field_table[(self.field_table["well"] == well) & (self.field_table["field"] == name)].iloc[0]

    def codes(self, well: str, field: Any = None) -> tuple[np.ndarray, np.ndarray]:
        well = well_name(well)
        h, w = self.grid
        row, column = ord(well[0]) - 65, int(well[1:]) - 1
        seed = 1000 * row + 10 * column + int(self.fields(well).index(self._field(well, field)))
        rng = np.random.default_rng(seed)
        order = rng.permuted(np.tile(np.arange(self.n_features), (h * w, 1)), axis=1)[:, :ROUNDS]
        value = rng.gamma(4, 0.05, order.shape).astype(np.float32)
        value[order == PLANTED] *= 1 + 1.5 * (column > 1)
        value[order == TECHNICAL] *= 1 + row
        return order.astype(np.int64), value

    def foreground(self, well: str, field: Any = None) -> np.ndarray:
        return np.ones(self.grid, dtype=bool)

    def strength(self, well: str, field: Any = None) -> np.ndarray:
        return self.codes(well, field)[1].sum(axis=1).reshape(self.grid)

    def activation(self, well: str, field: Any, feature: int) -> np.ndarray:
        index, value = self.codes(well, field)
        return np.where(index == feature, value, 0).sum(axis=1).astype(np.float32).reshape(self.grid)

    def weighted_activation(self, well: str, field: Any, weights: np.ndarray) -> np.ndarray:
        index, value = self.codes(well, field)
        return (weights[index] * value).sum(axis=1).reshape(self.grid)

    def tokens(self, well: str, field: Any = None, stride: Any = None, cancel: Any = None) -> np.ndarray:
        index, value = self.codes(well, field)
        atoms = self.lens.dictionary.atoms
        return (value[..., None] * atoms[index]).sum(axis=1).reshape(*self.grid, -1)

    def examples(self, feature: int, count: int = 16, per_well: int = 4) -> pd.DataFrame:
        rows = []
        for well in self.wells:
            here = [
                (well, field, unit, float(value))
                for field in self.fields(well)
                for unit, value in enumerate(self.activation(well, field, feature).ravel())
                if value > 0
            ]
            rows += sorted(here, key=lambda row: -row[3])[:per_well]
        table = pd.DataFrame(rows, columns=["well", "field", "unit", "value"])
        return table.sort_values("value", ascending=False, kind="stable").head(count).reset_index(drop=True)

    def histogram(self, feature: int, wells: Any) -> tuple[np.ndarray, int]:
        every = np.concatenate([self.activation(w, f, feature).ravel() for w in wells for f in self.fields(w)])
        return np.histogram(every[every > 0], bins=160, range=(0, 1.6))[0], len(every)

    def limits(self, feature: int, kind: str = "activation") -> tuple[float, float]:
        return (0.0, 0.8 + feature / 100) if kind == "activation" else (-1.5, 1.5)

    @cached_property
    def _profiles(self) -> dict[str, pd.DataFrame]:
        found: dict[str, dict[str, np.ndarray]] = {"activation": {}, "active": {}}
        for well in self.wells:
            pairs = [self.codes(well, field) for field in self.fields(well)]
            index = np.concatenate([pair[0] for pair in pairs])
            value = np.concatenate([pair[1] for pair in pairs])
            sums, counts = np.zeros(self.n_features), np.zeros(self.n_features)
            np.add.at(sums, index.ravel(), value.ravel())
            np.add.at(counts, index.ravel(), 1)
            found["activation"][well] = sums / len(index)
            found["active"][well] = counts / len(index)
        return {kind: pd.DataFrame.from_dict(rows, orient="index").rename_axis("well") for kind, rows in found.items()}

    def profiles(self, per: str = "patch", kind: str = "activation") -> pd.DataFrame:
        return self._profiles.get(kind, self._profiles["activation"])

    def field_profiles(self, kind: str = "activation") -> pd.DataFrame:
        rows = {}
        for well in self.wells:
            for field in self.fields(well):
                index, value = self.codes(well, field)
                rows[well, field] = np.bincount(index.ravel(), value.ravel(), self.n_features) / len(index)
        return pd.DataFrame.from_dict(rows, orient="index").set_axis(pd.MultiIndex.from_tuples(rows))

    def covariates(self) -> pd.DataFrame:
        rng = np.random.default_rng(5)
        table = {
            "cell_count": rng.normal(100, 5, len(self.wells)),
            "foreground_share": rng.uniform(0.5, 0.6, len(self.wells)),
        }
        return pd.DataFrame(table, index=pd.Index(self.wells, name="well"))

    @property
    def density(self) -> pd.Series:
        return self._profiles["active"].mean().rename("density")
