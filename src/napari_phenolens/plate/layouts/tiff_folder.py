"""A folder of TIFF or PNG images, a file a channel (and plane and time point), told apart by their names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from napari_phenolens.plate.errors import PlateError
from napari_phenolens.plate.images import SUFFIXES, read_header, read_image
from napari_phenolens.plate.layouts.base import Contents, FieldEntry, Options
from napari_phenolens.plate.layouts.file_names import KNOWN, Parsed, Parser, known_parser, user_parser
from napari_phenolens.plate.layouts.name_tokens import token_parser
from napari_phenolens.plate.model import FieldHeader, Image, Region
from napari_phenolens.plate.names import listing, natural_key, well_name_of

name = "tiff-folder"

_TIME_FOLDER = re.compile(r"time_?point_?(\d+)", re.IGNORECASE)
_Z_FOLDER = re.compile(r"z_?step_?(\d+)", re.IGNORECASE)
# Folders whose name says nothing about the plate: its own name is the next one up.
_PLAIN_FOLDERS = frozenset({"images", "image", "tiff", "tif", "tiffs", "png", "raw", "orig", "data"})
ImageFile = tuple[str, str, str]  # path, folder below the plate, name
_PROJECTION = -1  # the z of a file that the microscope projected already


@dataclass(frozen=True)
class Found:
    """An image file and what its name says."""

    path: str
    folder: str
    parsed: Parsed


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
    images, thumbnails = _scan(path, keep_thumbnails="thumb" in (options.pattern or "").lower())
    if not images:
        raise PlateError(_nothing(path, thumbnails))
    found, strays = _parse(path, images, options.pattern)
    if strays:
        warnings.append(
            f"{len(strays)} image file(s) whose names fit no well and channel were left out, such as {strays[0]}"
        )
    _one_plate(
        path,
        found,
        options.pattern is not None and re.search(r"[{<]plate[}>]", options.pattern, re.IGNORECASE) is not None,
        warnings,
    )
    found = _at_time(found, options.t)
    planes = _planes(found, path)
    channels, places = _channels(found, planes, warnings)
    fields = _fields(planes, channels, places, options, warnings)
    prefixes = {f.parsed.plate for f in found} - {""}
    own = path.resolve()
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
    files = {
        os.path.basename(p): c
        for e in fields
        if isinstance(e.source, TiffSource) and e.source.places is None
        for c, paths in e.source.paths.items()
        for p in paths
    }
    return Contents(own_name, channels, fields, tuple(warnings), tuple(dict.fromkeys(aliases)), channel_of_file=files)


def _scan(path: Path, keep_thumbnails: bool) -> tuple[list[ImageFile], int]:
    """Return (path, folder below `path`, name) of all images, sorted, and how many thumbnails were skipped."""
    images: list[ImageFile] = []
    thumbnails = 0

    def walk(folder: str, below: str) -> Iterator[ImageFile]:
        nonlocal thumbnails
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if entry.name.startswith("."):
                    continue
                if os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                    if "_thumb" in entry.name.lower() and not keep_thumbnails:
                        thumbnails += 1
                    elif entry.is_file():
                        yield entry.path, below, entry.name
                # zarr stores (a run among them) and the microscopes' thumbnail folders hold no images of the plate
                elif entry.is_dir(follow_symlinks=False) and not entry.name.lower().endswith(
                    (".zarr", "thumbs", "thumbnails")
                ):
                    yield from walk(entry.path, f"{below}/{entry.name}" if below else entry.name)

    images.extend(walk(str(path), ""))
    return images, thumbnails


def _nothing(path: Path, thumbnails: int) -> str:
    if thumbnails:
        return (
            f"{path} holds only thumbnails ({thumbnails} files); give the folder of the images, or a pattern that says"
            " _thumb"
        )
    zarrs = sorted(p.name for p in path.iterdir() if p.name.lower().endswith(".zarr"))
    if zarrs:
        return f"{path} holds no TIFF or PNG images; give one of the plates in it: {listing(zarrs)}"
    kinds = Counter(p.suffix.lower() for p in path.rglob("*") if p.suffix and not p.name.startswith("."))
    there = f" (it holds {', '.join(f'{n} {s}' for s, n in kinds.most_common(3))})" if kinds else " (it is empty)"
    return f"{path} holds no TIFF or PNG images{there}; give the folder of a plate's images, or an OME-Zarr plate"


def _parse(path: Path, images: Sequence[ImageFile], pattern: str | None) -> tuple[list[Found], list[str]]:
    parser, text = _parser(path, images, pattern)
    found, strays = [], []
    for image in images:
        parsed = parser(text(image))
        if parsed is None:
            strays.append(image[2])
        else:
            found.append(Found(image[0], image[1], _by_folder(parsed, image[1])))
    if not found:
        raise PlateError(
            f"none of the {len(images)} images of {path} fits the pattern {pattern!r}; names are like {images[0][2]!r}"
        )
    # The microscope's own projection lies in ZStep_0, beside ZStep_1 ...; or in no such folder at all.
    if any(f.parsed.z is not None and f.parsed.z > 0 for f in found):
        found = [_projected(f) for f in found]
    return found, strays


def _parser(path: Path, images: Sequence[ImageFile], pattern: str | None) -> tuple[Parser, Callable[[ImageFile], str]]:
    """Return what reads the names, and which part of a path it wants."""
    if pattern is not None:
        return user_parser(pattern), _below if "/" in pattern else _name
    stems = list(map(_stem, images))
    sample = stems[:: max(1, len(stems) // 2000)]
    counts = {key: sum(regex.fullmatch(s) is not None for s in sample) for key, regex in KNOWN.items()}
    best = max(counts, key=lambda key: counts[key])
    if counts[best] * 4 >= len(sample):
        return known_parser(KNOWN[best]), _stem
    # Names of their own: in them or in the folder is the well; `f1` or `c01` is one only where there is nothing better.
    for text, sure in ((_stem, True), (_folder_and_stem, True), (_stem, False)):
        parser = token_parser([text(i) for i in images], sure)
        if parser is not None:
            return parser, text
    if counts[best]:
        return known_parser(KNOWN[best]), _stem
    raise PlateError(
        f"the names of the images in {path} do not tell wells ({listing(dict.fromkeys(i[2] for i in images), 3)}); say"
        " how they are built with pattern=, such as '{well}_f{field}_{channel}.tif'"
    )


def _name(image: ImageFile) -> str:
    return image[2]


def _stem(image: ImageFile) -> str:
    return os.path.splitext(image[2])[0]


def _below(image: ImageFile) -> str:
    return f"{image[1]}/{image[2]}" if image[1] else image[2]


def _folder_and_stem(image: ImageFile) -> str:
    return f"{image[1].rsplit('/', 1)[-1]}/{_stem(image)}"


def _by_folder(parsed: Parsed, folder: str) -> Parsed:
    """Add plane and time point where folders carry them (ImageXpress: TimePoint_1/ZStep_2)."""
    for part in folder.split("/") if folder else ():
        if parsed.t is None and (match := _TIME_FOLDER.fullmatch(part)):
            parsed = replace(parsed, t=int(match[1]))
        if parsed.z is None and (match := _Z_FOLDER.fullmatch(part)):
            parsed = replace(parsed, z=int(match[1]))
    return parsed


def _projected(found: Found) -> Found:
    in_step_0 = any((m := _Z_FOLDER.fullmatch(p)) and int(m[1]) == 0 for p in found.folder.split("/"))
    if found.parsed.z is None or in_step_0:
        return replace(found, parsed=replace(found.parsed, z=_PROJECTION))
    return found


def _one_plate(path: Path, found: Sequence[Found], strict: bool, warnings: list[str]) -> None:
    plates = sorted({f.parsed.plate for f in found})
    if len(plates) > 1:
        if strict:
            raise PlateError(
                f"{path} holds images of several plates ({listing(plates)}); write one plate's name into the pattern"
            )
        warnings.append(
            f"the names of the images begin in different ways ({listing(plates, 3)}); they were taken for one plate"
        )
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
