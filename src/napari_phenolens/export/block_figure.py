"""The curve of `napari_phenolens.blocks` as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.export.chart_file import write_chart
from napari_phenolens.export.drawing import INK, PALE, Anchor, Drawing

WIDTH, HEIGHT = 640, 460
LEFT, RIGHT = 64, 20
UPPER, LOWER = (56, 268), (322, 412)  # top and bottom of the two panels
PROBE, PERTURBATION, BATCH = "#0072b2", "#e69f00", "#56b4e9"


def block_figure(table: pd.DataFrame) -> Drawing:
    """Draw balanced accuracy over blocks with its band, and below it the shares of perturbation and batch.

    Parameters
    ----------
    table : DataFrame
        From `napari_phenolens.blocks`.

    Returns
    -------
    Drawing
    """
    about = table.attrs
    drawing = Drawing(WIDTH, HEIGHT)
    blocks = table.index.to_numpy(dtype=float)
    classes = list(about["classes"].items())
    asked = ", ".join(f"{name} ({count})" for name, count in classes[:4]) + (", ..." if len(classes) > 4 else "")
    drawing.words((LEFT, 22), f"{about.get('encoder', 'encoder')}: {asked}"[:88], size=14)
    drawing.words((LEFT, 42), f"wells by class; folds by {about['group']}; band: 95 % bootstrap", size=11)

    scores = table[["balanced_accuracy", "low", "high"]].to_numpy(dtype=float)
    floor = max(0.0, np.floor(10 * min(np.nanmin(scores), about["chance"]) - 1e-9) / 10)
    upper = _Panel(drawing, blocks, UPPER, floor, 1.0)
    upper.frame("balanced accuracy", [t for t in np.arange(0, 1.01, 0.1) if t >= floor - 1e-9])
    upper.level(about["chance"], "chance", dashed=True)
    if about["chance_high"] < 1:
        upper.level(about["chance_high"], "95 % of guesses", dashed=True)
    drawing.area(upper.points(scores[:, 2]) + upper.points(scores[:, 1])[::-1], PROBE)
    drawing.line(upper.points(scores[:, 0]), PROBE, 2)
    for at, chosen in zip(upper.points(scores[:, 0]), table["suggested"], strict=True):
        drawing.dot(at, PROBE, 6 if chosen else 3, filled=True)
    chosen = int(np.flatnonzero(table["suggested"])[0])
    x, y = upper.points(scores[:, 0])[chosen]
    side: Anchor = "end" if chosen > len(table) / 2 else "start"
    drawing.words((x, y + 24), f"suggested: block {about['suggested']}", anchor=side, colour=PROBE)

    shares = {PERTURBATION: ("perturbation", "perturbation_r2"), BATCH: (str(about["batch"]), "batch_r2")}
    known = {c: (word, table[name].to_numpy(dtype=float)) for c, (word, name) in shares.items()}
    known = {c: (word, values) for c, (word, values) in known.items() if np.isfinite(values).any()}
    every = np.concatenate([values for _, values in known.values()]) if known else np.zeros(1)
    top = max(0.1, float(np.ceil(np.nanmax(every) * 10) / 10))
    low = min(0.0, float(np.floor(np.nanmin(every) * 10) / 10))
    panel = _Panel(drawing, blocks, LOWER, low, top)
    panel.frame("share of variance", sorted({low, 0.0, top / 2, top}))
    for i, (colour, (word, values)) in enumerate(known.items()):
        drawing.line(panel.points(values), colour, 2)
        for at in panel.points(values):
            drawing.dot(at, colour, 3)
        drawing.words((LEFT + 12 + 130 * i, LOWER[0] - 8), word, colour=colour)
    if not known:
        drawing.words((WIDTH / 2, sum(LOWER) / 2), "not estimable", anchor="middle")
    elif len(known) == 1:
        drawing.words((WIDTH - RIGHT, LOWER[0] - 8), f"{about['batch']}: not estimable", anchor="end", size=11)
    panel.blocks()
    return drawing


def export_block_figure(table: pd.DataFrame, out: str | Path) -> Path:
    """Write the figure of `block_figure`.

    Parameters
    ----------
    table : DataFrame
        From `napari_phenolens.blocks`.
    out : path
        Ends in ``.svg`` or ``.png``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExportError
        Where the ending is another, or the file cannot be written.
    """
    return write_chart(out, lambda: block_figure(table), what="a figure")


class _Panel:
    """Axes over blocks."""

    def __init__(
        self, drawing: Drawing, blocks: npt.NDArray[np.float64], span: tuple[int, int], low: float, high: float
    ) -> None:
        self.drawing, self.x, self.span, self.low, self.high = drawing, blocks, span, low, high

    def at(self, block: float, value: float) -> tuple[float, float]:
        first, last = self.x[0] - 0.5, self.x[-1] + 0.5
        x = LEFT + (WIDTH - LEFT - RIGHT) * (block - first) / (last - first)
        top, bottom = self.span
        return float(x), float(bottom - (bottom - top) * (value - self.low) / (self.high - self.low))

    def points(self, values: npt.NDArray[np.float64]) -> list[tuple[float, float]]:
        return [self.at(b, v) for b, v in zip(self.x, values, strict=True) if np.isfinite(v)]

    def frame(self, title: str, ticks: Sequence[float] | npt.NDArray[np.float64]) -> None:
        for value in ticks:
            y = self.at(self.x[0], value)[1]
            self.drawing.line([(LEFT, y), (WIDTH - RIGHT, y)], PALE)
            self.drawing.words((LEFT - 6, y + 4), f"{value:.2g}", anchor="end", size=11)
        self.drawing.words((18, sum(self.span) / 2), title, anchor="middle", upright=True)

    def level(self, value: float, word: str, *, dashed: bool) -> None:
        y = self.at(self.x[0], value)[1]
        self.drawing.line([(LEFT, y), (WIDTH - RIGHT, y)], INK, 1, dashed=dashed)
        self.drawing.words((WIDTH - RIGHT, y - 4), word, anchor="end", size=11)

    def blocks(self) -> None:
        step = max(1, round(len(self.x) / 24))
        for block in self.x[::step]:
            self.drawing.words((self.at(block, 0)[0], self.span[1] + 18), f"{block:g}", anchor="middle", size=11)
        self.drawing.words(((LEFT + WIDTH - RIGHT) / 2, self.span[1] + 38), "block", anchor="middle")
