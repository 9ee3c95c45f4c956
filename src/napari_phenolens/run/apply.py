"""Apply a lens to a plate: stream fields through read, encode, whiten, code and write; resume what is there."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import numpy as np
import numpy.typing as npt

from napari_phenolens.encoders import Encoder, load_encoder
from napari_phenolens.lens import Lens, Normalisation, load_lens
from napari_phenolens.progress import CancelCallback, ProgressCallback, check_cancelled
from napari_phenolens.run.bench import Bench, Query, Reporter, sample_images
from napari_phenolens.run.coding import Coding
from napari_phenolens.run.devices import Device
from napari_phenolens.run.engine import Engine
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import TokenSettings
from napari_phenolens.run.fit_tokens import align_to
from napari_phenolens.run.json_file import write_json
from napari_phenolens.run.layout import PLATEMAP_INDEX, RunPlan, create_arrays, open_arrays, well_rows
from napari_phenolens.run.parts import leading_fields, part_tiles
from napari_phenolens.run.pixels import fit_normalisation
from napari_phenolens.run.reader import Run, open_run
from napari_phenolens.run.source import BAD_FIELD, TokenSource, control_fields
from napari_phenolens.run.stream import Seen, stream
from napari_phenolens.run.token_store import HalfPrecision
from napari_phenolens.run.units import unit_grid
from napari_phenolens.run.well import WellBuilder, WellResult

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate

FIRST_PASS_SECONDS = 30 * 60.0
RECENTRE_FIELDS = 60


def apply_lens(
    lens: Lens,
    plate: Plate,
    out: str | Path,
    *,
    controls: Query | None = None,
    channels: Mapping[str, str] | Sequence[str] | None = None,
    device: Device = "auto",
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
    tokens: str | Path | None = None,
    weights: str | Path | None = None,
    batch: int | None = None,
    precision: str = "auto",
    compiled: bool = False,
) -> Run:
    """Apply a lens to a plate; a run that was broken off goes on where it stopped.

    Parameters
    ----------
    lens : Lens
        The lens.
    plate : Plate
        The plate; its channels match the lens's by name, in any order, or are mapped.
    out : path
        The run's folder.
    controls : str or sequence of str, optional
        Control wells of this plate: its pixel rule is fitted on them and whitened tokens are re-centred on their mean.
        Default: the wells that the lens was fitted on, where it was fitted on this plate; else the pixel rule is
        fitted on all wells and nothing is re-centred. A lens that aligns plates aligns this one to them, in place of
        re-centring.
    channels : mapping of str, optional
        Lens channel to plate channel, where names differ.
    device : str or sequence of str
        ``auto``, ``cpu``, ``cuda`` (all of them), ``cuda:1``, ``mps``, or several.
    progress, cancel : callable, optional
        See `napari_phenolens.progress`.
    tokens : path, optional
        Folder of token stores.
    weights : path, optional
        Weights file of the encoder, where it is not the usual one.
    batch, precision, compiled
        As in `fit_lens`.

    Returns
    -------
    Run
        The finished run; `Run.already_complete` tells that there was nothing to do.

    Raises
    ------
    RunError
        Where the folder holds another run, another process writes it, or the plate's files have changed.
    LensError
        Where channels do not fit.
    Cancelled
        Where the user asked to stop; finished wells stay.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        held = lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise RunError(f"{folder}: another process is writing this run; wait for it or stop it") from error
    with held:  # entering the lock itself would take it twice, and leave it taken while an error is looked at
        engine = Engine(
            lambda where: _encoder(lens, weights, where), device, batch=batch, precision=precision, compiled=compiled
        )
        return _apply(lens, plate, folder, controls, channels, engine, progress, cancel, tokens)


def _encoder(lens: Lens, weights: str | Path | None, device: str) -> Encoder:
    found = load_encoder(lens.encoder, weights=weights, device=device, block=lens.block, sha256=lens.encoder_sha256)
    if found.sha256 != lens.encoder_sha256:
        raise RunError(
            f"the weights of {lens.encoder} on this machine are not those the lens was fitted with "
            f"({found.sha256[:12]}, not {lens.encoder_sha256[:12]}); give the right file, or fit the lens again"
        )
    return found


def _apply(
    lens: Lens, plate: Plate, folder: Path, controls: Query | None, channels: Mapping[str, str] | Sequence[str] | None,
    engine: Engine, progress: ProgressCallback | None, cancel: CancelCallback | None, tokens: str | Path | None,
) -> Run:  # fmt: skip
    wanted = lens.match_channels(plate.channels, channels)
    own = (
        plate.select(controls)
        if controls is not None
        else [w for w in lens.controls_of(plate.name) if w in plate.wells]
    )
    recentre = controls is not None and own != lens.controls_of(plate.name) and not lens.align

    known = (folder / "run.json").exists()
    if known:
        plan = RunPlan.load(folder)
        _check_same(plan, lens, plate, tuple(wanted.values()), own, recentre, folder)
        numbers = Normalisation.from_dict(plan.normalisation)
        run = open_run(folder)
        if run.complete:
            run.already_complete = True
            return run
    else:
        numbers = _numbers(lens, plate, own, list(wanted.values()), progress, cancel)
    settings = TokenSettings(
        tuple(wanted.values()), lens.channels, lens.channel_pooling, lens.patch, lens.tile, lens.margin,
        lens.pixel_size, numbers,
    )  # fmt: skip
    scale = folder / "scale.npy"
    half = HalfPrecision(*np.load(scale, allow_pickle=False)) if scale.exists() else None
    source = TokenSource(
        plate,
        settings,
        engine,
        (lens.encoder, lens.encoder_sha256, lens.block),
        folder=Path(tokens) if tokens is not None else None,
        half=half,
        scale_fields=control_fields(plate, own or list(plate.wells), 8),
        cancel=cancel,
        record=folder / "engine.json",
    )
    bench = Bench(plate, own, settings, source, part_tiles(plate, settings))
    if known:
        if plan.tokens != source.key:
            raise RunError(f"{folder}: the plate's image files have changed since the run began; run into a new folder")
        lens = load_lens(folder / "lens.safetensors") if lens.align else lens
    else:
        if lens.align:
            lens = lens.aligned(align_to(bench, lens, lens.common or lens.whitening, cancel))
        plan = _plan(lens, bench, wanted, recentre)
        np.save(scale, np.stack([source.half.centre, source.half.spread]), allow_pickle=False)
        lens.save(folder / "lens.safetensors")
        plate.metadata.to_csv(folder / "platemap.csv", index_label=PLATEMAP_INDEX)
        create_arrays(folder, plan)
        plan.save(folder)  # last: a folder without it is no run yet
    shift = _recentre(folder, bench, lens, cancel) if plan.recentre else None
    _stream(folder, plan, bench, lens, shift, progress, cancel)
    return open_run(folder)


def _check_same(
    plan: RunPlan, lens: Lens, plate: Plate, sources: tuple[str, ...], own: list[str], recentre: bool, folder: Path
) -> None:
    asked = {
        "lens": (plan.lens, lens.fingerprint),
        "plate": (plan.plate["path"], str(plate.path.resolve())),
        "wells": (plan.wells, tuple(plate.wells)),
        "channels": (plan.sources, sources),
        "control wells": (plan.controls, tuple(own)),
        "re-centring": (plan.recentre, recentre),
    }
    other = [f"{name} {had} (asked: {now})" for name, (had, now) in asked.items() if had != now]
    if other:
        text = "; ".join(o if len(o) < 300 else o[:300] + "..." for o in other)
        raise RunError(f"{folder} holds a run with other settings: {text}. Choose another folder, or delete this one")


def _numbers(
    lens: Lens,
    plate: Plate,
    own: list[str],
    sources: list[str],
    progress: ProgressCallback | None,
    cancel: CancelCallback | None,
) -> Normalisation:
    """Fit the pixel rule on this plate, unless the lens brings its numbers."""
    if lens.normalisation.rule != "plate" or (lens.controls_of(plate.name) == own and lens.plates[0] == plate.name):
        return lens.normalisation
    images = sample_images(plate, own or list(plate.wells), sources, lens.pixel_size, progress, cancel)
    return fit_normalisation(images, lens.normalisation.rule, lens.normalisation.output)


def _plan(lens: Lens, bench: Bench, wanted: Mapping[str, str], recentre: bool) -> RunPlan:
    plate = bench.plate
    patches, readable = 0, 0
    for well in plate.wells.values():
        for field in well.fields:
            try:
                grid = unit_grid(bench.settings.plan(field).grid, lens.unit, lens.tile // lens.patch)
            except BAD_FIELD:
                continue  # noted with its reason when its well is done
            patches, readable = max(patches, grid[0] * grid[1]), readable + 1
    if not readable:
        raise RunError(f"{plate.name}: no field of the plate can be read; check the files")
    return RunPlan(
        lens=lens.fingerprint,
        unit=lens.unit,
        plate={"name": plate.name, "path": str(plate.path.resolve()), "options": dict(plate.options)},
        wells=tuple(plate.wells),
        fields=max(len(w.fields) for w in plate.wells.values()),
        patches=patches,
        features=lens.n_features,
        k=lens.dictionary.k,
        dim=lens.whitening.p,
        sources=tuple(wanted.values()),
        normalisation=bench.settings.normalisation.to_dict(),
        controls=tuple(bench.controls),
        recentre=recentre,
        tokens=bench.source.key,
        tokens_folder=str(bench.source.folder),
        pixel_size=plate.pixel_size,
    )


def _recentre(folder: Path, bench: Bench, lens: Lens, cancel: CancelCallback | None) -> npt.NDArray[np.float32]:
    """Give the mean whitened token of this plate's controls, computed once and kept in the run."""
    path = folder / "recentre.npy"
    if path.exists():
        kept: npt.NDArray[np.float32] = np.load(path, allow_pickle=False)
        return kept
    total, count = np.zeros(lens.whitening.p), 0
    choose = leading_fields if bench.part else control_fields
    places = choose(bench.plate, bench.controls, RECENTRE_FIELDS)
    for _, _, seen in stream(bench, places, lens, lens.whitening.group_offset, cancel=cancel, part=bench.part):
        if isinstance(seen, Seen):
            total += lens.whitening(seen.units.tokens[seen.units.foreground]).sum(0, dtype=np.float64)
            count += int(seen.units.foreground.sum())
    if count == 0:
        raise RunError(f"{bench.plate.name}: the control wells show no cells, so nothing can be re-centred on them")
    mean = (total / count).astype(np.float32)
    scratch = folder / ".recentre.npy"
    np.save(scratch, mean, allow_pickle=False)
    scratch.replace(path)
    return mean


def _marks(folder: Path) -> set[str]:
    return {p.stem for p in (folder / "done").glob("*.json")}


def _first_fields(plan: RunPlan, seconds: float, fields: int) -> int:
    """How many fields of each well fit into the first pass; 0 where the whole run does."""
    if seconds * fields <= FIRST_PASS_SECONDS or plan.fields < 2:
        return 0
    return max(1, int(FIRST_PASS_SECONDS / (seconds * len(plan.wells))))


def _first_parts(plan: RunPlan, bench: Bench, fields: int) -> tuple[int, int]:
    """Give fields of each well in the first pass of a plate so big that it takes parts, and their tiles.

    Where the machine is fast the first pass has whole fields (no tiles), or there is none (no fields).
    """
    engine, settings = bench.source.engine, bench.settings
    for well, place in leading_fields(bench.plate, bench.controls or plan.wells, len(plan.wells)):
        try:
            image = settings.read(bench.plate.wells[well].fields[place])
        except BAD_FIELD:
            continue  # noted with its reason when its well is done
        each = engine.probe(image, settings) * len(settings.plan_of(image).origins) / len(engine.devices)
        if each * fields <= FIRST_PASS_SECONDS:
            return 0, 0
        whole = int(FIRST_PASS_SECONDS / 2 / (each * len(plan.wells)))  # the fit has had its time already
        return (min(whole, plan.fields), 0) if whole and plan.fields > 1 else (1, bench.part)
    return 0, 0


def _stream(
    folder: Path, plan: RunPlan, bench: Bench, lens: Lens, shift: npt.NDArray[np.float32] | None,
    progress: ProgressCallback | None, cancel: CancelCallback | None,
) -> None:  # fmt: skip
    """Do the wells that are not done: first a few fields of each, or parts of them, on a big plate, then all."""
    arrays = open_arrays(folder, plan, "r+")
    coding = Coding(lens, bench.source.engine)
    total = sum(len(bench.plate.wells[w].fields) for w in plan.wells)
    done = _marks(folder)
    began, first, part = time.monotonic(), plan.first_pass, int(plan.extra.get("first_tiles", 0))

    def stage(wells: Sequence[str], do: Collection[str], most: int | None, label: str, part: int = 0) -> None:
        """Do some of the wells; the whole list decides the batches."""
        counts = {w: min(len(bench.plate.wells[w].fields), most or plan.fields) for w in wells}
        report = Reporter(label, sum(counts[w] for w in do), progress)
        places = [(w, i) for w in wells for i in range(counts[w])]
        found = stream(
            bench, places, lens, lens.whitening.group_offset, wanted=lambda p: p[0] in do, cancel=cancel, part=part
        )
        try:
            for well, fields in groupby(found, key=lambda each: each[0]):
                result = _well(well, fields, plan, bench, lens, coding, shift, report, cancel)
                partial = part > 0 or counts[well] < len(bench.plate.wells[well].fields)
                _write(folder, plan, arrays, well, result, partial=partial)
        finally:
            found.close()

    rest = [w for w in plan.wells if w not in done]
    if rest and bench.part and first == 0 and not done:
        first, part = _first_parts(plan, bench, total)
        if first:
            plan = replace(plan, first_pass=first, extra={**plan.extra, "first_tiles": part})
            plan.save(folder)
    elif rest and plan.fields > 1 and first == 0 and not done:
        # The speed of the first wells, controls where there are some, tells whether a first pass is worth it.
        probe = [w for w in bench.controls if w in rest][:1] or rest[:1]
        stage(probe, probe, None, "apply")
        seconds = (time.monotonic() - began) / max(1, len(bench.plate.wells[probe[0]].fields))
        first = _first_fields(plan, seconds, total)
        if first:
            plan = replace(plan, first_pass=first)
            plan.save(folder)
        rest = [w for w in rest if w not in probe]
    if first and rest:
        ordered = [w for w in bench.controls if w in plan.wells] + [w for w in plan.wells if w not in bench.controls]
        stage(ordered, rest, first, "first pass", part)
    stage(plan.wells, [w for w in plan.wells if _is_partial(folder, w)] if first else rest, None, "apply")


def _is_partial(folder: Path, well: str) -> bool:
    path = folder / "done" / f"{well}.json"
    return path.exists() and bool(json.loads(path.read_text(encoding="utf-8")).get("partial"))


def _well(
    well: str, fields: Iterable[tuple[str, int, Seen | Exception]], plan: RunPlan, bench: Bench, lens: Lens,
    coding: Coding, shift: npt.NDArray[np.float32] | None, report: Reporter, cancel: CancelCallback | None,
) -> WellResult:  # fmt: skip
    """Code one well's fields; those that fail are noted, and the well goes on."""
    builder = WellBuilder(plan, lens, shift, coding, plan.wells.index(well))
    for _, place, seen in fields:
        check_cancelled(cancel)
        field = bench.plate.wells[well].fields[place]
        if isinstance(seen, Seen):
            shape = (int(seen.scene.image.shape[1]), int(seen.scene.image.shape[2]))
            builder.add(field.name, place, shape, bench.settings.factor(field), seen.scene, seen.units)
        else:
            builder.skip(field.name, str(seen))
        report.step(f"{bench.plate.name} {well}")
    return builder.finish()


def _write(
    folder: Path, plan: RunPlan, arrays: Mapping[str, Any], well: str, result: WellResult, *, partial: bool
) -> None:
    """Write a well's shards, then its mark: without the mark the well counts as not done."""
    place = plan.wells.index(well)
    mark = folder / "done" / f"{well}.json"
    mark.unlink(missing_ok=True)
    for name, values in result.arrays.items():
        arrays[name][well_rows(plan, name, place)] = values
    write_json(mark, {"well": well, "partial": partial, "fields": result.fields, "skipped": result.skipped})
