"""File > Open Sample > the demo plate: offline, with its results ready."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_phenolens.viewer.images import layer_data, read_picture, shared_limits
from napari_phenolens.viewer.opening import find_platemap
from napari_phenolens.viewer.reader import LayerData, marked

if TYPE_CHECKING:
    from napari_phenolens.viewer.workbench import Workbench

STORY = "translocation"  # the planted phenotype that the sample begins with; the others are a query away


def demo_note() -> tuple[dict[str, Any], Any, str, list[str]]:
    """Give what the dock has to open, the plate, the well to begin with and the control wells."""
    from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED, demo_plate_path, demo_run_path
    from napari_phenolens.plate import open_plate

    folder = Path(demo_plate_path())
    plate = open_plate(folder, find_platemap(folder))
    perturbed = DEMO_PERTURBED[STORY]
    wanted = {
        "plate": str(folder),
        "run": str(demo_run_path()),
        "queries": {"control": DEMO_CONTROLS, "perturbed": perturbed},
    }
    return wanted, plate, plate.select(perturbed)[0], plate.select(DEMO_CONTROLS)


def demo_plate() -> list[LayerData]:
    """Give the demo plate: one well's pictures, and a note by which the dock opens plate and results.

    Returns
    -------
    list of LayerData
        The dock then shows the comparison and the top feature's heatmap on the cells.
    """
    wanted, plate, well, controls = demo_note()
    return marked(layer_data(read_picture(plate, well, None, shared_limits(plate, controls))), wanted)


def open_sample(bench: Workbench) -> None:
    """Open the demo plate in a viewer's workbench (the dock's button)."""

    def done(found: tuple[dict[str, Any], Any, str, list[str]]) -> None:
        wanted, _, well, _ = found
        bench.opening.take(wanted, well)

    bench.jobs.start("sample", lambda _job: demo_note(), done, title="Opening the demo plate")
