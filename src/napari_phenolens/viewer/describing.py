"""What a plate map says of a well, in a few words."""

from __future__ import annotations

import re
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
    skip = {"row", "column", "col", "well", "plate"}
    words = []
    for column, value in sorted(row.items(), key=lambda pair: _TELLING.search(str(pair[0])) is None):
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
