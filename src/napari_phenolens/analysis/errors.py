"""The error of this room."""

from __future__ import annotations

from napari_phenolens.errors import PhenoLensError


class AnalysisError(PhenoLensError):
    """A comparison, heatmap or explanation that cannot be made as asked; says what to do."""
