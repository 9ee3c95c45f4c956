"""What a layout is: the one thing to write when a vendor's folder is to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from napari_phenolens.plate.model import FieldSource


@dataclass(frozen=True)
class Options:
    """What the user asked for.

    Attributes
    ----------
    pattern : str or None
        How file names are built, where the layout cannot tell.
    z : "max" or int
        Maximum projection, or one plane by its 0-based place.
    t : int
        The time point by its 0-based place.
    """

    pattern: str | None = None
    z: Literal["max"] | int = "max"
    t: int = 0


@dataclass(frozen=True)
class FieldEntry:
    """One field that a layout found: the 0-based place of its well, its name, and what reads it when asked."""

    row: int
    column: int
    name: str
    source: FieldSource


@dataclass(frozen=True)
class Contents:
    """What a layout found in a plate, without having read a pixel.

    Attributes
    ----------
    name : str
        The plate's name.
    channels : tuple of str
        In the order wanted; every field has all of them.
    fields : list of FieldEntry
        At least one, in natural order within a well.
    warnings : tuple of str
        What was left out, and why.
    aliases : tuple of str
        Other names the plate may have in a plate map.
    extent : tuple of int
        Rows and columns that the plate is known to have (0, 0 where unknown).
    channel_of_file : mapping
        File name to channel, for `Plate.channel_labels`; empty where files hold more than one channel.
    """

    name: str
    channels: tuple[str, ...]
    fields: list[FieldEntry]
    warnings: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    extent: tuple[int, int] = (0, 0)
    channel_of_file: Mapping[str, str] = field(default_factory=dict)


class Layout(Protocol):
    """A layout; a module with these three names is one."""

    name: str

    def recognises(self, path: Path) -> bool:
        """Return whether the path is laid out so, from names and small metadata files alone."""
        ...

    def contents(self, path: Path, options: Options) -> Contents:
        """Return what lies there; raises PlateError where it cannot be used."""
        ...
