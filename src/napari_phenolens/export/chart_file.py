"""A figure, or the table behind it, as a file by the ending of its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_phenolens.export.atomic import written_whole
from napari_phenolens.export.drawing import Drawing
from napari_phenolens.export.errors import ExportError


def write_chart(
    out: str | Path, draw: Callable[[], Drawing], table: Callable[[Path], object] | None = None, what: str = "a chart"
) -> Path:
    """Write a figure as ``.svg`` or ``.png``, or its table as ``.csv``.

    Parameters
    ----------
    out : path
        Its ending says which.
    draw : callable
        Makes the figure.
    table : callable, optional
        Writes the table to the path that it is given.
    what : str
        What the message calls it.

    Raises
    ------
    ExportError
        Where the ending is another, or the file cannot be written.
    """
    out = Path(out)
    kind = out.suffix.lower()
    if kind == ".csv" and table is not None:
        table(out)
        return out
    if kind not in (".svg", ".png"):
        kinds = ".svg or .png" if table is None else ".svg, .png or .csv"
        raise ExportError(f"{out}: {what} is written as {kinds}; give the file one of these endings")
    content = draw().svg().encode() if kind == ".svg" else draw().png()
    with written_whole(out) as part:
        part.write_bytes(content)
    return out
