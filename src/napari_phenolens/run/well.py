"""One well of a run: tokens whitened, coded and summed, ready to be written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.lens import Lens
from napari_phenolens.run.coding import Coding
from napari_phenolens.run.layout import BEST, RunPlan
from napari_phenolens.run.sketch import ACTIVATION_BINS, ALIGNMENT_BINS, activation_bin, alignment_bin
from napari_phenolens.run.units import Scene, Units

Floats = npt.NDArray[np.float32]

ALIGNED = 64  # units of a field whose alignment to every atom enters the sketch


@dataclass
class WellResult:
    """What is written of a well.

    Attributes
    ----------
    arrays : dict
        The well's part of each array of the run.
    fields : list of dict
        A row a field: name, place, shape, grid, units, factor, foreground, cells, covariates.
    skipped : list of dict
        Fields that could not be used, with the reason.
    """

    arrays: dict[str, npt.NDArray[Any]]
    fields: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)


class WellBuilder:
    """Collects a well's fields.

    Parameters
    ----------
    plan : RunPlan
        Sizes.
    lens : Lens
        Whitening and dictionary.
    recentre : ndarray, optional
        ``(p,)`` mean of this plate's whitened control tokens, taken off.
    coding : Coding, optional
        What whitens and codes with the lens; default: the CPU.
    number : int
        The well's place on the plate: of several GPUs it decides which whitens and codes.
    """

    def __init__(
        self, plan: RunPlan, lens: Lens, recentre: Floats | None, coding: Coding | None = None, number: int = 0
    ) -> None:
        self.plan, self.lens, self.recentre = plan, lens, recentre
        self.coding, self.number = coding or Coding(lens), number
        n, f, m = plan.patches, plan.fields, plan.features
        index = np.uint16 if m <= 65536 else np.uint32
        self.result = WellResult(
            {
                "codes/index": np.zeros((f * n, plan.k), index),
                "codes/value": np.zeros((f * n, plan.k), np.float16),
                "patches/strength": np.zeros(f * n, np.float16),
                "patches/foreground": np.zeros(f * n, bool),
                "fields/sum": np.zeros((f, m), np.float32),
                "fields/active": np.zeros((f, m), np.uint32),
                "fields/max": np.zeros((f, m), np.float32),
                "fields/token": np.zeros((f, plan.dim), np.float32),
                "wells/activation_histogram": np.zeros((1, m, ACTIVATION_BINS), np.uint32),
                "wells/alignment_histogram": np.zeros((1, m, ALIGNMENT_BINS), np.uint32),
                "wells/best_value": np.zeros((1, m, BEST), np.float32),
                "wells/best_place": np.full((1, m, BEST), -1, np.int32),
                "wells/cell_sum": np.zeros((1, m), np.float32),
                "wells/cell_active": np.zeros((1, m), np.float32),
                "wells/cell_token": np.zeros((1, plan.dim), np.float32),
            }
        )
        if lens.unit == "cell":
            self.result.arrays["patches/owner"] = np.full(f * n, -1, np.int32)

    def add(self, name: str, place: int, shape: tuple[int, int], factor: float, scene: Scene, units: Units) -> None:
        """Whiten, code and sum one field."""
        arrays, n, m = self.result.arrays, self.plan.patches, self.plan.features
        count = len(units.tokens)
        slot = slice(place * n, place * n + count)
        white = self.coding.whiten(units.tokens, self.number)
        if self.recentre is not None:
            white = white - self.recentre
        kept = np.flatnonzero(units.foreground)
        index = np.zeros((count, self.plan.k), np.int32)
        value = np.zeros((count, self.plan.k), np.float32)
        if len(kept):
            index[kept], value[kept] = self.coding.encode(white[kept], self.number)
        # What is summed is what is stored: a reader that sums the stored codes finds the same profile.
        stored = value.astype(np.float16)
        value = stored.astype(np.float32)
        arrays["codes/index"][slot], arrays["codes/value"][slot] = index, stored
        arrays["patches/strength"][slot] = np.minimum(np.linalg.norm(white, axis=1), 65000)
        arrays["patches/foreground"][slot] = units.foreground
        active = value != 0
        flat, amounts = index[active], value[active]
        arrays["fields/sum"][place] = np.bincount(flat, amounts, minlength=m)
        arrays["fields/active"][place] = np.bincount(flat, minlength=m)
        np.maximum.at(arrays["fields/max"][place], flat, amounts)
        if len(kept):
            arrays["fields/token"][place] = white[kept].sum(0, dtype=np.float64)
        bins = np.bincount(
            flat.astype(np.int64) * ACTIVATION_BINS + activation_bin(amounts), minlength=m * ACTIVATION_BINS
        )
        arrays["wells/activation_histogram"][0] += bins.reshape(m, ACTIVATION_BINS).astype(np.uint32)
        self._alignment(white[kept])
        cells = self._cells(scene, units, index, value, active, white)
        if units.owner is not None:
            arrays["patches/owner"][place * n : place * n + len(units.owner)] = units.owner
        self.result.fields.append(
            {
                "name": name,
                "place": place,
                "shape": list(shape),
                "grid": list(units.grid),
                "patches": list(scene.foreground.shape),
                "units": count,
                "factor": factor,
                "foreground": int(units.foreground.sum()),
                "cells": cells,
                "strength": float(np.linalg.norm(white[kept], axis=1).mean()) if len(kept) else None,
                "covariates": {k: (float(v) if np.isfinite(v) else None) for k, v in scene.covariates.items()},
            }
        )

    def skip(self, name: str, reason: str) -> None:
        """Note a field that could not be used."""
        self.result.skipped.append({"field": name, "reason": reason})

    def finish(self) -> WellResult:
        """Find the best examples and give the well."""
        arrays = self.result.arrays
        value = arrays["codes/value"]
        rows, slots = np.nonzero(value)
        # One sorted number says it all: the feature, then the value falling, then the row. Half-precision values are
        # ordered as their bits are, negative ones the other way round.
        bits = value[rows, slots].view(np.uint16)
        falling = np.where(bits < 0x8000, bits ^ 0x7FFF, bits).astype(np.uint64)
        key = arrays["codes/index"][rows, slots].astype(np.uint64) << 44 | falling << 28 | rows.astype(np.uint64)
        key.sort()
        feature, rows = (key >> 44).astype(np.int64), (key & 0xFFFFFFF).astype(np.int64)
        bits = (key >> 28).astype(np.uint16)
        amounts = np.where(bits < 0x8000, bits ^ 0x7FFF, bits).astype(np.uint16).view(np.float16)
        rank = np.arange(len(feature)) - np.searchsorted(feature, np.arange(self.plan.features))[feature]
        best = rank < BEST
        arrays["wells/best_value"][0, feature[best], rank[best]] = amounts[best]
        arrays["wells/best_place"][0, feature[best], rank[best]] = rows[best]
        return self.result

    def _alignment(self, white: Floats) -> None:
        if not len(white):
            return
        m = self.plan.features
        taken = white[np.unique(np.linspace(0, len(white) - 1, ALIGNED).round().astype(int))]
        values = taken @ self.lens.dictionary.atoms.T
        place = np.arange(m)[None] * ALIGNMENT_BINS + alignment_bin(values)
        bins = np.bincount(place.ravel(), minlength=m * ALIGNMENT_BINS).reshape(m, ALIGNMENT_BINS)
        self.result.arrays["wells/alignment_histogram"][0] += bins.astype(np.uint32)

    def _cells(
        self,
        scene: Scene,
        units: Units,
        index: npt.NDArray[Any],
        value: Floats,
        active: npt.NDArray[np.bool_],
        white: Floats,
    ) -> int:
        """Sum over cells of their mean activation: codes weighted by what each patch gives to all cells."""
        arrays, m = self.result.arrays, self.plan.features
        if scene.weights is None or scene.weights.shape[0] == 0:
            return 0
        cells = int(scene.weights.shape[0])
        if self.lens.unit == "cell":
            share = np.ones(len(units.tokens))
        elif self.lens.unit == "patch":
            share = np.asarray(scene.weights.sum(axis=0)).ravel()
        else:
            return cells
        per_code = np.broadcast_to(share[:, None], value.shape)
        arrays["wells/cell_sum"][0] += np.bincount(index[active], (value * per_code)[active], minlength=m)
        arrays["wells/cell_active"][0] += np.bincount(index[active], per_code[active], minlength=m)
        arrays["wells/cell_token"][0] += share @ white
        return cells
