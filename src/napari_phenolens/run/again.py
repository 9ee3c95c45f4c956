"""A field's whitened tokens once more, after a run: from the token store, or encoded again, finer where asked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.cells.grid import patch_share
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.lens import Normalisation
from napari_phenolens.progress import CancelCallback, check_cancelled
from napari_phenolens.run.engine import encode_field
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import TokenSettings
from napari_phenolens.run.geometry import TilePlan, plan_tiles, position_offsets
from napari_phenolens.run.kept import Kept
from napari_phenolens.run.token_store import HalfPrecision, TokenStore

if TYPE_CHECKING:
    from napari_phenolens.encoders import Encoder
    from napari_phenolens.run.reader import Run

Floats = npt.NDArray[np.float32]
Values = Callable[["Run", Floats, TilePlan], Floats]

ENCODER: Kept[Encoder] = Kept()  # loading it anew for every field would take longer than the field


def whitened_tokens(run: Run, well: str, place: int, cancel: CancelCallback | None = None) -> Floats:
    """Give a field's whitened tokens ``(h, w, p)``, the very numbers that the run coded."""
    return field_values(run, well, place, None, _whiten, cancel)


def tokens_of_patches(
    run: Run, well: str, place: int, patches: npt.NDArray[np.intp], cancel: CancelCallback | None = None
) -> Floats:
    """Give the whitened tokens of some patches of a field alone, ``(n, p)``: a cell has few, a field thousands."""

    def chosen(run: Run, tokens: Floats, _tiles: TilePlan) -> Floats:
        return _white(run, tokens.reshape(-1, tokens.shape[-1])[patches])

    return field_values(run, well, place, None, chosen, cancel)


def field_values(
    run: Run, well: str, place: int, stride: int | None, values: Values, cancel: CancelCallback | None = None
) -> Floats:
    """Give what `values` makes of a field's tokens, ``(h, w, q)``: of every patch, or every so many px.

    Parameters
    ----------
    run : Run
        The run.
    well : str
        The well.
    place : int
        The field's place in it.
    stride : int or None
        See `finer_tokens`; None or the patch itself: the patches as the run coded them.
    values : callable
        ``values(run, tokens, tiles)`` gives ``(h, w, q)`` for tokens ``(h, w, d)`` of the encoder, less their
        offsets by the position in the tile.
    cancel : callable, optional
        Asked before every batch of the encoder, from any thread.

    Raises
    ------
    RunError
        Where the stride does not fit, or the tokens are gone.
    Cancelled
        Where `cancel` said so.
    """
    if stride is not None and stride != run.lens.patch:
        return _finer(run, well, place, stride, values, cancel)
    lens, plan = run.lens, run.plan
    mark = next(f for f in run._mark(well)["fields"] if f["place"] == place)
    tiles = plan_tiles((int(mark["shape"][0]), int(mark["shape"][1])), lens.patch, lens.tile, lens.margin)
    packed = None
    folder = Path(plan.tokens_folder)
    if plan.tokens and TokenStore.exists(folder, plan.tokens):
        packed = TokenStore(folder, plan.tokens).get(well, place)
    half = _half(run)
    if packed is None or len(packed) != tiles.grid[0] * tiles.grid[1]:
        check_cancelled(cancel)
        packed = half.pack(_encode(run, well, _read(run, well, place), [(0, 0)], cancel)[0])
    return values(run, _placed(run, half.unpack(packed), tiles), tiles)


def finer_tokens(run: Run, well: str, place: int, stride: int, cancel: CancelCallback | None = None) -> Floats:
    """Give whitened tokens every `stride` px of the field at the lens's pixel size, see `Run.tokens`.

    Parameters
    ----------
    run : Run
        A run over patches.
    well : str
        The well.
    place : int
        The field's place in it.
    stride : int
        A divisor of the patch: all tiles are moved by multiples of it, and each shift gives a grid of patches.
    cancel : callable, optional
        Asked before every batch of the encoder, from any thread.

    Returns
    -------
    ndarray
        ``(h, w, p)`` float32; (i, j) is the patch whose first pixel is ``(i * stride, j * stride)``. Patches stay whose
        centre lies inside the field.

    Raises
    ------
    RunError
        Where the stride does not fit, or the plate's files are gone.
    """
    return _finer(run, well, place, stride, _whiten, cancel)


def _finer(run: Run, well: str, place: int, stride: int, values: Values, cancel: CancelCallback | None) -> Floats:
    steps = _steps(run, stride)
    image = _read(run, well, place)
    tiles = plan_tiles((image.shape[1], image.shape[2]), run.lens.patch, run.lens.tile, run.lens.margin)
    half, out = _half(run), None
    moves = range(0, run.lens.patch, stride)
    shifts = [(y, x) for y in moves for x in moves]
    for (y, x), tokens in zip(shifts, _encode(run, well, image, shifts, cancel), strict=True):
        found = values(run, _placed(run, half.unpack(half.pack(tokens)), tiles), tiles)
        if out is None:
            out = np.zeros((tiles.grid[0] * steps, tiles.grid[1] * steps, found.shape[-1]), np.float32)
        out[y // stride :: steps, x // stride :: steps] = found
    assert out is not None  # there is a shift at least
    h, w = finer_grid(tiles.shape, run.lens.patch, stride)
    return out[:h, :w]


def finer_foreground(run: Run, well: str, place: int, stride: int) -> npt.NDArray[np.bool_]:
    """Give which patches of `finer_tokens` show cells, ``(h, w)``, by the lens's own rule."""
    steps, lens = _steps(run, stride), run.lens
    image = _read(run, well, place)
    mask = lens.foreground.mask(image, list(lens.channels))
    h, w = finer_grid((image.shape[1], image.shape[2]), lens.patch, stride)
    out = np.zeros((h, w), bool)
    for y, x in product(range(0, lens.patch, stride), repeat=2):
        part = out[y // stride :: steps, x // stride :: steps]
        if part.size:  # a field of a patch and a half has no second one
            part[:] = patch_share(mask[y:, x:], lens.patch) >= 0.5
    return out


def finer_codes(
    run: Run, well: str, place: int, stride: int, cancel: CancelCallback | None = None
) -> tuple[npt.NDArray[np.int64], Floats, npt.NDArray[np.bool_]]:
    """Code the foreground of `finer_tokens`: indices and values ``(n, k)``, and which patches they are of, ``(h, w)``.

    Values are rounded as those of the run are.
    """
    there = finer_foreground(run, well, place, stride)
    index, value = run.lens.dictionary.encode(finer_tokens(run, well, place, stride, cancel)[there])
    return index.astype(np.int64), value.astype(np.float16).astype(np.float32), there


def finer_grid(shape: tuple[int, int], patch: int, stride: int) -> tuple[int, int]:
    """Give rows and columns of patches every `stride` px whose centre lies inside a field of that shape."""
    h, w = (-((patch - 2 * n) // (2 * stride)) for n in shape)
    return h, w


def _steps(run: Run, stride: int) -> int:
    patch = run.lens.patch
    if run.unit != "patch":
        raise RunError(f"the unit of this run is the {run.unit}: finer maps are for runs over patches")
    if stride < 1 or patch % stride:
        fitting = ", ".join(str(s) for s in range(1, patch + 1) if patch % s == 0)
        raise RunError(f"a stride of {stride} px does not part a patch of {patch} px evenly; choose one of {fitting}")
    return patch // stride


def _half(run: Run) -> HalfPrecision:
    return HalfPrecision(*np.load(run.path / "scale.npy", allow_pickle=False))


def _settings(run: Run) -> TokenSettings:
    lens, plan = run.lens, run.plan
    return TokenSettings(
        plan.sources, lens.channels, lens.channel_pooling, lens.patch, lens.tile, lens.margin, lens.pixel_size,
        Normalisation.from_dict(plan.normalisation),
    )  # fmt: skip


def _placed(run: Run, tokens: Floats, tiles: TilePlan) -> Floats:
    """Give a field's tokens ``(h * w, d)`` or ``(h, w, d)`` as ``(h, w, d)``, less their places' offsets."""
    tokens = tokens.reshape(*tiles.grid, -1)
    offset = run.lens.whitening.group_offset
    return tokens - position_offsets(tiles, offset) if offset is not None and offset.size else tokens


def _whiten(run: Run, tokens: Floats, tiles: TilePlan) -> Floats:
    """Whiten a field's tokens ``(h, w, d)`` as the run does, to ``(h, w, p)``."""
    h, w = tiles.grid
    return _white(run, tokens.reshape(h * w, -1)).reshape(h, w, -1)


def _white(run: Run, tokens: Floats) -> Floats:
    white = run.lens.whitening(tokens)
    if run.plan.recentre:
        white = white - np.load(run.path / "recentre.npy", allow_pickle=False)
    return np.asarray(white, np.float32)


def _read(run: Run, well: str, place: int) -> npt.NDArray[Any]:
    try:
        return _settings(run).read(run.plate().wells[well].fields[place])
    except (PhenoLensError, OSError) as error:
        raise _gone(run, well, error) from error


def _encode(
    run: Run, well: str, image: npt.NDArray[Any], shifts: list[tuple[int, int]], cancel: CancelCallback | None
) -> list[Floats]:
    """Give a field's tokens ``(h, w, d)`` with all tiles moved by each of the shifts."""
    try:
        encoder = _encoder(run, cancel)
        return [encode_field(image, _settings(run), encoder, cancel, shift=shift) for shift in shifts]
    except (PhenoLensError, OSError) as error:
        raise _gone(run, well, error) from error


def _encoder(run: Run, cancel: CancelCallback | None) -> Encoder:
    """Give the run's encoder: loaded once, kept for the next field, see `Kept`."""
    from napari_phenolens.encoders import load_encoder

    lens = run.lens

    def load() -> Encoder:
        found = load_encoder(lens.encoder, block=lens.block, sha256=lens.encoder_sha256, cancel=cancel)
        if found.sha256 != lens.encoder_sha256:
            raise RunError(f"the weights of {lens.encoder} on this machine are not those of the run")
        return found

    return ENCODER.get((lens.encoder, lens.block, lens.encoder_sha256), load)


def _gone(run: Run, well: str, error: Exception) -> RunError:
    return RunError(
        f"{run.plate_name} {well}: its tokens are not stored and cannot be encoded again ({error}); "
        "bring the plate's files back to where they were, or look at activations, which the run holds"
    )
