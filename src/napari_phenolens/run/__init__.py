"""The engine: fit a lens, apply it to a plate, read the run. Loaded lazily, so that importing it brings in no torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_phenolens.run.apply import apply_lens
    from napari_phenolens.run.cell_fields import put_cells
    from napari_phenolens.run.cell_settings import default_segmentation
    from napari_phenolens.run.cell_writer import add_cells
    from napari_phenolens.run.contrasts import contrasts_tried, note_contrast
    from napari_phenolens.run.errors import RunError
    from napari_phenolens.run.estimates import Estimate, estimate
    from napari_phenolens.run.fit import fit_lens
    from napari_phenolens.run.job import run_plate
    from napari_phenolens.run.reader import Run, open_run

_WHERE = {
    "Estimate": "estimates",
    "Run": "reader",
    "RunError": "errors",
    "add_cells": "cell_writer",
    "apply_lens": "apply",
    "contrasts_tried": "contrasts",
    "default_segmentation": "cell_settings",
    "estimate": "estimates",
    "fit_lens": "fit",
    "note_contrast": "contrasts",
    "open_run": "reader",
    "put_cells": "cell_fields",
    "run_plate": "job",
}
__all__ = [
    "Estimate",
    "Run",
    "RunError",
    "add_cells",
    "apply_lens",
    "contrasts_tried",
    "default_segmentation",
    "estimate",
    "fit_lens",
    "note_contrast",
    "open_run",
    "put_cells",
    "run_plate",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
