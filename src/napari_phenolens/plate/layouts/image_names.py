"""Which images a folder holds, and what their names and folders say."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from napari_phenolens.plate.errors import PlateError
from napari_phenolens.plate.images import SUFFIXES
from napari_phenolens.plate.layouts.file_names import KNOWN, Parsed, Parser, known_parser, user_parser
from napari_phenolens.plate.layouts.name_tokens import token_parser
from napari_phenolens.plate.names import listing

_TIME_FOLDER = re.compile(r"time_?point_?(\d+)", re.IGNORECASE)
_Z_FOLDER = re.compile(r"z_?step_?(\d+)", re.IGNORECASE)
ImageFile = tuple[str, str, str]  # path, folder below the plate, name
_PROJECTION = -1  # the z of a file that the microscope projected already


@dataclass(frozen=True)
class Found:
    """An image file and what its name says."""

    path: str
    folder: str
    parsed: Parsed


def scan(path: Path, keep_thumbnails: bool) -> tuple[list[ImageFile], int]:
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


def nothing(path: Path, thumbnails: int) -> str:
    """Return what to tell the user about a folder without images."""
    if thumbnails:
        return (
            f"{path} holds only thumbnails ({thumbnails} files); give the folder of the images, or a pattern that says"
            " _thumb"
        )
    zarrs = sorted(p.name for p in path.iterdir() if p.name.lower().endswith(".zarr"))
    if zarrs:
        return f"{path} holds no TIFF or PNG images; give one of the plates in it: {listing(zarrs)}"
    kinds = Counter(
        p.suffix.lower() for p in islice(path.rglob("*"), 10_000) if p.suffix and not p.name.startswith(".")
    )
    there = f" (it holds {', '.join(f'{n} {s}' for s, n in kinds.most_common(3))})" if kinds else " (it is empty)"
    return f"{path} holds no TIFF or PNG images{there}; give the folder of a plate's images, or an OME-Zarr plate"


def parse_names(path: Path, images: Sequence[ImageFile], pattern: str | None) -> tuple[list[Found], list[str], bool]:
    """Return what names say, the names that say nothing, and whether folders say some of it."""
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
    return found, strays, text in (_below, _folder_and_stem)


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
    texts = [(_stem, True), (_folder_and_stem, True), (_stem, False)]
    if len({_folder_and_stem(i) for i in images}) > len(set(stems)):
        texts.insert(
            0, (_folder_and_stem, True)
        )  # names come again in other folders, so these are the channel or the well
    for text, sure in texts:
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
    parts = [p for p in image[1].split("/") if not _TIME_FOLDER.fullmatch(p) and not _Z_FOLDER.fullmatch(p)]
    return f"{parts[-1] if parts else ''}/{_stem(image)}"


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
