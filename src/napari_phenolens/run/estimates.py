"""What a run will take: tiles, time from a short probe on this machine, disk."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from napari_phenolens.cells import Foreground
from napari_phenolens.lens import Lens, load_lens
from napari_phenolens.progress import CancelCallback, ProgressCallback, check_cancelled, duration
from napari_phenolens.run.bench import LensDraft, nuclear_channel, resolve_channels
from napari_phenolens.run.devices import Device
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import TokenSettings, pooling_for
from napari_phenolens.run.fit import MARGIN
from napari_phenolens.run.opening import engine_for
from napari_phenolens.run.pixels import fit_normalisation
from napari_phenolens.run.source import BAD_FIELD
from napari_phenolens.run.stream import readers
from napari_phenolens.run.token_store import LIMIT
from napari_phenolens.run.units import look
from napari_phenolens.threads import budget

if TYPE_CHECKING:
    from napari_phenolens.plate import Field, Plate

CODING = 0.12  # whitening, coding and writing as a share of the encoder's time on the CPU (measured on BBBC013)


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
        size = f"{self.bytes / 1e9:.1f} GB" if self.bytes >= 1e9 else f"{max(1, round(self.bytes / 1e6))} MB"
        return f"{counts}, about {duration(self.seconds)}, about {size} on disk"


def estimate(
    plate: Plate,
    *,
    encoder: str = "camae-micro",
    block: int | None = None,
    channels: Mapping[str, str] | Sequence[str] | None = None,
    channel_pooling: str = "auto",
    sparsity: tuple[int, int] = (10, 2),
    atoms: int = 1024,
    device: Device = "auto",
    weights: str | Path | None = None,
    batch: int | None = None,
    precision: str = "auto",
    lens: Lens | str | Path | None = None,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> Estimate:
    """Estimate a run from a look at this plate's first field, and two batches of its tiles, on this machine.

    Parameters
    ----------
    plate : Plate
        The plate.
    encoder, block, channels, channel_pooling, sparsity, atoms, device, weights, batch, precision
        As in `fit_lens`.
    lens : Lens or path, optional
        The lens that is to be applied; it brings encoder, block, pooling and dictionary.
    progress, cancel : callable, optional
        Of the download of an encoder's weights, see `napari_phenolens.progress`; asked between steps as well.

    Returns
    -------
    Estimate
        Sizes of all fields are taken to be those of the first. Fitting a lens comes on top.

    Raises
    ------
    RunError
        Where no field of the plate can be read.
    """
    if lens is not None:
        lens = lens if isinstance(lens, Lens) else load_lens(lens)
        encoder, block, channel_pooling = lens.encoder, lens.block, lens.channel_pooling
        sparsity, atoms = lens.dictionary.sparsity, lens.n_features
        wanted = lens.match_channels(plate.channels, channels)
    else:
        wanted = resolve_channels(plate, channels)
    engine = engine_for(
        encoder, device, block=block, weights=weights, batch=batch, precision=precision, progress=progress,
        cancel=cancel,
    )  # fmt: skip
    enc = engine.encoder()
    field, image = _first_readable(plate, list(wanted.values()))
    settings = TokenSettings(
        tuple(wanted.values()),
        tuple(wanted),
        pooling_for(channel_pooling, len(wanted)),
        enc.patch,
        enc.default_tile if lens is None else lens.tile,
        MARGIN if lens is None else lens.margin,
        field.pixel_size if lens is None else lens.pixel_size,
        fit_normalisation([image], "plate", enc.input_range),
    )
    rules = lens or LensDraft(tuple(wanted), nuclear_channel(plate, wanted), Foreground(), "patch")
    started = time.perf_counter()
    scene = look(field, settings, rules)
    looking = time.perf_counter() - started
    check_cancelled(cancel)
    plan = settings.plan_of(scene.image)
    each = engine.probe(scene.image, settings)
    fields = sum(len(w.fields) for w in plate.wells.values())
    tiles = fields * len(plan.origins)
    if engine.is_cpu:  # all of it shares the cores
        seconds = tiles * each * (1 + CODING) + fields * looking / budget()
    else:
        seconds = max(tiles * each / len(engine.devices), fields * looking / readers(cpu=False))
    patches = fields * plan.grid[0] * plan.grid[1]
    kept = min(patches * settings.dim(enc.dim, enc.channels) * 2, LIMIT)
    codes = patches * (sparsity[0] * sparsity[1] * 4 + 3) + fields * atoms * 12
    return Estimate(fields, tiles, seconds, int(kept + codes))


def _first_readable(plate: Plate, sources: list[str]) -> tuple[Field, npt.NDArray[Any]]:
    reasons = []
    for well in plate.wells.values():
        for field in well.fields:
            try:
                return field, field.read(sources)
            except BAD_FIELD as error:
                reasons.append(str(error))
    raise RunError(f"{plate.name}: no field of the plate can be read ({'; '.join(reasons[:3])})")
