"""One image file: its header, and its pixels as (Y, X)."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np

from napari_phenolens.plate.errors import PlateError
from napari_phenolens.plate.model import FieldHeader, Image

SUFFIXES = frozenset({".tif", ".tiff", ".png"})
_PNG = b"\x89PNG\r\n\x1a\n"
_PER_UM = {"um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0,
           "\\u00b5m": 1.0, "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3, "mm": 1e3, "millimeter": 1e3,
           "millimetre": 1e3, "m": 1e6, "meter": 1e6}  # fmt: skip


@dataclass(frozen=True)
class FileHeader:
    """What a file's header says: its axes (tifffile's letters), their lengths, and scale."""

    axes: str
    lengths: tuple[int, ...]
    field: FieldHeader
    channels: tuple[str, ...] = ()

    @property
    def n_channels(self) -> int:
        """Number of channels, where the file alone tells (planes without a meaning count as channels)."""
        lengths = [
            n
            for a, n in zip(self.axes, self.lengths, strict=True)
            if a == "C" or ("C" not in self.axes and a not in "YXSZT")
        ]
        return int(np.prod(lengths, dtype=int))


def micrometres(value: float, unit: str) -> float | None:
    """Return a length in micrometres, None for an unknown unit or a length that is none."""
    factor = _PER_UM.get(unit.strip().lower())
    return value * factor if factor is not None and value > 0 and np.isfinite(value) else None


def read_header(path: str) -> FileHeader:
    """Read a file's header, no pixels.

    Raises
    ------
    PlateError
        The file is missing, empty, damaged or no TIFF or PNG.
    """
    try:
        if path.lower().endswith(".png"):
            return _png_header(path)
        from tifffile import TiffFile

        with TiffFile(path) as tif:
            return _tiff_header(tif)
    except Exception as error:  # readers raise what they like at a damaged file; the error names it and the cause
        raise _unreadable(path, error) from error


def read_image(path: str, channel: int | None, z: Literal["max"] | int = "max", t: int = 0) -> Image:
    """Read one channel of a file.

    Parameters
    ----------
    path : str
        A TIFF or PNG.
    channel : int or None
        The place of the channel in the file; None where the whole file is one channel (its planes are then z).
    z : "max" or int
        What to take of the planes, if the file has several.
    t : int
        Which time point, if the file has several.

    Returns
    -------
    numpy.ndarray
        (Y, X) of the file's own dtype.

    Raises
    ------
    PlateError
        The file cannot be read, or does not have that plane, channel or time; or it is a colour picture.
    """
    try:
        if path.lower().endswith(".png"):
            from imagecodecs import png_decode

            with open(path, "rb") as file:
                image = np.asarray(png_decode(file.read()))
            axes = "YXS"[: image.ndim]
        else:
            from tifffile import TiffFile

            with TiffFile(path) as tif:
                image, axes = _tiff_pixels(tif)
    except Exception as error:
        raise _unreadable(path, error) from error
    return _plane(path, image, axes, channel, z, t)


def _plane(path: str, image: Image, axes: str, channel: int | None, z: Literal["max"] | int, t: int) -> Image:
    if "S" in axes:
        image, axes = _grey(path, np.moveaxis(image, axes.index("S"), -1)), axes.replace("S", "")
    other = "Z" if channel is None or "C" in axes else "C"  # pages of which nothing is said
    letters = "".join(a if a in "YXZTC" else other for a in axes)
    for kind in "TCZ":
        while kind in letters:
            axis = letters.index(kind)
            n = image.shape[axis]
            if kind == "Z" and z == "max":
                image = image.max(axis=axis)
            else:
                place = t if kind == "T" else (channel if kind == "C" else int(z))
                if place is None:
                    if n > 1:
                        raise PlateError(
                            f"{path} holds {n} channels, though its name stands for one; give the folder of "
                            "single-channel files"
                        )
                    place = 0
                if n == 1 and kind != "C":  # a file of one plane stands for itself, whatever plane its name says
                    place = 0
                if place >= n:
                    what = {"T": f"t={place}", "C": f"channel {place + 1}", "Z": f"z={place}"}[kind]
                    raise PlateError(f"{path} has no {what}: it holds {n} (counted from 0)")
                image = image.take(place, axis=axis)
            letters = letters[:axis] + letters[axis + 1 :]
            if kind == "C" and channel is not None:
                channel = 0
    if letters == "XY":
        image = image.T
    if image.ndim != 2 or letters not in ("YX", "XY"):
        raise PlateError(f"{path} is no image: its axes are {axes!r} with lengths {image.shape}")
    return image


def _grey(path: str, image: Image) -> Image:
    """Return the grey values of a grey picture that was saved as colours; refuses real colours."""
    n = image.shape[-1]
    first: Image = image[..., 0]
    if n >= 3 and not all(np.array_equal(first, image[..., i]) for i in (1, 2)):
        raise PlateError(
            f"{path} is a colour picture; a plate needs one grey image a channel (the raw files, not exported pictures)"
        )
    return first


def _png_header(path: str) -> FileHeader:
    with open(path, "rb") as file:
        head = file.read(26)
    if len(head) < 26 or head[:8] != _PNG:
        raise ValueError("not a PNG file" if head else "the file is empty")
    width, height, depth, _ = struct.unpack(">IIBB", head[16:26])
    return FileHeader(
        "YX", (height, width), FieldHeader((height, width), np.dtype("uint16" if depth == 16 else "uint8"))
    )


def _series(tif: Any) -> Any | None:
    """Return the file's series where it is more than one page of this one file."""
    if len(tif.pages) == 1 and not tif.is_imagej:  # a big ImageJ stack has a single page
        return None
    series = tif.series[0]
    # an OME-TIFF may describe a whole plate in each file: its other files are no part of this field
    return None if series.is_multifile else series


def _tiff_header(tif: Any) -> FileHeader:
    series, page = _series(tif), tif.pages[0]
    several = series is None and len(tif.pages) > 1
    axes, lengths = (page.axes, page.shape) if series is None else (series.axes, series.shape)
    if several:
        axes, lengths = "I" + axes, (len(tif.pages), *lengths)
    shape = (int(lengths[axes.index("Y")]), int(lengths[axes.index("X")]))
    size, position, names = _scale(tif)
    return FileHeader(axes, tuple(map(int, lengths)), FieldHeader(shape, np.dtype(page.dtype), size, position), names)


def _tiff_pixels(tif: Any) -> tuple[Image, str]:
    series, page = _series(tif), tif.pages[0]
    size = os.path.getsize(tif.filehandle.path)
    for p in tif.pages:  # tifffile may give zeros for strips beyond the end of a file that was cut short
        if p.dataoffsets and max(o + n for o, n in zip(p.dataoffsets, p.databytecounts, strict=False)) > size:
            raise ValueError("the file ends before its pixels do")
    if series is not None:
        pixels: Image = series.asarray(maxworkers=1)
        return pixels, str(series.axes)
    if len(tif.pages) > 1:
        planes: list[Image] = [p.asarray(maxworkers=1) for p in tif.pages]
        return np.stack(planes), "I" + str(page.axes)
    image: Image = page.asarray(maxworkers=1)
    return _through_palette(image, page), str(page.axes)


def _through_palette(image: Image, page: Any) -> Image:
    """Return grey values of a palette TIFF.

    A palette that rises steadily (the grey identity of BBBC013, a green LUT) only says how to show the values; one in
    another order means that the values are no intensities, so its greys are looked up.
    """
    colours = getattr(page, "colormap", None)
    if colours is None or image.ndim != 2:
        return image
    brightness = colours.astype(np.int64).sum(axis=0)
    if np.all(np.diff(brightness) >= 0) and brightness[-1] > brightness[0]:
        return image
    if not (np.array_equal(colours[0], colours[1]) and np.array_equal(colours[0], colours[2])):
        raise ValueError("it is a picture in indexed colours, not grey values")
    greys: Image = (colours[0] // 257).astype(np.uint8)
    return np.asarray(greys[image])


def _scale(tif: Any) -> tuple[float | None, tuple[float, float] | None, tuple[str, ...]]:
    """Return pixel size and stage position in micrometres, and channel names, where a header is sure of them.

    TIFF's own resolution tags are not used: most microscopes leave printing resolutions there (72 dpi, or 64 um a pixel
    in Phenix files).
    """
    try:
        if tif.is_ome:
            return _ome_scale(tif.ome_metadata)
        if tif.is_metaseries:
            plane = tif.metaseries_metadata["PlaneInfo"]
            size = None
            if plane.get("spatial-calibration-state", True):
                size = micrometres(
                    float(plane["spatial-calibration-x"]), str(plane.get("spatial-calibration-units", "um"))
                )
            at = (
                (float(plane["stage-position-y"]), float(plane["stage-position-x"]))
                if "stage-position-x" in plane
                else None
            )
            return size, at, ()
        if tif.is_imagej:
            unit, tag = str((tif.imagej_metadata or {}).get("unit", "")), tif.pages[0].tags.get("XResolution")
            if tag is not None and tag.value[0]:
                return micrometres(tag.value[1] / tag.value[0], unit), None, ()
    except Exception:  # an odd description is no reason to refuse the pixels
        return None, None, ()
    return None, None, ()


def _ome_scale(text: str) -> tuple[float | None, tuple[float, float] | None, tuple[str, ...]]:
    root = ElementTree.fromstring(text)
    pixels = next((e for e in root.iter() if e.tag.endswith("}Pixels")), None)
    if pixels is None:
        return None, None, ()
    size = micrometres(float(pixels.get("PhysicalSizeX", "nan")), pixels.get("PhysicalSizeXUnit", "um"))
    names = tuple(e.get("Name") or "" for e in pixels if e.tag.endswith("}Channel"))
    at = None
    plane = next((e for e in pixels if e.tag.endswith("}Plane") and e.get("PositionX") and e.get("PositionY")), None)
    if plane is not None:
        y, x = (
            float(plane.get(f"Position{a}", "nan")) * _PER_UM.get(plane.get(f"Position{a}Unit", ""), np.nan)
            for a in "YX"
        )
        at = (y, x) if np.isfinite(y) and np.isfinite(x) else None
    return size, at, names


def _unreadable(path: str, error: Exception) -> PlateError:
    if isinstance(error, PlateError):
        return error
    try:
        empty = os.path.getsize(path) == 0
    except OSError:
        return PlateError(f"{path} cannot be read (it is not there, or not yours to read); open the plate again")
    reason = "it is empty" if empty else str(error) or type(error).__name__
    return PlateError(
        f"{path} cannot be read ({reason}); copy it again from the microscope, or take it out of the folder"
    )
