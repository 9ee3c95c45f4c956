"""What the dictionary codes: patches, crops (tiles) or cells, each from a field's patch tokens (design section 4.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.cells import expand_cells, field_covariates, pooling_weights, segment_nuclei
from napari_phenolens.cells.distance import nearest_label
from napari_phenolens.run.field_tokens import TokenSettings

if TYPE_CHECKING:
    from napari_phenolens.lens import Lens
    from napari_phenolens.plate import Field

Floats = npt.NDArray[np.float32]

CROP_FOREGROUND = 0.1  # share of a crop's patches that must show cells
CELL_REACH = 0.85  # nuclear diameters round a nucleus that count as its cell, where the foreground rule has no distance


@dataclass
class Scene:
    """What a field shows, before any token is computed.

    Attributes
    ----------
    image : ndarray
        ``(c, Y, X)`` in the lens's order and pixel size.
    foreground : ndarray
        ``(h, w)`` bool, patches that show cells.
    weights : scipy sparse array or None
        ``(cells, h * w)`` area-overlap weights, rows sum to one; None without a nuclear channel.
    covariates : dict
        Plain measurements, see `field_covariates`.
    """

    image: npt.NDArray[Any]
    foreground: npt.NDArray[np.bool_]
    weights: Any
    covariates: dict[str, float]


def look(field: Field, settings: TokenSettings, lens: Lens | Any) -> Scene:
    """Read a field and find its foreground, its cells and its covariates.

    Parameters
    ----------
    field : Field
        The field.
    settings : TokenSettings
        How its pixels are read.
    lens : Lens or LensDraft
        Its foreground rule, nuclear channel and names are used.
    """
    image = settings.read(field)
    names = list(settings.names)
    nuclei = None
    if lens.nuclear is not None:
        nuclei = segment_nuclei(image[names.index(lens.nuclear)], lens.foreground.pixel_size)
    near = None if nuclei is None else nearest_label(nuclei)
    same = near is not None and lens.foreground.channel == lens.nuclear
    foreground = lens.foreground.patches(
        image, names, settings.patch, nuclei if same else None, near[0] if near is not None and same else None
    )
    covariates = field_covariates(image, names, lens.nuclear, nuclei, foreground, patch=settings.patch)
    weights = None
    if nuclei is not None:
        reach = lens.foreground.distance
        if reach is None:
            reach = CELL_REACH * (lens.foreground.diameter or 2.0 * settings.patch)
        weights = pooling_weights(expand_cells(nuclei, reach, near), settings.patch)
    return Scene(image, foreground, weights, covariates)


@dataclass
class Units:
    """The rows that are whitened and coded.

    Attributes
    ----------
    tokens : ndarray
        ``(n, d)`` float32.
    foreground : ndarray
        ``(n,)`` bool.
    grid : tuple of int
        Rows and columns where the units are a grid; ``(n, 1)`` for cells.
    owner : ndarray or None
        ``(h * w,)`` int32, the cell of each patch, -1 for none; None unless the unit is the cell.
    """

    tokens: Floats
    foreground: npt.NDArray[np.bool_]
    grid: tuple[int, int]
    owner: npt.NDArray[np.int32] | None = None


def unit_grid(grid: tuple[int, int], unit: str, side: int) -> tuple[int, int]:
    """Give the grid of units of a patch grid; `side` is the tile in patches."""
    if unit == "crop":
        return max(1, grid[0] // side), max(1, grid[1] // side)
    return grid


def units_of(tokens: Floats, scene: Scene, unit: str, side: int) -> Units:
    """Turn a field's patch tokens into the lens's units.

    Parameters
    ----------
    tokens : ndarray
        ``(h, w, d)``, position offsets removed.
    scene : Scene
        The field.
    unit : str
        ``patch``, ``crop`` (mean of a tile's tokens, the paper) or ``cell`` (mean under a cell by area).
    side : int
        Side of a tile in patches.
    """
    h, w, d = tokens.shape
    if unit == "patch":
        return Units(tokens.reshape(h * w, d), scene.foreground.ravel(), (h, w))
    if unit == "crop":
        rows, columns = unit_grid((h, w), unit, side)
        crops, shares = [], []
        for r in range(rows):
            for c in range(columns):
                part = (slice(r * side, (r + 1) * side), slice(c * side, (c + 1) * side))
                crops.append(tokens[part].reshape(-1, d).mean(0))
                shares.append(scene.foreground[part].mean())
        return Units(np.stack(crops), np.asarray(shares) >= CROP_FOREGROUND, (rows, columns))
    cells = scene.weights
    count = 0 if cells is None else cells.shape[0]
    if count == 0:
        return Units(np.zeros((0, d), np.float32), np.zeros(0, bool), (0, 1), np.full(h * w, -1, np.int32))
    means = np.asarray(cells @ tokens.reshape(h * w, d), np.float32)
    dense = np.asarray(cells.todense())
    owner = np.where(dense.max(0) > 0, dense.argmax(0), -1).astype(np.int32)
    return Units(means, np.ones(count, bool), (count, 1), owner)
