"""What a plate map says of a well, in a few words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# What was done to a well comes before all else that a plate map may hold.
_TELLING = re.compile(r"compound|drug|gene|sirna|treatment|perturb|condition|dose|conc", re.I)


def describe(source: Any, well: str, limit: int = 3) -> str:
    """Say in a few words what a plate map knows of a well."""
    metadata = getattr(source, "metadata", None)
    if metadata is None or well not in metadata.index:
        return ""
    row = metadata.loc[well]
    return _words(row, _telling_first(row.index), limit)


def describe_all(source: Any, wells: Sequence[str], limit: int = 3) -> list[str]:
    """Say it of many wells: a plate map of 1,536 wells is gone through once."""
    metadata = getattr(source, "metadata", None)
    if metadata is None:
        return [""] * len(wells)
    columns = _telling_first(metadata.columns)
    known = [well for well in wells if well in metadata.index]
    rows = dict(zip(known, metadata.loc[known].to_dict("records"), strict=True))
    return [_words(rows[well], columns, limit) if well in rows else "" for well in wells]


def _telling_first(columns: Any) -> list[Any]:
    return sorted(columns, key=lambda column: _TELLING.search(str(column)) is None)


def _words(row: Mapping[Any, Any], columns: Sequence[Any], limit: int) -> str:
    skip = {"row", "column", "col", "well", "plate"}
    words = []
    for column in columns:
        value = row[column]
        name = str(column)
        plain = name.lower().removeprefix("metadata_")
        if plain in skip or plain.startswith(("file", "path", "image")) or value is None or value != value:
            continue
        if plain.endswith("_unit"):
            continue
        if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
            unit = row.get(f"{name}_unit")
            known = isinstance(unit, str)
            words.append(f"{name.replace('_', ' ')} {value:g}" + (f" {unit}" if known else ""))
        else:
            words.append(str(value))
    return " · ".join(words[:limit])
