"""A folder of TIFF or PNG images, a file a channel (and plane and time point), told apart by their names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from napari_phenolens.plate.errors import PlateError
from napari_phenolens.plate.images import read_header, read_image
from napari_phenolens.plate.layouts.base import Contents, FieldEntry, Options
from napari_phenolens.plate.layouts.image_names import Found, nothing, parse_names, scan
from napari_phenolens.plate.model import FieldHeader, Image, Region
from napari_phenolens.plate.names import listing, natural_key, well_name_of

name = "tiff-folder"

# Folders whose name says nothing about the plate: its own name is the next one up.
_PLAIN_FOLDERS = frozenset({"images", "image", "tiff", "tif", "tiffs", "png", "raw", "orig", "data"})


class TiffSource:
    """Reads one field from its files."""

    __slots__ = ("paths", "places", "t", "z")

    def __init__(
        self, paths: dict[str, tuple[str, ...]], places: dict[str, int] | None, z: Literal["max"] | int, t: int
    ) -> None:
        self.paths = paths  # channel -> its planes
        self.places = places  # channel -> its place in the file, where one file holds them all
        self.z = z
        self.t = t

    def header(self) -> FieldHeader:
        """Read the header of the first file."""
        return read_header(next(iter(self.paths.values()))[0]).field

    def read(self, channel: str, region: Region | None) -> Image:
        """Read one channel; several planes are projected as they are read, so that two are held at most."""
        place = self.places[channel] if self.places is not None else None
        result: Image | None = None
        for path in self.paths[channel]:
            plane = read_image(path, place, self.z, self.t)
            if region is not None:
                plane = plane[region]
            if result is not None and plane.shape != result.shape:
                raise PlateError(
                    f"{path} is {plane.shape} pixels and the planes before it {result.shape}; one of them is damaged"
                )
            result = plane if result is None else np.maximum(result, plane)
        assert result is not None
        return result

    def files(self, channel: str | None = None) -> tuple[Path, ...]:
        """Return the files, each once."""
        paths = self.paths[channel] if channel is not None else [p for planes in self.paths.values() for p in planes]
        return tuple(map(Path, dict.fromkeys(paths)))


def recognises(path: Path) -> bool:
    """Return whether the path is a folder."""
    return path.is_dir()


def contents(path: Path, options: Options) -> Contents:
    """Return what lies in a folder of images; opens no file where names tell the channels."""
    warnings: list[str] = []
    images, thumbnails = scan(path, keep_thumbnails="thumb" in (options.pattern or "").lower())
    if not images:
        raise PlateError(nothing(path, thumbnails))
    found, strays, by_folder = parse_names(path, images, options.pattern)
    if strays:
        warnings.append(
            f"{len(strays)} image file(s) whose names fit no well and channel were left out, such as {strays[0]}"
        )
    _one_plate(path, found, options.pattern, warnings)
    if not by_folder:
        _one_folder(found, warnings)
    found = _at_time(found, options.t)
    planes = _planes(found, path)
    channels, places = _channels(found, planes, warnings)
    fields = _fields(planes, channels, places, options, warnings)
    prefixes = {f.parsed.plate for f in found} - {""}
    own = Path(os.path.abspath(path))  # a link goes by its own name
    while own.name.lower() in _PLAIN_FOLDERS and own.parent.name:
        own = own.parent
    own_name = own.name or "plate"
    if options.pattern is not None and len(prefixes) == 1:
        own_name = next(iter(prefixes))
    aliases = [
        own.name.split("__")[0],
        *sorted(prefixes),
        *dict.fromkeys(p for f in found for p in f.folder.split("/") if p),
    ]
    aliases += [parent.name for parent in list(own.parents)[:2]]
    files = _channel_of_file(found, channels)
    return Contents(own_name, channels, fields, tuple(warnings), tuple(dict.fromkeys(aliases)), channel_of_file=files)


def _channel_of_file(found: Sequence[Found], channels: Sequence[str]) -> dict[str, str]:
    """Return file name to channel, without names that stand for several (where folders are the channels)."""
    files: dict[str, str] = {}
    several: set[str] = set()
    for f in found:
        if f.parsed.channel in channels and f.parsed.channel is not None:
            file_name = os.path.basename(f.path)
            if files.setdefault(file_name, f.parsed.channel) != f.parsed.channel:
                several.add(file_name)
    return {file_name: channel for file_name, channel in files.items() if file_name not in several}


def _one_plate(path: Path, found: Sequence[Found], pattern: str | None, warnings: list[str]) -> None:
    plates = sorted({f.parsed.plate for f in found})
    if len(plates) > 1:
        if pattern is not None and re.search(r"[{<]plate[}>]", pattern, re.IGNORECASE):
            raise PlateError(
                f"{path} holds images of several plates ({listing(plates)}); write one plate's name into the pattern"
            )
        warnings.append(
            f"the names of the images begin in different ways ({listing(plates, 3)}); they were taken for one plate"
        )


def _one_folder(found: Sequence[Found], warnings: list[str]) -> None:
    folders = dict.fromkeys(re.sub(r"/?(time_?point|z_?step)_?\d+", "", f.folder, flags=re.IGNORECASE) for f in found)
    if len(folders) > 1:
        shown = [folder or "the folder itself" for folder in folders]
        warnings.append(
            f"images come from {len(folders)} folders ({listing(shown, 3)}) and were taken for one plate; if they are "
            "several, open one at a time"
        )


def _at_time(found: Sequence[Found], t: int) -> list[Found]:
    times = sorted({f.parsed.t for f in found if f.parsed.t is not None})
    if len(times) <= 1:
        if t > 0 and times:
            raise PlateError(f"t={t}, but the plate has one time point; leave t at 0")
        return list(found)
    if t >= len(times):
        raise PlateError(
            f"t={t}, but the plate has {len(times)} time points ({listing(times)}): t goes from 0 to {len(times) - 1}"
        )
    return [f for f in found if f.parsed.t in (None, times[t])]


Key = tuple[int, int, str]  # row, column, field
Planes = dict[Key, dict[str | None, dict[int | None, str]]]  # -> channel -> z -> path


def _planes(found: Sequence[Found], path: Path) -> Planes:
    planes: Planes = {}
    for f in found:
        p = f.parsed
        files = planes.setdefault((p.row, p.column, p.field), {}).setdefault(p.channel, {})
        if p.z in files:
            raise PlateError(
                f"two images claim to be the same (well {well_name_of(p.row, p.column)}, field {p.field}, channel"
                f" {p.channel or 'one'}): {files[p.z]} and {f.path}; open the folder of one plate alone, or tell them"
                " apart with pattern="
            )
        files[p.z] = f.path
    return planes


def _channels(
    found: Sequence[Found], planes: Planes, warnings: list[str]
) -> tuple[tuple[str, ...], dict[str, int] | None]:
    """Return the plate's channels, and their places in the file where one file holds them all."""
    order: dict[str, int] = {}
    for f in found:
        if f.parsed.channel is not None:
            order.setdefault(f.parsed.channel, f.parsed.order)
    if not order:
        return _channels_in_file([f.path for f in found[:5]])
    count = Counter(c for those in planes.values() for c in those if c is not None)
    rare = [c for c in order if count[c] * 2 < len(planes)]
    if rare and len(rare) < len(order):
        said = ", ".join(f"{c} ({count[c]} of {len(planes)})" for c in sorted(rare, key=natural_key))
        warnings.append(f"channel(s) that fewer than half of the fields have were left out: {said}")
    else:
        rare = []
    return tuple(sorted((c for c in order if c not in rare), key=lambda c: (order[c], natural_key(c)))), None


def _channels_in_file(paths: Sequence[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Names carry no channel: the header of one file tells how many it holds."""
    for i, path in enumerate(paths):
        try:
            header = read_header(path)
        except PlateError:
            if i == len(paths) - 1:
                raise
            continue
        break
    n = header.n_channels
    names = [c or f"C{i + 1}" for i, c in enumerate(header.channels)] if len(header.channels) == n else []
    if len(set(names)) != n:
        names = [f"C{i + 1}" for i in range(n)]
    return tuple(names), {c: i for i, c in enumerate(names)}


def _fields(
    planes: Planes, channels: tuple[str, ...], places: dict[str, int] | None, options: Options, warnings: list[str]
) -> list[FieldEntry]:
    steps = sorted(
        {z for those in planes.values() for files in those.values() for z in files if z is not None and z >= 0}
    )
    if options.z != "max" and len(steps) > 1 and options.z >= len(steps):
        raise PlateError(
            f"z={options.z}, but the plate has {len(steps)} planes ({listing(steps)}): z goes from 0 to"
            f" {len(steps) - 1}"
        )
    # Where names carry the plane it has been chosen here; the file itself is then taken whole.
    inside: Literal["max"] | int = "max" if len(steps) > 1 else options.z
    fields: list[FieldEntry] = []
    left_out: list[str] = []
    projections: set[str] = set()
    for key in sorted(planes, key=lambda k: (k[0], k[1], natural_key(k[2]))):
        paths: dict[str, tuple[str, ...]] = {}
        for channel in channels:
            files = planes[key].get(None if places is not None else channel, {})
            chosen = _chosen(files, steps, options.z)
            if chosen:
                paths[channel] = chosen
                if len(steps) > 1 and not any(z is not None and z >= 0 for z in files):
                    projections.add(channel)
        missing = [c for c in channels if c not in paths]
        if missing:
            left_out.append(f"{well_name_of(key[0], key[1])} field {key[2]} (no {listing(missing)})")
        else:
            fields.append(FieldEntry(*key, TiffSource(paths, places, inside, options.t)))
    if projections:
        warnings.append(
            f"channel(s) {listing(sorted(projections))} have no planes in some fields: the microscope's projection was"
            " taken"
        )
    if left_out:
        warnings.append(f"{len(left_out)} field(s) lack a channel or plane and were left out: {listing(left_out)}")
    if not fields:
        raise PlateError(
            f"no field has all of the channels {listing(channels, 12)}: {listing(left_out, 3)}; say with pattern= which"
            " part of the names is the channel"
        )
    return fields


def _chosen(files: dict[int | None, str], steps: Sequence[int], z: Literal["max"] | int) -> tuple[str, ...]:
    stack = {step: path for step, path in files.items() if step is not None and step >= 0}
    if not stack:
        return tuple(files.values())
    if z == "max":
        return tuple(stack[s] for s in sorted(stack))
    if len(steps) == 1:
        return tuple(stack.values())
    return (stack[steps[z]],) if steps[z] in stack else ()
