"""Axes for a `Drawing`: where a value lies, ticks, and the words beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from napari_phenolens.export.drawing import INK, PALE, Drawing, Point

MOST_TICKS = 6


def nice_ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Give round numbers within limits, at steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


def padded(values: Iterable[float], by: float = 0.06) -> tuple[float, float]:
    """Give limits round numbers, with some room."""
    known = [v for v in values if math.isfinite(v)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = by * (high - low) or max(abs(high) * by, 1e-9)
    return low - room, high + room


@dataclass(frozen=True)
class Axes:
    """A panel of a drawing.

    Attributes
    ----------
    drawing : Drawing
        Where it is.
    left, top, width, height : float
        Its box in px.
    x, y : (float, float)
        Limits of the data, linear.
    """

    drawing: Drawing
    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> Point:
        """Give the px of a value."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + self.width * across, self.top + self.height * (1 - up)

    def path(self, xs: Sequence[float], ys: Sequence[float]) -> list[Point]:
        """Give the px of many values."""
        return [self.at(x, y) for x, y in zip(xs, ys, strict=True)]

    def frame(
        self, x_ticks: Sequence[tuple[float, str]], x_title: str = "", y_title: str = "", *, labels: bool = True
    ) -> None:
        """Draw ticks and titles; `labels` writes the numbers of the left axis."""
        for value in nice_ticks(*self.y):
            (x0, y), (x1, _) = self.at(self.x[0], value), self.at(self.x[1], value)
            self.drawing.line([(x0, y), (x1, y)], PALE)
            if labels:
                self.drawing.words((x0 - 6, y + 4), f"{value:.3g}", anchor="end", size=11)
        bottom = self.top + self.height
        self.drawing.line([(self.left, bottom), (self.left + self.width, bottom)], INK)
        for value, text in x_ticks:
            x, _ = self.at(value, self.y[0])
            self.drawing.line([(x, bottom), (x, bottom + 4)], INK)
            self.drawing.words((x, bottom + 17), text, anchor="middle", size=11)
        if x_title:
            self.drawing.words((self.left + self.width / 2, bottom + 36), x_title, anchor="middle", size=12)
        if y_title:
            middle = self.top + self.height / 2
            self.drawing.words((self.left - 50, middle), y_title, anchor="middle", size=12, upright=True)
