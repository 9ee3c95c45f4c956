"""What each channel's part of a token gives to its alignment with an atom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.lens import Lens
from napari_phenolens.progress import CancelCallback
from napari_phenolens.run.errors import RunError

if TYPE_CHECKING:
    from napari_phenolens.run.geometry import TilePlan
    from napari_phenolens.run.reader import Run

Floats = npt.NDArray[np.float32]


def channels_apart(lens: Lens) -> bool:
    """Whether a lens's tokens are those of its channels end to end, so that each channel's part is known.

    An encoder with a fixed number of channels mixes them in its first layer, whatever the lens's pooling is called.
    """
    from napari_phenolens.encoders.names import split_name
    from napari_phenolens.encoders.registry import all_specs

    if lens.channel_pooling != "concat" or len(lens.channels) < 2 or lens.whitening.d % len(lens.channels):
        return False
    try:
        base, options = split_name(lens.encoder)
    except PhenoLensError:
        return False
    if base.startswith("timm:"):
        return options.get("channels", "each") == "each"
    spec = next((s for s in all_specs()[0] if s.name == base), None)
    return spec is not None and not spec.channels.strip().isdigit()


def channel_alignment(
    run: Run, well: str, place: int, feature: int, stride: int | None = None, cancel: CancelCallback | None = None
) -> Floats:
    """Give the part of an alignment that each channel gives, ``(c, h, w)`` float32, in the lens's order.

    Raises
    ------
    RunError
        Where the channels' parts cannot be told apart, or the tokens are gone.
    """
    from napari_phenolens.run.again import field_values

    lens = run.lens
    if not channels_apart(lens):
        raise RunError(f"{run.plate_name}: the tokens of {lens.encoder} do not keep the channels apart in this run")
    white, atom = lens.whitening, np.asarray(lens.dictionary.atoms[feature], dtype=np.float64)
    direction = atom if white.kind in ("none", "center") else np.asarray(white.matrix, dtype=np.float64) @ atom
    count = len(lens.channels)

    def apart(_run: Run, tokens: npt.NDArray[Any], tiles: TilePlan) -> Floats:
        weighted = (tokens.astype(np.float64) - white.mean) * direction
        return np.asarray(weighted.reshape(*tiles.grid, count, -1).sum(axis=-1), dtype=np.float32)

    return np.ascontiguousarray(field_values(run, well, place, stride, apart, cancel).transpose(2, 0, 1))


def recentring(run: Run, feature: int) -> float:
    """Give what re-centring on the plate's own controls adds to every alignment with an atom."""
    if not run.plan.recentre:
        return 0.0
    moved = np.load(run.path / "recentre.npy", allow_pickle=False)
    return -float(np.asarray(moved, dtype=np.float64) @ run.lens.dictionary.atoms[feature].astype(np.float64))
