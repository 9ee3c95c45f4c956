"""The mean token of a well's foreground at every block of an encoder, from one pass over the plate."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from napari_phenolens.cells import Foreground
from napari_phenolens.progress import CancelCallback, ProgressCallback, check_cancelled
from napari_phenolens.run.bench import Channels, Reporter, check_fits, nuclear_channel, resolve_channels, sample_images
from napari_phenolens.run.block_sums import Shown, Sums, field_sums
from napari_phenolens.run.devices import Device
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import TokenSettings, pooling_for
from napari_phenolens.run.fit import MARGIN
from napari_phenolens.run.fit_tokens import FOREGROUND_FIELDS
from napari_phenolens.run.opening import engine_for
from napari_phenolens.run.pixels import fit_normalisation, spread
from napari_phenolens.run.source import BAD_FIELD
from napari_phenolens.run.stream import bundle, flow
from napari_phenolens.run.token_store import default_folder, token_key

if TYPE_CHECKING:
    from napari_phenolens.encoders import Encoder
    from napari_phenolens.plate import Plate
    from napari_phenolens.run.engine import Engine

Floats = npt.NDArray[np.float32]
Place = tuple[int, str]  # plate, well
FieldPlace = tuple[str, int]  # well, place

SCHEMA = 1


@dataclass(frozen=True)
class BlockTokens:
    """The mean foreground token of wells at several blocks.

    Attributes
    ----------
    encoder, sha256 : str
        Name of the encoder and checksum of its weights.
    own : int
        The block (1-based) that the encoder gives unless told otherwise.
    blocks : tuple of int
        The blocks, 1-based.
    wells : tuple of (int, str)
        Plate and well of each row.
    means : dict of int to ndarray
        For each block ``(wells, d)`` float32, channels pooled as a lens pools them; NaN where a well shows no cells.
    patches : ndarray
        ``(wells,)`` int64, foreground patches of each.
    skipped : tuple of (int, str, str, str)
        Plate, well, field and reason of fields that could not be used.
    """

    encoder: str
    sha256: str
    own: int
    blocks: tuple[int, ...]
    wells: tuple[Place, ...]
    means: dict[int, Floats]
    patches: npt.NDArray[np.int64]
    skipped: tuple[tuple[int, str, str, str], ...]


@dataclass
class _Well:
    """What is kept of one well."""

    sums: Sums
    patches: int
    skipped: list[tuple[str, str]]


def block_tokens(
    plates: Sequence[Plate],
    wells: Sequence[Place],
    controls: Mapping[int, Sequence[str]],
    *,
    encoder: str = "camae-micro",
    blocks: Sequence[int] | None = None,
    channels: Channels = None,
    channel_pooling: str = "auto",
    pixel_rule: Literal["plate", "field"] = "plate",
    foreground: Literal["auto", "nuclei", "background", "none"] = "auto",
    nuclear: str | None = None,
    fields: int | None = None,
    margin: int = MARGIN,
    device: Device = "auto",
    weights: str | Path | None = None,
    tokens: str | Path | None = None,
    batch: int | None = None,
    precision: str = "auto",
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> BlockTokens:
    """Encode wells once and keep the mean token over the foreground of every block.

    Pixels, geometry, foreground and pooling are those of `fit_lens` with the same arguments. A finished well is kept
    in the token folder, so that work that was broken off goes on and another question to the same wells costs nothing.

    Parameters
    ----------
    plates : sequence of Plate
        Plates with the same channels.
    wells : sequence of (int, str)
        Plate (its place in `plates`) and name of each well to encode.
    controls : mapping of int to sequence of str
        Wells of each plate on which its pixel rule, and on the first plate the foreground rule, are fitted.
    encoder, channels, channel_pooling, foreground, nuclear, margin, device, weights, tokens, batch, precision
        As in `fit_lens`.
    blocks : sequence of int, optional
        Which blocks, 1-based; default: all.
    pixel_rule : str
        ``plate`` or ``field``, the ``normalise`` of `fit_lens`.
    fields : int, optional
        At most so many fields of each well, evenly spread; default: all.
    progress, cancel : callable, optional
        See `napari_phenolens.progress`.

    Returns
    -------
    BlockTokens

    Raises
    ------
    RunError
        Where channels or blocks do not fit, or no field could be encoded.
    Cancelled
        Where the user asked to stop; finished wells stay.
    """
    engine = engine_for(
        encoder, device, weights=weights, batch=batch, precision=precision, progress=progress, cancel=cancel
    )
    enc = engine.encoder()
    wanted = tuple(range(1, enc.blocks + 1)) if blocks is None else tuple(sorted(set(blocks)))
    if not wanted or wanted[0] < 1 or wanted[-1] > enc.blocks:
        raise RunError(f"{encoder} has blocks 1 to {enc.blocks}; {list(wanted)} were asked for")
    named = resolve_channels(plates[0], channels)
    patch = min(enc.patch_of(b) for b in wanted)  # stages of a hierarchical network are coarser by whole numbers
    check_fits(enc, len(named), patch, margin)
    pixel_size = plates[0].pixel_size
    rule: Foreground | None = None
    report = Reporter("blocks", sum(len(_places(plates[p], w, fields)) for p, w in wells), progress)
    kept: dict[Place, _Well] = {}
    for number, plate in enumerate(plates):
        check_cancelled(cancel)
        asked = [w for p, w in wells if p == number]
        if not asked:
            continue
        sources = _sources(plate, plates[0], named, channels)
        images = sample_images(plate, controls[number], sources, pixel_size, progress, cancel)
        if rule is None:
            rule = Foreground.fit(
                spread(images, FOREGROUND_FIELDS),
                tuple(named),
                nuclear=nuclear or nuclear_channel(plates[0], named),
                kind=foreground,
                pixel_size=pixel_size,
                cancel=cancel,
            )
        settings = TokenSettings(
            sources,
            tuple(named),
            pooling_for(channel_pooling, len(named)),
            patch,
            enc.default_tile,
            margin,
            pixel_size,
            fit_normalisation(images, pixel_rule, enc.input_range),
        )
        folder = _folder(plate, settings, enc, wanted, rule, fields, tokens)
        todo = []
        for well in asked:
            found = _load(folder / f"{well}.npz")
            if found is None:
                todo.append(well)
                continue
            kept[number, well] = found
            for _ in _places(plate, well, fields):
                report.step(f"{plate.name} {well}")
        for well, result in _encode(plate, todo, fields, settings, rule, engine, wanted, report, cancel):
            kept[number, well] = result
            if not result.skipped:  # a file that cannot be read today may be there tomorrow
                _save(folder / f"{well}.npz", result)
    rows = [kept[place] for place in wells]
    patches = np.array([row.patches for row in rows], np.int64)
    skipped = tuple((p, w, name, why) for p, w in wells for name, why in kept[p, w].skipped)
    if not patches.any():
        reasons = "; ".join(sorted({why for *_, why in skipped})[:3])
        raise RunError(
            f"{', '.join(p.name for p in plates)}: "
            + (f"no field could be encoded ({reasons})" if reasons else "no well shows any cells; check the foreground")
        )
    means = {}
    for block in wanted:
        width = next(len(row.sums[block]) for row in rows if row.patches)
        empty = np.full(width, np.nan)
        means[block] = np.stack([row.sums[block] / row.patches if row.patches else empty for row in rows]).astype(
            np.float32
        )
    return BlockTokens(enc.name, enc.sha256, enc.block, wanted, tuple(wells), means, patches, skipped)


def _sources(plate: Plate, first: Plate, named: Mapping[str, str], channels: Channels) -> tuple[str, ...]:
    """Give the plate's channels in the encoder's order."""
    if plate is not first and channels is None and plate.channels != first.channels:
        raise RunError(
            f"{plate.name} has channels {', '.join(plate.channels)}, {first.name} {', '.join(first.channels)}; "
            "ask about plates with the same channels, or name them with channels="
        )
    return tuple(resolve_channels(plate, dict(named)).values())


def _places(plate: Plate, well: str, fields: int | None) -> list[int]:
    """Which of a well's fields are read."""
    every = list(range(len(plate.wells[well].fields)))
    return every if fields is None else spread(every, max(1, fields))


def _encode(
    plate: Plate, wells: Sequence[str], fields: int | None, settings: TokenSettings, rule: Foreground,
    engine: Engine, blocks: tuple[int, ...], report: Reporter, cancel: CancelCallback | None,
) -> Iterator[tuple[str, _Well]]:  # fmt: skip
    """Yield each well with its sums, once all of its fields are done."""
    stop = threading.Event()

    def load(place: FieldPlace) -> Shown:
        image = settings.read(plate.wells[place[0]].fields[place[1]])
        foreground = rule.patches(image, list(settings.names), settings.patch)
        return Shown(image, foreground)

    def encode(numbered: tuple[int, list[tuple[FieldPlace, Any]]]) -> list[tuple[FieldPlace, Any]]:
        number, loaded = numbered
        shown = [f for _, f in loaded if isinstance(f, Shown) and f.foreground.any()]
        if shown:
            sums = field_sums(shown, settings, engine, blocks, number=number, stop=stop.is_set)
            for field, found in zip(shown, sums, strict=True):
                field.sums = found
        return loaded

    order = [(w, i) for w in wells for i in _places(plate, w, fields)]
    last = {w: i for w, i in order}
    result = _Well({}, 0, [])
    with closing(flow(engine, bundle(engine, plate, settings, order, order), load, encode, stop, cancel)) as steps:
        for (well, place), found in steps:
            if isinstance(found, BAD_FIELD):
                result.skipped.append((plate.wells[well].fields[place].name, str(found)))
            elif isinstance(found, BaseException):
                raise found
            elif found.sums:
                result.sums = {b: each + result.sums.get(b, 0.0) for b, each in found.sums.items()}
                result.patches += int(found.foreground.sum())
            report.step(f"{plate.name} {well}")
            if place == last[well]:
                yield well, result
                result = _Well({}, 0, [])


def _folder(
    plate: Plate, settings: TokenSettings, encoder: Encoder, blocks: tuple[int, ...], rule: Foreground,
    fields: int | None, tokens: str | Path | None,
) -> Path:  # fmt: skip
    """Give the folder of finished wells, named by a checksum of all that decides them."""
    facts = [
        SCHEMA,
        token_key(plate, settings, encoder.name, encoder.sha256, 0),
        blocks,
        rule.to_dict(),
        fields,
    ]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:20]
    folder = (Path(tokens) if tokens is not None else default_folder()) / "blocks" / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: nothing can be kept there ({error}); give another folder with --tokens") from error
    return folder


def _load(path: Path) -> _Well | None:
    """Give a finished well, or None where it is not there or damaged."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as found:
            sums = {int(name.removeprefix("block")): found[name] for name in found.files if name.startswith("block")}
            return _Well(sums, int(found["patches"]), [])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # cut off by a full disk: it is computed again
        return None


def _save(path: Path, well: _Well) -> None:
    scratch = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    arrays = {f"block{block}": sums for block, sums in well.sums.items()}
    np.savez(scratch, allow_pickle=False, patches=np.int64(well.patches), **arrays)
    os.replace(scratch, path)
