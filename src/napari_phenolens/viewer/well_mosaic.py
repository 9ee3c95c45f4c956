"""All fields of a well as one picture, and a feature's heatmaps over it; several wells below each other alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import check_cancelled
from napari_phenolens.viewer.images import Picture, read_picture
from napari_phenolens.viewer.mosaic import Layout, compose, compose_heatmaps, grid, lay_out, shrink
from napari_phenolens.viewer.overlays import read_overlay
from napari_phenolens.viewer.slots import Overlay

ALL = "all fields"  # what stands where a picture's or an overlay's field is named

Limits = Mapping[str, tuple[float, float]]
Cancel = Callable[[], bool] | None


def place_of(plate: Any, well: str, world: Any, pixel_size: float | None) -> str | None:
    """Give the name of the field that lies at world coordinates of a well's mosaic."""
    fields = plate.wells[well].fields
    size = pixel_size or 1.0
    found = lay_out(fields).at((float(world[-2]) / size, float(world[-1]) / size))
    return None if found is None else fields[found].name


def read_mosaic(plate: Any, well: str, limits: Limits, cancel: Cancel = None) -> Picture:
    """Read all fields of a well into one picture; runs in a thread.

    Fields lie at their stage positions where the files state them, see `mosaic.lay_out`. A field that cannot be read
    leaves its place empty.

    Raises
    ------
    PhenoLensError
        None of them can be read.
    """
    names = [(well, field.name) for field in plate.wells[well].fields]
    fields = [plate.field(*name) for name in names]
    picture = _together(plate, names, lay_out(fields), limits, cancel)
    return replace(picture, well=well, field=ALL)


def read_column(plate: Any, wells: Sequence[str], limits: Limits, cancel: Cancel = None) -> Picture:
    """Read the first fields of wells into one picture, below each other; a single one as it is; runs in a thread."""
    first = [plate.wells[well].fields[0] for well in wells]
    if len(wells) == 1:
        return read_picture(plate, wells[0], first[0].name, limits)
    layout = grid([field.shape for field in first], 1)
    names = [(well, field.name) for well, field in zip(wells, first, strict=True)]
    return replace(_together(plate, names, layout, limits, cancel), well=wells[0], field=ALL)


def _together(plate: Any, names: Sequence[tuple[str, str]], layout: Layout, limits: Limits, cancel: Cancel) -> Picture:
    pictures: list[Picture | None] = []
    problem: PhenoLensError | None = None
    for well, field in names:
        check_cancelled(cancel)
        try:
            full = read_picture(plate, well, field, limits)
            pictures.append(replace(full, data=shrink(full.data, layout.step)))
        except PhenoLensError as error:
            pictures.append(None)
            problem = error
    read = [picture for picture in pictures if picture is not None]
    if not read:
        raise problem if problem is not None else PhenoLensError("there are no fields to show")
    model = max(read, key=lambda picture: len(picture.channels))
    nothing = np.zeros((len(model.channels), 1, 1), model.data.dtype)
    images = [_channels(picture, model) if picture is not None else nothing for picture in pictures]
    return replace(model, data=compose(images, layout), step=layout.step)


def _channels(picture: Picture, model: Picture) -> Any:
    """Give a picture's channels in the model's order; zeros for those that it has not."""
    if picture.channels == model.channels:
        return picture.data
    known = dict(zip(picture.channels, picture.data, strict=True))
    return np.stack([known.get(channel, np.zeros_like(picture.data[0])) for channel in model.channels])


def read_mosaic_overlay(
    run: Any, plate: Any, well: str, feature: int, kind: str, size: float | None, phenotypes: Any, cancel: Cancel = None
) -> Overlay:
    """Read a feature's heatmaps of all fields of a well, laid as in `read_mosaic`; runs in a thread."""
    names = [(well, field.name) for field in plate.wells[well].fields]
    layout = lay_out(plate.wells[well].fields)
    return replace(_overlays(run, names, layout, feature, kind, size, phenotypes, cancel), well=well)


def read_column_overlay(
    run: Any, plate: Any, wells: Sequence[str], feature: int, kind: str, size: float | None, phenotypes: Any,
    cancel: Cancel = None,
) -> Overlay:  # fmt: skip
    """Read a feature's heatmaps over what `read_column` gives; runs in a thread."""
    first = [plate.wells[well].fields[0] for well in wells]
    names = [(well, field.name) for well, field in zip(wells, first, strict=True)]
    if len(wells) == 1:
        return read_overlay(run, *names[0], feature, kind, size, phenotypes, cancel)
    layout = grid([field.shape for field in first], 1)
    return _overlays(run, names, layout, feature, kind, size, phenotypes, cancel)


def has_results(run: Any, well: str, field: str | None) -> bool:
    """Whether a run holds a field, or any field of a well where `ALL` is asked."""
    if run is None or well not in run.wells:
        return False
    return field == ALL or field in run.fields(well)


def _overlays(
    run: Any, names: Sequence[tuple[str, str]], layout: Layout, feature: int, kind: str, size: float | None,
    phenotypes: Any, cancel: Cancel,
) -> Overlay:  # fmt: skip
    found: list[Overlay | None] = []
    for well, field in names:
        check_cancelled(cancel)
        there = has_results(run, well, field)
        found.append(read_overlay(run, well, field, feature, kind, size, phenotypes, cancel) if there else None)
    model = next((overlay for overlay in found if overlay is not None), None)
    if model is None:
        raise PhenoLensError(f"well {names[0][0]} has no results in this run; choose another well")
    heatmaps = [(o.values, o.scale, o.translate) if o is not None else None for o in found]
    step = layout.step
    return replace(
        model,
        values=compose_heatmaps(heatmaps, layout),
        scale=(float(step),) * 2,
        translate=((step - 1) / 2,) * 2,
        field=ALL,
    )
