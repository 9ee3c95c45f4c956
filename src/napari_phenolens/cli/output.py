"""What a command prints: tables for people, JSON for programs, both with the same numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console


WIDE = 240  # columns where there is no terminal to fit: lines stay whole in a file or another program


def console(stderr: bool = False) -> Console:
    """Give a console on stdout or stderr."""
    from rich.console import Console

    fitted = Console(stderr=stderr, highlight=False)
    return fitted if fitted.is_terminal else Console(stderr=stderr, highlight=False, width=max(WIDE, fitted.width))


def say(line: str = "") -> None:
    """Print a line on stdout."""
    typer.echo(line)


def wrapped(text: str) -> str:
    """Give a sentence in lines that fit, the later ones set in."""
    import textwrap

    return textwrap.fill(text, min(console().width, 100), subsequent_indent="  ")


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Give a table as a list of rows; a named index becomes a column."""
    from napari_phenolens.export import plain

    if table.index.name is not None and table.index.name not in table.columns:
        table = table.reset_index()
    known = table.astype(object).where(table.notna(), None)
    names = [str(name) for name in table.columns]
    return [dict(zip(names, map(plain, row), strict=True)) for row in known.itertuples(index=False, name=None)]


def print_json(value: object) -> None:
    """Print a value as JSON, numbers in full."""
    from napari_phenolens.export import plain

    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))


def cell(value: Any) -> str:
    """Give a value as a cell of a printed table: three significant digits, nothing for what is missing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    return ", ".join(map(cell, value)) if isinstance(value, list) else str(value)


def print_table(table: pd.DataFrame, columns: Sequence[str] | None = None, title: str | None = None) -> None:
    """Print a table, or those of the named columns that it has; a column without any entry is left out."""
    rows = records(table)
    names = [name for name in (rows[0] if rows else ()) if any(cell(row[name]) for row in rows)]
    if columns is not None:
        names = [name for name in columns if name in names]
    print_rows(({name: row[name] for name in names} for row in rows), names, title)


def print_rows(rows: Iterable[Mapping[str, Any]], names: Sequence[str], title: str | None = None) -> None:
    """Print rows under the names of their columns; numbers stand right."""
    from rich import box
    from rich.table import Table

    rows = list(rows)
    printed = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for name in names:
        numeric = all(isinstance(row[name], (int, float)) or row[name] is None for row in rows)
        printed.add_column(name, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in rows:
        printed.add_row(*(cell(row[name]) for name in names))
    console().print(printed)
