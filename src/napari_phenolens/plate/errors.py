"""The error of this room."""

from __future__ import annotations

from napari_phenolens.errors import PhenoLensError


class PlateError(PhenoLensError):
    """A plate, plate map or image file that cannot be used: says which, why, and what to do."""
