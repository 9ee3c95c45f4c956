"""Where the labels of a run's cells come from: the built-in segmentation, or what the user gives."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_phenolens.cells import CellSegmentation
from napari_phenolens.plate import well_name
from napari_phenolens.run.errors import RunError

Labels = npt.NDArray[np.int32]
Given = Mapping[Any, Any] | Callable[[str, str], Any] | str | Path

SUFFIXES = (".tif", ".tiff", ".png")


@dataclass(frozen=True)
class Place:
    """A field as its labels are asked for.

    Attributes
    ----------
    well, field : str
        Names.
    shape : tuple of int
        Pixels, (Y, X).
    stems : tuple of str
        Names of its image files without their endings, where they are known.
    alone : bool
        Whether the well has no other field.
    """

    well: str
    field: str
    shape: tuple[int, int]
    stems: tuple[str, ...] = ()
    alone: bool = False


class LabelSource(Protocol):
    """Gives label images."""

    def describe(self) -> dict[str, Any]:
        """Say in JSON values what decides the labels: cells of another source are not mixed with these."""

    def labels(self, place: Place, image: npt.NDArray[Any] | None) -> tuple[Labels, Labels | None]:
        """Give a field's labels ``(Y, X)``, 0 for background, and its nuclei where they were found on the way.

        The image is ``(C, Y, X)``, None where the plate's files are gone.
        """


@dataclass(frozen=True)
class Segmented:
    """Labels of the built-in segmentation."""

    segmentation: CellSegmentation
    channels: tuple[str, ...]

    def describe(self) -> dict[str, Any]:
        """Give the settings."""
        return {"kind": "segmentation", **self.segmentation.to_dict()}

    def labels(self, place: Place, image: npt.NDArray[Any] | None) -> tuple[Labels, Labels | None]:
        """Segment the field."""
        if image is None:
            raise RunError("the segmentation needs the field's pixels")
        nuclei = self.segmentation.nuclei(image, self.channels)
        return self.segmentation.cells(image, self.channels, nuclei), nuclei


@dataclass(frozen=True)
class FromCall:
    """Labels that a function gives, asked with the names of well and field."""

    call: Callable[[str, str], Any]

    def describe(self) -> dict[str, Any]:
        """Name the function; what it computes is the user's."""
        name = getattr(self.call, "__qualname__", type(self.call).__qualname__)
        return {"kind": "function", "name": f"{getattr(self.call, '__module__', '')}.{name}"}

    def labels(self, place: Place, image: npt.NDArray[Any] | None) -> tuple[Labels, None]:
        """Call it."""
        return checked(self.call(place.well, place.field), place), None


class FromMapping:
    """Labels given as arrays: keys are wells, or pairs of well and field; values arrays, or mappings of fields."""

    def __init__(self, given: Mapping[Any, Any]) -> None:
        self.given: dict[tuple[str, str | None], Any] = {}
        for key, value in given.items():
            well, field = key if isinstance(key, tuple) else (key, None)
            if isinstance(value, Mapping):
                self.given |= {(well_name(well), str(name)): image for name, image in value.items()}
            else:
                self.given[well_name(well), None if field is None else str(field)] = value

    def describe(self) -> dict[str, Any]:
        """Give a checksum over all arrays."""
        digest = hashlib.sha256()
        for key, image in sorted(self.given.items(), key=lambda each: repr(each[0])):
            digest.update(repr((key, np.shape(image))).encode())
            digest.update(np.ascontiguousarray(image).tobytes())
        return {"kind": "arrays", "sha256": digest.hexdigest()[:16]}

    def labels(self, place: Place, image: npt.NDArray[Any] | None) -> tuple[Labels, None]:
        """Look it up; a well's only field needs no name."""
        found = self.given.get((place.well, place.field))
        if found is None and place.alone:
            found = self.given.get((place.well, None))
        if found is None:
            raise RunError(f"no labels were given for {place.well}, field {place.field}")
        return checked(found, place), None


class FromFolder:
    """Label images in a folder, found by the names of the images that they are of, or of well and field."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise RunError(f"{self.folder}: no such folder of label images")
        self.files = sorted(p for p in self.folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not self.files:
            raise RunError(f"{self.folder}: no label images ({', '.join(SUFFIXES)}) there")

    def describe(self) -> dict[str, Any]:
        """Give the folder, and a checksum over names, sizes and times of its files."""
        facts = [(str(p.relative_to(self.folder)), p.stat().st_size, p.stat().st_mtime_ns) for p in self.files]
        return {
            "kind": "folder",
            "folder": str(self.folder.resolve()),
            "sha256": hashlib.sha256(repr(facts).encode()).hexdigest()[:16],
        }

    def labels(self, place: Place, image: npt.NDArray[Any] | None) -> tuple[Labels, None]:
        """Read the one file that is named as the field is."""
        from napari_phenolens.plate.images import read_image

        path = self._file(place)
        return checked(read_image(str(path), None), place), None

    def _file(self, place: Place) -> Path:
        names = [*place.stems, f"{place.well}_{place.field}", f"{place.well}_f{place.field}"]
        names += [place.well] if place.alone else []
        # B07_f1_labels.tif and B07_f1_DNA_cp_masks.png are of B07_f1 and B07_f1_DNA; B07_f10.tif is not of B07_f1
        name = re.compile("|".join(f"{re.escape(n)}(?![0-9a-z])" for n in names), re.IGNORECASE)
        found = [p for p in self.files if name.match(p.stem)]
        if len(found) != 1:
            said = f"several label images ({', '.join(p.name for p in found[:4])})" if found else "no label image"
            raise RunError(
                f"{self.folder}: {said} for {place.well}, field {place.field}; name them as the images are, "
                f"or {place.well}_{place.field}.tif"
            )
        return found[0]


def checked(labels: Any, place: Place) -> Labels:
    """Check a label image.

    Raises
    ------
    RunError
        Where it is of another shape than the field, no whole numbers or below 0.
    """
    image = np.asarray(labels)
    where = f"labels of {place.well}, field {place.field}"
    if image.shape != place.shape:
        raise RunError(f"{where} have shape {image.shape}, the field has {place.shape}; they must be the same")
    if not np.issubdtype(image.dtype, np.integer):
        raise RunError(f"{where} are of type {image.dtype}; labels are whole numbers")
    if image.size and (int(image.min()) < 0 or int(image.max()) >= 2**31):
        raise RunError(f"{where} run from {image.min()} to {image.max()}; labels are 0 (background) or above")
    return image.astype(np.int32)


def source_of(labels: Given) -> LabelSource:
    """Give the source that the user's labels are.

    Raises
    ------
    RunError
        Where they are none of the kinds known.
    """
    if isinstance(labels, (str, Path)):
        return FromFolder(labels)
    if isinstance(labels, Mapping):
        return FromMapping(labels)
    if callable(labels):
        return FromCall(labels)
    raise RunError(
        f"labels of type {type(labels).__name__} are none; give a folder of label images, a mapping of (well, field) "
        "to arrays, or a function of well and field"
    )
