"""Which wells are controls and which are perturbed: queries over the plate map, suggestions, roles set by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.plate.roles import CONTROL, EXCLUDED, LETTERS, PERTURBED, POSITIVE, ROLES, WORDS, assign_roles

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CONTROL",
    "EXCLUDED",
    "LETTERS",
    "PERTURBED",
    "POSITIVE",
    "ROLES",
    "WORDS",
    "Suggestion",
    "assign",
    "condition",
    "guess",
    "match",
    "suggest",
]

MAX_VALUES = 40  # a column with more values than this is a list of names, not a choice of conditions

_NEGATIVE = re.compile(
    r"^(neg(ative)?[ _-]?(con(trol)?|ctrl)?s?|controls?|ctrl|dmso.*|untreated|vehicle|mock|empty|nontargeting)$", re.I
)
_POSITIVE = re.compile(r"^(pos(itive)?[ _-]?(con(trol)?|ctrl)?s?)([ _-].*)?$", re.I)
_ROLE_COLUMN = re.compile(r"control|role|type|treatment|condition|compound|perturb", re.I)


@dataclass(frozen=True)
class Suggestion:
    """A query that the plate map offers, with the number of wells that it selects."""

    query: str
    wells: int


def condition(column: str, value: Any) -> str:
    """Write ``column == value`` as a pandas query."""
    name = column if column.isidentifier() else f"`{column}`"
    if hasattr(value, "item"):
        value = value.item()
    return f"{name} == {value!r}"


def suggest(metadata: pd.DataFrame, wells: Sequence[str]) -> list[Suggestion]:
    """List the conditions that a plate map offers.

    Parameters
    ----------
    metadata : DataFrame
        The plate map, index = well names.
    wells : sequence of str
        The wells that have images.

    Returns
    -------
    list of Suggestion
        One for each value of each column that takes 2 to `MAX_VALUES` values on these wells; columns that name roles
        come first.
    """
    here = metadata.loc[metadata.index.intersection(list(wells))]
    found: list[tuple[int, Suggestion]] = []
    for column in metadata.columns:
        counts = here[column].value_counts(dropna=True, sort=False)
        if not 2 <= len(counts) <= min(MAX_VALUES, max(2, len(here) - 1)):
            continue
        rank = 0 if _ROLE_COLUMN.search(str(column)) else 1
        found += [(rank, Suggestion(condition(str(column), value), int(n))) for value, n in counts.items()]
    return [suggestion for _, suggestion in sorted(found, key=lambda pair: pair[0])]


def guess(metadata: pd.DataFrame, wells: Sequence[str]) -> tuple[str, str]:
    """Guess the queries for controls and positive controls from the plate map.

    Returns
    -------
    tuple of str
        ``(control query, positive query)``; each empty where nothing in the map says so.
    """
    here = metadata.loc[metadata.index.intersection(list(wells))]
    columns = sorted(here.columns, key=lambda c: 0 if re.search(r"control", str(c), re.I) else 1)
    for column in columns:
        if not _ROLE_COLUMN.search(str(column)):
            continue
        values = list(here[column].dropna().unique())
        if not 2 <= len(values) <= MAX_VALUES:
            continue
        texts = {value: str(value).strip() for value in values}
        negative = [value for value, text in texts.items() if _NEGATIVE.match(text)]
        positive = [value for value, text in texts.items() if _POSITIVE.match(text)]
        numbers = {text.removesuffix(".0") for text in texts.values()}
        if not negative and "control" in str(column).lower() and "-1" in numbers and numbers <= {"-1", "0", "1"}:
            # the BBBC's SBS_Controls: -1 negative, 1 positive, 0 samples
            negative = [value for value, text in texts.items() if text.removesuffix(".0") == "-1"]
            positive = [value for value, text in texts.items() if text.removesuffix(".0") == "1"]
        if negative:
            return condition(str(column), negative[0]), condition(str(column), positive[0]) if positive else ""
    return "", ""


def match(source: Any, query: str) -> tuple[list[str], str]:
    """Select wells by a query, for display while the user types.

    Parameters
    ----------
    source : Plate or Run
        Anything with ``select(query)``.
    query : str
        A pandas query over the plate map; empty selects nothing.

    Returns
    -------
    tuple
        ``(wells, error)``: the wells, and why there are none (empty where all is well).
    """
    if source is None or not query.strip():
        return [], ""
    try:
        return list(source.select(query)), ""
    except PhenoLensError as error:
        return [], str(error)
    except (ValueError, KeyError, SyntaxError, TypeError, NameError, AttributeError) as error:
        return [], f"the query {query!r} cannot be read: {error}"


def assign(
    source: Any, control: str, perturbed: str, positive: str, by_hand: Mapping[str, str], excluded: str = ""
) -> dict[str, str]:
    """Give every well its role by queries, see `plate.roles.assign_roles`; one that cannot be read picks no well.

    Returns
    -------
    dict
        Well name to role; wells without a role are left out. Empty where no control is known.
    """
    if source is None:
        return {}
    picked = [match(source, query)[0] for query in (control, positive, excluded)]
    some = match(source, perturbed)[0] if perturbed.strip() else None
    return assign_roles(source.wells, picked[0], some, picked[1], picked[2], by_hand)
