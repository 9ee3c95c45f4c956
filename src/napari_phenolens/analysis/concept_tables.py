"""Concepts that the user brings: labels of cells, a table of wells or cells, gene sets."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.concept_values import (
    ANNOTATION,
    GENE_COLUMN,
    GENES,
    LABEL,
    Cells,
    Concept,
    column_concepts,
)
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.protocol import RunLike

GeneSets = Mapping[str, Collection[str]] | pd.DataFrame | str | Path
_WELL = re.compile(r"^(metadata_)?well(_?(name|id))?$", re.I)


def label_concepts(run: Any, cells: Cells | None, labels: Any) -> Iterator[Concept]:
    """Give the classes (or numbers) that the user gave for every cell.

    Parameters
    ----------
    run : Run
        The run.
    cells : Cells or None
        Its cells.
    labels : array, Series or DataFrame
        One entry a cell of ``run.cells()``, in its order; a Series or DataFrame by its index.

    Raises
    ------
    AnalysisError
        Where the run has no cells, or the lengths differ.
    """
    if cells is None:
        raise AnalysisError(f"labels are of cells, and the run of {run.plate_name} holds none: add them first "
                            "(phenolens cells RUN, or ph.add_cells(run))")  # fmt: skip
    n = len(run.cells())
    if isinstance(labels, (pd.Series, pd.DataFrame)):
        table = labels.to_frame(str(labels.name or "label")) if isinstance(labels, pd.Series) else labels
        unknown = table.index.difference(pd.RangeIndex(n))
        if len(unknown):
            raise AnalysisError(
                f"labels name cells that the run does not hold (such as {unknown[0]!r}); their index is that of "
                f"run.cells(), 0 to {n - 1}"
            )
        table = table.reindex(pd.RangeIndex(n))
    else:
        if len(labels) != n:
            raise AnalysisError(
                f"{len(labels)} labels do not fit the {n} cells of the run; give one a row of run.cells()"
            )
        table = pd.DataFrame({"label": labels}, index=pd.RangeIndex(n))
    for column in table.columns:
        yield from column_concepts(table[column].iloc[cells.rows], LABEL, cells)


def table_concepts(
    run: Any, wells: Sequence[str], cells: Cells | None, annotations: pd.DataFrame | str | Path
) -> Iterator[Concept]:
    """Give the columns of a table of wells or cells.

    Parameters
    ----------
    run : Run
        The run.
    wells : sequence of str
        The wells looked at.
    cells : Cells or None
        Its cells.
    annotations : DataFrame or path
        With a column (or index) ``well``; with the columns ``well``, ``field`` and ``label`` too it is of cells, each
        named by its label in its field, as in ``run.cells()``. A path is read as CSV.

    Raises
    ------
    AnalysisError
        Where wells cannot be found in it, or a well or cell stands twice.
    """
    from napari_phenolens.plate import well_name

    table = _read(annotations, "annotations")
    found = [c for c in table.columns if _WELL.match(str(c))]
    if not found and table.index.name is not None and _WELL.match(str(table.index.name)):
        table = table.reset_index()
        found = [table.columns[0]]
    if not found:
        raise AnalysisError(
            f"the annotations have no column of wells; they have {', '.join(map(str, table.columns))}: name one 'well'"
        )
    named = table[found[0]].map(lambda value: well_name(str(value)))
    table = table.drop(columns=found).assign(well=named)
    if {"field", "label"} <= set(table.columns):
        if cells is None:
            raise AnalysisError(f"the annotations are of cells, and the run of {run.plate_name} holds none: add them "
                                "first (phenolens cells RUN, or ph.add_cells(run))")  # fmt: skip
        keys = ["well", "field", "label"]
        given = table.astype({"field": str, "label": np.int64})
        _once(given, keys)
        here = run.cells()[keys].astype({"field": str, "label": np.int64}).iloc[cells.rows]
        rows = here.merge(given, on=keys, how="left", sort=False)
    else:
        keys = ["well"]
        _once(table, keys)
        rows = table.set_index("well").reindex(list(wells))
        cells = None
    columns = [c for c in rows.columns if c not in keys]
    if not columns or rows[columns].isna().all(axis=None):
        raise AnalysisError(
            f"the annotations say nothing about the wells of {run.plate_name} that are looked at ({wells[0]} to "
            f"{wells[-1]}); their {' and '.join(keys)} must be named as in the run, and a further column say something"
        )
    for column in columns:
        yield from column_concepts(rows[column], ANNOTATION, cells)


def gene_concepts(run: RunLike, wells: Sequence[str], sets: GeneSets, column: str | None = None) -> Iterator[Concept]:
    """Give a class for each gene set: the wells whose gene is in it.

    Parameters
    ----------
    run : Run
        The run.
    wells : sequence of str
        The wells looked at.
    sets : mapping, DataFrame or path
        Set to genes; a table with the columns ``set`` and ``gene``, a row a pair; or a file: ``.gmt``, else CSV.
    column : str or None
        The plate map's column of genes; None takes the one that is called so.

    Raises
    ------
    AnalysisError
        Where there is no column of genes, or none of the sets has a gene of the plate.
    """
    table = run.metadata.reindex(list(wells))
    named = [str(c) for c in table.columns if GENE_COLUMN.match(str(c))] if column is None else [column]
    if not named or named[0] not in table.columns:
        raise AnalysisError(
            f"the plate map of {run.plate_name} has no column {column or 'gene'!r}; it has "
            f"{', '.join(map(str, table.columns))}: name the column of genes"
        )
    genes = table[named[0]]
    known = genes.notna().to_numpy()
    upper = genes.astype(str).str.strip().str.upper()
    any_found = False
    for name, members in _sets(sets).items():
        inside = upper.isin({str(g).strip().upper() for g in members}).to_numpy() & known
        any_found |= bool(inside.any())
        yield Concept(
            f"set {name}", GENES, name, "", "Wells whose gene is in this set.", f"genes of {name}",
            f"genes outside {name}", np.where(known, inside.astype(np.float64), np.nan), True,
        )  # fmt: skip
    if not any_found:
        example = genes.dropna().iloc[0] if known.any() else "none"
        raise AnalysisError(
            f"none of the gene sets holds a gene of {named[0]!r} of {run.plate_name} (such as {example}); look at how "
            "genes are written"
        )


def _sets(sets: GeneSets) -> dict[str, set[str]]:
    if isinstance(sets, Mapping):
        return {str(name): set(map(str, members)) for name, members in sets.items()}
    if not isinstance(sets, pd.DataFrame) and Path(sets).suffix.lower() == ".gmt":
        try:
            lines = Path(sets).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise AnalysisError(f"gene sets {sets} cannot be read: {error.strerror or error}") from error
        parts = [line.split("\t") for line in lines if line.strip()]
        return {part[0]: {gene for gene in part[2:] if gene} for part in parts}
    table = _read(sets, "gene sets")
    columns = {str(c).lower(): c for c in table.columns}
    if not {"set", "gene"} <= set(columns):
        raise AnalysisError(f"gene sets need the columns 'set' and 'gene', a row a pair; the table has "
                            f"{', '.join(map(str, table.columns))}")  # fmt: skip
    pairs = table.dropna(subset=[columns["set"], columns["gene"]])
    return {str(n): set(part[columns["gene"]].astype(str)) for n, part in pairs.groupby(columns["set"], sort=False)}


def _read(table: pd.DataFrame | str | Path, what: str) -> pd.DataFrame:
    if isinstance(table, pd.DataFrame):
        return table
    try:
        return pd.read_csv(table)
    except (OSError, ValueError) as error:  # pandas' own errors of parsing are ValueErrors
        raise AnalysisError(f"{what} {table} cannot be read as CSV: {error}") from error


def _once(table: pd.DataFrame, keys: list[str]) -> None:
    twice = table.duplicated(keys)
    if twice.any():
        which = " ".join(map(str, table.loc[twice, keys].iloc[0]))
        raise AnalysisError(f"{which} stands twice in the annotations; give each {keys[-1]} one row")
