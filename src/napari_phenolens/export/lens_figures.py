"""The whitening's spectrum and the use of features as figures."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from napari_phenolens.export.axes import Axes, padded
from napari_phenolens.export.drawing import INK, Drawing

WIDTH, HEIGHT = 460, 260
BLUE, ORANGE = "#0072b2", "#e69f00"
LEFT, TOP = 70, 34


def spectrum_figure(spectrum: pd.DataFrame) -> Drawing:
    """Draw the eigenvalues of the control tokens, the floor, and where they are cut.

    Parameters
    ----------
    spectrum : DataFrame
        From `Whitening.diagnosis`.
    """
    drawing = Drawing(WIDTH, HEIGHT)
    values = spectrum["eigenvalue"].to_numpy(np.float64)
    floor = float(spectrum.attrs["floor_value"])
    shown = values > 0
    logs = np.log10(values[shown])
    number = np.arange(1, len(values) + 1)[shown]
    ends = [*logs, math.log10(floor)] if floor > 0 else [*logs]
    axes = Axes(drawing, LEFT, TOP, WIDTH - LEFT - 20, HEIGHT - TOP - 56, (0, len(values)), padded(ends))
    ticks = sorted({0, len(values) // 2, len(values)})
    axes.frame([(t, str(t)) for t in ticks], "component of the control tokens", "log10 variance")
    kept = spectrum["kept"].to_numpy(bool)[shown]
    drawing.line(axes.path(number[kept], logs[kept]), BLUE, 2)
    if (~kept).any():
        drawing.line(axes.path(number[~kept], logs[~kept]), ORANGE, 2)
        drawing.words((WIDTH - 20, 22), "orange: dropped", anchor="end", size=11, colour=ORANGE)
    if floor > 0:
        y = math.log10(floor)
        drawing.line(axes.path([0, len(values)], [y, y]), INK, 1, dashed=True)
        drawing.words((axes.at(0, y)[0] + 6, axes.at(0, y)[1] - 5), "floor added to each", size=11)
    drawing.words((LEFT, 22), f"{int(spectrum['kept'].sum())} of {len(values)} components kept", size=13)
    return drawing


def usage_figure(usage: pd.DataFrame) -> Drawing:
    """Draw how many features are active how often.

    Parameters
    ----------
    usage : DataFrame
        From `napari_phenolens.dictionary.usage_histogram`: its first row holds the dead features.
    """
    drawing = Drawing(WIDTH, HEIGHT)
    live = usage.iloc[1:]
    edges = np.log10([*live["low"], float(live["high"].iloc[-1])])
    most = max(1, int(usage["atoms"].max()))
    width = edges[1] - edges[0]
    axes = Axes(drawing, LEFT, TOP, WIDTH - LEFT - 20, HEIGHT - TOP - 56, (edges[0] - 2 * width, 0.0), (0, most * 1.08))
    decades = range(int(np.ceil(edges[0] - 1e-9)), 1)
    ticks = [(float(d), f"{100 * 10.0**d:g} %") for d in decades]
    axes.frame([(edges[0] - 1.5 * width, "never"), *ticks], "share of units in which a feature is active", "features")
    bars = [(edges[0] - 2 * width + 0.05 * width, edges[0] - 1.05 * width, int(usage["atoms"].iloc[0]), ORANGE)]
    bars += [(a, b, int(n), BLUE) for a, b, n in zip(edges[:-1], edges[1:], live["atoms"], strict=True)]
    for low, high, count, colour in bars:
        corners = [(low, 0.0), (low, count), (high - 0.03 * width, count), (high - 0.03 * width, 0.0)]
        drawing.area([axes.at(x, y) for x, y in corners], colour, 0.85)
    drawing.words(
        (LEFT, 22), f"{int(usage['atoms'].sum())} features, {int(usage['atoms'].iloc[0])} never active", size=13
    )
    return drawing
