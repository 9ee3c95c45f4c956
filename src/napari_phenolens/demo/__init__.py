"""The demo plate: drawn by code, with known truth, controls, planted phenotypes and nuisances."""

from __future__ import annotations

from napari_phenolens.demo.cache import demo_plate_path, demo_run_path
from napari_phenolens.demo.phenotypes import DEMO_CONTROLS, DEMO_PERTURBED, DEMO_SETTINGS
from napari_phenolens.demo.truth import DemoTruth, demo_truth
from napari_phenolens.demo.writing import write_demo_plate

__all__ = [
    "DEMO_CONTROLS",
    "DEMO_PERTURBED",
    "DEMO_SETTINGS",
    "DemoTruth",
    "demo_plate_path",
    "demo_run_path",
    "demo_truth",
    "write_demo_plate",
]
