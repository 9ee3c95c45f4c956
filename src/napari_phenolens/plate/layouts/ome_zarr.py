"""OME-Zarr plates (HCS), versions 0.4 (zarr 2) and 0.5 (zarr 3).

Metadata is plain JSON and read as such; zarr is imported when pixels are asked for.
Specification: https://ngff.openmicroscopy.org/0.5/#plate-md and https://ngff.openmicroscopy.org/0.4/#plate-md
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_phenolens.plate.errors import PlateError
from napari_phenolens.plate.images import micrometres
from napari_phenolens.plate.layouts.base import Contents, FieldEntry, Options
from napari_phenolens.plate.model import FieldHeader, Image, Region
from napari_phenolens.plate.names import listing, natural_key, parse_column, parse_row, well_name_of

name = "ome-zarr"
Json = dict[str, Any]


def recognises(path: Path) -> bool:
    """Return whether the path is a zarr group."""
    return path.is_dir() and (
        (path / ".zgroup").is_file()
        or (path / ".zattrs").is_file()
        or (path / "zarr.json").is_file()
        or path.name.lower().endswith(".zarr")
    )


def contents(path: Path, options: Options) -> Contents:
    """Return what an OME-Zarr plate holds, from the metadata of the plate, its wells and its first image."""
    if options.pattern is not None:
        raise PlateError(f"{path} is an OME-Zarr plate, whose files have no names to read; leave pattern out")
    plate = _attributes(path).get("plate")
    if not isinstance(plate, dict) or not isinstance(plate.get("wells"), list):
        raise PlateError(
            f"{path} is a zarr store without plate metadata; give the top folder of an OME-Zarr plate (HCS 0.4 or 0.5)"
        )
    warnings: list[str] = []
    fields: list[FieldEntry] = []
    channels: tuple[str, ...] | None = None
    missing: list[str] = []
    for entry in plate["wells"]:
        row, column = _place(path, plate, entry)
        well = well_name_of(row, column)
        folder = path / str(entry["path"])
        try:
            images = _attributes(folder)["well"]["images"]
            names = [str(image["path"]) for image in images]
        except (PlateError, KeyError, TypeError) as error:
            missing.append(f"{well} ({error if isinstance(error, PlateError) else f'{folder} has no well metadata'})")
            continue
        if len({image.get("acquisition") for image in images}) > 1:
            warnings.append(f"well {well} has several acquisitions; all their images are fields")
        for image in sorted(names, key=natural_key):
            if channels is None:
                channels = _channels(folder / image, warnings)
            fields.append(FieldEntry(row, column, image, ZarrSource(folder / image, channels, options.z, options.t)))
    if missing:
        warnings.append(f"{len(missing)} well(s) of the plate's metadata cannot be used: {listing(missing, 3)}")
    if not fields or channels is None:
        raise PlateError(f"{path} has no well with images; {listing(missing, 1) or 'its list of wells is empty'}")
    own = str(plate.get("name") or path.name.removesuffix(".zarr").removesuffix(".ome"))
    extent = (min(len(plate.get("rows", [])), 32), min(len(plate.get("columns", [])), 48))
    aliases = (path.name, path.name.removesuffix(".zarr"))
    return Contents(own, channels, fields, tuple(warnings), aliases, extent)


class ZarrSource:
    """Reads one image of a plate, at full resolution."""

    __slots__ = ("channels", "path", "t", "z")

    def __init__(self, path: Path, channels: tuple[str, ...], z: Literal["max"] | int, t: int) -> None:
        self.path = path
        self.channels = channels
        self.z = z
        self.t = t

    def header(self) -> FieldHeader:
        """Read shape and scale from the image's metadata."""
        scales = _multiscales(self.path)
        array = _array(self.path / _level(scales, self.path))
        axes = _axes(scales, len(array["shape"]), self.path)
        lengths = dict(zip(axes, array["shape"], strict=True))
        n = lengths.get("c", 1)
        if n != len(self.channels):
            raise PlateError(
                f"{self.path} has {n} channels, but the plate's first image has {len(self.channels)} "
                f"({listing(self.channels, 12)}); all must have the same"
            )
        size, position = _scale(scales, axes)
        return FieldHeader((int(lengths["y"]), int(lengths["x"])), np.dtype(array["dtype"]), size, position)

    def read(self, channel: str, region: Region | None) -> Image:
        """Read one channel (only the chunks of the region)."""
        header = self.header()
        scales = _multiscales(self.path)
        folder = self.path / _level(scales, self.path)
        ys, xs = region if region is not None else (slice(None), slice(None))
        try:
            import zarr

            array = zarr.open_array(str(folder), mode="r")
            axes = _axes(scales, array.ndim, self.path)
            index: list[int | slice] = []
            for axis, n in zip(axes, array.shape, strict=True):
                if axis == "c":
                    index.append(self.channels.index(channel))
                elif axis in "tz":
                    index.append(self._plane(axis, n))
                else:
                    span = slice(*(ys if axis == "y" else xs).indices(n))
                    index.append(span)
            image: Image = np.asarray(array[tuple(index)])
        except PlateError:
            raise
        except Exception as error:
            raise PlateError(
                f"{folder} cannot be read ({error or type(error).__name__}); copy it again from where it was made"
            ) from error
        left = [a for a, i in zip(axes, index, strict=True) if isinstance(i, slice)]
        if "z" in left:
            image = image.max(axis=left.index("z"))
            left.remove("z")
        return (image.T if left == ["x", "y"] else image).astype(header.dtype, copy=False)

    def _plane(self, axis: str, n: int) -> int | slice:
        place = self.t if axis == "t" else self.z
        if place == "max":
            return slice(None)
        if n == 1 and axis == "z":
            return 0
        if place >= n:
            raise PlateError(f"{self.path} has no {axis}={place}: it holds {n} (counted from 0)")
        return place

    def files(self, channel: str | None = None) -> tuple[Path, ...]:
        """Return the files of the full-resolution array (of all channels: chunks may hold several)."""
        folder = self.path / _level(_multiscales(self.path), self.path)
        return tuple(sorted(Path(where, file) for where, _, files in os.walk(folder) for file in files))


def _json(path: Path) -> Json:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PlateError(f"{path} cannot be read ({error}); copy the plate again from where it was made") from error
    if not isinstance(found, dict):
        raise PlateError(f"{path} holds no metadata; copy the plate again from where it was made")
    return found


def _attributes(group: Path) -> Json:
    """Return a group's OME metadata, whichever version."""
    if (group / "zarr.json").is_file():
        ome = _json(group / "zarr.json").get("attributes", {}).get("ome", {})
        return ome if isinstance(ome, dict) else {}
    if (group / ".zattrs").is_file():
        return _json(group / ".zattrs")
    raise PlateError(f"{group} is missing or has no metadata (.zattrs or zarr.json)")


def _array(folder: Path) -> Json:
    """Return an array's shape and dtype from its metadata."""
    if (folder / "zarr.json").is_file():
        meta = _json(folder / "zarr.json")
        found = {"shape": meta.get("shape"), "dtype": meta.get("data_type")}
    elif (folder / ".zarray").is_file():
        meta = _json(folder / ".zarray")
        found = {"shape": meta.get("shape"), "dtype": meta.get("dtype")}
    else:
        raise PlateError(f"{folder} is missing or no zarr array; copy the plate again from where it was made")
    try:
        return {"shape": [int(n) for n in found["shape"] or ()], "dtype": np.dtype(str(found["dtype"]))}
    except (TypeError, ValueError) as error:
        raise PlateError(f"{folder} has a shape or dtype that cannot be read ({error})") from error


def _multiscales(image: Path) -> Json:
    scales = _attributes(image).get("multiscales")
    if not isinstance(scales, list) or not scales or not isinstance(scales[0], dict):
        raise PlateError(f"{image} has no multiscales metadata; it is no OME-Zarr image")
    return dict(scales[0])


def _level(scales: Json, image: Path) -> str:
    try:
        return str(scales["datasets"][0]["path"])
    except (KeyError, IndexError, TypeError) as error:
        raise PlateError(f"{image} has multiscales metadata without datasets; it is no OME-Zarr image") from error


def _axes(scales: Json, ndim: int, image: Path) -> list[str]:
    given = scales.get("axes") or list("tczyx")[-ndim:]  # versions before 0.3 had no axes
    axes = [str(a.get("name") if isinstance(a, dict) else a).lower() for a in given]
    if len(axes) != ndim or not {"y", "x"} <= set(axes) or not set(axes) <= set("tczyx"):
        raise PlateError(f"{image} has the axes {axes} for {ndim} dimensions; only t, c, z, y and x are known")
    return axes


def _channels(image: Path, warnings: list[str]) -> tuple[str, ...]:
    attributes, scales = _attributes(image), _multiscales(image)
    shape = _array(image / _level(scales, image))["shape"]
    n = dict(zip(_axes(scales, len(shape), image), shape, strict=True)).get("c", 1)
    omero = (attributes.get("omero") or {}).get("channels") or []
    labels = [str(c.get("label") or f"C{i + 1}") for i, c in enumerate(omero)] if len(omero) == n else []
    if not labels:
        labels = [f"C{i + 1}" for i in range(n)]
    names: list[str] = []
    for label in labels:
        same = labels[: len(names)].count(label)
        names.append(f"{label} ({same + 1})" if same else label)
    if names != labels:
        warnings.append(f"channels with the same name were numbered: {listing(names, 12)}")
    _, space = _unit(scales)
    if space is None and _steps(scales) not in ((1.0, 1.0), None):
        warnings.append("the plate states a scale without a unit; it was taken for micrometres")
    return tuple(names)


def _unit(scales: Json) -> tuple[str, str | None]:
    axis: Json = next((a for a in scales.get("axes") or [] if isinstance(a, dict) and a.get("name") == "x"), {})
    return "x", axis.get("unit")


def _transforms(scales: Json, kind: str) -> list[list[float]]:
    """Return all scales (or translations) that apply to the full resolution."""
    those = [
        *(scales["datasets"][0].get("coordinateTransformations") or []),
        *(scales.get("coordinateTransformations") or []),
    ]
    return [[float(v) for v in t[kind]] for t in those if isinstance(t, dict) and t.get("type") == kind and kind in t]


def _steps(scales: Json) -> tuple[float, float] | None:
    steps = _transforms(scales, "scale")
    if not steps:
        return None
    product = np.prod(np.array(steps), axis=0)
    return float(product[-2]), float(product[-1])


def _scale(scales: Json, axes: list[str]) -> tuple[float | None, tuple[float, float] | None]:
    """Return um per pixel, and the position; a scale of 1 without a unit is none at all."""
    try:
        steps = _steps(scales)
        unit = _unit(scales)[1]
        if steps is None or (unit is None and steps == (1.0, 1.0)):
            return None, None
        factor = micrometres(1.0, unit or "um")
        if factor is None:
            return None, None
        shifts = _transforms(scales, "translation")
        at = np.sum(np.array(shifts), axis=0) * factor if shifts else None
        y, x = axes.index("y"), axes.index("x")
        return micrometres(steps[1], unit or "um"), (float(at[y]), float(at[x])) if at is not None else None
    except (TypeError, ValueError, KeyError, IndexError):
        return None, None


def _place(path: Path, plate: Json, entry: Any) -> tuple[int, int]:
    """Return a well's place by its path (a plate may list only the rows that it has), else by its indices."""
    try:
        row, column = str(entry["path"]).split("/")[-2:]
        return parse_row(row), parse_column(column)
    except (PlateError, KeyError, TypeError, ValueError):
        pass
    try:
        return int(entry["rowIndex"]), int(entry["columnIndex"])
    except (KeyError, TypeError, ValueError) as error:
        raise PlateError(
            f"{path} lists a well that cannot be placed ({entry!r}); it needs a path such as B/07"
        ) from error
