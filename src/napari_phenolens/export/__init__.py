"""Tables and heatmaps for other programs."""

from __future__ import annotations

from napari_phenolens.export.block_figure import block_figure, export_block_figure
from napari_phenolens.export.cell_figure import cell_crop_picture, cell_picture
from napari_phenolens.export.dose_figure import dose_figure, export_dose_curves
from napari_phenolens.export.errors import ExportError
from napari_phenolens.export.gallery import crop_picture, export_gallery, gallery_picture, plate_looks
from napari_phenolens.export.images import export_heatmap
from napari_phenolens.export.lens_pages import (
    export_dictionary_report,
    export_lens_comparison,
    lens_line,
    matching_line,
)
from napari_phenolens.export.methods import methods_paragraph
from napari_phenolens.export.plate_figure import PlateMap, export_plate_map, plate_map
from napari_phenolens.export.position_figure import export_position_effects, position_figure
from napari_phenolens.export.report import report
from napari_phenolens.export.tables import FORMATS, export_comparison, export_tables, plain, profile_table

__all__ = [
    "FORMATS",
    "ExportError",
    "PlateMap",
    "block_figure",
    "cell_crop_picture",
    "cell_picture",
    "crop_picture",
    "dose_figure",
    "export_block_figure",
    "export_comparison",
    "export_dictionary_report",
    "export_dose_curves",
    "export_gallery",
    "export_heatmap",
    "export_lens_comparison",
    "export_plate_map",
    "export_position_effects",
    "export_tables",
    "gallery_picture",
    "lens_line",
    "matching_line",
    "methods_paragraph",
    "plain",
    "plate_looks",
    "plate_map",
    "position_figure",
    "profile_table",
    "report",
]
