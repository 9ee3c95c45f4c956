"""Which channel a feature's alignment comes from, for encoders that give each channel a token of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.places import Place, check_feature, find_field

RECENTRING = "re-centring"


def contribution_channels(run: Any) -> tuple[str, ...]:
    """Give the channels that an alignment can be told apart into; none where it cannot.

    It can where the encoder takes any number of channels and their tokens are joined end to end
    (``channel_pooling="concat"``); the mean of the channels' tokens no longer knows them.
    """
    return tuple(run.lens.channels) if getattr(run, "channels_apart", False) else ()


def channel_alignment(run: Any, place: Place, feature: int, channel: str, **how: Any) -> npt.NDArray[Any]:
    """Give the part of a feature's alignment that comes from one channel, ``(h, w)``.

    A token is the channels' tokens end to end, and whitening is linear, so the alignment of atom a, with token x, mean
    mu and whitening matrix W, is a sum over channels c of ``(x - mu)_c W_c a``: exact, nothing is approximated. Summed
    over all channels (and `recentring`, where a run was re-centred on its own controls) it is the alignment. `how`:
    a stride and cancel, see `napari_phenolens.heatmap`.

    Raises
    ------
    AnalysisError
        Where the channels' parts cannot be told apart, or there is no such channel.
    """
    channels = _channels(run)
    if channel not in channels:
        raise AnalysisError(f"no channel {channel!r} in this lens; it has {', '.join(channels)}")
    parts: npt.NDArray[Any] = run.channel_alignment(place.well, place.field, feature, **how)
    part: npt.NDArray[Any] = parts[channels.index(channel)]
    return part


def recentring(run: Any, feature: int) -> float:
    """Give what re-centring on the plate's own controls adds to every alignment; 0 for runs without it.

    It was measured on joined tokens, so that it belongs to no channel.
    """
    return float(run.recentring(check_feature(run, feature)))


def contributions(
    run: Any, well: str, field: str | int | None, feature: int, at: tuple[float, float] | None = None
) -> pd.DataFrame:
    """Tell a feature's alignment in a field, or at a place of it, apart into what each channel gives.

    Parameters
    ----------
    run : Run
        The run.
    well, field, feature
        See `napari_phenolens.heatmap`.
    at : (float, float), optional
        A place (y, x) in field pixels; the mean over the field's foreground by default.

    Returns
    -------
    DataFrame
        Index ``channel``: ``contribution``, which adds up to the alignment (with a row "re-centring" where the run was
        re-centred), and ``share``, the contribution over that sum: negative where a channel speaks against the feature,
        above 1 where others do; NaN where the sum is 0. `attrs`: ``alignment``.

    Raises
    ------
    AnalysisError
        Where the channels' parts cannot be told apart, or the place lies outside the field.
    """
    channels = _channels(run)
    place = find_field(run, well, field)
    feature = check_feature(run, feature)
    parts = np.asarray(run.channel_alignment(place.well, place.field, feature), dtype=np.float64)
    if at is None:
        seen = np.asarray(run.foreground(place.well, place.field), dtype=bool)
        if seen.shape != parts.shape[1:] or not seen.any():
            raise AnalysisError(
                f"{place.well}, field {place.field}: no foreground to average over; name a place: at=(y, x)"
            )
        values = parts[:, seen].mean(axis=1)
    else:
        if not (0 <= at[0] < place.shape[0] and 0 <= at[1] < place.shape[1]):
            raise AnalysisError(f"{at} lies outside the field of {place.shape[0]} x {place.shape[1]} px")
        patch = place.scale * run.lens.patch / run.patch
        i, j = (min(int(a // patch), n - 1) for a, n in zip(at, parts.shape[1:], strict=True))
        values = parts[:, i, j]
    rows = dict(zip(channels, map(float, values), strict=True))
    constant = recentring(run, feature)
    if constant:
        rows[RECENTRING] = constant
    total = sum(rows.values())
    table = pd.DataFrame({"contribution": rows}).rename_axis("channel")
    table["share"] = table["contribution"] / total if total else np.nan
    table.attrs = {"alignment": total}
    return table


def _channels(run: Any) -> tuple[str, ...]:
    channels = contribution_channels(run)
    if not channels:
        raise AnalysisError(
            f"the channels' parts cannot be told apart in this run: its lens has {len(run.lens.channels)} channel(s) "
            f"of {run.lens.encoder} with channel_pooling={run.lens.channel_pooling!r}; it takes two or more, each "
            "with a token of its own, joined by 'concat'"
        )
    return channels
