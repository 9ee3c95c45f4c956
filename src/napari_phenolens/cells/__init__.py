"""Foreground, nuclei, cells and plain measurements; scipy and scikit-image load when first used."""

from __future__ import annotations

from napari_phenolens.cells.channels import find_nuclear_channel
from napari_phenolens.cells.concepts import cell_concepts
from napari_phenolens.cells.covariates import field_covariates
from napari_phenolens.cells.cycle import cell_cycle
from napari_phenolens.cells.errors import CellsError
from napari_phenolens.cells.foreground import Foreground
from napari_phenolens.cells.grid import patch_grid
from napari_phenolens.cells.measure import expand_cells, locate_cells, measure_cells, pooling_weights
from napari_phenolens.cells.nuclei import nuclear_diameter, segment_nuclei
from napari_phenolens.cells.segment import CellSegmentation
from napari_phenolens.cells.words import concept_words

__all__ = [
    "CellSegmentation",
    "CellsError",
    "Foreground",
    "cell_concepts",
    "cell_cycle",
    "concept_words",
    "expand_cells",
    "field_covariates",
    "find_nuclear_channel",
    "locate_cells",
    "measure_cells",
    "nuclear_diameter",
    "patch_grid",
    "pooling_weights",
    "segment_nuclei",
]
