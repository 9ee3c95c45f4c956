"""What a file's name says: the usual patterns of microscopes, and patterns that the user gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from napari_phenolens.plate.errors import PlateError
from napari_phenolens.plate.names import listing, parse_column, parse_row, parse_well


@dataclass(frozen=True)
class Parsed:
    """What one name says; None where it does not.

    Attributes
    ----------
    row, column : int
        The well, from 0.
    field : str
        The field's name, ``"1"`` where the name has none.
    channel : str or None
        Channel name.
    z, t : int or None
        Plane and time point, as numbered in the name.
    plate : str
        The plate's name or "".
    order : int
        The channel's number where the name has both number and name.
    """

    row: int
    column: int
    field: str = "1"
    channel: str | None = None
    z: int | None = None
    t: int | None = None
    plate: str = ""
    order: int = 0


Parser = Callable[[str], Parsed | None]

# small letters only before two digits: `d1` may be a day, a dose or a donor
_WELL = r"(?P<well>(?-i:[A-P]\d{1,2}|A[A-F]\d{1,2}|[a-p]\d{2}))"
_GUID = r"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}"
# Compared with the whole name without its ending, so that masks and overlays (`..._MaskNuclei`) do not fit.
KNOWN: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        # r01c01f01p01-ch2sk1fk1fl1
        "Opera Phenix, Operetta": (
            r"r(?P<row>\d+)c(?P<col>\d+)f(?P<field>\d+)p(?P<z>\d+)(?:rc\d+)?-(?P<channel>ch\d+)sk(?P<t>\d+)"
            r"(?:fk\d+)?(?:fl\d+)?"
        ),
        # plate_B07_T0001F001L01A01Z01C01
        "CellVoyager": rf"(?:(?P<plate>.+)_)?{_WELL}_T(?P<t>\d+)F(?P<field>\d+)L\d+A\d+Z(?P<z>\d+)(?P<channel>C\d+)",
        # A1--W00001--P00001--Z00000--T00000--GFP
        "ScanR": rf"{_WELL}--W\d+--P(?P<field>\d+)--Z(?P<z>\d+)--T(?P<t>\d+)--(?P<channel>.+)",
        # C - 03(fld 01 wv Blue - FITC z 1 tm 0)
        "IN Cell": (
            r"(?P<row>[A-P]|A[A-F]) - (?P<col>\d+)\((?:fld (?P<field>\d+))?(?: ?wv (?P<channel>.+?))?(?: z (?P<z>\d+))?"
            r"(?: tm (?P<t>\d+))?\)"
        ),
        # WellB07_PointB07_0001_ChannelDAPI_Seq0001
        "Nikon": rf"Well{_WELL}_Point[A-P]\d+_(?P<field>\d+)_Channel(?P<channel>.+?)(?:_Seq\d+)?",
        # Channel1-01-A-01 (BBBC013, BBBC014)
        "BBBC013": r"(?P<channel>Channel ?\d+)-\d+-(?P<row>[A-P])-(?P<col>\d+)",
        # plate_B07_s1_w1[GUID]; RxRx: B07_s1_w1
        "ImageXpress": (
            rf"(?:(?P<plate>.+?)_)?{_WELL}(?:(?:_s(?P<field>\d+))?(?:_(?P<channel>w\d+))?{_GUID}"
            r"|(?:_s(?P<field2>\d+))?_(?P<channel2>w\d+)|_s(?P<field3>\d+))"
        ),
        # B7_01_1_3_DAPI_001: well, step, channel number, field, channel name, time (Cytation)
        "Gen5": rf"{_WELL}_\d+_(?P<order>\d+)_(?P<field>\d+)(?:Z(?P<z>\d+))?_(?P<channel>[^_].*?)_(?P<t>\d{{3}})",
    }.items()
}
# What people call the groups (compared in lower case).
_GROUPS = {"site": "field", "fov": "field", "column": "col", "wellrow": "row", "wellcolumn": "col", "wellcol": "col",
           "channelname": "channel", "wavelength": "channel", "channelnumber": "channel", "plane": "z", "time": "t",
           "timepoint": "t", "zslice": "z", "zindex": "z"}  # fmt: skip
_KEYS = ("plate", "well", "row", "col", "field", "channel", "z", "t")
_PLACES = {
    "well": r"[A-Za-z]{1,2}[-_ ]?\d{1,2}|\d{1,2}[A-Za-z]{1,2}|[Rr]\d+[Cc]\d+",
    "row": r"[A-Za-z]{1,2}|\d{1,2}",
    "col": r"\d{1,2}",
    "field": r"[A-Za-z0-9]+",
    "channel": r"[^/]+?",
    "z": r"\d+",
    "t": r"\d+",
    "plate": r"[^/]+?",
}


def known_parser(pattern: re.Pattern[str]) -> Parser:
    """Return what reads names of a known pattern (without their ending)."""
    return lambda stem: _parsed(pattern.fullmatch(stem))


def user_parser(pattern: str) -> Parser:
    """Return what reads names by a user's template or regular expression.

    Raises
    ------
    PlateError
        It is neither, or has no well.
    """
    if "(?P<" in pattern:
        try:
            regex = re.compile(pattern)
        except re.error as error:
            raise PlateError(
                f"pattern {pattern!r} is no regular expression ({error}); or write a template such as "
                "'{well}_f{field}_{channel}.tif'"
            ) from error
        groups = {_GROUPS.get(g.lower(), g.lower()) for g in regex.groupindex}
        _need_well(pattern, groups)
        return lambda name: _parsed(regex.search(name))
    keys = [_GROUPS.get(k.lower(), k.lower()) for k in re.findall(r"\{(\w*)\}", pattern)]
    unknown = [k for k in keys if k and k not in _KEYS]
    if unknown or not keys:
        raise PlateError(
            f"pattern {pattern!r}"
            + (f" names {listing(unknown)}" if unknown else " has no named places")
            + f"; a template has {{{'}, {'.join(_KEYS)}}}, and * for anything; or give a regular expression with "
            "named groups such as (?P<well>...)"
        )
    _need_well(pattern, set(keys))
    seen: set[str] = set()
    text = ""
    for part in re.split(r"(\{\w*\}|\*)", pattern):
        key = _GROUPS.get(part[1:-1].lower(), part[1:-1].lower()) if part.startswith("{") else ""
        if part in ("*", "{}"):
            text += r"[^/]*?"
        elif not key:
            text += re.escape(part)
        elif key in seen:
            text += f"(?P={key})"
        else:
            seen.add(key)
            text += f"(?P<{key}>{_PLACES[key]})"
    template = re.compile(text, re.IGNORECASE)
    with_ending = pattern.lower().endswith((".tif", ".tiff", ".png"))

    def parse(name: str) -> Parsed | None:
        return _parsed(template.fullmatch(name if with_ending else name.rsplit(".", 1)[0]))

    return parse


def _need_well(pattern: str, groups: set[str]) -> None:
    if "well" not in groups and not {"row", "col"} <= groups:
        raise PlateError(
            f"pattern {pattern!r} does not say which well a file belongs to: it needs well, or row and col"
        )


def _parsed(match: re.Match[str] | None) -> Parsed | None:
    if match is None:
        return None
    found: dict[str, str] = {}
    for group, value in match.groupdict().items():
        key = group.lower().rstrip("23")
        if value is not None and value != "":
            found[_GROUPS.get(key, key)] = value
    try:
        place = parse_well(found["well"]) if "well" in found else (parse_row(found["row"]), parse_column(found["col"]))
    except (PlateError, KeyError):
        return None
    return Parsed(
        *place,
        field=field_name(found.get("field", "1")),
        channel=found.get("channel"),
        z=to_int(found.get("z")),
        t=to_int(found.get("t")),
        plate=found.get("plate", ""),
        order=to_int(found.get("order")) or 0,
    )


def field_name(text: str) -> str:
    """Return a field's name without leading zeros."""
    return str(int(text)) if text.isdigit() else text


def to_int(text: str | None) -> int | None:
    """Return the first number of a text, None where there is none."""
    digits = re.search(r"\d+", text or "")
    return int(digits[0]) if digits else None
