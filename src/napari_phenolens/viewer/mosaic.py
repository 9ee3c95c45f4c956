"""Fields laid beside each other: at their stage positions, in a grid where the files state none, or as a column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

EDGE = 2048  # pixels that a mosaic has at most along a side; larger ones are drawn smaller by a whole number
GAP = 0.02  # of a field's edge, between fields that have no positions

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """Where fields lie in a mosaic, in field pixels.

    Attributes
    ----------
    origins : tuple of (int, int)
        Row and column of each field's first pixel, in the order of the fields.
    shapes : tuple of (int, int)
        Of each field.
    stated : bool
        Whether these are the stage's positions, as the files state them; else a grid in the order of the fields.
    """

    origins: tuple[tuple[int, int], ...]
    shapes: tuple[tuple[int, int], ...]
    stated: bool

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the whole."""
        ends = [(y + h, x + w) for (y, x), (h, w) in zip(self.origins, self.shapes, strict=True)]
        return max(y for y, _ in ends), max(x for _, x in ends)

    @property
    def step(self) -> int:
        """Field pixels along the side of a mosaic's pixel."""
        return max(1, math.ceil(max(self.size) / EDGE))

    def at(self, place: tuple[float, float]) -> int | None:
        """Give which field lies at a place in the mosaic's field pixels, the one on top; None beside all."""
        found = None
        for i, ((y, x), (h, w)) in enumerate(zip(self.origins, self.shapes, strict=True)):
            if y <= place[0] + 0.5 < y + h and x <= place[1] + 0.5 < x + w:
                found = i
        return found


def lay_out(fields: Sequence[Any]) -> Layout:
    """Lay fields at their stage positions.

    Parameters
    ----------
    fields : sequence of Field
        Of one well; headers are read.

    Returns
    -------
    Layout
        Positions count where every field states one, and a pixel size, and no two are at the same place; else the
        fields fill a grid row by row.
    """
    shapes = [tuple(field.shape) for field in fields]
    positions, size = [field.position for field in fields], fields[0].pixel_size
    known = size is not None and all(p is not None for p in positions)
    if known and len({tuple(p) for p in positions}) == len(fields):
        pixels = np.array(positions, dtype=float) / size
        origins = np.round(pixels - pixels.min(axis=0)).astype(int)
        return Layout(tuple((int(y), int(x)) for y, x in origins), tuple(shapes), True)
    return grid(shapes, math.ceil(math.sqrt(len(fields))))


def grid(shapes: Sequence[tuple[int, int]], columns: int) -> Layout:
    """Lay fields in rows of so many, with a narrow gap."""
    high, wide = max(h for h, _ in shapes), max(w for _, w in shapes)
    gap = max(1, round(GAP * max(high, wide))) if len(shapes) > 1 else 0
    origins = tuple(((i // columns) * (high + gap), (i % columns) * (wide + gap)) for i in range(len(shapes)))
    return Layout(origins, tuple(shapes), False)


def shrink(image: Pixels, step: int) -> Pixels:
    """Give the means of blocks of step x step pixels, in the image's own dtype; what is left over at the rim is cut."""
    if step == 1:
        return image
    h, w = (n // step * step for n in image.shape[-2:])
    blocks = image[..., :h, :w].reshape(*image.shape[:-2], h // step, step, w // step, step)
    means = blocks.mean(axis=(-3, -1), dtype=np.float32)
    return means.round().astype(image.dtype) if np.issubdtype(image.dtype, np.integer) else means.astype(image.dtype)


def compose(images: Sequence[Pixels], layout: Layout) -> Pixels:
    """Put fields into one picture; where they overlap, the later lies on top.

    Parameters
    ----------
    images : sequence of ndarray (C, y, x)
        In the layout's order, each brought down by its step already (see `shrink`), so that no more than one field
        need be held in full.
    layout : Layout

    Returns
    -------
    ndarray (C, Y, X)
        Zero where no field lies, `Layout.step` field pixels a pixel.
    """
    step = layout.step
    rows, columns = (math.ceil(n / step) for n in layout.size)
    whole = np.zeros((images[0].shape[0], rows, columns), dtype=images[0].dtype)
    for small, (y, x) in zip(images, layout.origins, strict=True):
        i, j = y // step, x // step
        target = whole[:, i : i + small.shape[1], j : j + small.shape[2]]
        target[...] = small[:, : target.shape[1], : target.shape[2]]
    return whole


def compose_heatmaps(
    heatmaps: Sequence[tuple[Pixels, tuple[float, float], tuple[float, float]] | None], layout: Layout
) -> npt.NDArray[np.float32]:
    """Put heatmaps over a mosaic of their fields; every pixel has the value of the square that it lies in.

    Parameters
    ----------
    heatmaps : sequence of (values (h, w), scale, translate) or None
        In the layout's order, scale and translate in field pixels; None where a field has no results.
    layout : Layout

    Returns
    -------
    ndarray (Y, X) float32
        Zero where there is none.
    """
    step = layout.step
    rows, columns = (math.ceil(n / step) for n in layout.size)
    whole = np.zeros((rows, columns), dtype=np.float32)
    for heat, (y, x), shape in zip(heatmaps, layout.origins, layout.shapes, strict=True):
        if heat is None:
            continue
        values, scale, translate = heat
        picks = []
        for n, pitch, first, squares in zip(shape, scale, translate, values.shape, strict=True):
            centres = np.arange(n // step) * step + (step - 1) / 2
            picks.append(np.clip(np.round((centres - first) / pitch).astype(int), 0, squares - 1))
        i, j = y // step, x // step
        target = whole[i : i + len(picks[0]), j : j + len(picks[1])]
        target[...] = values[np.ix_(*picks)][: target.shape[0], : target.shape[1]]
    return whole
