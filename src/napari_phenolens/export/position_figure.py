"""Position effects as a figure."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from napari_phenolens.export.axes import Axes, padded
from napari_phenolens.export.chart_file import write_chart
from napari_phenolens.export.drawing import INK, Drawing
from napari_phenolens.export.tables import export_comparison

UNTREATED = "#56b4e9"


def position_figure(table: pd.DataFrame) -> Drawing:
    """Draw untreated wells over row, column and edge.

    Parameters
    ----------
    table : DataFrame
        From `napari_phenolens.position_effects`.

    Returns
    -------
    Drawing
    """
    about = table.attrs
    points = about["points"]
    drawing = Drawing(3 * 250 + 80, 330)
    wells = f"{len(about['wells'])} wells treated alike"
    drawing.words((20, 24), f"{about['plate']}: {about['value']} by place, {wells}", size=14)
    limits = padded(points["value"])
    for i, name in enumerate(table.index):
        places = points[name]
        last = {"row": about["format"][0] - 1, "column": about["format"][1] - 1, "edge": 1}[name]
        axes = Axes(drawing, 76 + 250 * i, 62, 210, 190, (-0.6, last + 0.6), limits)
        axes.frame(place_ticks(name, last), name, str(about["value"]) if i == 0 else "", labels=i == 0)
        for place, value in zip(places, points["value"], strict=True):
            drawing.dot(axes.at(place, value), UNTREATED)
        for place in sorted(set(places)):
            here = [v for p, v in zip(places, points["value"], strict=True) if p == place]
            mean = sum(here) / len(here)
            drawing.line([axes.at(place - 0.35, mean), axes.at(place + 0.35, mean)], INK, 2)
        drawing.words((76 + 250 * i, 310), say_position(table.loc[name]), size=11)
    return drawing


def place_ticks(name: str, last: int) -> list[tuple[float, str]]:
    """Name the rows, columns or sides of the edge along an axis."""
    if name == "edge":
        return [(0.0, "inside"), (1.0, "rim")]
    step = max(1, -(-(last + 1) // 8))
    from napari_phenolens.plate import well_name_of

    return [(float(i), well_name_of(i, 0)[:-2] if name == "row" else str(i + 1)) for i in range(0, last + 1, step)]


def say_position(row: pd.Series) -> str:
    """Say what a row of `position_effects` found, in a few words."""
    if not math.isfinite(row["r2"]):
        return "one level only: cannot be seen"
    return f"{row['sd']:+.2g} SD, R2 {row['r2']:.2f}, p {row['p']:.2g}"


def export_position_effects(table: pd.DataFrame, out: str | Path) -> Path:
    """Write the effects: a figure as ``.svg`` or ``.png``, the table as ``.csv`` with its wells as JSON beside.

    Parameters
    ----------
    table : DataFrame
        From `napari_phenolens.position_effects`.
    out : path
        Its ending says which.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExportError
        Where the ending is another, or the file cannot be written.
    """
    return write_chart(out, lambda: position_figure(table), lambda path: export_comparison(table, path))
