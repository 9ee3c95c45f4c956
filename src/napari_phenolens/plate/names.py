"""Names of wells, their places, and the plate formats."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from napari_phenolens.plate.errors import PlateError

MAX_ROWS, MAX_COLUMNS = 32, 48  # a 1536-well plate: A..AF, 1..48
FORMATS: tuple[tuple[int, int], ...] = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))
INVISIBLE = (  # byte-order mark, zero-width and hard spaces, seen in real plate maps
    "\ufeff\u200b\u200c\u200d\u2060\u00a0"
)

_LETTERS_FIRST = re.compile(r"([A-Za-z]{1,2})[-_ ]?0*(\d{1,2})")
_DIGITS_FIRST = re.compile(r"0*(\d{1,2})[-_ ]?([A-Za-z]{1,2})")
_ROW_COLUMN = re.compile(r"[Rr]0*(\d{1,2})[-_ ]?[Cc]0*(\d{1,2})")


def strip_invisible(text: str) -> str:
    """Return `text` without white space and invisible characters at its ends."""
    return text.strip(INVISIBLE + " \t\r\n")


def row_name(row: int) -> str:
    """Return the letters of a 0-based row: 0 is ``A``, 26 is ``AA``."""
    if not 0 <= row < MAX_ROWS:
        raise PlateError(f"row {row} (counted from 0) is on no plate: rows go from 0 to {MAX_ROWS - 1} (A to AF)")
    return chr(65 + row) if row < 26 else "A" + chr(65 + row - 26)


def parse_row(text: str) -> int:
    """Return the 0-based row of ``"B"``, ``"b"``, ``"AA"`` or of a number counted from 1."""
    text = strip_invisible(text)
    row = -1
    if re.fullmatch(r"\d{1,2}(\.0+)?", text):
        row = int(float(text)) - 1
    elif re.fullmatch(r"[A-Za-z]", text):
        row = ord(text.upper()) - 65
    elif re.fullmatch(r"[Aa][A-Fa-f]", text):
        row = 26 + ord(text[1].upper()) - 65
    if not 0 <= row < MAX_ROWS:
        raise PlateError(f"{text!r} is no row of a plate: rows are A to AF, or 1 to {MAX_ROWS}")
    return row


def parse_column(text: str) -> int:
    """Return the 0-based column of ``"7"``, ``"07"`` or ``"7.0"``."""
    text = strip_invisible(text)
    column = int(float(text)) - 1 if re.fullmatch(r"\d{1,3}(\.0+)?", text) else -1
    if not 0 <= column < MAX_COLUMNS:
        raise PlateError(f"{text!r} is no column of a plate: columns are 1 to {MAX_COLUMNS}")
    return column


@lru_cache(maxsize=8192)
def _parse(text: str) -> tuple[int, int] | None:
    text = strip_invisible(text)
    if match := _LETTERS_FIRST.fullmatch(text):
        letters, digits = match[1], match[2]
    elif match := _DIGITS_FIRST.fullmatch(text):
        letters, digits = match[2], match[1]
    elif match := _ROW_COLUMN.fullmatch(text):
        letters, digits = match[1], match[2]
    else:
        return None
    try:
        return parse_row(letters), parse_column(digits)
    except PlateError:
        return None


def parse_well(name: str) -> tuple[int, int]:
    """Return the 0-based row and column of a well.

    Parameters
    ----------
    name : str
        A well as people write it: ``"B07"``, ``"b7"``, ``"07B"``, ``"B-7"``, ``"AA02"``, ``"r02c07"``.

    Raises
    ------
    PlateError
        The name is no well of a plate of up to 1536 wells.
    """
    place = _parse(str(name))
    if place is None:
        raise PlateError(
            f"{str(name)!r} is no well: wells are a row (A to AF) and a column (1 to {MAX_COLUMNS}), such as B7, B07 or"
            " AA02"
        )
    return place


def is_well(name: str) -> bool:
    """Return whether `parse_well` would take the name."""
    return _parse(str(name)) is not None


def well_name_of(row: int, column: int) -> str:
    """Return the name of the well at a 0-based row and column, such as ``B07``."""
    if not 0 <= column < MAX_COLUMNS:
        raise PlateError(f"column {column} (counted from 0) is on no plate: columns go from 0 to {MAX_COLUMNS - 1}")
    return f"{row_name(row)}{column + 1:02d}"


def well_name(name: str) -> str:
    """Return a well's name in the one way used everywhere: ``"b7"`` gives ``"B07"``.

    Raises
    ------
    PlateError
        The name is no well.
    """
    return well_name_of(*parse_well(name))


def plate_format(wells: Iterable[str], extent: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """Return rows and columns of the smallest usual plate (6 to 1536 wells) that holds all wells.

    Parameters
    ----------
    wells : iterable of str
        Well names.
    extent : tuple of int
        Rows and columns that the plate is known to have at least.
    """
    rows, columns = extent
    for well in wells:
        row, column = parse_well(well)
        rows, columns = max(rows, row + 1), max(columns, column + 1)
    return next((f for f in FORMATS if f[0] >= rows and f[1] >= columns), FORMATS[-1])


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts ``ch2`` before ``ch10``."""
    parts = re.split(r"(\d+)", text)
    return (*((0, int(p), "") if p.isdigit() else (1, 0, p.lower()) for p in parts if p), (2, 0, text))


def listing(items: Iterable[object], limit: int = 6) -> str:
    """Return the first items joined by commas, and how many more there are."""
    names = [str(item) for item in items]
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
