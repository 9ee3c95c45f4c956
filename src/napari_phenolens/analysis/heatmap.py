"""A feature's map over one field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.analysis.contributions import channel_alignment
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.places import check_feature, check_kind, find_field
from napari_phenolens.analysis.protocol import RunLike
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import CancelCallback

KINDS = ("activation", "alignment", "cosine")


@dataclass(frozen=True)
class Heatmap:
    """A feature over a field, one value a patch.

    Attributes
    ----------
    values : ndarray (h, w) float32
        The map; an activation is 0 where the feature is silent and on background.
    scale : (float, float)
        Field pixels between patches, (y, x); not whole where the lens resamples fields.
    translate : (float, float)
        Field pixel of the first patch's centre: half a patch less half a pixel.
    limits : (float, float) or None
        Colour limits shared by all wells of the run; None where the run has none for this kind.
    kind : str
        activation, alignment or cosine.
    well, field : str
        The place.
    feature : int
        The feature.
    channel : str or None
        The channel whose part of the alignment it is; None: all of it.
    """

    values: npt.NDArray[np.float32]
    scale: tuple[float, float]
    translate: tuple[float, float]
    limits: tuple[float, float] | None = None
    kind: str = "activation"
    well: str = ""
    field: str = ""
    feature: int = -1
    channel: str | None = None


def heatmap(
    run: RunLike,
    well: str,
    field: str | int | None,
    feature: int,
    kind: str = "activation",
    stride: int | None = None,
    channel: str | None = None,
    cancel: CancelCallback | None = None,
) -> Heatmap:
    """Map one feature over one field.

    Parameters
    ----------
    run : Run
        The run.
    well : str
        A well; ``b7`` and ``B07`` are one.
    field : str, int or None
        A field's name or 0-based place; None is the first.
    feature : int
        The 0-based atom.
    kind : {"activation", "alignment", "cosine"}
        The code's entry; the inner product of whitened token and atom, which averages exactly to the score of a tile or
        cell; that product over the token's norm (the map of Donhauser et al. 2025). The last two need the tokens: from
        the token store, or by encoding the field again.
    stride : int, optional
        Pixels between patches, a divisor of the patch (both at the lens's pixel size): a finer map, for which the field
        is encoded (patch / stride)^2 times with shifted tiles. Default: the patch. For runs over patches, while the
        plate's files are there.
    channel : str, optional
        With the kind "alignment": the part of it that comes from this channel, see `napari_phenolens.contributions`.
        Its limits are those of the whole alignment, so that channels can be compared.
    cancel : callable, optional
        Asked before every batch where the field is encoded again.

    Returns
    -------
    Heatmap

    Raises
    ------
    AnalysisError
        Where the well, field, feature, kind or channel is unknown, or the channels' parts cannot be told apart.
    Cancelled
        Where `cancel` said so.
    """
    check_kind(kind, KINDS)
    if channel is not None and kind != "alignment":
        raise AnalysisError(f"a channel gives a part of the alignment, not of the {kind}; ask for the kind alignment")
    place = find_field(run, well, field)
    feature = check_feature(run, feature)
    finer: dict[str, Any] = {} if stride is None else {"stride": stride}
    if cancel is not None:
        finer["cancel"] = cancel
    if channel is not None:
        values = np.asarray(channel_alignment(run, place, feature, channel, **finer), dtype=np.float32)
    elif kind == "activation":
        values = np.asarray(
            run.activation(place.well, place.field, feature, **(finer if stride is not None else {})), dtype=np.float32
        )
    else:
        tokens = np.asarray(run.tokens(place.well, place.field, **finer), dtype=np.float32)
        values = tokens @ np.asarray(run.lens.dictionary.atoms[feature], dtype=np.float32)
        if kind == "cosine":
            norm = np.linalg.norm(tokens, axis=-1)
            values = np.where(norm > 0, values / np.where(norm > 0, norm, 1), 0).astype(np.float32)
    scale = place.scale
    centre = (scale - 1) / 2
    if stride is not None:
        scale *= stride / run.lens.patch
    elif values.shape != place.grid:
        # A lens of crops codes tiles; its tokens are still those of patches.
        scale *= run.lens.patch / run.patch
        centre = (scale - 1) / 2
    limits = _limits(run, feature, kind)
    return Heatmap(values, (scale, scale), (centre, centre), limits, kind, place.well, place.field, feature, channel)


def _limits(run: RunLike, feature: int, kind: str) -> tuple[float, float] | None:
    try:
        low, high = run.limits(feature, kind)
    except (PhenoLensError, KeyError):
        return None
    return float(low), float(high)
