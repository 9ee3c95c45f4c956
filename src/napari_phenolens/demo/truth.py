"""Wells of the demo plate, as pictures and as what was planted in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_phenolens.demo.camera import Nuisance, expose, nuisance
from napari_phenolens.demo.drawing import CHANNELS, draw
from napari_phenolens.demo.layout import conditions, is_edge
from napari_phenolens.demo.phenotypes import Condition
from napari_phenolens.demo.scene import MARGIN, SIZE, Cell, sample_cells
from napari_phenolens.plate import parse_well


@dataclass(frozen=True)
class DemoTruth:
    """What was planted in the demo plate.

    Attributes
    ----------
    wells : DataFrame
        A row a well: ``well``, ``row``, ``column`` (0-based), ``edge``, ``phenotype``, ``control_type``, ``compound``,
        ``dose`` (uM), ``strength`` (0 to 1), ``responding_share`` (asked for), ``cells`` (number in the field),
        ``edge_defocus`` (px of blur of the actin channel), ``batch_shift`` (share by which the DNA stain differs, a
        gradient over columns), ``stain_<channel>`` and ``background_<channel>`` (factors without order).
    cells : DataFrame
        A row a cell whose nucleus is centred in the field: ``well``, ``y``, ``x`` (of the nucleus, px),
        ``responding``, ``translocation``, ``disruption`` (0 to 1), ``nuclear_area``, ``cell_area`` (square px; the
        latter before neighbours press on it), ``cycle``, ``dna``, ``expression``, ``actin``, ``whole`` (whether all of
        the nucleus lies in the field).
    """

    wells: pd.DataFrame
    cells: pd.DataFrame


def demo_truth(seed: int = 0, layout: str = "balanced") -> DemoTruth:
    """Give the ground truth of the demo plate, without drawing it.

    Parameters
    ----------
    seed : int
        As for `write_demo_plate`.
    layout : str
        "balanced" or "confounded".

    Returns
    -------
    DemoTruth

    Raises
    ------
    PhenoLensError
        For an unknown layout.
    """
    wells, cells = [], []
    for well, condition in conditions(layout).items():
        scene, place = _content(well, condition, _chance(seed, well))
        rows = [_cell_row(well, cell) for cell in scene if _centred_in_field(cell)]
        wells.append(_well_row(well, condition, place, len(rows)))
        cells += rows
    return DemoTruth(pd.DataFrame(wells), pd.DataFrame(cells))


# of 400 tried, the one whose 12 controls have chance factors that follow row, column, edge and count least: what is
# found to follow the place of a well is then what was planted
_SALT = 153


def picture(well: str, condition: Condition, seed: int) -> NDArray[np.uint16]:
    """Draw a well's field, (3, SIZE, SIZE) uint16; the same for the same well, condition and seed."""
    chance = _chance(seed, well)
    scene, place = _content(well, condition, chance)
    return expose(draw(scene, chance[2]), place, chance[3])


def _chance(seed: int, well: str) -> list[np.random.Generator]:
    """Give sources of chance of a well's own (cells, nuisances, texture, noise): a subset of wells looks the same."""
    row, column = parse_well(well)
    children = np.random.SeedSequence([_SALT, seed, row, column]).spawn(4)
    return [np.random.Generator(np.random.PCG64(child)) for child in children]


def _content(well: str, condition: Condition, chance: list[np.random.Generator]) -> tuple[list[Cell], Nuisance]:
    return sample_cells(condition, chance[0]), nuisance(well, chance[1])


def _well_row(well: str, condition: Condition, place: Nuisance, cells: int) -> dict[str, object]:
    row, column = parse_well(well)
    return {
        "well": well,
        "row": row,
        "column": column,
        "edge": is_edge(well),
        "phenotype": condition.phenotype,
        "control_type": condition.control_type,
        "compound": condition.compound,
        "dose": condition.dose,
        "strength": condition.strength,
        "responding_share": condition.responding if condition.strength else 0.0,
        "cells": cells,
        "edge_defocus": place.edge_defocus,
        "batch_shift": place.dna_stain - 1.0,
        **{f"stain_{name}": v for name, v in zip(CHANNELS, place.stain, strict=True)},
        **{f"background_{name}": v for name, v in zip(CHANNELS, place.background, strict=True)},
    }


def _centred_in_field(cell: Cell) -> bool:
    return all(MARGIN <= place < MARGIN + SIZE for place in (cell.nucleus.y, cell.nucleus.x))


def _cell_row(well: str, cell: Cell) -> dict[str, float | str | bool]:
    y, x, reach = cell.nucleus.y - MARGIN, cell.nucleus.x - MARGIN, cell.nucleus.reach
    return {
        "well": well,
        "y": y,
        "x": x,
        "responding": cell.responding,
        "translocation": cell.translocation,
        "disruption": cell.disruption,
        "nuclear_area": cell.nucleus.area,
        "cell_area": cell.body.area,
        "cycle": cell.cycle,
        "dna": cell.dna,
        "expression": cell.expression,
        "actin": cell.actin,
        "whole": bool(min(y, x) >= reach and max(y, x) <= SIZE - 1 - reach),
    }
