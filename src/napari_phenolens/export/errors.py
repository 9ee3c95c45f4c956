"""The error of this room."""

from __future__ import annotations

from napari_phenolens.errors import PhenoLensError


class ExportError(PhenoLensError):
    """A file that cannot be written as asked; says what to do."""
