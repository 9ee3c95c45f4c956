"""Plate maps: tables as people keep them, turned into one row a well."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path

import numpy as np
import pandas as pd

from napari_phenolens.plate.errors import PlateError
from napari_phenolens.plate.names import (
    INVISIBLE,
    is_well,
    listing,
    parse_column,
    parse_row,
    parse_well,
    strip_invisible,
    well_name,
    well_name_of,
)

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".tab"})
# Column names in lower case, without "metadata" and anything but letters and digits; the first that fits is taken.
WELL_NAMES = ("well", "wellname", "wellposition", "wellpos", "welladdress", "wellid", "destinationwell", "destwell",
              "assaywell", "wellcode", "welllabel", "address", "position", "wells")  # fmt: skip
ROW_NAMES = ("row", "wellrow", "rowname", "platerow", "rowletter")
COLUMN_NAMES = ("column", "col", "wellcol", "wellcolumn", "columnname", "platecolumn", "platecol", "colname")
PLATE_NAMES = (
    "plate",
    "plateid",
    "platename",
    "barcode",
    "platebarcode",
    "assayplatebarcode",
    "platenumber",
    "platemapname",
)
FILE_PREFIXES = ("file_", "filename_", "image_filename_")
_MISSING = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "#N/A", "<NA>", "null", "NULL"})
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?inf")
_COMMA_NUMBER = re.compile(r"[-+]?\d+(,\d+)?([eE][-+]?\d+)?")

PlateMap = str | PathLike[str] | pd.DataFrame


def read_platemap(source: PlateMap, plate_names: Sequence[str] = (), beside: Path | None = None) -> pd.DataFrame:
    """Read a plate map.

    Parameters
    ----------
    source : path or pandas.DataFrame
        A table with a header and a row a well: comma, semicolon, tab or bar separated. The well stands in one column
        (``well``, ``Metadata_Well``, ``well_position``, ``address`` ...) or in two (``row`` and ``column``, ``WellRow``
        and ``WellCol`` ...; rows as letters or numbers from 1).
    plate_names : sequence of str
        What the plate is called; used only where the table's plate column names several plates.
    beside : Path, optional
        The folder of the images, searched for tables to propose where `source` does not exist.

    Returns
    -------
    pandas.DataFrame
        The columns as they are (padding, byte-order mark and empty columns without a name removed; numbers as numbers),
        indexed by well name, row-major.

    Raises
    ------
    PlateError
        No such file, no well column, wells that are none or come twice, or several plates of which none is this.
    """
    if isinstance(source, pd.DataFrame):
        title = "the plate map (DataFrame)"
        table = source.copy()
        if (
            not _well_column(table)
            and not _row_and_column(table)
            and len(table)
            and all(map(is_well, map(str, table.index)))
        ):
            table.insert(0, "well", [str(i) for i in table.index])
            return _indexed(table, title, plate_names).drop(columns="well").rename_axis("well")
        return _indexed(table.reset_index(drop=True), title, plate_names)
    path = Path(fspath(source)).expanduser()
    return _indexed(_read_table(path, beside), f"plate map {path}", plate_names)


def lone_tables(folder: Path) -> list[str]:
    """Return the names of tables in a folder that look like plate maps, from their headers alone."""
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() in TABLE_SUFFIXES and path.is_file() and not path.name.startswith("."):
            try:
                with path.open("rb") as file:
                    head = _decode(file.read(65536))
                header = pd.DataFrame(columns=_rows(head.splitlines()[0])[0][1])
            except (OSError, PlateError, IndexError):
                continue
            if _well_column(header) or _row_and_column(header):
                found.append(path.name)
    return found


def labels_of_channels(metadata: pd.DataFrame, channel_of_file: Mapping[str, str]) -> dict[str, str]:
    """Return what a plate map calls the channels.

    Parameters
    ----------
    metadata : pandas.DataFrame
        With columns ``file_<label>`` or ``FileName_<label>`` whose entries are file names.
    channel_of_file : mapping
        File name to channel.

    Returns
    -------
    dict
        Channel to label, where all the known entries of a column belong to one channel.
    """
    labels: dict[str, str] = {}
    for column in map(str, metadata.columns):
        label = file_label(column)
        if label is None:
            continue
        entries = (re.split(r"[\\/]", str(value))[-1] for value in metadata[column].dropna())
        channels = {channel_of_file[name] for name in entries if name in channel_of_file}
        if len(channels) == 1:
            labels.setdefault(channels.pop(), label)
    return labels


def file_label(column: str) -> str | None:
    """Return ``"dna"`` for a column ``file_dna`` or ``FileName_dna``, None for other columns."""
    for prefix in FILE_PREFIXES:
        if column.lower().startswith(prefix) and len(column) > len(prefix):
            return column[len(prefix) :]
    return None


def _key(column: object) -> str:
    key = re.sub(r"[^a-z0-9]", "", str(column).lower())
    return key.removeprefix("image").removeprefix("metadata") or key


def _first(table: pd.DataFrame, names: Iterable[str]) -> str | None:
    keys: dict[str, str] = {}
    for column in table.columns:
        keys.setdefault(_key(column), column)
    return next((keys[name] for name in names if name in keys), None)


def _well_column(table: pd.DataFrame) -> str | None:
    """Return the well column: of those with a usual name the first whose entries are wells, else the first."""
    named = [c for name in WELL_NAMES for c in table.columns if _key(c) == name]
    for column in named:
        entries = [str(v) for v in table[column].dropna().head(50)] if not table.columns.duplicated().any() else []
        if entries and sum(map(is_well, entries)) * 2 >= len(entries):
            return str(column)
    return str(named[0]) if named else None


def _row_and_column(table: pd.DataFrame) -> tuple[str, str] | None:
    row, column = _first(table, ROW_NAMES), _first(table, COLUMN_NAMES)
    return (row, column) if row is not None and column is not None else None


def _read_table(path: Path, beside: Path | None) -> pd.DataFrame:
    if not path.is_file():
        near = lone_tables(beside) if beside is not None else []
        hint = f"; beside the images lie {listing(near)}" if near else ""
        what = "is a folder, not a table" if path.is_dir() else "does not exist"
        raise PlateError(f"plate map {path} {what}; give the path of a CSV with a row a well{hint}")
    if path.suffix.lower() in {".xlsx", ".xls", ".ods", ".xlsm"}:
        raise PlateError(f"plate map {path} is a spreadsheet; save it as CSV and give that")
    try:
        text = _decode(path.read_bytes())
    except OSError as error:
        raise PlateError(
            f"plate map {path} cannot be read ({error.strerror or error}); check that it is there and yours"
        ) from error
    if "\0" in text:
        raise PlateError(f"plate map {path} is no text table; save it as CSV and give that")
    rows = _rows(text)
    if len(rows) < 2:
        raise PlateError(f"plate map {path} has no rows below its header; it needs one a well")
    header = [strip_invisible(h) for h in rows[0][1]]
    width = max(len(cells) for _, cells in rows)
    for line, cells in rows[1:]:
        if any(cells[len(header) :]):
            raise PlateError(
                f"plate map {path}, line {line}, has {len(cells)} cells, but the header has {len(header)}; text that"
                " holds the separator must stand in quotes"
            )
    data: dict[str, pd.Series] = {}
    for place, name in enumerate(header + [""] * (width - len(header))):
        cells = [row[place] if place < len(row) else "" for _, row in rows[1:]]
        if not name:
            if not any(cells):
                continue
            name = f"Unnamed: {place}"
        unique, n = name, 0
        while unique in data:
            n += 1
            unique = f"{name}.{n}"
        data[unique] = _typed(cells, comma=";" in text or "\t" in text)
    return pd.DataFrame(data)


def _decode(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and error.start > len(raw) - 4:  # a head cut within a character
            return raw[: error.start].decode("utf-8-sig")
        return raw.decode("cp1252", errors="replace")  # what spreadsheets on Windows write


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Return (line number, cells) of all rows that are not blank."""
    text = text.lstrip(INVISIBLE)
    head = re.sub(r'"[^"]*"', "", next((line for line in text.splitlines() if line.strip()), ""))
    separator = max(",;\t|", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    rows = []
    try:
        for cells in reader:
            cleaned = [strip_invisible(c).strip('"') if c.count('"') != 1 else strip_invisible(c) for c in cells]
            if any(cleaned):
                rows.append((reader.line_num, cleaned))
    except csv.Error as error:
        raise PlateError(
            f"the plate map's line {reader.line_num} cannot be read ({error}); save it again as CSV"
        ) from error
    return rows


def _typed(cells: Sequence[str], comma: bool) -> pd.Series:
    """Return a column as numbers or truth values where all its entries are such, else as text."""
    given = [c for c in cells if c not in _MISSING]
    missing = len(given) < len(cells)
    if given and all(_NUMBER.fullmatch(c) for c in given):
        if not missing and all(re.fullmatch(r"[-+]?\d{1,18}", c) for c in given):
            return pd.Series([int(c) for c in cells])
        return pd.Series([np.nan if c in _MISSING else float(c) for c in cells])
    if comma and given and all(_COMMA_NUMBER.fullmatch(c) for c in given):
        return pd.Series([np.nan if c in _MISSING else float(c.replace(",", ".")) for c in cells])
    if given and not missing and all(c.lower() in ("true", "false") for c in given):
        return pd.Series([c.lower() == "true" for c in cells])
    return pd.Series([np.nan if c in _MISSING else c for c in cells], dtype=object)


def _indexed(table: pd.DataFrame, title: str, plate_names: Sequence[str]) -> pd.DataFrame:
    column, pair = _well_column(table), _row_and_column(table)
    if column is None and pair is None:
        raise PlateError(
            f"{title} has no well column; name one 'well' (or two, 'row' and 'column'). Its columns are "
            f"{listing(map(str, table.columns), 40)}"
        )
    if column is not None and pair is not None and not any(is_well(str(v)) for v in table[column].dropna()):
        column = None  # `position` and the like may mean something else; rows and columns decide then
    table = _of_this_plate(table, title, plate_names)
    names, bad = [], []
    for place, (_, row) in enumerate(table.iterrows()):
        try:
            if column is not None:
                text = "" if pd.isna(row[column]) else str(row[column])
                names.append(well_name(text))
            else:
                assert pair is not None
                text = f"{row[pair[0]]}, {row[pair[1]]}"
                names.append(well_name_of(parse_row(str(row[pair[0]])), parse_column(str(row[pair[1]]))))
        except PlateError:
            bad.append(f"{text!r} (row {place + 1} below the header)")
    where = f"column {column!r}" if column is not None else f"columns {' and '.join(map(repr, pair or ()))}"
    if bad:
        raise PlateError(f"{title}, {where}: no well of a plate: {listing(bad)}; wells are like B7, B07 or AA02")
    twice = [f"{name} ({n} rows)" for name, n in Counter(names).items() if n > 1]
    if twice:
        raise PlateError(
            f"{title} has wells more than once: {listing(twice)}; keep one row a well (and, with several plates, a"
            " column 'plate' that tells them apart)"
        )
    table.index = pd.Index(names, name=None if "well" in table.columns else "well", dtype=object)
    return table.loc[sorted(names, key=parse_well)]


def _of_this_plate(table: pd.DataFrame, title: str, plate_names: Sequence[str]) -> pd.DataFrame:
    """Return the rows of this plate where a plate column names several."""
    keyed = [c for name in PLATE_NAMES for c in table.columns if _key(c) == name]
    several = [c for c in keyed if table[c].dropna().nunique() > 1]
    if not several:
        return table.copy()
    known = [strip_invisible(n).lower() for n in plate_names if n]
    for column in several:
        entries = table[column].map(lambda v: "" if pd.isna(v) else _plain(v).lower())
        for name in known:
            rows = table.loc[entries == name]
            if len(rows):
                return rows.copy()
    column = several[0]
    plates = [_plain(v) for v in table[column].dropna().drop_duplicates()]
    raise PlateError(
        f"{title} holds several plates (column {column!r}: {listing(plates)}), and none is called like this one"
        f" ({listing(dict.fromkeys(plate_names)) or 'without a name'}); give a table with this plate's rows alone, or"
        " name the plate's folder as in the table"
    )


def _plain(value: object) -> str:
    """Return a plate's name as text; a number without its ``.0``."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else strip_invisible(str(value))
