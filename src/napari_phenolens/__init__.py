"""See what a microscopy foundation model sees: sparse, whitened features of screening plates, in napari.

The public functions are loaded when they are first asked for, so that ``import napari_phenolens`` is light: it loads
none of torch, scikit-image, scipy, zarr or numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_phenolens.analysis.blocks import blocks
    from napari_phenolens.analysis.compare import compare
    from napari_phenolens.analysis.concepts import concepts
    from napari_phenolens.analysis.contributions import contributions
    from napari_phenolens.analysis.distinguish import distinguish
    from napari_phenolens.analysis.distributions import distribution
    from napari_phenolens.analysis.dose_curve import dose_curves
    from napari_phenolens.analysis.explain import explain
    from napari_phenolens.analysis.gallery import gallery
    from napari_phenolens.analysis.heatmap import heatmap
    from napari_phenolens.analysis.lens_comparison import compare_lenses
    from napari_phenolens.analysis.lens_report import dictionary_report
    from napari_phenolens.analysis.looks import looks
    from napari_phenolens.analysis.phenotype import phenotype
    from napari_phenolens.analysis.position_effects import position_effects
    from napari_phenolens.analysis.regions import region_features
    from napari_phenolens.analysis.similar import similar_features
    from napari_phenolens.analysis.subpopulations import subpopulations
    from napari_phenolens.encoders import list_encoders as encoders
    from napari_phenolens.lens import Lens, load_lens
    from napari_phenolens.plate import open_plate
    from napari_phenolens.run import add_cells, apply_lens, contrasts_tried, estimate, fit_lens, open_run, put_cells

__version__ = "0.1.0"

# public name -> the module that holds it
_HOME = {
    "Lens": "lens",
    "add_cells": "run",
    "apply_lens": "run",
    "blocks": "analysis",
    "cell_card": "analysis",
    "cell_reference": "analysis",
    "compare": "analysis",
    "compare_lenses": "analysis",
    "concepts": "analysis",
    "contrasts_tried": "run",
    "contributions": "analysis",
    "dictionary_report": "analysis",
    "distinguish": "analysis",
    "distribution": "analysis",
    "dose_curves": "analysis",
    "estimate": "run",
    "explain": "analysis",
    "fit_lens": "run",
    "gallery": "analysis",
    "heatmap": "analysis",
    "load_lens": "lens",
    "looks": "analysis",
    "open_plate": "plate",
    "open_run": "run",
    "phenotype": "analysis",
    "position_effects": "analysis",
    "put_cells": "run",
    "region_features": "analysis",
    "report": "export",
    "similar_features": "analysis",
    "subpopulations": "analysis",
}

__all__ = [
    "Lens",
    "__version__",
    "add_cells",
    "apply_lens",
    "blocks",
    "cell_card",
    "cell_reference",
    "compare",
    "compare_lenses",
    "concepts",
    "contrasts_tried",
    "contributions",
    "dictionary_report",
    "distinguish",
    "distribution",
    "dose_curves",
    "encoders",
    "estimate",
    "explain",
    "fit_lens",
    "gallery",
    "heatmap",
    "load_lens",
    "looks",
    "open_plate",
    "open_run",
    "phenotype",
    "position_effects",
    "put_cells",
    "region_features",
    "report",
    "similar_features",
    "subpopulations",
]


def __getattr__(name: str) -> object:
    if name == "encoders":
        # The room itself: its module can be called, because importing it anywhere puts it under this very name.
        return import_module(f"{__name__}.encoders")
    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
