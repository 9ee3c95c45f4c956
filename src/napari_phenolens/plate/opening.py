"""open_plate: from a path to a Plate."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from napari_phenolens.plate.errors import PlateError
from napari_phenolens.plate.layouts import Contents, Options, find_layout
from napari_phenolens.plate.model import Field, Plate, Well, Wells
from napari_phenolens.plate.names import listing, parse_well, plate_format, well_name_of
from napari_phenolens.plate.platemap import PlateMap, file_label, labels_of_channels, lone_tables, read_platemap


def open_plate(
    path: str | PathLike[str],
    platemap: PlateMap | None = None,
    *,
    pattern: str | None = None,
    z: Literal["max"] | int = "max",
    t: int = 0,
) -> Plate:
    """Open a plate; no pixel is read before a field is.

    Parameters
    ----------
    path : path
        A folder of TIFF or PNG images whose names carry well, field and channel, or an OME-Zarr plate (HCS 0.4, 0.5).
    platemap : path or pandas.DataFrame, optional
        A table with a row a well, see `read_platemap`.
    pattern : str, optional
        How the file names are built, where that is not found out: a template such as
        ``"{well}_f{field}_{channel}.tif"``, or a regular expression with named groups ``well`` (or ``row`` and
        ``col``), ``field``, ``channel``, ``z``, ``t``, ``plate``. A pattern with a ``/`` is compared with the path
        below the folder.
    z : "max" or int
        ``"max"`` projects the planes of a stack, a number takes one plane by its 0-based place.
    t : int
        The time point by its 0-based place.

    Returns
    -------
    Plate

    Raises
    ------
    PlateError
        Nothing there, names that tell no well, images that could be two plates, a plate map that does not fit.
    """
    folder = Path(fspath(path)).expanduser()
    if not folder.exists():
        raise PlateError(f"{folder} does not exist; give the folder of a plate's images, or an OME-Zarr plate")
    if not folder.is_dir():
        raise PlateError(f"{folder} is a file; give the folder that holds the plate's images ({folder.parent}?)")
    if isinstance(z, bool) or not (z == "max" or (isinstance(z, (int, np.integer)) and z >= 0)):
        raise PlateError(f"z={z!r}: give 'max' for a maximum projection, or the 0-based place of a plane")
    if isinstance(t, bool) or not isinstance(t, (int, np.integer)) or t < 0:
        raise PlateError(f"t={t!r}: give the 0-based place of a time point")
    layout = find_layout(folder)
    try:
        found = layout.contents(folder, Options(pattern, z if z == "max" else int(z), int(t)))
    except OSError as error:
        where = error.filename or folder
        raise PlateError(
            f"{where} cannot be read ({error.strerror or error}); check that it is there and that you may read it"
        ) from error
    wells = _wells(found)
    metadata, warnings = _metadata(found, wells, platemap, folder)
    labels = {}
    if any(file_label(str(c)) for c in metadata.columns):
        labels = labels_of_channels(metadata, found.channel_of_file)
    return Plate(
        name=found.name,
        path=folder,
        layout=layout.name,
        channels=found.channels,
        channel_labels=labels,
        wells=wells,
        metadata=metadata,
        format=plate_format([*wells, *metadata.index], found.extent),
        warnings=(*found.warnings, *warnings),
        options={"pattern": pattern, "z": z if z == "max" else int(z), "t": int(t)},
    )


def _wells(found: Contents) -> Wells:
    fields: dict[tuple[int, int], list[Field]] = {}
    for entry in found.fields:
        name = well_name_of(entry.row, entry.column)
        fields.setdefault((entry.row, entry.column), []).append(Field(entry.name, name, found.channels, entry.source))
    return Wells([Well(well_name_of(*place), *place, tuple(those)) for place, those in fields.items()])


def _metadata(found: Contents, wells: Wells, platemap: PlateMap | None, folder: Path) -> tuple[pd.DataFrame, list[str]]:
    if platemap is None:
        near = lone_tables(folder)
        note = (
            f"no plate map given; {listing(near)} beside the images look(s) like one: give it with platemap= to use it"
        )
        return pd.DataFrame(index=pd.Index(list(wells), name="well", dtype=object)), [note] if near else []
    table = read_platemap(platemap, (found.name, *found.aliases), folder)
    without_images = [name for name in table.index if name not in wells]
    unmapped = [name for name in wells if name not in table.index]
    if len(unmapped) == len(wells):
        raise PlateError(
            f"no well of plate {found.name} ({listing(wells)}) is in its plate map ({listing(table.index)}); is it the"
            " map of this plate?"
        )
    warnings = []
    if without_images:
        warnings.append(f"{len(without_images)} well(s) of the plate map have no images: {listing(without_images)}")
    if unmapped:
        warnings.append(f"{len(unmapped)} well(s) with images are not in the plate map: {listing(unmapped)}")
        name = table.index.name
        table = table.reindex(sorted([*table.index, *unmapped], key=parse_well))
        table.index.name = name
    return table, warnings
