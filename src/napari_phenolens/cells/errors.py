"""The error of the cells room."""

from __future__ import annotations

from napari_phenolens.errors import PhenoLensError


class CellsError(PhenoLensError):
    """Images, channels or labels that the cells room cannot work with."""
