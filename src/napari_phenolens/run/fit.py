"""Fit a lens: tokens of the control wells, whitening, a sample of all wells, the dictionary."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_phenolens.cells import Foreground, find_nuclear_channel
from napari_phenolens.dictionary import Dictionary, Whitening, fit_dictionary, reconstruction
from napari_phenolens.encoders import load_encoder
from napari_phenolens.lens import Lens, Normalisation
from napari_phenolens.progress import CancelCallback, Progress, ProgressCallback, check_cancelled
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import TokenSettings, pooling_for
from napari_phenolens.run.geometry import position_offsets, tile_positions
from napari_phenolens.run.pixels import SAMPLE_FIELDS, fit_normalisation, resample, resample_factor, spread
from napari_phenolens.run.source import BAD_FIELD, TokenSource, control_fields, read_ahead
from napari_phenolens.run.units import Scene, look, units_of

if TYPE_CHECKING:
    from napari_phenolens.plate import Field, Plate

Query = str | Sequence[str]
Channels = Mapping[str, str] | Sequence[str] | None

UNITS = ("patch", "crop", "cell")
CONTROL_FIELDS = 200  # fields of control wells for the whitening, at most
SAMPLE_FIELDS_DICTIONARY = 400  # fields of all wells for the dictionary, at most
SAMPLE_ROWS = 200_000  # tokens that the dictionary learns from, at most
HELD_OUT = 8192  # rows kept apart to tell its quality
MARGIN = 2  # rim of a tile, in patches, that is not kept: there the position in the tile is strongest


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


def nuclear_channel(plate: Plate, wanted: Mapping[str, str]) -> str | None:
    """Find the nuclear channel among the lens's names, by name or by the plate map's label of it."""
    labels = {name: plate.channel_labels[s] for name, s in wanted.items() if s in plate.channel_labels}
    return find_nuclear_channel(list(wanted), labels)


def sample_images(
    plate: Plate, wells: Sequence[str], sources: Sequence[str], pixel_size: float | None
) -> list[npt.NDArray[Any]]:
    """Read the fixed sample of fields from which limits, scale and foreground come; damaged fields are passed over."""
    images, reasons = [], []
    for well, place in control_fields(plate, wells, SAMPLE_FIELDS):
        field: Field = plate.wells[well].fields[place]
        try:
            images.append(resample(field.read(list(sources)), resample_factor(pixel_size, field.pixel_size)))
        except BAD_FIELD as error:
            reasons.append(str(error))
    if not images:
        raise RunError(f"{plate.name}: no field of the control wells can be read ({'; '.join(reasons[:3])})")
    return images


def scenes(
    bench: Bench,
    places: Sequence[tuple[str, int]],
    rules: Lens | LensDraft,
    skipped: list[tuple[str, str, str]] | None = None,
) -> Iterator[tuple[str, int, Scene]]:
    """Look at fields in their order, a background thread ahead; damaged fields are passed over."""

    def load(place: tuple[str, int]) -> Scene:
        return look(bench.plate.wells[place[0]].fields[place[1]], bench.settings, rules)

    for (well, place), outcome in read_ahead(places, load):
        if isinstance(outcome, BAD_FIELD):
            if skipped is not None:
                skipped.append((well, bench.plate.wells[well].fields[place].name, str(outcome)))
            continue
        if isinstance(outcome, BaseException):
            raise outcome
        yield well, place, outcome


class _Reporter:
    """Turns counts into progress with a remaining time."""

    def __init__(self, stage: str, total: int, progress: ProgressCallback | None) -> None:
        self.stage, self.total, self.progress = stage, total, progress
        self.began, self.done = time.monotonic(), 0

    def step(self, message: str = "") -> None:
        self.done += 1
        if self.progress is not None:
            spent = time.monotonic() - self.began
            eta = spent / self.done * (self.total - self.done)
            self.progress(Progress(self.stage, self.done, self.total, message, eta))


def fit_lens(
    plates: Plate | Sequence[Plate],
    controls: Query,
    *,
    encoder: str = "camae-micro",
    block: int | None = None,
    channels: Channels = None,
    channel_pooling: str = "auto",
    unit: str = "patch",
    atoms: int = 1024,
    sparsity: tuple[int, int] = (10, 2),
    whitening: str = "pca",
    method: Literal["icfl", "topk"] = "icfl",
    seed: int = 0,
    device: str = "auto",
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
    normalise: str = "plate",
    foreground: str = "auto",
    nuclear: str | None = None,
    margin: int = MARGIN,
    steps: int | None = None,
    weights: str | Path | None = None,
    tokens: str | Path | None = None,
    checkpoint: str | Path | None = None,
) -> Lens:
    """Fit a lens on one or several plates and their control wells.

    Parameters
    ----------
    plates : Plate or sequence of Plate
        With the same channels; each is normalised by its own controls.
    controls : str or sequence of str
        A pandas query over the plate map, or well names: the wells that define the origin and the whitening.
    encoder : str
        Name of the encoder, see `napari_phenolens.encoders`.
    block : int, optional
        Which block's tokens (1-based); default: the encoder's own.
    channels : sequence or mapping of str, optional
        Which channels and in which order; a mapping renames: ``{"DNA": "Channel2"}``. Default: all.
    channel_pooling : str
        ``concat``, ``mean`` or ``auto`` (concat up to four channels).
    unit : str
        What the dictionary is learnt on: ``patch`` (our extension, the default), ``crop`` (the paper) or ``cell``.
    atoms : int
        Size of the dictionary.
    sparsity : tuple of int
        Rounds J and atoms a round L of ICFL; at most J * L atoms code a unit.
    whitening : str
        ``none``, ``center``, ``pca`` or ``tvn``, on control tokens alone.
    method : str
        ``icfl`` or ``topk``.
    seed : int
        Of the dictionary and of the sample.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``mps``.
    progress, cancel : callable, optional
        See `napari_phenolens.progress`.
    normalise : str
        ``plate``, ``field`` or ``lens``: where the numbers of the pixel rule come from. ``field`` erases intensity.
    foreground : str
        ``auto``, ``nuclei``, ``background`` or ``none``.
    nuclear : str, optional
        The nuclear channel where its name does not tell.
    margin : int
        Rim of a tile, in patches, that is not kept.
    steps : int, optional
        Training steps of the dictionary.
    weights : path, optional
        Weights file of the encoder.
    tokens : path, optional
        Folder of token stores; default: the user's cache.
    checkpoint : path, optional
        File in which the training of the dictionary is kept, and from which it goes on.

    Returns
    -------
    Lens
        Ready to apply and to save.

    Raises
    ------
    RunError
        Where settings, channels or controls do not fit.
    Cancelled
        Where the user asked to stop; tokens and checkpoint stay.

    Notes
    -----
    Donhauser et al. 2025 (ICFL, arXiv 2412.16247). Control tokens are centred for each place in the tile before their
    covariance is taken, since whitening would lift that nuisance to full strength.
    """
    if unit not in UNITS:
        raise RunError(f"unit {unit!r} is unknown; choose one of {', '.join(UNITS)}")
    many: list[Plate] = list(plates) if isinstance(plates, Sequence) else [plates]
    if not many:
        raise RunError("there is no plate to fit on; give one or several")
    wanted = resolve_channels(many[0], channels)
    if unit == "cell" and (nuclear or nuclear_channel(many[0], wanted)) is None:
        raise RunError(
            f"unit 'cell' needs a nuclear channel, and none of {', '.join(wanted)} is known as one; "
            "name it: --channels DNA=<channel> (Python: channels={'DNA': ...})"
        )
    enc = load_encoder(encoder, weights=weights, device=device, block=block)
    if (enc.channels is not None and enc.channels != len(wanted)) or len(wanted) > enc.max_channels:
        most = enc.channels or f"at most {enc.max_channels}"
        raise RunError(f"{encoder} takes {most} channels, {len(wanted)} are chosen; choose with --channels A,B,...")
    names = tuple(wanted)
    tile = enc.tile or 16 * enc.patch
    if not 0 <= 2 * margin < tile // enc.patch:
        raise RunError(f"a margin of {margin} patches leaves nothing of a tile of {tile // enc.patch}; make it smaller")
    pixel_size = many[0].pixel_size
    nucleus = nuclear or nuclear_channel(many[0], wanted)

    benches: list[Bench] = []
    draft: LensDraft | None = None
    fitted: Normalisation | None = None
    for plate in many:
        check_cancelled(cancel)
        chosen = plate.select(controls)
        sources = tuple(resolve_channels(plate, wanted if plate is many[0] or channels is not None else None).values())
        if plate is not many[0] and channels is None and plate.channels != many[0].channels:
            raise RunError(
                f"{plate.name} has channels {', '.join(plate.channels)}, {many[0].name} {', '.join(many[0].channels)}; "
                "fit on plates with the same channels, or name them with channels="
            )
        images = sample_images(plate, chosen, sources, pixel_size)
        numbers = fit_normalisation(images, normalise, enc.input_range)
        if draft is None:
            fitted = numbers
            rule = Foreground.fit(images, names, nuclear=nucleus, kind=foreground, pixel_size=pixel_size)  # type: ignore[arg-type]
            draft = LensDraft(names, nucleus, rule, unit)
        if normalise == "lens":
            assert fitted is not None
            numbers = fitted
        settings = TokenSettings(
            sources, names, pooling_for(channel_pooling, len(names)), enc.patch, tile, margin, pixel_size, numbers
        )
        source = TokenSource(
            plate,
            settings,
            lambda: enc,
            (encoder, enc.sha256, enc.block),
            folder=Path(tokens) if tokens is not None else None,
            scale_fields=control_fields(plate, chosen, 8),
            cancel=cancel,
        )
        benches.append(Bench(plate, chosen, settings, source))
    assert draft is not None and fitted is not None

    white, counts = _fit_whitening(benches, draft, whitening, progress, cancel)
    rows, of_wells = _sample(benches, draft, white, seed, progress, cancel)
    if len(rows) < 2 * sparsity[0] * sparsity[1] or len(rows) < 64:
        raise RunError(
            f"only {len(rows)} {unit} tokens show cells; check the controls, the channels and the foreground"
        )
    order = np.random.default_rng([seed, 17]).permutation(len(rows))
    held = min(HELD_OUT, len(rows) // 10)
    test, train = np.sort(order[:held]), np.sort(order[held:])
    dictionary: Dictionary = fit_dictionary(
        rows[train],
        atoms=atoms,
        sparsity=sparsity,
        method=method,
        steps=steps,
        seed=seed,
        checkpoint=Path(checkpoint) if checkpoint is not None else None,
        progress=progress,
        cancel=cancel,
    )
    quality = {k: float(v) for k, v in reconstruction(dictionary, rows[test].astype(np.float32)).items()}
    facts: dict[str, Any] = {
        "held_out": quality,
        "control_tokens": counts,
        "dictionary_tokens": len(train),
        "dictionary_wells": of_wells,
        "settings": {
            "atoms": atoms, "sparsity": list(sparsity), "whitening": whitening, "method": method, "seed": seed,
            "normalise": normalise, "foreground": foreground, "steps": steps,
        },
    }  # fmt: skip
    return Lens(
        encoder=encoder,
        encoder_sha256=enc.sha256,
        block=enc.block,
        channels=names,
        channel_pooling=benches[0].settings.channel_pooling,
        patch=enc.patch,
        tile=tile,
        margin=margin,
        unit=unit,
        pixel_size=pixel_size,
        normalisation=replace(fitted, rule=normalise),
        foreground=draft.foreground,
        nuclear=nucleus,
        whitening=white,
        dictionary=dictionary,
        plates=tuple(b.plate.name for b in benches),
        controls=tuple(f"{b.plate.name}/{w}" for b in benches for w in b.controls),
        facts=facts,
    )


def field_units(
    bench: Bench,
    rules: Lens | LensDraft,
    offsets: npt.NDArray[Any] | None,
    well: str,
    place: int,
    scene: Scene,
    cancel: CancelCallback | None,
) -> Any:
    """Give a field's units, position offsets removed where they are known."""
    tokens = bench.source.field(well, place, lambda: scene.image, cancel)
    plan = bench.settings.plan(bench.plate.wells[well].fields[place])
    if offsets is not None:
        tokens = tokens - position_offsets(plan, offsets)
    return units_of(tokens, scene, rules.unit, plan.tile)


def _fit_whitening(
    benches: Sequence[Bench],
    draft: LensDraft,
    kind: str,
    progress: ProgressCallback | None,
    cancel: CancelCallback | None,
) -> tuple[Whitening, int]:
    """Stream the control wells' tokens through the whitening."""
    places = [(b, p) for b in benches for p in control_fields(b.plate, b.controls, CONTROL_FIELDS // len(benches) or 1)]
    report = _Reporter("controls", len(places), progress)
    seen = 0

    def chunks() -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        nonlocal seen
        for bench in benches:
            for well, place, scene in scenes(bench, [p for b, p in places if b is bench], draft):
                check_cancelled(cancel)
                units = field_units(bench, draft, None, well, place, scene, cancel)
                plan = bench.settings.plan(bench.plate.wells[well].fields[place])
                groups = np.full(len(units.tokens), -1)
                if draft.unit == "patch":
                    groups = tile_positions(plan).ravel()
                kept = units.foreground
                seen += int(kept.sum())
                report.step(f"{bench.plate.name} {well}")
                yield units.tokens[kept], groups[kept]

    side = benches[0].settings.tile // benches[0].settings.patch
    return Whitening.fit(chunks(), kind=kind, n_groups=side**2 if draft.unit == "patch" else None), seen  # type: ignore[arg-type]


def _sample(
    benches: Sequence[Bench],
    draft: LensDraft,
    white: Whitening,
    seed: int,
    progress: ProgressCallback | None,
    cancel: CancelCallback | None,
) -> tuple[npt.NDArray[np.float16], int]:
    """Draw whitened tokens from all wells, each field the same number."""
    places = []
    for bench in benches:
        found = control_fields(bench.plate, list(bench.plate.wells), SAMPLE_FIELDS_DICTIONARY // len(benches) or 1)
        places += [(bench, place) for place in found]
    each = max(1, SAMPLE_ROWS // max(1, len(places)))
    report = _Reporter("sample", len(places), progress)
    rows = []
    for bench in benches:
        for well, place, scene in scenes(bench, [p for b, p in places if b is bench], draft):
            check_cancelled(cancel)
            units = field_units(bench, draft, white.group_offset, well, place, scene, cancel)
            found_rows = np.flatnonzero(units.foreground)
            report.step(f"{bench.plate.name} {well}")
            if not len(found_rows):
                continue
            row, column = _well_place(bench.plate, well)
            rng = np.random.default_rng([seed, row, column, place])
            taken = np.sort(rng.permutation(found_rows)[:each])
            rows.append(white(units.tokens[taken]).astype(np.float16))
    if not rows:
        raise RunError("no field shows any cells; check the channels and the foreground rule")
    return np.concatenate(rows), len({w for _, (w, _) in places})


def _well_place(plate: Plate, well: str) -> tuple[int, int]:
    found = plate.wells[well]
    return found.row, found.column


__all__ = ["Bench", "LensDraft", "field_units", "fit_lens", "scenes", "spread"]
