"""Light from cells: nuclei with chromatin and nucleoli, a reporter, actin filaments, drawn without optics or noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.demo.scene import MARGIN, SIZE, Cell, Floats

CHANNELS = ("DNA", "Reporter", "Actin")
EXTENT = SIZE + 2 * MARGIN
# reporter per pixel in the cytoplasm and in the nucleus: without and with full translocation, the same amount in all
_CYTOPLASM, _NUCLEUS = (1.0, 0.42), (0.36, 1.75)
# mean light of the filaments, over the cell, that puncta carry instead after disruption
_FILAMENT_LIGHT = 0.36


def smooth_noise(rng: np.random.Generator, sigma: float) -> Floats:
    """Gaussian noise of unit variance on the canvas, correlated over about ``sigma`` px."""
    from scipy.ndimage import gaussian_filter

    white = rng.standard_normal((EXTENT, EXTENT))
    return np.asarray(gaussian_filter(white, sigma, mode="wrap", truncate=3.0) * (2 * np.sqrt(np.pi) * sigma))


def draw(cells: Sequence[Cell], rng: np.random.Generator) -> Floats:
    """Draw the light that cells give off.

    Parameters
    ----------
    cells : sequence of Cell
        The cells of a field.
    rng : numpy.random.Generator
        Source of texture.

    Returns
    -------
    ndarray (3, EXTENT, EXTENT) float64
        DNA, reporter and actin on the canvas (field and margin); an average G1 nucleus or cell is about one bright.
    """
    from scipy.ndimage import distance_transform_edt

    grain, mesh, cloud, ruffle = (smooth_noise(rng, s) for s in (0.9, 1.9, 4.5, 3.0))
    warp = [3.2 * smooth_noise(rng, 7.0) + 0.9 * smooth_noise(rng, 2.2) for _ in range(2)]
    owner, level = _territories(cells, warp)
    borders = np.zeros(owner.shape, np.bool_)
    for axis in (0, 1):
        for step in (-1, 1):
            borders |= owner != np.roll(owner, step, axis)
    depth = np.asarray(distance_transform_edt((owner > 0) & ~borders), np.float64)
    light = np.zeros((len(CHANNELS), EXTENT, EXTENT))
    for number, cell in enumerate(cells, start=1):
        window = _window(cell.body.y, cell.body.x, 2.1 * cell.body.radius + 8)
        inside = owner[window] == number
        nucleus, relative = _nucleus(cell, window)
        within = np.random.default_rng(cell.seed)
        dark = _nucleoli(cell, window, within)
        body = inside * np.clip(depth[window] / 2.0, 0.0, 1.0)
        height = body * (0.30 + 0.70 * np.exp(-((level[window] / 0.62) ** 2)))
        light[(0, *window)] += _dna(cell, nucleus, relative, dark, grain[window], mesh[window])
        light[(0, *window)] += 0.018 * height
        light[(1, *window)] += _reporter(cell, height, nucleus, dark, grain[window], mesh[window], cloud[window])
        light[(2, *window)] += _actin(cell, window, body, height, nucleus, depth[window], ruffle[window], within)
    return light


Window = tuple[slice, slice]


def _window(y: float, x: float, half: float) -> Window:
    low = [max(0, int(np.floor(c - half))) for c in (y, x)]
    high = [min(EXTENT, int(np.ceil(c + half)) + 1) for c in (y, x)]
    return slice(low[0], high[0]), slice(low[1], high[1])


def _grid(window: Window) -> tuple[Floats, Floats]:
    y, x = np.mgrid[window]
    return y.astype(np.float64), x.astype(np.float64)


def _territories(cells: Sequence[Cell], warp: Sequence[Floats]) -> tuple[NDArray[np.int64], Floats]:
    """Give the cell of every pixel (from 1; 0 is none), and where in it the pixel lies (0 centre, 1 outline).

    Outlines are bent by a smooth warp, and where two cells meet, the pixel goes to the one it lies deeper in.
    """
    owner = np.zeros((EXTENT, EXTENT), np.int64)
    best = np.ones((EXTENT, EXTENT))
    for number, cell in enumerate(cells, start=1):
        window = _window(cell.body.y, cell.body.x, 2.1 * cell.body.radius + 8)
        y, x = _grid(window)
        level = cell.body.level(y + warp[0][window], x + warp[1][window])
        # a nucleus is always inside its own cell
        level = np.minimum(level, 0.72 * cell.nucleus.level(y, x))
        closer = level < best[window]
        best[window][closer] = level[closer]
        owner[window][closer] = number
    return owner, best


def _nucleus(cell: Cell, window: Window) -> tuple[Floats, Floats]:
    """Give the nucleus's mask with a soft rim, and where in it a pixel lies."""
    relative = cell.nucleus.level(*_grid(window))
    mask = 1.0 / (1.0 + np.exp(np.clip((relative - 1.0) * cell.nucleus.radius / 0.45, -40.0, 40.0)))
    return mask, relative


def _nucleoli(cell: Cell, window: Window, rng: np.random.Generator) -> Floats:
    """Draw how much of the nucleoplasm nucleoli displace, 0 to 1."""
    y, x = _grid(window)
    dark = np.zeros(y.shape)
    for _ in range(0 if cell.cycle == "M" else int(rng.integers(1, 5))):
        angle, far, size = 2 * np.pi * rng.random(), 0.62 * np.sqrt(rng.random()), 1.3 + 1.2 * rng.random()
        cy = cell.nucleus.y + far * cell.nucleus.radius * np.sin(angle)
        cx = cell.nucleus.x + far * cell.nucleus.radius * np.cos(angle)
        dark = np.maximum(dark, np.exp(-(((y - cy) ** 2 + (x - cx) ** 2) / (2 * size**2)) ** 1.5))
    return dark


def _dna(cell: Cell, mask: Floats, relative: Floats, dark: Floats, grain: Floats, mesh: Floats) -> Floats:
    if cell.cycle == "M":
        return np.asarray(mask * 2.6 * (1.0 + 0.10 * mesh))
    rim = 0.18 * np.exp(-(((relative - 0.9) / 0.12) ** 2))
    chromatin = 1.0 + 0.13 * mesh + 0.09 * grain + rim
    return np.asarray(mask * cell.dna**0.45 * np.maximum(chromatin, 0.2) * (1.0 - 0.55 * dark))


def _reporter(
    cell: Cell, height: Floats, nucleus: Floats, dark: Floats, grain: Floats, mesh: Floats, cloud: Floats
) -> Floats:
    t = cell.translocation
    outside = _CYTOPLASM[0] + t * (_CYTOPLASM[1] - _CYTOPLASM[0])
    within = _NUCLEUS[0] + t * (_NUCLEUS[1] - _NUCLEUS[0])
    if cell.cycle == "M":  # no envelope, no compartments
        outside = within = 0.9
    texture = np.maximum(1.0 + 0.16 * mesh + 0.10 * grain + 0.14 * cloud, 0.1)
    cytoplasm = outside * height * texture * (1.0 - nucleus)
    inner = within * nucleus * (1.0 - 0.35 * dark) * (1.0 + 0.06 * mesh)
    return np.asarray(cell.expression * (cytoplasm + inner))


def _actin(
    cell: Cell, window: Window, body: Floats, height: Floats, nucleus: Floats, depth: Floats, ruffle: Floats,
    rng: np.random.Generator,
) -> Floats:  # fmt: skip
    intact = 1.0 - cell.disruption
    cortex = body * np.exp(-((np.maximum(depth - 1.0, 0.0) / 1.6) ** 2))
    cortex = cortex * np.maximum(0.75 + 0.35 * ruffle, 0.05) * (0.35 + 0.65 * intact)
    diffuse = 0.16 * height + 0.10 * body
    inner = body * np.clip(depth / 4.0, 0.0, 1.0)
    light = diffuse + 0.75 * cortex
    if cell.cycle == "M":
        return np.asarray(cell.actin * (light + 0.35 * height))
    filaments = intact * _filaments(cell, window, rng) if intact > 0 else 0.0
    puncta = cell.disruption * _puncta(cell, window, inner, rng) if cell.disruption > 0 else 0.0
    light = light + inner * (1.0 - 0.35 * nucleus) * filaments + puncta
    return np.asarray(cell.actin * light)


def _filaments(cell: Cell, window: Window, rng: np.random.Generator) -> Floats:
    """Stress fibres: thin, slightly bent lines along the cell's long axis."""
    y, x = _grid(window)
    angle = cell.body.angle + 0.2 * float(np.clip(rng.standard_normal(), -2, 2))
    along = np.cos(angle) * (x - cell.body.x) + np.sin(angle) * (y - cell.body.y)
    across = np.cos(angle) * (y - cell.body.y) - np.sin(angle) * (x - cell.body.x)
    light = np.zeros(y.shape)
    radius = cell.body.radius
    for _ in range(int(rng.integers(12, 19))):
        place, tilt, bend, bright, middle, length = rng.random(6)
        line = across - radius * 1.7 * (place - 0.5) - 0.35 * (tilt - 0.5) * along - 0.010 * (bend - 0.5) * along**2
        half = radius * (0.35 + 0.75 * length)
        ends = 1.0 / (1.0 + np.exp(np.clip((np.abs(along - radius * 0.9 * (middle - 0.5)) - half) / 1.2, -40.0, 40.0)))
        light += (0.35 + 0.95 * bright**2) * np.exp(-0.5 * (line / 0.75) ** 2) * ends
    return light


def _puncta(cell: Cell, window: Window, inner: Floats, rng: np.random.Generator) -> Floats:
    """Round aggregates that carry about the light of the filaments."""
    y, x = _grid(window)
    light = np.zeros(y.shape)
    for _ in range(int(rng.integers(20, 31))):
        angle, far, size, bright = rng.random(4)
        reach = 0.92 * cell.body.radius * np.sqrt(far)
        cy, cx = (
            cell.body.y + reach * np.sin(2 * np.pi * angle),
            cell.body.x + reach * np.cos(2 * np.pi * angle),
        )
        sigma = 1.0 + 0.8 * size
        light += (0.5 + bright) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2))
    light *= inner
    total = float(light.sum())
    return light * (_FILAMENT_LIGHT * float(inner.sum()) / total) if total > 0 else light
