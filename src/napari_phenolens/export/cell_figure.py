"""A cell and its likes as one picture: crops in their colours, outlined, with well and side under each."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from napari_phenolens.analysis.cell_crops import CellCrop
from napari_phenolens.export.channel_look import Colour, Limits, blend
from napari_phenolens.export.errors import ExportError
from napari_phenolens.export.gallery import EDGE, GAP, INK, LINE, OUTLINE, PALE, PAPER

_RIM = tuple(int(OUTLINE[i : i + 2], 16) for i in (1, 3, 5))


def cell_crop_picture(
    crop: CellCrop, looks: Mapping[str, tuple[Colour, Limits]], times: int = 1, *, outline: bool = True
) -> npt.NDArray[np.uint8]:
    """Draw a cell.

    Parameters
    ----------
    crop : CellCrop
        From `cell_crops`.
    looks : mapping
        Channel to its colour (r, g, b from 0 to 1) and limits (low, high).
    times : int
        Each pixel becomes so many squared.
    outline : bool
        Whether the cell's outline is drawn.

    Returns
    -------
    ndarray (h times, w times, 3) uint8
    """
    shown = [i for i, channel in enumerate(crop.channels) if channel in looks]
    picked = [looks[crop.channels[i]] for i in shown]
    picture = blend(crop.pixels[shown], [colour for colour, _ in picked], [limits for _, limits in picked])
    picture = picture.repeat(times, 0).repeat(times, 1)
    if outline:
        mask = crop.mask.repeat(times, 0).repeat(times, 1)
        picture[CellCrop(crop.cell, crop.well, crop.field, picture, (), mask).rim()] = _RIM
    return picture


def cell_picture(
    crops: Sequence[CellCrop], looks: Mapping[str, tuple[Colour, Limits]], sides: Mapping[int, str]
) -> bytes:
    """Lay out a cell (the first crop), and the nearest cells of each side in a row of their own.

    Parameters
    ----------
    crops : sequence of CellCrop
        The cell first.
    looks : mapping
        See `cell_crop_picture`.
    sides : mapping
        Cell to the side that it is from, for all but the first.

    Returns
    -------
    bytes
        A PNG.

    Raises
    ------
    ExportError
        Where there is no crop.
    """
    if not crops:
        raise ExportError("there is nothing to show: the cell's field could not be read")
    from PIL import Image, ImageDraw, ImageFont

    first, rest = crops[0], list(crops[1:])
    rows = [[c for c in rest if sides.get(c.cell) == side] for side in dict.fromkeys(sides.values())]
    times = max(1, round(EDGE / max(first.pixels.shape[1:])))
    edge = max(first.pixels.shape[1:]) * times
    high = edge + LINE + GAP
    columns = 1 + max((len(row) for row in rows), default=0)
    canvas = Image.new("RGB", (columns * (edge + GAP) + GAP, max(1, len(rows)) * high + GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    small = ImageFont.load_default(11)

    def put(crop: CellCrop, x: int, y: int, words: str, ink: str) -> None:
        canvas.paste(Image.fromarray(cell_crop_picture(crop, looks, times)), (x, y))
        draw.text((x, y + edge + 2), words, fill=ink, font=small)

    put(first, GAP, GAP, f"{first.well}, this cell", INK)
    for number, row in enumerate(rows):
        for place, crop in enumerate(row):
            side = sides[crop.cell]
            put(crop, GAP + (place + 1) * (edge + GAP), GAP + number * high, f"{crop.well} {side}", PALE)
    out = io.BytesIO()
    canvas.save(out, "PNG")
    return out.getvalue()
