"""Tables and heatmaps for other programs."""

from __future__ import annotations

from napari_phenolens.export.block_figure import block_figure, export_block_figure
from napari_phenolens.export.errors import ExportError
from napari_phenolens.export.images import export_heatmap
from napari_phenolens.export.plate_figure import PlateMap, export_plate_map, plate_map
from napari_phenolens.export.tables import FORMATS, export_comparison, export_tables, plain, profile_table

__all__ = [
    "FORMATS",
    "ExportError",
    "PlateMap",
    "block_figure",
    "export_block_figure",
    "export_comparison",
    "export_heatmap",
    "export_plate_map",
    "export_tables",
    "plain",
    "plate_map",
    "profile_table",
]
