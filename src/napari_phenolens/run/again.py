"""A field's whitened tokens once more, after a run: from the token store, or encoded again from the plate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.lens import Normalisation
from napari_phenolens.run.engine import encode_field
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import TokenSettings
from napari_phenolens.run.geometry import plan_tiles, position_offsets
from napari_phenolens.run.token_store import HalfPrecision, TokenStore

if TYPE_CHECKING:
    from napari_phenolens.run.reader import Run


def whitened_tokens(run: Run, well: str, place: int) -> npt.NDArray[np.float32]:
    """Give a field's whitened tokens ``(h, w, p)``, the very numbers that the run coded."""
    lens, plan = run.lens, run.plan
    mark = next(f for f in run._mark(well)["fields"] if f["place"] == place)
    shape = (int(mark["shape"][0]), int(mark["shape"][1]))
    tiles = plan_tiles(shape, lens.patch, lens.tile, lens.margin)
    h, w = tiles.grid
    half = HalfPrecision(*np.load(run.path / "scale.npy", allow_pickle=False))
    packed = None
    folder = Path(plan.tokens_folder)
    if plan.tokens and TokenStore.exists(folder, plan.tokens):
        packed = TokenStore(folder, plan.tokens).get(well, place)
    if packed is None or len(packed) != h * w:
        packed = half.pack(_encode(run, well, place).reshape(h * w, -1))
    tokens = half.unpack(packed).reshape(h, w, -1)
    if lens.whitening.group_offset is not None:
        tokens = tokens - position_offsets(tiles, lens.whitening.group_offset)
    white = lens.whitening(tokens.reshape(h * w, -1))
    if plan.recentre:
        white = white - np.load(run.path / "recentre.npy", allow_pickle=False)
    out: npt.NDArray[np.float32] = np.asarray(white, np.float32).reshape(h, w, -1)
    return out


def _encode(run: Run, well: str, place: int) -> npt.NDArray[np.float32]:
    from napari_phenolens.encoders import load_encoder

    lens, plan = run.lens, run.plan
    try:
        field = run.plate().wells[well].fields[place]
        settings = TokenSettings(
            plan.sources, lens.channels, lens.channel_pooling, lens.patch, lens.tile, lens.margin, lens.pixel_size,
            Normalisation.from_dict(plan.normalisation),
        )  # fmt: skip
        return encode_field(settings.read(field), settings, load_encoder(lens.encoder, block=lens.block))
    except (PhenoLensError, OSError) as error:
        raise RunError(
            f"{run.plate_name} {well}: its tokens are not stored and cannot be encoded again ({error}); "
            "bring the plate's files back to where they were, or look at activations, which the run holds"
        ) from error
