"""A plate, opened for a command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_phenolens.cli.outcome import warn

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate


def opened_plate(path: Path, platemap: Path | None, pattern: str | None) -> Plate:
    """Open a plate and say on stderr what is odd about it."""
    import napari_phenolens

    plate = napari_phenolens.open_plate(path, platemap, pattern=pattern)
    for warning in plate.warnings:
        warn(warning)
    return plate
