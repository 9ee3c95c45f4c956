"""What lies on disk: plates, wells, fields and plate maps, read only when asked."""

from __future__ import annotations

from napari_phenolens.plate.errors import PlateError
from napari_phenolens.plate.model import Field, FieldHeader, FieldSource, Plate, Well
from napari_phenolens.plate.names import parse_well, plate_format, well_name, well_name_of
from napari_phenolens.plate.opening import open_plate
from napari_phenolens.plate.platemap import read_platemap
from napari_phenolens.plate.select import select_wells

__all__ = [
    "Field",
    "FieldHeader",
    "FieldSource",
    "Plate",
    "PlateError",
    "Well",
    "open_plate",
    "parse_well",
    "plate_format",
    "read_platemap",
    "select_wells",
    "well_name",
    "well_name_of",
]
