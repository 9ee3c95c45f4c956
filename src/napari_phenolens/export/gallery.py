"""A feature's gallery as a picture: crops in their colours with the heatmap's outline, well and role under each."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.analysis.gallery import Crop
from napari_phenolens.export.atomic import written_whole
from napari_phenolens.export.channel_look import RGB, Colour, Limits, blend, channel_labels, colours, shared_limits
from napari_phenolens.export.errors import ExportError

OUTLINE = "#f09e0d"  # orange, which no channel has
PAPER, INK, PALE = "#ffffff", "#222222", "#777777"
EDGE = 144  # px of a crop in the picture, more or less: whole multiples of its own pixels
GAP, LINE, TITLE = 10, 15, 30
COLUMNS = 4  # pairs in a row


def crop_picture(
    crop: Crop,
    looks: Mapping[str, tuple[Colour, Limits]],
    times: int = 1,
    outline: str | None = OUTLINE,
) -> npt.NDArray[np.uint8]:
    """Draw one crop.

    Parameters
    ----------
    crop : Crop
        From `napari_phenolens.gallery`.
    looks : mapping
        Channel to its colour (r, g, b from 0 to 1) and its limits (low, high); a channel without one is not drawn.
    times : int
        Each pixel becomes so many squared.
    outline : str or None
        Colour of the line around the squares where the feature is active; None: no line.

    Returns
    -------
    ndarray (h times, w times, 3) uint8
    """
    shown = [i for i, channel in enumerate(crop.channels) if channel in looks]
    picked = [looks[crop.channels[i]] for i in shown]
    picture = blend(crop.pixels[shown], [colour for colour, _ in picked], [limits for _, limits in picked])
    picture = picture.repeat(times, 0).repeat(times, 1)
    if outline is None or not crop.outline():
        return picture
    from PIL import Image, ImageDraw

    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    last_y, last_x = picture.shape[0] - 1, picture.shape[1] - 1
    for (y0, x0), (y1, x1) in crop.outline():
        ends = [min(x0 * times, last_x), min(y0 * times, last_y), min(x1 * times, last_x), min(y1 * times, last_y)]
        draw.line(ends, fill=outline, width=max(1, times // 2))
    return np.asarray(canvas)


def plate_looks(
    plate: Any, controls: Sequence[str], channels: Sequence[str] | None = None
) -> dict[str, tuple[Colour, Limits]]:
    """Give colours and limits of a plate's channels as napari would show them at first.

    Parameters
    ----------
    plate : Plate
        The plate.
    controls : sequence of str
        The wells that limits are taken from, see `shared_limits`.
    channels : sequence of str, optional
        Only these.

    Returns
    -------
    dict
        Channel to colour and limits.

    Raises
    ------
    ExportError
        Where the plate has no such channel.
    """
    named = dict(zip(plate.channels, colours(channel_labels(plate, plate.channels)), strict=True))
    unknown = [channel for channel in channels or () if channel not in named]
    if unknown:
        raise ExportError(f"{plate.name} has no channel {unknown[0]!r}; it has {', '.join(plate.channels)}")
    limits = shared_limits(plate, controls)
    return {
        c: (RGB[named[c]], limits[c]) for c in plate.channels if c in limits and (channels is None or c in channels)
    }


def gallery_picture(
    crops: Sequence[Crop],
    looks: Mapping[str, tuple[Colour, Limits]],
    *,
    title: str = "",
    roles: Mapping[str, str] | None = None,
) -> bytes:
    """Lay crops out in pairs, example and silent place side by side.

    Parameters
    ----------
    crops : sequence of Crop
        From `napari_phenolens.gallery`.
    looks : mapping
        See `crop_picture`.
    title : str
        Stands above.
    roles : mapping, optional
        Well to a word that stands under its crops beside the well.

    Returns
    -------
    bytes
        A PNG.

    Raises
    ------
    ExportError
        Where there is no crop to show.
    """
    if not crops:
        raise ExportError("there is nothing to show: the feature is active nowhere")
    from PIL import Image, ImageDraw, ImageFont

    side = max(max(crop.pixels.shape[1:]) for crop in crops)
    times = max(1, round(EDGE / side))
    edge = side * times
    pairs = sorted({crop.example for crop in crops})
    places = {example: divmod(i, COLUMNS) for i, example in enumerate(pairs)}
    wide = 2 if any(crop.side == "without" for crop in crops) else 1
    cell_w, cell_h = wide * (edge + 3) + GAP, edge + 2 * LINE + GAP
    rows, columns = -(-len(pairs) // COLUMNS), min(len(pairs), COLUMNS)
    canvas = Image.new("RGB", (columns * cell_w + GAP, rows * cell_h + TITLE + GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    font, small = ImageFont.load_default(14), ImageFont.load_default(11)
    draw.text((GAP, GAP), title, fill=INK, font=font)
    for crop in crops:
        row, column = places[crop.example]
        x = GAP + column * cell_w + (edge + 3 if crop.side == "without" else 0)
        y = TITLE + GAP + row * cell_h
        canvas.paste(Image.fromarray(crop_picture(crop, looks, times)), (x, y))
        first, second = caption(crop, roles)
        draw.text((x, y + edge + 2), first, fill=INK, font=small)
        draw.text((x, y + edge + 2 + LINE), second, fill=INK if crop.side == "with" else PALE, font=small)
    out = io.BytesIO()
    canvas.save(out, "PNG")
    return out.getvalue()


def caption(crop: Crop, roles: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Say in two lines where a crop is from and how strong the feature is in it."""
    role = (roles or {}).get(crop.well, "")
    return " ".join(
        word for word in (crop.well, role) if word
    ), "without" if crop.side == "without" else f"{crop.value:.2f}"


def export_gallery(
    crops: Sequence[Crop],
    out: str | Path,
    looks: Mapping[str, tuple[Colour, Limits]],
    *,
    title: str = "",
    roles: Mapping[str, str] | None = None,
) -> Path:
    """Write `gallery_picture` to a PNG file.

    Raises
    ------
    ExportError
        Where there is no crop to show, or the file cannot be written.
    """
    out = Path(out)
    if out.suffix.lower() != ".png":
        raise ExportError(f"{out}: a gallery is written as PNG; give a name that ends in .png")
    picture = gallery_picture(crops, looks, title=title, roles=roles)
    with written_whole(out) as part:
        part.write_bytes(picture)
    return out
