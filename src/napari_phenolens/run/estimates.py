"""What a run will take: tiles, time from a short probe on this machine, disk."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.encoders import load_encoder
from napari_phenolens.progress import duration
from napari_phenolens.run.bench import resolve_channels
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import BATCH_TOKENS, TokenSettings, pooling_for
from napari_phenolens.run.fit import MARGIN
from napari_phenolens.run.geometry import cut_tiles
from napari_phenolens.run.pixels import fit_normalisation, normalise
from napari_phenolens.run.source import BAD_FIELD

if TYPE_CHECKING:
    from napari_phenolens.plate import Field, Plate

OTHER_WORK = 1.35  # reading, nuclei, whitening and coding beside the encoder (measured on BBBC013)


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes
    ----------
    fields, tiles : int
        Fields of the plate and tiles to encode.
    seconds : float
        Expected time of the encoding pass on this machine, with the work beside it; fitting comes on top.
    bytes : int
        Expected size of tokens and run on disk.
    """

    fields: int
    tiles: int
    seconds: float
    bytes: int

    def __str__(self) -> str:
        """Say it in one line."""
        counts = f"{self.fields:,} fields, {self.tiles:,} tiles"
        return f"{counts}, about {duration(self.seconds)}, about {self.bytes / 2**30:.1f} GiB on disk"


def estimate(
    plate: Plate,
    *,
    encoder: str = "camae-micro",
    block: int | None = None,
    channels: Mapping[str, str] | Sequence[str] | None = None,
    channel_pooling: str = "auto",
    sparsity: tuple[int, int] = (10, 2),
    atoms: int = 1024,
    device: str = "auto",
    weights: str | Path | None = None,
) -> Estimate:
    """Estimate a run from two batches of this plate's first field on this machine.

    Parameters
    ----------
    plate : Plate
        The plate.
    encoder, block, channels, channel_pooling, sparsity, atoms, device, weights
        As in `fit_lens`.

    Returns
    -------
    Estimate
        Sizes of all fields are taken to be those of the first.
    """
    wanted = resolve_channels(plate, channels)
    enc = load_encoder(encoder, weights=weights, device=device, block=block)
    field, image = _first_readable(plate, list(wanted.values()))
    settings = TokenSettings(
        tuple(wanted.values()), tuple(wanted), pooling_for(channel_pooling, len(wanted)), enc.patch,
        enc.default_tile, MARGIN, field.pixel_size, fit_normalisation([image], "plate", enc.input_range),
    )  # fmt: skip
    plan = settings.plan(field)
    tiles = cut_tiles(normalise(image, settings.normalisation), plan)
    batch = max(1, BATCH_TOKENS // (tiles.shape[1] * plan.tile**2))
    probe = tiles[np.arange(batch) % len(tiles)]
    enc.tokens(probe)  # the first call warms up
    start = time.perf_counter()
    enc.tokens(probe)
    each = (time.perf_counter() - start) / batch
    fields = sum(len(w.fields) for w in plate.wells.values())
    count = fields * len(plan.origins)
    patches = fields * plan.grid[0] * plan.grid[1]
    k = sparsity[0] * sparsity[1]
    size = patches * (settings.dim(enc.dim, enc.channels) * 2 + k * 4 + 3) + fields * atoms * 12
    return Estimate(fields, count, count * each * OTHER_WORK, int(size))


def _first_readable(plate: Plate, sources: list[str]) -> tuple[Field, npt.NDArray[Any]]:
    reasons = []
    for well in plate.wells.values():
        for field in well.fields:
            try:
                return field, field.read(sources)
            except BAD_FIELD as error:
                reasons.append(str(error))
    raise RunError(f"{plate.name}: no field of the plate can be read ({'; '.join(reasons[:3])})")
