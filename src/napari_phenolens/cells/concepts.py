"""The library of measurable concepts: a table of numbers a cell that have names in a scientist's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_phenolens.cells.compartments import Compartments, Floats, Ints, Part, light_of, part_cells
from napari_phenolens.cells.errors import CellsError

# least area (px) of an outline that has a shape
_LEAST_AREA = 9


def cell_concepts(
    image: NDArray[Any],
    channels: Sequence[str],
    nuclei: NDArray[np.integer[Any]] | None,
    cells: NDArray[np.integer[Any]],
    pixel_size: float | None = None,
    nuclear: str | None = None,
) -> pd.DataFrame:
    """Measure the concepts of every cell of a field.

    Parameters
    ----------
    image : ndarray (C, Y, X)
        The field.
    channels : sequence of str
        Channel names.
    nuclei : ndarray (Y, X) int or None
        Labels of nuclei; they need not be those of the cells (see `part_cells`). None: only whole cells are measured.
    cells : ndarray (Y, X) int
        Labels of cells, 0 is background.
    pixel_size : float, optional
        Micrometres per pixel: areas and lengths are then in um, else in px. Texture and granularity stay in px.
    nuclear : str, optional
        The nuclear channel, whose light in the nucleus is its DNA.

    Returns
    -------
    DataFrame
        Index ``label``; columns ``<what>_<compartment>`` and ``<what>_<compartment>_<channel>`` in words that
        `concept_words` explains, float64. Sizes, shapes and totals of what the field's rim cuts are NaN.

    Raises
    ------
    CellsError
        Where shapes or names do not fit.

    Notes
    -----
    Light is taken above the field's background (`light_of`). Texture after Haralick et al. 1973, granularity after
    Matheron's size distributions, both as CellProfiler measures them (Carpenter et al. 2006), on grey levels that are
    quarters of the cell's own mean.
    """
    pixels, labelled = np.asarray(image), np.asarray(cells)
    _check(pixels, channels, nuclei, labelled, nuclear)
    parts = part_cells(labelled, nuclei)
    unit = 1.0 if pixel_size is None else float(pixel_size)
    table = _outlines(labelled, parts, unit)
    from napari_phenolens.cells import surroundings as near

    y, x = np.divmod(parts.cell.pixels, parts.shape[1])
    reach = near.REACH_PX if pixel_size is None else near.REACH_UM / pixel_size
    around = near.neighbourhood(labelled, parts.cell.mean(y), parts.cell.mean(x), parts.labels, reach)
    table |= {
        "neighbours_cell": around["neighbours"],
        "density_cell": around["density"] * 1e4 / unit**2,
        "distance_cell": around["distance"] * unit,
        "contact_cell": around["contact"],
    }
    out = near.depth(labelled, parts)
    for name, channel in zip(channels, pixels, strict=True):
        table |= {f"{what}_{name}": values for what, values in _light(channel, parts, out).items()}
    whole = ~_cut(parts.cell.pixels, parts.cell.row, parts)
    inner = whole if parts.nucleus is None else ~_cut(parts.nucleus.pixels, parts.nucleus.row, parts)
    for column in table:
        if column.split("_")[0] in _OF_WHOLES:
            kept = inner if column.split("_")[1] == "nucleus" else whole
            table[column] = np.where(kept, table[column], np.nan)
    return pd.DataFrame(table, index=pd.Index(parts.labels, name="label"))


# what has no meaning where the field's rim cuts it
_OF_WHOLES = frozenset({"area", "perimeter", "formfactor", "eccentricity", "solidity", "areashare", "total", "offset"})


def _check(
    pixels: NDArray[Any],
    channels: Sequence[str],
    nuclei: NDArray[np.integer[Any]] | None,
    cells: NDArray[np.integer[Any]],
    nuclear: str | None,
) -> None:
    shapes = pixels.ndim == 3 and pixels.shape[1:] == cells.shape and pixels.shape[0] == len(channels)
    if not shapes or (nuclei is not None and np.shape(nuclei) != cells.shape):
        raise CellsError(
            f"labels of cells {cells.shape}, of nuclei {None if nuclei is None else np.shape(nuclei)}, "
            f"image {pixels.shape} and {len(channels)} channels do not fit; pass (Y, X), (Y, X) or "
            "None, (C, Y, X) and C names"
        )
    if nuclear is not None and nuclear not in channels:
        raise CellsError(
            f"nuclear channel {nuclear!r} is not among the channels {', '.join(channels)}; name one of them"
        )
    if cells.size and (cells.min() < 0 or (nuclei is not None and np.min(nuclei) < 0)):
        raise CellsError("labels below 0 name no cell; 0 is background and cells count from 1")


def _outlines(cells: NDArray[np.integer[Any]], parts: Compartments, unit: float) -> dict[str, Floats]:
    """Sizes and shapes of cells and nuclei."""
    n = len(parts.labels)
    found: dict[str, Floats] = {}
    for name, labels, part in (("nucleus", parts.nucleus_labels, parts.nucleus), ("cell", cells, parts.cell)):
        if labels is None or part is None:
            continue
        area = part.count
        perimeter, solidity = _rims(np.asarray(labels), parts.labels, area)
        roundness = np.divide(4 * np.pi * area, perimeter**2, out=np.full(n, np.nan), where=perimeter > 0)
        found |= {
            f"area_{name}": area * unit**2,
            f"perimeter_{name}": perimeter * unit,
            f"formfactor_{name}": roundness,
            f"eccentricity_{name}": np.where(area >= _LEAST_AREA, _eccentricity(part, parts.shape[1]), np.nan),
            f"solidity_{name}": solidity,
        }
    if parts.nucleus is not None:
        found["areashare_nucleus"] = parts.nucleus.count / parts.cell.count
    return found


def _eccentricity(part: Part, width: int) -> Floats:
    """Of the ellipse with the same second moments, as scikit-image defines it, for all cells at once."""
    y, x = (v.astype(np.float64) for v in np.divmod(part.pixels, width))
    y, x = y - part.mean(y)[part.row], x - part.mean(x)[part.row]
    yy, xx, yx = part.mean(y * y), part.mean(x * x), part.mean(y * x)
    half, root = (yy + xx) / 2, np.hypot((yy - xx) / 2, yx)
    thin = np.divide(half - root, half + root, out=np.full(part.n, np.nan), where=half > 0)
    return np.asarray(np.sqrt(np.clip(1.0 - thin, 0.0, 1.0)), np.float64)


def _rims(labels: NDArray[np.integer[Any]], wanted: Ints, area: Floats) -> tuple[Floats, Floats]:
    """Give scikit-image's perimeter and solidity; NaN for what is not there or too small for a shape."""
    from skimage.measure import regionprops_table

    perimeter, solidity = np.full(len(wanted), np.nan), np.full(len(wanted), np.nan)
    large = np.zeros(int(wanted[-1]) + 1 if len(wanted) else 1, np.bool_)
    large[wanted] = area >= _LEAST_AREA
    kept = np.where(large[labels], labels, 0)
    if kept.any():
        table = regionprops_table(kept, properties=("label", "perimeter_crofton", "solidity"))
        row = np.searchsorted(wanted, table["label"])
        perimeter[row], solidity[row] = table["perimeter_crofton"], table["solidity"]
    return perimeter, solidity


def _light(channel: NDArray[Any], parts: Compartments, out: Floats) -> dict[str, Floats]:
    """Everything that is measured of one channel."""
    from napari_phenolens.cells import surroundings as near
    from napari_phenolens.cells import texture

    light, spread = light_of(channel)
    found: dict[str, Floats] = {}
    compartments = {"nucleus": parts.nucleus, "ring": parts.ring, "cytoplasm": parts.cytoplasm, "cell": parts.cell}
    for name, part in compartments.items():
        if part is None:
            continue
        found[f"mean_{name}"] = part.mean(light)
        if name in ("nucleus", "cell"):
            found[f"total_{name}"] = part.sum(light)
            found[f"unevenness_{name}"] = texture.unevenness(light, part)
            pairs = texture.cooccurrence(texture.grey_levels(light, part), part, parts.shape)
            found |= {f"{what}_{name}": values for what, values in texture.haralick(pairs).items()}
    if parts.ring is not None:
        # light at or below the background's own spread is none: a ratio of noise would be wild
        least = max(spread, np.finfo(np.float64).tiny)
        inner, ring = (np.maximum(found[f"mean_{name}"], least) for name in ("nucleus", "ring"))
        found["ratio_ring"] = np.log2(inner / ring)
    found |= {f"granularity{size}_cell": values for size, values in texture.granularity(light, parts.cell).items()}
    found |= {f"radial{zone}_cell": values for zone, values in near.radial(light, parts, out).items()}
    found["offset_cell"] = near.displacement(light, parts, parts.cell.count)
    return found


def _cut(pixels: Ints, row: Ints, parts: Compartments) -> NDArray[np.bool_]:
    """Which cells have a pixel at the field's rim."""
    height, width = parts.shape
    y, x = np.divmod(pixels, width)
    rim = (y == 0) | (x == 0) | (y == height - 1) | (x == width - 1)
    return np.asarray(np.bincount(row[rim], minlength=parts.cell.n) > 0, np.bool_)
