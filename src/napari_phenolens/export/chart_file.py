"""A table as a figure or as CSV, by the ending of the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from napari_phenolens.export.atomic import written_whole
from napari_phenolens.export.drawing import Drawing
from napari_phenolens.export.errors import ExportError
from napari_phenolens.export.tables import export_comparison


def write_chart(draw: Callable[[], Drawing], table: pd.DataFrame, out: str | Path) -> Path:
    """Write a figure as ``.svg`` or ``.png``, or its table as ``.csv`` with its ``attrs`` as JSON beside it.

    Parameters
    ----------
    draw : callable
        Makes the figure.
    table : DataFrame
        The numbers.
    out : path
        Its ending says which.

    Raises
    ------
    ExportError
        Where the ending is another, or the file cannot be written.
    """
    out = Path(out)
    kind = out.suffix.lower()
    if kind == ".csv":
        return export_comparison(table, out)
    if kind not in (".svg", ".png"):
        raise ExportError(f"{out}: a chart is written as .svg, .png or .csv; give the file one of these endings")
    content = draw().svg().encode() if kind == ".svg" else draw().png()
    with written_whole(out) as part:
        part.write_bytes(content)
    return out
