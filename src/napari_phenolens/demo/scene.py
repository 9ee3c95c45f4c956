"""The cells of a field before any light is drawn: where they lie, their shapes, their states."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.demo.phenotypes import Condition

SIZE = 256  # px, edge of a field
MARGIN = 34  # px drawn around the field, so that cells are cut by its rim as on a microscope
_CELL_RADIUS, _NUCLEUS_RADIUS = 23.0, 10.0
_GAP = 4.0  # px between nuclei at least
_MITOTIC = 0.02

Floats = NDArray[np.float64]

_THETA: Floats = np.linspace(-np.pi, np.pi, 129)
_COS, _SIN = np.cos(np.arange(8)[:, None] * _THETA), np.sin(np.arange(8)[:, None] * _THETA)


@dataclass(frozen=True)
class Outline:
    """A star-shaped outline: an ellipse with a few harmonics.

    Attributes
    ----------
    y, x : float
        Centre in pixels of the canvas.
    radius : float
        Radius (px) of the circle as large as the ellipse.
    aspect : float
        Long over short axis.
    angle : float
        Of the long axis, radians from x towards y.
    waves : ndarray (k, 2)
        Cosine and sine amplitudes of harmonics 2, 3 ... relative to the radius.
    """

    y: float
    x: float
    radius: float
    aspect: float
    angle: float
    waves: Floats

    def level(self, y: Floats, x: Floats) -> Floats:
        """Distance from the centre over the outline's radius in that direction: below one is inside."""
        dy, dx = y - self.y, x - self.x
        along = np.cos(self.angle) * dx + np.sin(self.angle) * dy
        across = np.cos(self.angle) * dy - np.sin(self.angle) * dx
        root = np.sqrt(self.aspect)
        theta = np.arctan2(across * root, along / root)
        ratio = np.hypot(along / root, across * root) / self.radius
        return np.asarray(ratio / np.interp(theta, _THETA, self._wave), np.float64)

    @cached_property
    def area(self) -> float:
        """Area in square pixels."""
        return float(np.pi * self.radius**2 * np.mean(self._wave[:-1] ** 2))

    @cached_property
    def reach(self) -> float:
        """Largest distance (px) of the outline from its centre."""
        root = np.sqrt(self.aspect)
        wide = np.hypot(root * np.cos(_THETA), np.sin(_THETA) / root)
        return float(self.radius * np.max(wide * self._wave))

    @cached_property
    def _wave(self) -> Floats:
        """Radius over the ellipse's at each of `_THETA`."""
        orders = np.arange(2, 2 + len(self.waves))
        wave = 1.0 + self.waves[:, 0] @ _COS[orders] + self.waves[:, 1] @ _SIN[orders]
        return np.asarray(np.maximum(wave, 0.3), np.float64)


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes
    ----------
    body, nucleus : Outline
        Their outlines, in canvas pixels (the field begins at `MARGIN`).
    cycle : str
        G1, S, G2 or M.
    dna : float
        DNA content, 1 (G1) to 2.
    expression, actin : float
        Brightness of reporter and actin against the mean cell.
    translocation, disruption : float
        How far these phenotypes are developed in this cell, 0 to 1.
    responding : bool
        Whether the perturbation acts on this cell.
    seed : int
        Of what is drawn inside it (nucleoli, filaments).
    """

    body: Outline
    nucleus: Outline
    cycle: str
    dna: float
    expression: float
    actin: float
    translocation: float
    disruption: float
    responding: bool
    seed: int


def sample_cells(condition: Condition, rng: np.random.Generator) -> list[Cell]:
    """Draw the cells of a field.

    Cells lie in colonies (most are placed beside another one), so that a field with fewer cells has the same local
    density. A field's count varies less than a Poisson count would, as in a plate that was seeded evenly.

    Parameters
    ----------
    condition : Condition
        What the well was given.
    rng : numpy.random.Generator
        Source of chance; nothing else enters.

    Returns
    -------
    list of Cell
        Also those whose centres lie outside the field, in the margin.
    """
    extent = SIZE + 2 * MARGIN
    wanted = round(condition.cells + 0.4 * np.sqrt(condition.cells) * float(np.clip(rng.standard_normal(), -2, 2)))
    responds = _responders(condition, rng)
    cells: list[Cell] = []
    inside = 0
    for _ in range(4000):
        if inside >= wanted:
            break
        y, x = _place(cells, extent, rng)
        field = MARGIN <= y < MARGIN + SIZE and MARGIN <= x < MARGIN + SIZE
        cell = _cell(y, x, condition, bool(responds[len(cells) % len(responds)]), rng)
        if all(_apart(cell, other) for other in cells):
            cells.append(cell)
            inside += field
    return cells


def _responders(condition: Condition, rng: np.random.Generator) -> NDArray[np.bool_]:
    if condition.strength == 0.0:
        return np.zeros(8, np.bool_)
    share = np.arange(8) < round(8 * condition.responding)
    return np.concatenate([rng.permutation(share) for _ in range(16)])


def _place(cells: list[Cell], extent: int, rng: np.random.Generator) -> tuple[float, float]:
    """Propose a place: beside a cell that is there, or anywhere."""
    alone, which, angle, distance = (float(v) for v in rng.random(4))
    y, x = (float(v) for v in rng.uniform(0, extent, 2))
    if cells and alone > 0.15:
        near = cells[int(which * len(cells))].body
        reach = 32.0 + 18.0 * distance
        ny, nx = near.y + reach * np.sin(2 * np.pi * angle), near.x + reach * np.cos(2 * np.pi * angle)
        if 0 <= ny < extent and 0 <= nx < extent:
            y, x = float(ny), float(nx)
    return y, x


def _apart(a: Cell, b: Cell) -> bool:
    nuclei = float(np.hypot(a.nucleus.y - b.nucleus.y, a.nucleus.x - b.nucleus.x))
    bodies = float(np.hypot(a.body.y - b.body.y, a.body.x - b.body.x))
    return nuclei >= a.nucleus.reach + b.nucleus.reach + _GAP and bodies >= 30.0


def _cell(y: float, x: float, condition: Condition, responding: bool, rng: np.random.Generator) -> Cell:
    # always the same number of draws, so that cells of one place look alike under every condition
    u, normal = rng.random(8), np.clip(rng.standard_normal(12), -2.5, 2.5)
    waves, fine = rng.standard_normal((5, 2)), rng.standard_normal((3, 2))
    seed = int(rng.integers(2**62))
    cycle, dna = _cycle(float(u[0]), float(u[1]))
    mitotic = cycle == "M"
    scale = condition.nuclear_scale if responding and not mitotic else 1.0
    radius = _CELL_RADIUS * np.exp(0.10 * normal[0]) * dna**0.15 * (0.72 if mitotic else 1.0)
    decay = 0.13 / np.arange(1, 6)[:, None]
    body = Outline(
        y, x, float(radius), 1.1 if mitotic else float(1.0 + 0.75 * u[2]), float(np.pi * u[3]),
        np.clip(waves, -2, 2) * decay * (0.2 if mitotic else 1.0),
    )  # fmt: skip
    nuclear = _NUCLEUS_RADIUS * np.exp(0.06 * normal[1]) * dna**0.27 * scale * (0.62 if mitotic else 1.0)
    off = 0.0 if mitotic else 0.11 * radius
    nucleus = Outline(
        float(y + off * normal[2]), float(x + off * normal[3]), float(nuclear),
        2.6 if mitotic else float(1.05 + 0.35 * u[4]), float(body.angle + 0.5 * normal[4]),
        np.clip(fine, -2, 2) * np.array([[0.035], [0.025], [0.015]]),
    )  # fmt: skip
    respond = float(responding)
    varied = float(np.clip(condition.translocation * respond + 0.05 * normal[5], 0.0, 1.0))
    return Cell(
        body, nucleus, cycle, dna, float(np.exp(0.20 * normal[6])), float(np.exp(0.15 * normal[7])), varied,
        condition.disruption * respond, responding, seed,
    )  # fmt: skip


def _cycle(u: float, v: float) -> tuple[str, float]:
    if u < _MITOTIC:
        return "M", 2.0
    if u < 0.57:
        return "G1", 1.0
    return ("S", 1.0 + v) if u < 0.80 else ("G2", 2.0)
