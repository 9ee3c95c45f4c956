"""Colours for Qt: those of figures (`export.colours`), as `QColor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from qtpy.QtGui import QColor

from napari_phenolens.analysis.well_values import WellValues
from napari_phenolens.export import colours
from napari_phenolens.export.colours import CATEGORIES, table

__all__ = ["ACCENT", "CATEGORIES", "NO_VALUE", "ROLE_COLOURS", "colour", "colours_of", "fills_of", "ink_on", "table"]

ACCENT = QColor(255, 221, 51)
ROLE_COLOURS = {role: QColor(text) for role, text in colours.ROLE_COLOURS.items()}
NO_VALUE = QColor(colours.NO_VALUE)


@cache
def colour(text: str) -> QColor:
    """Give a colour by its ``#rrggbb``; the same object every time, so nobody may change it."""
    return QColor(text)


def colours_of(values: Sequence[float], limits: tuple[float, float], *, diverging: bool = False) -> list[QColor]:
    """Colour numbers within limits; NaN is grey."""
    shown = WellValues("", limits=limits, diverging=diverging)
    return [colour(colours.hex_of(share, diverging=diverging)) for share in shown.shares(np.asarray(values, float))]


def fills_of(shown: WellValues, assigned: Mapping[str, str], wells: Sequence[str]) -> dict[str, QColor]:
    """Give each well's colour, see `export.colours.fills`."""
    return {well: colour(text) for well, text in colours.fills(shown, dict(assigned), wells).items()}


def ink_on(fill: QColor) -> QColor:
    """Give black or white, whichever is read better on a colour."""
    return _ink_on(fill.rgb())


@cache
def _ink_on(rgb: int) -> QColor:
    return colour(colours.ink_on(QColor.fromRgb(rgb).name()))
