"""Dose-response curves as a figure."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd

from napari_phenolens.analysis.dose_curve import say_dose
from napari_phenolens.export.axes import Axes, padded
from napari_phenolens.export.chart_file import write_chart
from napari_phenolens.export.drawing import INK, Drawing
from napari_phenolens.export.tables import export_comparison

CURVE, UNTREATED, DOSED = "#d55e00", "#56b4e9", "#e69f00"
PANEL, ROOM = (330.0, 210.0), (90.0, 110.0)
COLUMNS = 2
ZERO_GAP = 0.5  # decades left of the lowest dose where dose 0 is drawn


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Give ticks of a log10 axis: powers of ten, and their 3-fold where there are few."""
    found = []
    for power in range(math.floor(low), math.ceil(high) + 1):
        for factor in (1, 3) if high - low < 3.5 else (1,):
            at = power + math.log10(factor)
            if low - 1e-9 <= at <= high + 1e-9:
                found.append((at, f"{factor * 10.0**power:g}"))
    return found


def dose_figure(table: pd.DataFrame) -> Drawing:
    """Draw every compound's wells, curve, band and EC50, or why there is none.

    Parameters
    ----------
    table : DataFrame
        From `napari_phenolens.dose_curves`.

    Returns
    -------
    Drawing
    """
    names = list(table.index)
    columns = min(COLUMNS, max(1, len(names)))
    rows = -(-len(names) // columns)
    drawing = Drawing(int(columns * (PANEL[0] + ROOM[0]) + 20), int(40 + rows * (PANEL[1] + ROOM[1])))
    about = table.attrs
    drawing.words((20, 24), f"{about['plate']}: {about['value']} over {about['dose']}", size=14)
    for i, name in enumerate(names):
        left = 76 + (i % columns) * (PANEL[0] + ROOM[0])
        top = 66 + (i // columns) * (PANEL[1] + ROOM[1])
        _panel(drawing, (left, top), str(name), table.loc[name], about)
    return drawing


def _panel(drawing: Drawing, corner: tuple[float, float], name: str, row: pd.Series, about: dict[Any, Any]) -> None:
    points = about["points"][name]
    curve = about["curves"].get(name)
    drawing.words((corner[0], corner[1] - 10), name, size=13)
    positive = [math.log10(d) for d in points["dose"] if d > 0]
    low, high = min(positive), max(positive)
    with_zero = any(d == 0 for d in points["dose"])
    start = low - (ZERO_GAP if with_zero else 0.0)
    every = [*points["value"], *(curve["low"] + curve["high"] if curve else [])]
    axes = Axes(drawing, *corner, *PANEL, (start - 0.15, high + 0.15), padded(every))
    ticks = log_ticks(low, high)
    unit = f" ({row['unit']})" if row["unit"] else ""
    axes.frame([(start, "0"), *ticks] if with_zero else ticks, f"{about['dose']}{unit}", str(about["value"]))
    if curve:
        across = [math.log10(d) for d in curve["dose"]]
        drawing.area(axes.path(across, curve["low"]) + axes.path(across, curve["high"])[::-1], CURVE)
        drawing.line(axes.path(across, curve["value"]), CURVE, 2)
    for dose, value in zip(points["dose"], points["value"], strict=True):
        at = axes.at(math.log10(dose) if dose > 0 else start, value)
        drawing.dot(at, DOSED if dose > 0 else UNTREATED)
    if math.isfinite(row["ec50"]):
        ec50 = math.log10(row["ec50"])
        drawing.line([axes.at(ec50, axes.y[0]), axes.at(ec50, axes.y[1])], INK, dashed=True)
    lines = textwrap.wrap(say_dose(row), 58)[:3]
    for i, line in enumerate(lines):
        drawing.words((corner[0], corner[1] + PANEL[1] + 54 + 13 * i), line, size=10.5)


def export_dose_curves(table: pd.DataFrame, out: str | Path) -> Path:
    """Write the curves: a figure as ``.svg`` or ``.png``, or the table as ``.csv``, wells and curves as JSON beside.

    Parameters
    ----------
    table : DataFrame
        From `napari_phenolens.dose_curves`.
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
    return write_chart(out, lambda: dose_figure(table), lambda path: export_comparison(table, path))
