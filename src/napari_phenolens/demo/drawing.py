"""Light from cells: nuclei with chromatin and nucleoli, a reporter, actin filaments, drawn without optics or noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.demo.scene import MARGIN, SIZE, Cell, Floats

CHANNELS = ("DNA", "Reporter", "Actin")
EXTENT = SIZE + 2 * MARGIN
# reporter per pixel in the cytoplasm and in the nucleus: without and with full translocation, the same amount in all
_CYTOPLASM, _NUCLEUS = (1.0, 0.42), (0.36, 1.62)
# mean light of the filaments, over the cell, that puncta carry instead after disruption
_FILAMENT_LIGHT = 0.31


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
    warp = [3.2 * smooth_noise(rng, 7.0) + 0.8 * smooth_noise(rng, 2.6) for _ in range(2)]
    owner, level = _territories(cells, warp)
    borders = np.zeros(owner.shape, np.bool_)
    for axis in (0, 1):  # lines one pixel wide
        borders |= owner != np.roll(owner, 1, axis)
    rim = np.asarray(distance_transform_edt(owner > 0), np.float64)
    depth = np.minimum(rim, np.asarray(distance_transform_edt(~borders), np.float64) + 1.0)
    light = np.zeros((len(CHANNELS), EXTENT, EXTENT))
    # thin towards a free rim, and a little where cells meet
    thickness = np.clip(rim / 3.5, 0.0, 1.0) * np.clip(0.45 + depth / 6.0, 0.0, 1.0)
    height = thickness * (0.30 + 0.70 * np.exp(-((level / 0.62) ** 2)))
    for number, cell in enumerate(cells, start=1):
        window = _window(cell)
        at = np.nonzero(owner[window] == number)
        inside = (at[0] + window[0].start, at[1] + window[1].start)
        y, x = inside[0].astype(np.float64), inside[1].astype(np.float64)
        within = np.random.default_rng(cell.seed)
        relative = cell.nucleus.level(y, x)
        nucleus = 1.0 / (1.0 + np.exp(np.clip((relative - 1.0) * cell.nucleus.radius / 0.45, -40.0, 40.0)))
        dark = _nucleoli(cell, y, x, within)
        fine, coarse, tall = grain[inside], mesh[inside], height[inside]
        light[(0, *inside)] = _dna(cell, nucleus, relative, dark, fine, coarse) + 0.018 * tall
        light[(1, *inside)] = _reporter(cell, tall, nucleus, dark, fine, coarse, cloud[inside])
        actin = _actin(cell, y, x, thickness[inside], tall, nucleus, depth[inside], ruffle[inside], within)
        light[(2, *inside)] = actin
    return light


def _window(cell: Cell) -> tuple[slice, slice]:
    half = cell.body.reach + 13.0  # the warp moves outlines by less
    low = [max(0, int(np.floor(c - half))) for c in (cell.body.y, cell.body.x)]
    high = [min(EXTENT, int(np.ceil(c + half)) + 1) for c in (cell.body.y, cell.body.x)]
    return slice(low[0], high[0]), slice(low[1], high[1])


def _territories(cells: Sequence[Cell], warp: Sequence[Floats]) -> tuple[NDArray[np.int64], Floats]:
    """Give the cell of every pixel (from 1; 0 is none), and where in it the pixel lies (0 centre, 1 outline).

    Outlines are bent by a smooth warp, and where two cells meet, the pixel goes to the one it lies deeper in.
    """
    owner = np.zeros((EXTENT, EXTENT), np.int64)
    best = np.ones((EXTENT, EXTENT))
    for number, cell in enumerate(cells, start=1):
        window = _window(cell)
        y, x = np.mgrid[window].astype(np.float64)
        level = cell.body.level(y + warp[0][window], x + warp[1][window])
        core = cell.nucleus.level(y, x)  # a nucleus lies inside its own cell
        level = np.where(core < 1.2, np.minimum(level, 0.4 * core**2), level)
        closer = level < best[window]
        best[window][closer] = level[closer]
        owner[window][closer] = number
    return owner, best


def _nucleoli(cell: Cell, y: Floats, x: Floats, rng: np.random.Generator) -> Floats:
    """Draw how much of the nucleoplasm nucleoli displace, 0 to 1."""
    dark = np.zeros(y.shape)
    for _ in range(0 if cell.cycle == "M" else int(rng.integers(1, 5))):
        angle, far, size = 2 * np.pi * rng.random(), 0.62 * np.sqrt(rng.random()), 1.3 + 1.2 * rng.random()
        cy = cell.nucleus.y + far * cell.nucleus.radius * np.sin(angle)
        cx = cell.nucleus.x + far * cell.nucleus.radius * np.cos(angle)
        dark = np.maximum(dark, np.exp(-((((y - cy) ** 2 + (x - cx) ** 2) / (2 * size**2)) ** 1.5)))
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
    cell: Cell, y: Floats, x: Floats, body: Floats, height: Floats, nucleus: Floats, depth: Floats, ruffle: Floats,
    rng: np.random.Generator,
) -> Floats:  # fmt: skip
    intact = 1.0 - cell.disruption
    cortex = np.clip(body * 2.0, 0.0, 1.0) * np.exp(-((np.maximum(depth - 1.5, 0.0) / 1.5) ** 2))
    cortex = cortex * np.maximum(0.75 + 0.35 * ruffle, 0.05) * (0.35 + 0.65 * intact)
    diffuse = 0.16 * height + 0.10 * body
    inner = body * np.clip(depth / 4.0, 0.0, 1.0)
    light = diffuse + 0.75 * cortex
    if cell.cycle == "M":
        return np.asarray(cell.actin * (light + 0.35 * height))
    filaments = intact * _filaments(cell, y, x, rng) if intact > 0 else 0.0
    puncta = cell.disruption * _puncta(cell, y, x, inner, rng) if cell.disruption > 0 else 0.0
    light = light + inner * (1.0 - 0.35 * nucleus) * (filaments + puncta)
    return np.asarray(cell.actin * light)


def _filaments(cell: Cell, y: Floats, x: Floats, rng: np.random.Generator) -> Floats:
    """Stress fibres: thin, slightly bent lines, most of them along the cell's long axis."""
    radius = cell.body.radius
    main = cell.body.angle + 0.25 * float(np.clip(rng.standard_normal(), -2, 2))
    turn, place, bend, bright, middle, length = rng.random((6, int(rng.integers(16, 25))))
    angle = main + 7.2 * (turn - 0.5) ** 3
    dy, dx = y[:, None] - cell.body.y, x[:, None] - cell.body.x
    along = np.cos(angle) * dx + np.sin(angle) * dy
    line = np.cos(angle) * dy - np.sin(angle) * dx - radius * 1.9 * (place - 0.5) - 0.012 * (bend - 0.5) * along**2
    pixel, fibre = np.nonzero(np.abs(line) < 2.5)  # elsewhere there is none of it
    half = radius * (0.25 + 0.8 * length)
    outside = (np.abs(along - radius * 0.9 * (middle - 0.5)) - half)[pixel, fibre] / 1.6
    ends = 1.0 / (1.0 + np.exp(np.clip(outside, -40.0, 40.0)))
    each = (0.25 + 1.0 * bright**3)[fibre] * np.exp(-0.5 * (line[pixel, fibre] / 0.6) ** 2) * ends
    return np.asarray(np.bincount(pixel, weights=each, minlength=len(y)), np.float64)


def _puncta(cell: Cell, y: Floats, x: Floats, inner: Floats, rng: np.random.Generator) -> Floats:
    """Round aggregates that carry about the light of the filaments."""
    angle, far, size, bright = rng.random((4, int(rng.integers(30, 46))))
    reach = 0.92 * cell.body.radius * np.sqrt(far)
    dy = y[:, None] - cell.body.y - reach * np.sin(2 * np.pi * angle)
    dx = x[:, None] - cell.body.x - reach * np.cos(2 * np.pi * angle)
    sigma = 0.7 + 0.9 * size**2
    spots: Floats = (0.3 + bright) * np.exp(-(dy**2 + dx**2) / (2 * sigma**2))
    light: Floats = np.sum(spots, axis=1)
    total = float(np.sum(light * inner))
    return light * (_FILAMENT_LIGHT * float(inner.sum()) / total) if total > 0 else light
