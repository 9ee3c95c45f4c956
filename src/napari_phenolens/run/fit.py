"""Fit a lens: tokens of the control wells, whitening, a sample of all wells, the dictionary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_phenolens.cells import Foreground
from napari_phenolens.dictionary import Dictionary, Whitening, fit_dictionary, reconstruction
from napari_phenolens.encoders import load_encoder
from napari_phenolens.lens import Lens, Normalisation
from napari_phenolens.progress import CancelCallback, ProgressCallback, check_cancelled
from napari_phenolens.run.bench import (
    Bench,
    Channels,
    LensDraft,
    Query,
    Reporter,
    check_fits,
    nuclear_channel,
    resolve_channels,
    sample_images,
)
from napari_phenolens.run.devices import Device
from napari_phenolens.run.engine import Engine
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import TokenSettings, pooling_for
from napari_phenolens.run.geometry import tile_positions
from napari_phenolens.run.pixels import fit_normalisation, spread
from napari_phenolens.run.source import TokenSource, control_fields
from napari_phenolens.run.stream import Seen, stream

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate

UNITS = ("patch", "crop", "cell")
FOREGROUND_FIELDS = 12  # of the sample fields, those that fix the foreground rule
CONTROL_FIELDS = 200  # fields of control wells for the whitening, at most
SAMPLE_FIELDS_DICTIONARY = 400  # fields of all wells for the dictionary, at most
SAMPLE_ROWS = 200_000  # tokens that the dictionary learns from, at most
HELD_OUT = 8192  # rows kept apart to tell its quality
MARGIN = 2  # rim of a tile, in patches, that is not kept: there the position in the tile is strongest


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
    device: Device = "auto",
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
    normalise: str = "plate",
    foreground: Literal["auto", "nuclei", "background", "none"] = "auto",
    nuclear: str | None = None,
    margin: int = MARGIN,
    steps: int | None = None,
    weights: str | Path | None = None,
    tokens: str | Path | None = None,
    checkpoint: str | Path | None = None,
    batch: int | None = None,
    precision: str = "auto",
    compiled: bool = False,
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
    device : str or sequence of str
        ``auto``, ``cpu``, ``cuda`` (all of them), ``cuda:1``, ``mps``, or several.
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
    batch : int, optional
        Tiles of one forward; default: found on this machine.
    precision : str
        Of the forward: ``auto`` (float32 on the CPU; else float16 or bfloat16 where they differ little from float32),
        ``float32``, ``float16``, ``bfloat16``.
    compiled : bool
        Whether `torch.compile` compiles the forward.

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
    engine = Engine(
        lambda where: load_encoder(
            encoder, weights=weights, device=where, block=block, progress=progress, cancel=cancel
        ),
        device,
        batch=batch,
        precision=precision,
        compiled=compiled,
    )
    enc = engine.encoder()
    check_fits(enc, len(wanted), enc.patch, margin)
    names = tuple(wanted)
    tile = enc.default_tile
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
        images = sample_images(plate, chosen, sources, pixel_size, progress, cancel)
        numbers = fit_normalisation(images, normalise, enc.input_range)
        if draft is None:
            fitted = numbers
            rule = Foreground.fit(
                spread(images, FOREGROUND_FIELDS),
                names,
                nuclear=nucleus,
                kind=foreground,
                pixel_size=pixel_size,
                cancel=cancel,
            )
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
            engine,
            (enc.name, enc.sha256, enc.block),
            folder=Path(tokens) if tokens is not None else None,
            scale_fields=control_fields(plate, chosen, 8),
            cancel=cancel,
        )
        benches.append(Bench(plate, chosen, settings, source))
    assert draft is not None and fitted is not None

    white, counts = _fit_whitening(benches, draft, whitening, progress, cancel)
    rows, of_wells = _sample(benches, draft, white, seed, progress, cancel)
    if len(rows) < 2 * sparsity[0] * sparsity[1]:
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
        encoder=enc.name,
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


def _fit_whitening(
    benches: Sequence[Bench],
    draft: LensDraft,
    kind: str,
    progress: ProgressCallback | None,
    cancel: CancelCallback | None,
) -> tuple[Whitening, int]:
    """Stream the control wells' tokens through the whitening."""
    places = [(b, p) for b in benches for p in control_fields(b.plate, b.controls, CONTROL_FIELDS // len(benches) or 1)]
    report = Reporter("controls", len(places), progress)
    tokens = 0

    def chunks() -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        nonlocal tokens
        for bench in benches:
            for well, _, seen in stream(bench, [p for b, p in places if b is bench], draft, None, cancel=cancel):
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
    report = Reporter("sample", len(places), progress)
    rows = []
    for bench in benches:
        mine = [p for b, p in places if b is bench]
        for well, place, seen in stream(bench, mine, draft, white.group_offset, cancel=cancel):
            check_cancelled(cancel)
            report.step(f"{bench.plate.name} {well}")
            found_rows = np.flatnonzero(seen.units.foreground) if isinstance(seen, Seen) else np.zeros(0, np.intp)
            if not (isinstance(seen, Seen) and len(found_rows)):
                continue
            units = seen.units
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
