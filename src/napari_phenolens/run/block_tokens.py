"""The mean token of a well's foreground at every block of an encoder, from one pass over the plate."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch

from napari_phenolens.cells import Foreground
from napari_phenolens.encoders import load_encoder
from napari_phenolens.progress import CancelCallback, ProgressCallback, check_cancelled
from napari_phenolens.run.bench import Channels, Reporter, check_fits, nuclear_channel, resolve_channels, sample_images
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import BATCH_TOKENS, TokenSettings, pool_channels, pooling_for
from napari_phenolens.run.fit import FOREGROUND_FIELDS, MARGIN
from napari_phenolens.run.geometry import TilePlan, coverage, cut_tiles, plan_tiles
from napari_phenolens.run.lanes import is_out_of_memory
from napari_phenolens.run.pixels import fit_normalisation, normalise, spread
from napari_phenolens.run.source import BAD_FIELD, read_ahead
from napari_phenolens.run.token_store import default_folder, token_key

if TYPE_CHECKING:
    from napari_phenolens.encoders import Encoder
    from napari_phenolens.plate import Plate

Floats = npt.NDArray[np.float32]
Place = tuple[int, str]  # plate, well
Sums = dict[int, npt.NDArray[np.float64]]  # block -> (d,)

SCHEMA = 1
ON_DEVICE = 32  # times the tokens of a forward on the CPU that one on an accelerator takes


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
class _Batch:
    """How many tiles a forward takes; halved for good where memory runs out."""

    size: int


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
    device: str = "auto",
    weights: str | Path | None = None,
    tokens: str | Path | None = None,
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
    encoder, channels, channel_pooling, foreground, nuclear, margin, device, weights, tokens
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
    enc = load_encoder(encoder, weights=weights, device=device, progress=progress, cancel=cancel)
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
        for well, result in _encode(plate, todo, fields, settings, rule, enc, wanted, report, cancel):
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
    encoder: Encoder, blocks: tuple[int, ...], report: Reporter, cancel: CancelCallback | None,
) -> Iterator[tuple[str, _Well]]:  # fmt: skip
    """Yield each well with its sums, once all of its fields are done; a background thread reads ahead."""

    def load(place: tuple[str, int]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        image = settings.read(plate.wells[place[0]].fields[place[1]])
        return image, rule.patches(image, list(settings.names), settings.patch)

    order = [(w, i) for w in wells for i in _places(plate, w, fields)]
    last = {w: i for w, i in order}
    # On a CPU small batches stay in its cache and answer a cancel soon.
    each = len(settings.sources) * (settings.tile // settings.patch) ** 2
    batch = _Batch(max(1, BATCH_TOKENS // each) * (1 if encoder.device.startswith("cpu") else ON_DEVICE))
    result = _Well({}, 0, [])
    for (well, place), outcome in read_ahead(order, load, cancel=cancel):
        field = plate.wells[well].fields[place]
        try:
            if isinstance(outcome, BaseException):
                raise outcome
            image, foreground = outcome
            if foreground.any():
                sums = _field_sums(image, foreground, settings, encoder, blocks, batch, cancel)
                result.sums = {b: each + result.sums.get(b, 0.0) for b, each in sums.items()}
                result.patches += int(foreground.sum())
        except BAD_FIELD as error:
            result.skipped.append((field.name, str(error)))
        report.step(f"{plate.name} {well}")
        if place == last[well]:
            yield well, result
            result = _Well({}, 0, [])


def _field_sums(
    image: npt.NDArray[Any], foreground: npt.NDArray[np.bool_], settings: TokenSettings, encoder: Encoder,
    blocks: tuple[int, ...], batch: _Batch, cancel: CancelCallback | None,
) -> Sums:  # fmt: skip
    """Sum a field's foreground tokens at every block.

    Summing is linear, so a patch that several tiles keep counts from each by one over their number: no grid is laid
    out for any block, and tiles without foreground are not encoded at all.
    """
    plan = plan_tiles((image.shape[1], image.shape[2]), settings.patch, settings.tile, settings.margin)
    share = _tile_weights(foreground, plan)
    used = np.flatnonzero(share.any((1, 2)))
    tiles = cut_tiles(normalise(image, settings.normalisation), plan)
    total: Sums = {}
    start = 0
    while start < len(used):
        check_cancelled(cancel)
        part = used[start : start + batch.size]
        try:
            sums = _batch_sums(tiles[part], share[part], settings.channel_pooling, encoder, blocks)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or batch.size == 1:
                raise
            batch.size = max(1, min(batch.size, len(part)) // 2)
            continue
        total = {block: each + total.get(block, 0.0) for block, each in sums.items()}
        start += len(part)
    return total


def _batch_sums(tiles: Floats, share: Floats, pooling: str, encoder: Encoder, blocks: tuple[int, ...]) -> Sums:
    """Sum the weighted tokens of some tiles on the encoder's device: only the sums come back."""
    found: Sums = {}
    with torch.inference_mode():
        given = encoder.forward_tensors(torch.from_numpy(tiles).to(encoder.device), blocks)
        for block, tokens in given.items():
            weight = torch.from_numpy(_coarser(share, (tokens.shape[2], tokens.shape[3]))).to(tokens.device)
            each = torch.einsum("nyx,ncyxd->cd", weight, tokens.float())[None, :, None, None]
            found[block] = pool_channels(each, pooling).flatten().double().cpu().numpy()
    return found


def _coarser(weights: Floats, grid: tuple[int, int]) -> Floats:
    """Add up the weights of the patches that one token of a coarser stage covers."""
    n, y, x = weights.shape
    if (y, x) == grid:
        return weights
    summed: Floats = weights.reshape(n, grid[0], y // grid[0], grid[1], x // grid[1]).sum((2, 4))
    return summed


def _tile_weights(foreground: npt.NDArray[np.bool_], plan: TilePlan) -> Floats:
    """Give every patch of every tile its weight in the field's sum, ``(tiles, tile, tile)``."""
    padded = np.zeros(plan.padded, np.float32)
    padded[plan.inside] = foreground / coverage(plan)
    low, high = plan.inner.start, plan.inner.stop
    weights = np.zeros((len(plan.origins), plan.tile, plan.tile), np.float32)
    for i, (row, column) in enumerate(plan.origins):
        weights[i, plan.inner, plan.inner] = padded[row + low : row + high, column + low : column + high]
    return weights


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
