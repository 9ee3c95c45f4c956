"""A plate laid out for fitting or applying: its controls, settings and tokens, and a first look at its fields."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from napari_phenolens.cells import Foreground, find_nuclear_channel
from napari_phenolens.progress import CancelCallback, Progress, ProgressCallback, check_cancelled
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import TokenSettings
from napari_phenolens.run.pixels import SAMPLE_FIELDS, resample, resample_factor
from napari_phenolens.run.source import BAD_FIELD, TokenSource, control_fields

if TYPE_CHECKING:
    from napari_phenolens.encoders import Encoder
    from napari_phenolens.plate import Field, Plate

Query = str | Sequence[str]
Channels = Mapping[str, str] | Sequence[str] | None


@dataclass
class LensDraft:
    """The rules of a lens before anything is fitted on tokens."""

    channels: tuple[str, ...]
    nuclear: str | None
    foreground: Foreground
    unit: str


@dataclass
class Bench:
    """One plate laid out for fitting or applying."""

    plate: Plate
    controls: list[str]
    settings: TokenSettings
    source: TokenSource
    part: int = 0  # tiles of a field that the fit and the first pass look at, see `run.parts`; 0: all of them


def resolve_channels(plate: Plate, channels: Channels) -> dict[str, str]:
    """Give the lens's channel names and the plate's channel of each, in order.

    Raises
    ------
    RunError
        Where a channel is not on the plate, or one is named twice.
    """
    if channels is None:
        wanted = {name: name for name in plate.channels}
    elif isinstance(channels, Mapping):
        wanted = dict(channels)
    else:
        wanted = {name: name for name in channels}
        if len(wanted) < len(channels):
            raise RunError(f"a channel is named twice in {', '.join(channels)}; name each once")
    missing = [source for source in wanted.values() if source not in plate.channels]
    if missing:
        raise RunError(
            f"{plate.name}: no channel {', '.join(missing)}; the plate has {', '.join(plate.channels)}. "
            "Name channels as they are, or as NEW=OLD"
        )
    if not wanted:
        raise RunError(f"{plate.name}: no channel was chosen; the plate has {', '.join(plate.channels)}")
    return wanted


def check_fits(encoder: Encoder, channels: int, patch: int, margin: int) -> None:
    """Refuse a number of channels that an encoder does not take, and a margin that leaves nothing of its tiles.

    Raises
    ------
    RunError
        With the way out.
    """
    if (encoder.channels is not None and encoder.channels != channels) or channels > encoder.max_channels:
        most = encoder.channels or f"at most {encoder.max_channels}"
        raise RunError(f"{encoder.name} takes {most} channels, {channels} are chosen; choose with --channels A,B,...")
    side = encoder.default_tile // patch
    if not 0 <= 2 * margin < side:
        raise RunError(f"a margin of {margin} patches leaves nothing of a tile of {side}; make it smaller")


def nuclear_channel(plate: Plate, wanted: Mapping[str, str]) -> str | None:
    """Find the nuclear channel among the lens's names, by name or by the plate map's label of it."""
    labels = {name: plate.channel_labels[s] for name, s in wanted.items() if s in plate.channel_labels}
    return find_nuclear_channel(list(wanted), labels)


def sample_images(
    plate: Plate,
    wells: Sequence[str],
    sources: Sequence[str],
    pixel_size: float | None,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> list[npt.NDArray[Any]]:
    """Read the fixed sample of fields from which limits, scale and foreground come; damaged fields are passed over."""
    images, reasons = [], []
    places = control_fields(plate, wells, SAMPLE_FIELDS)
    report = Reporter("look", len(places), progress)
    for well, place in places:
        check_cancelled(cancel)
        field: Field = plate.wells[well].fields[place]
        try:
            images.append(resample(field.read(list(sources)), resample_factor(pixel_size, field.pixel_size)))
        except BAD_FIELD as error:
            reasons.append(str(error))
        report.step(f"{plate.name} {well}")
    if not images:
        raise RunError(f"{plate.name}: no field of the control wells can be read ({'; '.join(reasons[:3])})")
    return images


class Reporter:
    """Turns counts into progress with a remaining time."""

    def __init__(self, stage: str, total: int, progress: ProgressCallback | None) -> None:
        self.stage, self.total, self.progress = stage, total, progress
        self.began, self.done = time.monotonic(), 0

    def step(self, message: str = "") -> None:
        """Count one unit of work and report it."""
        self.done += 1
        if self.progress is not None:
            spent = time.monotonic() - self.began
            eta = spent / self.done * (self.total - self.done)
            self.progress(Progress(self.stage, self.done, self.total, message, eta))
