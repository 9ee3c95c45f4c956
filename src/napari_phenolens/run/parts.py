"""Parts of fields: on a big plate the fit and the first pass encode a few tiles of a field, drawn at random."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.run.geometry import TilePlan, coverage
from napari_phenolens.run.pixels import spread
from napari_phenolens.run.source import BAD_FIELD
from napari_phenolens.run.units import Scene

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate
    from napari_phenolens.run.field_tokens import TokenSettings
    from napari_phenolens.run.token_store import TokenStore

Mask = npt.NDArray[np.bool_]
Halves = npt.NDArray[np.float16]
Place = tuple[str, int]

# Encoder tokens of a plate from which on parts will do: half an hour and more of camae-micro on two cores. A count and
# no time, so that a lens does not depend on the machine that it was fitted on.
BIG_TOKENS = 40_000_000
PART_PATCHES = 1600  # patches of a field that its part has about
WORTH = 0.5  # of a field's tiles, which a part may have at most
CELL_SHARE = 0.5  # of a cell's area that must lie in the part


@dataclass
class Part:
    """What is encoded of a field.

    Attributes
    ----------
    tiles : ndarray
        ``(tiles,)`` bool, in the order of `TilePlan.origins`.
    patches : ndarray
        ``(h, w)`` bool: those whose tokens are the same as if the whole field were encoded.
    """

    tiles: Mask
    patches: Mask


def part_tiles(plate: Plate, settings: TokenSettings) -> int:
    """Give the tiles of a part; 0 where fields are encoded whole, since the plate is small or its fields are.

    Sizes of all fields are taken to be those of the first that can be read.
    """
    fields = [field for well in plate.wells.values() for field in well.fields]
    for field in fields:
        try:
            plan = settings.plan(field)
        except BAD_FIELD:
            continue
        tiles = len(plan.origins)
        kept = (plan.tile - 2 * plan.margin) ** 2
        part = -(-PART_PATCHES // kept)
        big = len(fields) * tiles * plan.tile**2 * len(settings.sources) > BIG_TOKENS
        return part if big and part <= WORTH * tiles else 0
    return 0


def leading_fields(plate: Plate, wells: Sequence[str], count: int) -> list[Place]:
    """Choose fields of some wells: first ones before second ones, so that all who choose so choose the same."""
    most = max((len(plate.wells[w].fields) for w in wells), default=0)
    found = [(w, i) for i in range(most) for w in wells if i < len(plate.wells[w].fields)]
    first = [place for place in found if place[1] == 0]
    return spread(first, count) if len(first) >= count else found[:count]


def draw_part(plan: TilePlan, foreground: Mask, count: int, seed: Sequence[int], unit: str) -> Part:
    """Draw tiles that show cells, each with the same chance.

    Parameters
    ----------
    plan : TilePlan
        The field's plan.
    foreground : ndarray
        ``(h, w)`` bool, patches that show cells. Where none does the part is empty.
    count : int
        Tiles, see `part_tiles`; crops are drawn instead where they are the unit, of about as many patches.
    seed : sequence of int
        The field's own.
    unit : str
        See `units_of`.
    """
    rng = np.random.default_rng(seed)
    low, high = plan.margin, plan.tile - plan.margin
    asked = np.zeros(plan.padded, bool)
    shown = np.zeros(plan.padded, bool)
    shown[plan.inside] = foreground
    kept = [(slice(r + low, r + high), slice(c + low, c + high)) for r, c in plan.origins]
    if unit == "crop":
        side, (h, w) = plan.tile, plan.grid
        corners = [(r, c) for r in range(0, max(1, h - side + 1), side) for c in range(0, max(1, w - side + 1), side)]
        pieces = [(slice(low + r, low + r + side), slice(low + c, low + c + side)) for r, c in corners]
        count = max(1, round(count * (high - low) ** 2 / side**2))
    else:
        pieces = kept
    showing = [piece for piece in pieces if shown[piece].any()]
    for i in rng.permutation(len(showing))[:count]:
        asked[showing[i]] = True
    if unit == "crop":
        tiles = np.array([bool(asked[piece].any()) for piece in kept])
        return Part(tiles, _covered(plan, tiles) & asked[plan.inside])
    tiles = np.array([bool(asked[piece].all()) for piece in kept])
    return Part(tiles, _covered(plan, tiles))


def _covered(plan: TilePlan, tiles: Mask) -> Mask:
    """Tell which patches have all the tiles that keep them."""
    low, high = plan.margin, plan.tile - plan.margin
    count = np.zeros(plan.padded, np.int32)
    for (r, c), used in zip(plan.origins, tiles, strict=True):
        count[r + low : r + high, c + low : c + high] += used
    found: Mask = count[plan.inside] == coverage(plan)
    return found


def within(scene: Scene, patches: Mask) -> Scene:
    """Give a scene whose foreground and cells are those of a part; its plain measurements are of the whole field."""
    weights = scene.weights
    if weights is not None and weights.shape[0]:
        from scipy.sparse import diags_array

        inside = weights @ diags_array(patches.ravel().astype(weights.dtype))
        share = np.asarray(inside.sum(axis=1)).ravel()
        kept = share >= CELL_SHARE
        weights = (diags_array(1 / share[kept]) @ inside.tocsr()[kept]).tocsr()
    return replace(scene, foreground=scene.foreground & patches, weights=weights)


class PartStore:
    """Parts of a plate's fields on disk: what they show, already looked at, and their tokens.

    The fit draws its samples from the fields that the first pass begins with: they are looked at and encoded once.

    Parameters
    ----------
    store : TokenStore
        The plate's tokens, beside which parts are kept.
    rules : Lens or LensDraft
        Foreground rule, nuclear channel and unit.
    tiles : int
        See `part_tiles`.
    """

    def __init__(self, store: TokenStore, rules: Any, tiles: int) -> None:
        facts = [rules.nuclear, rules.foreground.to_dict(), rules.unit, tiles]
        name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
        self.store, self.folder = store, store.path / f"parts-{name}"

    def _path(self, where: Place) -> Path:
        return self.folder / f"{where[0]}-{where[1]}.npz"

    def get(self, where: Place) -> tuple[Scene, Mask, Halves] | None:
        """Give scene, patches and packed tokens of the patches; None where they are not there or not whole.

        The scene has no pixels any more: its image has the right shape alone.
        """
        try:
            with np.load(self._path(where), allow_pickle=False) as held:
                from scipy.sparse import csr_matrix

                facts = json.loads(str(held["facts"]))
                h, w = facts["grid"]
                patches, foreground = (
                    np.unpackbits(held[name], count=h * w).astype(bool).reshape(h, w)
                    for name in ("patches", "foreground")
                )
                weights = None
                if facts["cells"] is not None:
                    shape = (facts["cells"], h * w)
                    weights = csr_matrix((held["weight"], held["column"], held["pointer"]), shape=shape)
                image = np.broadcast_to(np.zeros((), np.uint8), tuple(facts["image"]))
                return Scene(image, foreground, weights, facts["covariates"]), patches, held["tokens"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # not there, or damaged: it is made again
            return None

    def put(self, where: Place, scene: Scene, patches: Mask, tokens: Halves) -> None:
        """Keep a part, where there is room."""
        if not self.store.room_for(2 * tokens.nbytes):
            return
        arrays: dict[str, Any] = {
            "tokens": tokens,
            "patches": np.packbits(patches),
            "foreground": np.packbits(scene.foreground),
        }
        if scene.weights is not None:
            csr = scene.weights.tocsr()
            arrays |= {"weight": csr.data, "column": csr.indices, "pointer": csr.indptr}
        facts = {
            "grid": patches.shape,
            "image": scene.image.shape,
            "cells": None if scene.weights is None else scene.weights.shape[0],
            "covariates": {k: float(v) for k, v in scene.covariates.items()},
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(where)
        scratch = path.with_name(f".{path.stem}.{os.getpid()}.npz")
        np.savez(scratch, facts=np.array(json.dumps(facts)), **arrays)
        os.replace(scratch, path)
