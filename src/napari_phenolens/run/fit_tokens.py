"""What a lens is fitted on: plates laid out, tokens of their controls for the whitening, and a sample of all wells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_phenolens.cells import Foreground
from napari_phenolens.dictionary import Whitening
from napari_phenolens.lens import Normalisation
from napari_phenolens.progress import CancelCallback, ProgressCallback, check_cancelled
from napari_phenolens.run.bench import (
    Bench,
    Channels,
    LensDraft,
    Query,
    Reporter,
    nuclear_channel,
    resolve_channels,
    sample_images,
)
from napari_phenolens.run.engine import Engine
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import TokenSettings, pooling_for
from napari_phenolens.run.geometry import tile_positions
from napari_phenolens.run.parts import leading_fields, part_tiles
from napari_phenolens.run.pixels import fit_normalisation, spread
from napari_phenolens.run.source import TokenSource, control_fields
from napari_phenolens.run.stream import Seen, stream

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate

FOREGROUND_FIELDS = 12  # of the sample fields, those that fix the foreground rule
CONTROL_FIELDS = 200  # fields of control wells for the whitening, at most
PART_CONTROLS = 64  # the same where parts of fields are taken
ALIGN_FIELDS = 60  # fields of a plate's control wells for its alignment, at most
SAMPLE_FIELDS_DICTIONARY = 400  # fields of all wells for the dictionary, at most
SAMPLE_ROWS = 200_000  # tokens that the dictionary learns from, at most


@dataclass(frozen=True)
class Rules:
    """What decides the pixels, foreground and geometry of a fit, see `fit_lens`."""

    channels: Channels
    channel_pooling: str
    unit: str
    normalise: str
    foreground: Literal["auto", "nuclei", "background", "none"]
    nuclear: str | None
    margin: int


@dataclass
class Ground:
    """Plates laid out for a fit.

    Attributes
    ----------
    benches : list of Bench
        One a plate; their controls are those of the wells fitted on.
    wells : list of list of str
        The wells of each that the fit may look at.
    draft : LensDraft
        Channels, nuclear channel, foreground rule and unit.
    normalisation : Normalisation
        Of the first plate.
    """

    benches: list[Bench]
    wells: list[list[str]]
    draft: LensDraft
    normalisation: Normalisation


def lay_out(
    plates: Sequence[Plate],
    controls: Query,
    fit_on: Query | None,
    rules: Rules,
    engine: Engine,
    tokens: str | Path | None,
    progress: ProgressCallback | None,
    cancel: CancelCallback | None,
) -> Ground:
    """Fix pixel rule and foreground rule on the controls, and open the plates' tokens.

    Raises
    ------
    RunError
        Where channels do not fit, or no control well is among those to fit on.
    """
    first, enc = plates[0], engine.encoder()
    wanted = resolve_channels(first, rules.channels)
    nucleus = rules.nuclear or nuclear_channel(first, wanted)
    names, pixel_size = tuple(wanted), first.pixel_size
    benches: list[Bench] = []
    wells: list[list[str]] = []
    draft: LensDraft | None = None
    fitted: Normalisation | None = None
    for plate in plates:
        check_cancelled(cancel)
        chosen, mine = _wells(plate, controls, fit_on)
        if plate is not first and rules.channels is None and plate.channels != first.channels:
            raise RunError(
                f"{plate.name} has channels {', '.join(plate.channels)}, {first.name} {', '.join(first.channels)}; "
                "fit on plates with the same channels, or name them with channels="
            )
        follow = wanted if plate is first or rules.channels is not None else None
        sources = tuple(resolve_channels(plate, follow).values())
        images = sample_images(plate, chosen, sources, pixel_size, progress, cancel)
        numbers = fit_normalisation(images, rules.normalise, enc.input_range)
        if draft is None or fitted is None:
            fitted = numbers
            rule = Foreground.fit(
                spread(images, FOREGROUND_FIELDS),
                names,
                nuclear=nucleus,
                kind=rules.foreground,
                pixel_size=pixel_size,
                cancel=cancel,
            )
            draft = LensDraft(names, nucleus, rule, rules.unit)
        settings = TokenSettings(
            sources, names, pooling_for(rules.channel_pooling, len(names)), enc.patch, enc.default_tile, rules.margin,
            pixel_size, fitted if rules.normalise == "lens" else numbers,
        )  # fmt: skip
        source = TokenSource(
            plate,
            settings,
            engine,
            (enc.name, enc.sha256, enc.block),
            folder=Path(tokens) if tokens is not None else None,
            scale_fields=control_fields(plate, chosen, 8),
            cancel=cancel,
        )
        benches.append(Bench(plate, chosen, settings, source, part_tiles(plate, settings)))
        wells.append(mine)
    assert draft is not None and fitted is not None  # there is a plate at least
    return Ground(benches, wells, draft, fitted)


def _wells(plate: Plate, controls: Query, fit_on: Query | None) -> tuple[list[str], list[str]]:
    """Give the controls and all wells that a fit may look at."""
    chosen = plate.select(controls)
    if fit_on is None:
        return chosen, list(plate.wells)
    mine = plate.select(fit_on)
    inside = set(mine)
    kept = [w for w in chosen if w in inside]
    if not kept:
        raise RunError(
            f"{plate.name}: none of the {len(chosen)} control wells is among the {len(mine)} wells to fit on; "
            "leave some controls in fit_on (--fit-on), as they define the origin and the whitening"
        )
    return kept, mine


def fit_whitening(
    ground: Ground, kind: str, progress: ProgressCallback | None, cancel: CancelCallback | None
) -> tuple[Whitening, int]:
    """Stream the control wells' tokens through the whitening; give it with their number."""
    benches, draft = ground.benches, ground.draft
    places = [
        (b, p)
        for b in benches
        for p in _places(b, b.controls, (PART_CONTROLS if b.part else CONTROL_FIELDS) // len(benches) or 1)
    ]
    report = Reporter("controls", len(places), progress)
    tokens = 0

    def chunks() -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        nonlocal tokens
        for bench in benches:
            mine = [p for b, p in places if b is bench]
            for well, _, seen in stream(bench, mine, draft, None, cancel=cancel, part=bench.part):
                check_cancelled(cancel)
                report.step(f"{bench.plate.name} {well}")
                if not isinstance(seen, Seen):
                    continue  # applying the lens notes it, with the reason
                units, plan = seen.units, bench.settings.plan_of(seen.scene.image)
                groups = np.full(len(units.tokens), -1)
                if draft.unit == "patch":
                    groups = tile_positions(plan).ravel()
                kept = units.foreground
                tokens += int(kept.sum())
                yield units.tokens[kept], groups[kept]

    side = benches[0].settings.tile // benches[0].settings.patch
    return Whitening.fit(chunks(), kind=kind, n_groups=side**2 if draft.unit == "patch" else None), tokens  # type: ignore[arg-type]


def _places(bench: Bench, wells: Sequence[str], count: int) -> list[tuple[str, int]]:
    """Choose fields of some wells; where parts are taken, those that the first pass begins with."""
    return (leading_fields if bench.part else control_fields)(bench.plate, wells, count)


def align_to(bench: Bench, rules: Any, whitening: Whitening, cancel: CancelCallback | None) -> Whitening:
    """Align a whitening to one plate by its control wells; `rules` is the lens or its draft.

    Raises
    ------
    RunError
        Where the controls show no cells.
    """
    if not bench.controls:
        raise RunError(
            f"{bench.plate.name}: this lens aligns every plate to its own controls; name them with --controls QUERY"
        )

    def chunks() -> Iterator[npt.NDArray[Any]]:
        for _, _, seen in stream(bench, places, rules, whitening.group_offset, cancel=cancel, part=bench.part):
            if isinstance(seen, Seen) and seen.units.foreground.any():
                yield seen.units.tokens[seen.units.foreground]

    places = _places(bench, bench.controls, ALIGN_FIELDS)
    found = list(chunks())
    if not found:
        raise RunError(f"{bench.plate.name}: the control wells show no cells, so it cannot be aligned to them")
    return whitening.align(found)


def sample_rows(
    ground: Ground,
    whitenings: Sequence[Whitening],
    seed: int,
    progress: ProgressCallback | None,
    cancel: CancelCallback | None,
) -> tuple[npt.NDArray[np.float16], int]:
    """Draw whitened tokens from the wells to fit on, each field the same number; give them with the number of wells.

    Raises
    ------
    RunError
        Where no field shows cells.
    """
    benches = ground.benches
    places = []
    for bench, wells in zip(benches, ground.wells, strict=True):
        found = _places(bench, wells, SAMPLE_FIELDS_DICTIONARY // len(benches) or 1)
        places += [(bench, place) for place in found]
    each = max(1, SAMPLE_ROWS // max(1, len(places)))
    report = Reporter("sample", len(places), progress)
    rows = []
    for bench, white in zip(benches, whitenings, strict=True):
        mine = [p for b, p in places if b is bench]
        steps = stream(bench, mine, ground.draft, white.group_offset, cancel=cancel, part=bench.part)
        for well, place, seen in steps:
            check_cancelled(cancel)
            report.step(f"{bench.plate.name} {well}")
            found_rows = np.flatnonzero(seen.units.foreground) if isinstance(seen, Seen) else np.zeros(0, np.intp)
            if not (isinstance(seen, Seen) and len(found_rows)):
                continue
            of = bench.plate.wells[well]
            rng = np.random.default_rng([seed, of.row, of.column, place])
            taken = np.sort(rng.permutation(found_rows)[:each])
            rows.append(white(seen.units.tokens[taken]).astype(np.float16))
    if not rows:
        raise RunError("no field shows any cells; check the channels and the foreground rule")
    return np.concatenate(rows), len({w for _, (w, _) in places})
