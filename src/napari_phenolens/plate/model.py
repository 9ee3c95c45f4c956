"""Plate, Well and Field: what lies on disk, read only when asked."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_phenolens.plate.errors import PlateError
from napari_phenolens.plate.names import listing, well_name
from napari_phenolens.plate.select import select_wells

Image = NDArray[Any]
Region = tuple[slice, slice]


@dataclass(frozen=True)
class FieldHeader:
    """What is known of a field without its pixels.

    Attributes
    ----------
    shape : tuple of int
        Y and X in pixels.
    dtype : numpy.dtype
        The file's own.
    pixel_size : float or None
        Micrometres per pixel, where the file states it.
    position : tuple of float or None
        y and x of the field in micrometres, where the file states it.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    pixel_size: float | None = None
    position: tuple[float, float] | None = None


class FieldSource(Protocol):
    """What a layout gives for each field; nothing is opened before one of these is called."""

    def header(self) -> FieldHeader:
        """Return shape and scale, from a file's header."""
        ...

    def read(self, channel: str, region: Region | None) -> Image:
        """Return one channel as (Y, X)."""
        ...

    def files(self, channel: str | None = None) -> tuple[Path, ...]:
        """Return the files that hold the pixels (of one channel)."""
        ...


class Field:
    """One site of a well.

    Attributes
    ----------
    name, well : str
        Its name in the well (as in the files, without leading zeros) and the well's.
    channels : tuple of str
        Channel names, in the plate's order.
    """

    __slots__ = ("_header", "_source", "channels", "name", "well")

    def __init__(self, name: str, well: str, channels: tuple[str, ...], source: FieldSource) -> None:
        self.name = name
        self.well = well
        self.channels = channels
        self._source = source
        self._header: FieldHeader | None = None

    @property
    def header(self) -> FieldHeader:
        """Shape, dtype and scale, read from a file's header at the first asking."""
        if self._header is None:
            self._header = self._source.header()
        return self._header

    @property
    def shape(self) -> tuple[int, int]:
        """Y and X in pixels."""
        return self.header.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the files."""
        return self.header.dtype

    @property
    def pixel_size(self) -> float | None:
        """Micrometres per pixel, None where the files do not say."""
        return self.header.pixel_size

    @property
    def position(self) -> tuple[float, float] | None:
        """Stage y and x in micrometres, None where the files do not say."""
        return self.header.position

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold this field's pixels, in the order of the channels."""
        return self._source.files()

    def channel_files(self, channel: str) -> tuple[Path, ...]:
        """Return the files that hold one channel of this field."""
        return self._source.files(channel)

    def read(self, channels: Sequence[str] | str | None = None, region: Region | None = None) -> Image:
        """Read pixels.

        Parameters
        ----------
        channels : sequence of str, optional
            Channel names, in the order wanted; all of them by default.
        region : tuple of slice, optional
            Rows and columns in pixels, ``(slice_y, slice_x)``; the whole field by default.

        Returns
        -------
        numpy.ndarray
            (C, Y, X) of the files' own dtype.

        Raises
        ------
        PlateError
            A channel is unknown, or a file cannot be read.
        """
        wanted = self.channels if channels is None else (channels,) if isinstance(channels, str) else tuple(channels)
        for channel in wanted:
            if channel not in self.channels:
                raise PlateError(
                    f"field {self.name} of well {self.well} has no channel {channel!r}; its channels are "
                    f"{listing(self.channels, 12)}"
                )
        if not wanted:
            raise PlateError(f"no channel asked for; the channels are {listing(self.channels, 12)}")
        planes = [self._source.read(channel, region) for channel in wanted]
        for channel, plane in zip(wanted, planes, strict=True):
            if plane.shape != planes[0].shape:
                raise PlateError(
                    f"channels {wanted[0]} {planes[0].shape} and {channel} {plane.shape} of field {self.name}, well"
                    f" {self.well}, differ in size ({listing(self.channel_files(channel), 1)}); one of them is damaged"
                    " or belongs to another plate"
                )
        return np.stack(planes)

    def __repr__(self) -> str:
        return f"Field({self.well!r}, {self.name!r}, channels={list(self.channels)})"


@dataclass(frozen=True)
class Well:
    """A well that has images.

    Attributes
    ----------
    name : str
        Such as ``B07``.
    row, column : int
        Counted from 0.
    fields : tuple of Field
        Its sites, in natural order of their names.
    """

    name: str
    row: int
    column: int
    fields: tuple[Field, ...]

    def field(self, field: str | int | None = None) -> Field:
        """Return a field by its name, its 0-based place, or the first.

        Raises
        ------
        PlateError
            There is no such field; the message lists those there are.
        """
        if field is None:
            return self.fields[0]
        names = [f.name for f in self.fields]
        if isinstance(field, str):
            if field in names:
                return self.fields[names.index(field)]
            if field.isdigit():  # "01" means the field that is called "1"
                for place, name in enumerate(names):
                    if name.isdigit() and int(name) == int(field):
                        return self.fields[place]
            raise PlateError(f"well {self.name} has no field {field!r}; its fields are {listing(names, 12)}")
        place = operator.index(field)
        if not 0 <= place < len(names):
            raise PlateError(
                f"well {self.name} has {len(names)} field(s), so places go from 0 to {len(names) - 1}; {place} is none "
                f"(by name they are {listing(names, 12)})"
            )
        return self.fields[place]


class Wells(Mapping[str, Well]):
    """Wells by name, row-major; a well may be written ``B7`` or ``b07``."""

    def __init__(self, wells: Sequence[Well]) -> None:
        self._wells = {w.name: w for w in sorted(wells, key=lambda w: (w.row, w.column))}

    def __getitem__(self, name: str) -> Well:
        if name in self._wells:
            return self._wells[name]
        try:
            return self._wells[well_name(name)]
        except PlateError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._wells)

    def __len__(self) -> int:
        return len(self._wells)

    def __repr__(self) -> str:
        return f"Wells({listing(self, 8)})"


@dataclass(frozen=True, eq=False)
class Plate:
    """A plate as it lies on disk; `open_plate` makes one.

    Attributes
    ----------
    name : str
        The plate's name.
    path : Path
        Where it lies.
    layout : str
        ``"tiff-folder"``, ``"ome-zarr"``, or another layout's name.
    channels : tuple of str
        Names as in the files.
    channel_labels : dict
        Channel to what the plate map calls it, from columns ``file_<label>`` or ``FileName_<label>``.
    wells : Mapping of str to Well
        Row-major; only wells that have images.
    metadata : pandas.DataFrame
        The plate map's columns as they are, indexed by well name: all wells of the map and all with images.
    format : tuple of int
        Rows and columns of the plate.
    warnings : tuple of str
        What was left out, and why.
    options : dict
        How it was opened (``pattern``, ``z``, ``t``), to open it the same way again.
    """

    name: str
    path: Path
    layout: str
    channels: tuple[str, ...]
    channel_labels: dict[str, str]
    wells: Wells
    metadata: pd.DataFrame
    format: tuple[int, int]
    warnings: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def pixel_size(self) -> float | None:
        """Micrometres per pixel from the header of the first field that can be read, None where it does not say."""
        for well in self.wells.values():
            for each in well.fields:
                try:
                    return each.pixel_size
                except PlateError:  # a damaged file says nothing of the plate; whoever reads it is told
                    continue
        return None

    def select(self, query: str | Sequence[str] | None) -> list[str]:
        """Return the wells with images that fit a query over `metadata` (or a list of wells), row-major.

        Raises
        ------
        PlateError
            See `select_wells`.
        """
        return select_wells(self.metadata, query, list(self.wells))

    def field(self, well: str, field: str | int | None = None) -> Field:
        """Return one field.

        Parameters
        ----------
        well : str
            ``"B07"``, ``"b7"``.
        field : str or int, optional
            A field's name, or its 0-based place; the well's first by default.

        Raises
        ------
        PlateError
            The well has no images, or no such field.
        """
        name = well_name(well)
        if name not in self.wells:
            known = " (it is in the plate map)" if name in self.metadata.index else ""
            raise PlateError(f"plate {self.name} has no images of well {name}{known}; it has {listing(self.wells, 12)}")
        return self.wells[name].field(field)

    def __repr__(self) -> str:
        fields = sum(len(w.fields) for w in self.wells.values())
        return (
            f"Plate({self.name!r}, {self.layout}, {len(self.wells)} wells, {fields} fields,"
            f" channels={list(self.channels)})"
        )
