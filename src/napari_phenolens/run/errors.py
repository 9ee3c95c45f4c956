"""Errors of the run room."""

from __future__ import annotations

from napari_phenolens.errors import PhenoLensError


class RunError(PhenoLensError):
    """A run cannot start, go on or be read; the message says how to go on."""
