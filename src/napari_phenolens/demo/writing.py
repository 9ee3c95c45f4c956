"""The demo plate on disk: one TIFF a channel and a plate map."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.demo.camera import PIXEL_SIZE
from napari_phenolens.demo.drawing import CHANNELS
from napari_phenolens.demo.layout import conditions
from napari_phenolens.demo.phenotypes import Condition
from napari_phenolens.demo.truth import picture
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.plate import well_name
from napari_phenolens.progress import Progress
from napari_phenolens.threads import budget

PLATE_MAP = "platemap.csv"


def file_name(well: str, channel: str) -> str:
    """Give the name of one channel of a well, such as ``B07_f1_DNA.tif``."""
    return f"{well}_f1_{channel}.tif"


def write_demo_plate(
    folder: str | Path,
    *,
    seed: int = 0,
    layout: str = "balanced",
    wells: Sequence[str] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Draw the demo plate into a folder: a TIFF a well and channel, and ``platemap.csv``.

    Parameters
    ----------
    folder : path
        Where to; made if it is not there. Files of the same names are replaced.
    seed : int
        The same seed gives the same pixels.
    layout : str
        "balanced" (36 wells; conditions balanced over rows, columns, edge and interior) or "confounded" (20 wells; all
        perturbed ones in one column without controls).
    wells : sequence of str, optional
        Only these wells; each looks as it does in the whole plate.
    progress : callable, optional
        Told after each well.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    PhenoLensError
        For an unknown layout, or a well that the layout does not have.
    """
    placed = conditions(layout)
    if wells is not None:
        chosen = {well_name(well) for well in wells}
        missing = sorted(chosen - set(placed))
        if missing:
            raise PhenoLensError(
                f"the demo plate ({layout}) has no well {', '.join(missing)}; it has {', '.join(placed)}"
            )
        placed = {well: condition for well, condition in placed.items() if well in chosen}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    def write(well: str) -> None:
        for channel, plane in zip(CHANNELS, picture(well, placed[well], seed), strict=True):
            _write_tiff(folder / file_name(well, channel), plane, channel)

    with ThreadPoolExecutor(min(budget(), 4)) as pool:  # a well's chance is its own: the order is of no matter
        for done, (well, _) in enumerate(zip(placed, pool.map(write, placed), strict=True), start=1):
            if progress is not None:
                progress(Progress("Drawing the demo plate", done, len(placed), well))
    _write_map(folder / PLATE_MAP, placed)
    return folder


def _write_tiff(path: Path, plane: NDArray[np.uint16], channel: str) -> None:
    """Write one plane, deflate-compressed, with OME-XML that gives its pixel size and channel.

    The XML is written here, since tifffile's own has a random identifier: the same plate shall be the same files.
    """
    from tifffile import imwrite

    height, width = plane.shape
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:schemaLocation="http://www.openmicroscopy.org/Schemas/OME/2016-06 '
        'http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd">'
        f'<Image ID="Image:0" Name="{path.stem}"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" '
        f'SizeX="{width}" SizeY="{height}" SizeC="1" SizeZ="1" SizeT="1" '
        f'PhysicalSizeX="{PIXEL_SIZE}" PhysicalSizeXUnit="um" PhysicalSizeY="{PIXEL_SIZE}" PhysicalSizeYUnit="um">'
        f'<Channel ID="Channel:0:0" Name="{channel}" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="1"/>'
        "</Pixels></Image></OME>"
    ).replace('Unit="um"', 'Unit="&#181;m"')
    imwrite(
        path, plane, photometric="minisblack", compression="zlib", predictor=True, rowsperstrip=height,
        metadata=None, description=xml, software="napari-phenolens demo plate",
    )  # fmt: skip


def _write_map(path: Path, placed: dict[str, Condition]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["well", "control_type", "compound", "dose", "dose_unit"])
        for well, condition in placed.items():
            dose = ["", ""] if math.isnan(condition.dose) else [f"{condition.dose:g}", "uM"]
            table.writerow([well, condition.control_type, condition.compound, *dose])
