"""The layouts that are known, and how one more is added: a module with ``name``, ``recognises`` and ``contents``."""

from __future__ import annotations

from pathlib import Path

import napari_phenolens.plate.layouts.ome_zarr as ome_zarr
import napari_phenolens.plate.layouts.tiff_folder as tiff_folder
from napari_phenolens.plate.layouts.base import Contents, FieldEntry, Layout, Options

# In the order they are asked; the folder of images takes anything and stays last.
_LAYOUTS: list[Layout] = [ome_zarr, tiff_folder]


def register_layout(layout: Layout) -> None:
    """Add a layout; it is asked before those already there."""
    _LAYOUTS.insert(0, layout)


def find_layout(path: Path) -> Layout:
    """Return the first layout that recognises the path."""
    return next((layout for layout in _LAYOUTS if layout.recognises(path)), tiff_folder)


__all__ = ["Contents", "FieldEntry", "Layout", "Options", "find_layout", "register_layout"]
