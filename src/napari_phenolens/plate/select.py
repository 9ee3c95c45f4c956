"""Which wells a query means."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

import pandas as pd

from napari_phenolens.plate.errors import PlateError
from napari_phenolens.plate.names import is_well, listing, parse_well, strip_invisible, well_name

WELL = "well"  # the name under which a query sees the index
# What may be called on a column: nothing here writes, loads or evaluates anything.
_METHODS = frozenset({"isna", "isnull", "notna", "notnull", "isin", "between", "abs"})
_STR_METHODS = frozenset({"contains", "startswith", "endswith", "match", "fullmatch", "lower", "upper", "strip", "len"})
_NODES = (
    ast.Expression, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Name, ast.Constant, ast.List, ast.Tuple,
    ast.boolop, ast.unaryop, ast.cmpop, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod, ast.BitAnd, ast.BitOr, ast.Load,
    ast.keyword,
)  # fmt: skip


def select_wells(metadata: pd.DataFrame, query: str | Sequence[str] | None, wells: Sequence[str]) -> list[str]:
    """Return the wells that a query means.

    Parameters
    ----------
    metadata : pandas.DataFrame
        Indexed by well name, as `Plate.metadata`.
    query : str, sequence of str or None
        A pandas query over the columns (``well`` is the well's name; names with spaces go into backticks), a list of
        well names (or one string of them, ``"B07, C7"``), or None for all wells. Comparisons, ``and or not in``,
        arithmetic, ``isna``, ``isin``, ``between`` and ``.str.contains`` and its like are allowed; nothing else is.
        Wells that the plate map does not have (all columns missing) fit no query over its columns; name them instead.
    wells : sequence of str
        The wells to choose from, such as those that have images.

    Returns
    -------
    list of str
        Row-major, each once.

    Raises
    ------
    PlateError
        The query is no query, names an unknown column or well, or fits no well.
    """
    available = sorted(dict.fromkeys(wells), key=parse_well)
    if query is None:
        return available
    if isinstance(query, str):
        named = _as_names(query, metadata)
        if named is None:
            return _by_query(metadata, query, available)
        query = named
    return _by_name(metadata, [str(q) for q in query], available)


def _as_names(query: str, metadata: pd.DataFrame) -> list[str] | None:
    """Return well names where the string is a plain list of them, as a command line gives it."""
    parts = [p for p in re.split(r"[,;\s]+", strip_invisible(query)) if p]
    if parts and all(is_well(p) and p not in metadata.columns for p in parts):
        return parts
    return None


def _by_name(metadata: pd.DataFrame, names: Sequence[str], available: Sequence[str]) -> list[str]:
    if not names:
        raise PlateError(f"the list of wells is empty; the wells with images are {listing(available, 12)}")
    wanted = {well_name(name) for name in names}
    missing = sorted(wanted - set(available), key=parse_well)
    if missing:
        mapped = [w for w in missing if w in metadata.index]
        note = f" ({listing(mapped)} in the plate map, but without images)" if mapped else ""
        raise PlateError(
            f"no images of well(s) {listing(missing, 12)}{note}; the wells with images are {listing(available, 12)}"
        )
    return [w for w in available if w in wanted]


def _by_query(metadata: pd.DataFrame, query: str, available: Sequence[str]) -> list[str]:
    if not strip_invisible(query):
        raise PlateError("the query is empty; write one such as \"control_type == 'negcon'\", or a list of wells")
    expression, aliases = _backticks(query)
    tree = _parse(query, expression)
    used = _check(query, tree, metadata, aliases)
    frame = metadata.loc[metadata.index.isin(list(available))].copy()
    columns = [c for c in used if c in metadata.columns]
    unmapped: list[str] = []
    if columns:
        absent = frame.isna().all(axis=1)
        unmapped = [str(w) for w in frame.index[absent]]
        frame = frame.loc[~absent]
    # An own frame of just the used columns: pandas then meets no odd column names, and `well` is the index by name.
    values = {alias: frame[name] for alias, name in aliases.items() if name in frame.columns}
    values |= {name: frame[name] for name in columns if name.isidentifier()}
    if WELL in used and WELL not in metadata.columns:
        values |= {alias: frame.index.to_series() for alias in [WELL, *aliases] if aliases.get(alias, WELL) == WELL}
    try:
        result = pd.DataFrame(values, index=frame.index).rename_axis(None).eval(expression, engine="python")
    except Exception as error:
        raise PlateError(
            f"the query {query!r} cannot be evaluated ({error}); {_values(metadata, used, available)}"
        ) from error
    if not isinstance(result, pd.Series) or not all(map(pd.api.types.is_bool, result.dropna())):
        raise PlateError(
            f"the query {query!r} gives no yes or no for each well; compare a column with a value, such as =="
            f"; {_values(metadata, used, available)}"
        )
    chosen = {str(w) for w, fits in result.items() if pd.notna(fits) and fits}
    if not chosen:
        note = (
            f"; {len(unmapped)} well(s) are not in the plate map and fit no query ({listing(unmapped)})"
            if unmapped
            else ""
        )
        raise PlateError(f"no well fits the query {query!r}; {_values(metadata, used, available)}{note}")
    return [w for w in available if w in chosen]


def _backticks(query: str) -> tuple[str, dict[str, str]]:
    """Replace each `` `column name` `` by an identifier; returns the expression and identifier -> column."""
    found: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        alias = f"column_in_backticks_{len(found)}"
        found[alias] = match[1]
        return alias

    # quoted strings are matched first and left alone, so that a backtick in one is no name
    pattern = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`([^`]+)`"
    text = re.sub(pattern, lambda m: replace(m) if m[1] is not None else m[0], query.strip())
    return text, found


def _parse(query: str, expression: str) -> ast.Expression:
    bare = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "''", expression)
    for mark, why in (
        ("@", "variables of a program cannot be used"),
        ("__", "names with two underscores cannot be used"),
    ):
        if mark in bare:
            raise PlateError(f"the query {query!r} contains {mark!r}: {why} in a query; write the value itself")
    try:
        return ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError) as error:
        hint = " (compare with ==, not =)" if re.search(r"(?<![=<>!])=(?!=)", bare) else ""
        raise PlateError(
            f'the query {query!r} cannot be read{hint}: write it like "control_type == \'negcon\'" or "dose > 10 and '
            "drug == 'LY294002'\"; column names with spaces go into `backticks`"
        ) from error


def _check(query: str, tree: ast.Expression, metadata: pd.DataFrame, aliases: dict[str, str]) -> list[str]:
    """Refuse whatever a comparison of columns does not need; returns the columns used."""
    used: dict[str, None] = {}
    called: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Attribute):
                raise PlateError(
                    f"the query {query!r} calls a function; only comparisons of columns with values are possible"
                )
            owner, name = node.func.value, node.func.attr
            on_text = isinstance(owner, ast.Attribute) and owner.attr == "str"
            if name not in (_STR_METHODS if on_text else _METHODS):
                allowed = listing([*sorted(_METHODS), *(f"str.{m}" for m in sorted(_STR_METHODS))], 30)
                raise PlateError(f"the query {query!r} calls {name!r}, which a query may not; allowed are {allowed}")
            called |= {node.func, owner} if on_text else {node.func}
        elif isinstance(node, ast.Attribute):
            if node not in called:
                raise PlateError(
                    f"the query {query!r} asks for {node.attr!r} of a value; only columns and values can be compared"
                )
        elif isinstance(node, ast.Name):
            used[aliases.get(node.id, node.id)] = None
        elif not isinstance(node, _NODES):
            raise PlateError(f"the query {query!r} contains more than comparisons of columns with values")
    unknown = [name for name in used if name not in metadata.columns and name != WELL]
    if unknown:
        columns = (
            f"the plate map has the columns {listing(map(str, metadata.columns), 40)}"
            if len(metadata.columns)
            else "no plate map was given, so there are no columns: give platemap=, or name wells in a list"
        )
        raise PlateError(f"the query {query!r} names {listing(unknown)}, but {columns}; text goes into quotes")
    return list(used)


def _values(metadata: pd.DataFrame, columns: Sequence[str], available: Sequence[str]) -> str:
    """Say what values the columns of a query have among the wells to choose from."""
    frame = metadata.loc[metadata.index.isin(list(available))]
    said = []
    for column in columns:
        if column in frame.columns:
            values = frame[column].dropna().drop_duplicates().tolist()
            said.append(f"{column} has the values {listing(map(repr, values), 12) or 'none at all'}")
    return "; ".join(said) or f"the wells are {listing(available, 12)}"
