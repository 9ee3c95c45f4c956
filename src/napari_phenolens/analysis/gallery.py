"""A feature's best examples over the plate as crops of the cells, and places of the same wells without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.places import Place, check_feature, find_field
from napari_phenolens.analysis.protocol import Query, RunLike
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import CancelCallback, check_cancelled

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate

Segment = tuple[tuple[float, float], tuple[float, float]]
Side = Literal["with", "without"]

SQUARES, LEAST_PX = 11, 48  # a crop spans so many heatmap squares, and so many field pixels at least
CANDIDATES = 12  # examples looked at for each one shown: neighbours of one cell are left out


@dataclass(frozen=True, eq=False)
class Crop:
    """A piece of a field with a feature's heatmap over it.

    Attributes
    ----------
    pixels : ndarray (C, h, w)
        The field's own numbers, every channel.
    channels : tuple of str
        Their names.
    well, field : str
        Where it is from.
    side : {"with", "without"}
        An example of the feature, or a place of the same field where it is silent.
    example : int
        Number of the example, from 0; its place without the feature has the same.
    feature : int
        The feature.
    value : float
        Its activation at the middle: 0 for places without it.
    at : (float, float)
        The middle in field pixels (y, x).
    origin : (int, int)
        Field pixel of the crop's first one.
    heat : ndarray (i, j) float32
        The activations of the squares that reach into the crop.
    heat_origin : (float, float)
        Upper left corner of the first of these squares, in crop pixels from the corner of the crop's first pixel.
    square : float
        Edge of a square in pixels.
    """

    pixels: npt.NDArray[Any]
    channels: tuple[str, ...]
    well: str
    field: str
    side: Side
    example: int
    feature: int
    value: float
    at: tuple[float, float]
    origin: tuple[int, int]
    heat: npt.NDArray[np.float32]
    heat_origin: tuple[float, float]
    square: float

    def outline(self) -> list[Segment]:
        """Give the edges around the squares where the feature is active, ``((y, x), (y, x))`` in crop pixels.

        Returns
        -------
        list of segments
            Within the crop; empty where the feature is silent in all of it.
        """
        on = np.pad(self.heat > 0, 1)
        h, w = self.pixels.shape[1:]
        top, left = self.heat_origin
        found: list[Segment] = []
        for i, j in np.argwhere(on[1:, 1:-1] != on[:-1, 1:-1]):  # between a row and the next
            y = top + i * self.square
            found.append(((y, left + j * self.square), (y, left + (j + 1) * self.square)))
        for i, j in np.argwhere(on[1:-1, 1:] != on[1:-1, :-1]):
            x = left + j * self.square
            found.append(((top + i * self.square, x), (top + (i + 1) * self.square, x)))
        inside = []
        for (y0, x0), (y1, x1) in found:
            if (y0 == y1 and not 0 < y0 < h) or (x0 == x1 and not 0 < x0 < w):
                continue  # along the crop's own edge
            inside.append(((float(max(y0, 0)), float(max(x0, 0))), (float(min(y1, h)), float(min(x1, w)))))
        return [s for s in inside if s[0][0] <= s[1][0] and s[0][1] <= s[1][1] and s[0] != s[1]]


@dataclass(frozen=True)
class _Spot:
    """Where a crop is to be cut."""

    place: Place
    centre: tuple[float, float]
    value: float
    side: Side
    example: int


def gallery(
    run: RunLike,
    feature: int,
    count: int = 12,
    *,
    per_well: int = 2,
    without: bool = True,
    size: int | None = None,
    wells: Query | None = None,
    plate: Plate | None = None,
    seed: int = 0,
    cancel: CancelCallback | None = None,
) -> list[Crop]:
    """Cut out the places where a feature is strongest, spread over wells, each with a place without it beside it.

    Parameters
    ----------
    run : Run
        The run; the plate's files must be there.
    feature : int
        The 0-based atom.
    count : int
        Examples, the strongest first.
    per_well : int
        At most so many of a well; a run keeps four of each.
    without : bool
        Whether to add, for each example, a foreground place of the same field where the feature is silent: the one with
        the least of it around, drawn where several have none.
    size : int, optional
        Edge of a crop in field pixels. Default: eleven squares of the heatmap, 48 px at least.
    wells : str or list of wells, optional
        Examples of these wells only, a query over the plate map or names; all wells by default.
    plate : Plate, optional
        The plate, where it is open already.
    seed : int
        Seed of the draw of silent places.
    cancel : callable, optional
        Asked before each field is read.

    Returns
    -------
    list of Crop
        Each example, followed by its silent place where there is one. Shorter than `count` where the feature is active
        in fewer places; empty where it never is. Examples closer than half a crop to a stronger one are left out.

    Raises
    ------
    AnalysisError
        Where there is no such feature, or a number makes no sense.
    PhenoLensError
        Where no field could be read; single files that cannot are left out.
    """
    feature = check_feature(run, feature)
    if count < 1 or per_well < 1 or (size is not None and size < 1):
        raise AnalysisError("a gallery wants 1 or more examples, 1 or more a well, and crops of 1 px or more")
    spots = _examples(run, feature, count, per_well, size, wells)
    if not spots:
        return []
    plate = plate if plate is not None else run.plate()
    maps: dict[tuple[str, str], npt.NDArray[np.float32]] = {}
    rng = np.random.default_rng([seed, feature])
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for spot in list(spots):
        key = spot.place.well, spot.place.field
        if key not in maps:
            check_cancelled(cancel)
            maps[key] = np.asarray(run.activation(*key, feature), dtype=np.float32)
        silent = _silent(run, spot, maps[key], _edge(spot.place, size), rng, taken.setdefault(key, []))
        if without and silent is not None:
            spots.append(silent)
            taken[key].append(silent.centre)
    found, problem = [], None
    for key in maps:
        check_cancelled(cancel)
        here = [spot for spot in spots if (spot.place.well, spot.place.field) == key]
        try:
            found += _cut(plate, here, maps[key], feature, size)
        except PhenoLensError as error:  # one damaged file must not hide the other examples
            problem = error
    if not found and problem is not None:
        raise problem
    return sorted(found, key=lambda crop: (crop.example, crop.side != "with"))


def _edge(place: Place, size: int | None) -> int:
    return size if size is not None else max(LEAST_PX, round(SQUARES * place.scale))


def _examples(
    run: RunLike, feature: int, count: int, per_well: int, size: int | None, wells: Query | None
) -> list[_Spot]:
    table = run.examples(feature, count=len(run.wells) * CANDIDATES, per_well=CANDIDATES)
    if wells is not None:
        table = table[table["well"].isin(list(run.select(wells)))]
    kept: list[_Spot] = []
    for well, field, unit, value in zip(*(table[k].tolist() for k in ("well", "field", "unit", "value")), strict=True):
        if len(kept) == count:
            break
        if sum(spot.place.well == well for spot in kept) >= per_well:
            continue
        place = find_field(run, well, field)
        centre = _centre(run, place, unit)
        if centre is None:
            continue
        near = _edge(place, size) / 2
        same = (spot.centre for spot in kept if (spot.place.well, spot.place.field) == (place.well, place.field))
        if all(max(abs(centre[0] - y), abs(centre[1] - x)) >= near for y, x in same):
            kept.append(_Spot(place, centre, value, "with", len(kept)))
    return kept


def _centre(run: RunLike, place: Place, unit: int) -> tuple[float, float] | None:
    """Give the middle of a unit in field pixels; None for a cell that no patch belongs to."""
    if run.unit == "cell":
        squares = np.argwhere(run.owner(place.well, place.field) == unit)
        if not len(squares):
            return None
        i, j = squares.mean(axis=0)
    else:
        i, j = divmod(unit, place.grid[1])
    return (i + 0.5) * place.scale - 0.5, (j + 0.5) * place.scale - 0.5


def _silent(
    run: RunLike,
    spot: _Spot,
    values: npt.NDArray[np.float32],
    edge: int,
    rng: np.random.Generator,
    taken: list[tuple[float, float]],
) -> _Spot | None:
    """Find a foreground place of the example's field where the feature is silent; None where there is none."""
    place = spot.place
    seen = np.asarray(run.foreground(place.well, place.field), dtype=bool)
    reach = max(0, round(edge / place.scale) // 2)
    around = _box_sum(values, reach)
    i, j = np.nonzero(seen & (values == 0))
    y, x = (i + 0.5) * place.scale - 0.5, (j + 0.5) * place.scale - 0.5
    for cy, cx in [spot.centre, *taken]:
        far = np.maximum(np.abs(y - cy), np.abs(x - cx)) >= edge / 2
        if far.any():
            i, j, y, x = i[far], j[far], y[far], x[far]
    if not len(i):
        return None
    amount = around[i, j]
    # Of places equally silent, one with as much foreground around as any: cells beside cells, not an empty corner.
    least = np.flatnonzero(amount <= amount.min() + 1e-6)
    full = _box_sum(seen.astype(np.float32), reach)[i[least], j[least]]
    best = least[full >= np.quantile(full, 0.5)]
    pick = int(rng.choice(best))
    return _Spot(place, (float(y[pick]), float(x[pick])), 0.0, "without", spot.example)


def _box_sum(values: npt.NDArray[Any], reach: int) -> npt.NDArray[np.float64]:
    """Sum over the squares at most `reach` away in either direction."""
    h, w = values.shape
    total = np.pad(values.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    top, bottom = np.clip(np.arange(h) - reach, 0, h), np.clip(np.arange(h) + reach + 1, 0, h)
    left, right = np.clip(np.arange(w) - reach, 0, w), np.clip(np.arange(w) + reach + 1, 0, w)
    out: npt.NDArray[np.float64] = (
        total[np.ix_(bottom, right)]
        - total[np.ix_(top, right)]
        - total[np.ix_(bottom, left)]
        + total[np.ix_(top, left)]
    )
    return out


def _cut(
    plate: Plate, spots: Sequence[_Spot], values: npt.NDArray[np.float32], feature: int, size: int | None
) -> list[Crop]:
    """Cut the crops of one field, which is read once."""
    place = spots[0].place
    field = plate.field(place.well, place.field)
    image = field.read()
    shape = image.shape[1:]
    crops = []
    for spot in spots:
        edge = _edge(place, size)
        low = [
            int(np.clip(round(c - (edge - 1) / 2), 0, max(0, n - edge)))
            for c, n in zip(spot.centre, shape, strict=True)
        ]
        high = [min(start + edge, n) for start, n in zip(low, shape, strict=True)]
        first = [int(start // place.scale) for start in low]
        last = [min(int(-(-stop // place.scale)), n) for stop, n in zip(high, values.shape, strict=True)]
        crops.append(
            Crop(
                pixels=image[:, low[0] : high[0], low[1] : high[1]].copy(),
                channels=tuple(field.channels),
                well=place.well,
                field=place.field,
                side=spot.side,
                example=spot.example,
                feature=feature,
                value=spot.value,
                at=spot.centre,
                origin=(low[0], low[1]),
                heat=values[first[0] : last[0], first[1] : last[1]].copy(),
                heat_origin=(first[0] * place.scale - low[0], first[1] * place.scale - low[1]),
                square=place.scale,
            )
        )
    return crops
