"""Colours: roles by Okabe and Ito, values by viridis, signed values from blue over grey to orange."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from qtpy.QtGui import QColor

from napari_phenolens.viewer import roles

ACCENT = QColor(255, 221, 51)
ROLE_COLOURS = {
    roles.CONTROL: QColor(86, 180, 233),
    roles.PERTURBED: QColor(230, 159, 0),
    roles.POSITIVE: QColor(204, 121, 167),
    roles.EXCLUDED: QColor(90, 90, 90),
}
CATEGORIES = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#0072B2", "#999999")
NO_VALUE = QColor(110, 110, 110)
_SIGNED = np.array([[33, 102, 172], [103, 169, 207], [225, 225, 225], [241, 163, 64], [179, 88, 6]], dtype=float)
STEPS = 256


@cache
def table(diverging: bool = False) -> np.ndarray:
    """Give 256 colours, (256, 3) uint8."""
    if diverging:
        at = np.linspace(0, len(_SIGNED) - 1, STEPS)
        return np.stack([np.interp(at, range(len(_SIGNED)), _SIGNED[:, c]) for c in range(3)], axis=1).astype(np.uint8)
    from napari.utils.colormaps import ensure_colormap

    return (np.asarray(ensure_colormap("viridis").map(np.linspace(0, 1, STEPS)))[:, :3] * 255).astype(np.uint8)


def colours_of(values: Sequence[float], limits: tuple[float, float], *, diverging: bool = False) -> list[QColor]:
    """Colour numbers within limits; NaN is grey."""
    low, high = limits
    span = high - low if high > low else 1.0
    lut = table(diverging)
    found = []
    for value in values:
        if not np.isfinite(value):
            found.append(NO_VALUE)
            continue
        r, g, b = lut[int(np.clip((value - low) / span, 0, 1) * (STEPS - 1))]
        found.append(QColor(int(r), int(g), int(b)))
    return found


def ink_on(fill: QColor) -> QColor:
    """Give black or white, whichever is read better on a colour."""
    light = 0.299 * fill.red() + 0.587 * fill.green() + 0.114 * fill.blue()
    return QColor(0, 0, 0) if light > 120 else QColor(255, 255, 255)
