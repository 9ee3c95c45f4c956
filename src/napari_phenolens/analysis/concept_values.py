"""What features are tested against: a value a well, and a cell where there is one, of every concept that is known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.protocol import Bools, Floats, Ints, RunLike

MEASURED, COVARIATE, DOSE, MAP, LABEL, ANNOTATION, GENES = (
    "measured", "covariate", "dose", "plate map", "label", "annotation", "gene set",
)  # fmt: skip
TREATMENT = (DOSE, MAP, GENES)  # kinds that say what was done to a well
LEAST_WELLS = 6  # with a value, below which nothing is tested
LEAST_OF_CLASS = 2  # wells with and without
_MOST_VALUES = 4  # a numeric column with no more values is a code, not a scale
# columns that say where a well lies, which repeat it is or where its files are, not what was done to it
_PLACE = re.compile(
    r"^(metadata_)?(well|row|col|column|plate|barcode|site|field|x|y|rep|replicate)(_?(name|id|index|no|number))?$",
    re.I,
)
_OTHER = re.compile(r"file|path|url|unit", re.I)
GENE_COLUMN = re.compile(r"^(metadata_)?(gene|gene_?symbol|gene_?name|symbol|target|target_?gene)$", re.I)
_COVARIATES = {
    "cell_count": ("cells a field", "cells", "Nuclei found in a field.", "more cells", "fewer cells"),
    "foreground_share": ("share of the field with cells", "", "Foreground patches over all.",
                         "more of the field covered", "less of the field covered"),
    "nuclear_area": ("nuclear area (median of the field)", "px²", "Median area of the nuclei found.",
                     "larger nuclei", "smaller nuclei"),
}  # fmt: skip
_PER_CHANNEL = {
    "intensity": ("{c} on foreground", "pixel values", "Mean light of {c} on foreground, above background.",
                  "brighter {c}", "dimmer {c}"),
    "background": ("background of {c}", "pixel values", "Level of {c} between the cells.",
                   "brighter background of {c}", "darker background of {c}"),
    "focus": ("focus of {c}", "log10", "Fine over coarse variance of {c} on foreground.",
              "sharper {c}", "more blurred {c}"),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Concept:
    """Something that wells or cells have more or less of.

    Attributes
    ----------
    key : str
        Its column, or what it says of a column.
    kind : str
        Where it comes from: ``measured`` (cells), ``covariate`` (fields), ``dose``, ``plate map``, ``label`` (given for
        cells), ``annotation`` (given in a table), ``gene set``.
    name, unit, explanation, more, less : str
        In words, see `cells.concept_words`.
    wells : ndarray (n,)
        Value of each well, NaN where there is none; of a binary one 1 with and 0 without.
    binary : bool
        Whether wells (cells, where it is of cells) have it or not.
    cells : ndarray or None
        Value of each cell.
    """

    key: str
    kind: str
    name: str
    unit: str
    explanation: str
    more: str
    less: str
    wells: Floats
    binary: bool = False
    cells: Floats | None = None

    @property
    def testable(self) -> bool:
        """Whether enough wells have a value, and values differ."""
        known = self.wells[np.isfinite(self.wells)]
        if len(known) < LEAST_WELLS or np.ptp(known) <= 1e-12 * np.abs(known).max():
            return False
        return self.cells is not None or not self.binary or LEAST_OF_CLASS <= known.sum() <= len(known) - LEAST_OF_CLASS


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of the wells that are looked at.

    Attributes
    ----------
    rows : ndarray (c,)
        Their rows in ``run.cells()``.
    well : ndarray (c,)
        The well of each, as a place in the wells looked at.
    n : int
        Number of wells.
    """

    rows: Ints
    well: Ints
    n: int

    def mean(self, values: Floats) -> Floats:
        """Mean over the cells of each well that have a value; NaN where none has."""
        known = np.isfinite(values)
        count = np.bincount(self.well[known], minlength=self.n)
        summed = np.bincount(self.well[known], weights=values[known], minlength=self.n)
        return np.asarray(np.divide(summed, count, out=np.full(self.n, np.nan), where=count > 0), np.float64)


def find_cells(run: Any, wells: Sequence[str]) -> Cells | None:
    """Give the cells of these wells that are stored with a run; None where the run holds none."""
    if not getattr(run, "has_cells", False):
        return None
    place = {well: i for i, well in enumerate(wells)}
    found = run.cells()["well"].map(place)
    rows = np.flatnonzero(found.notna().to_numpy())
    if not len(rows):
        return None
    return Cells(rows.astype(np.intp), found.to_numpy(dtype=np.float64)[rows].astype(np.intp), len(wells))


def measured_concepts(run: Any, cells: Cells, controls: Bools) -> Iterator[Concept]:
    """Give what was measured of cells, and the shares of the cell cycle's classes where DNA was."""
    from napari_phenolens.cells import CellsError, cell_cycle, concept_words

    table = run.cell_measurements().iloc[cells.rows]
    nuclear = getattr(run.lens, "nuclear", None)
    words = concept_words(table.columns, nuclear, channel_names(run))
    for column, said in words.iterrows():
        values = table[column].to_numpy(dtype=np.float64)
        name, unit, explanation, more, less = map(str, said)
        yield Concept(str(column), MEASURED, name, unit, explanation, more, less, cells.mean(values), cells=values)
    content, light = f"total_nucleus_{nuclear}", f"mean_nucleus_{nuclear}"
    if nuclear is None or content not in table or light not in table:
        return
    try:
        cycle = cell_cycle(table[content], table[light], controls[cells.well])
    except CellsError:  # too few control nuclei for a peak: there are no classes to test
        return
    for phase in cycle.cat.categories[:-1]:
        inside = np.where(cycle.isna(), np.nan, (cycle == phase).astype(np.float64))
        yield Concept(
            f"cycle_{phase}", MEASURED, f"{phase} by DNA content", "", f"Cells whose DNA is that of {phase} cells; the "
            "G1 peak is that of the control wells.", f"more cells in {phase}", f"fewer cells in {phase}",
            cells.mean(inside), True, inside,
        )  # fmt: skip


def channel_names(run: Any) -> dict[str, str]:
    """Give what the plate map calls the channels, told from its columns of file names; short ones in capitals."""
    from napari_phenolens.plate.platemap import file_label, labels_of_channels

    channels = [str(c) for c in getattr(run.lens, "channels", ())]
    words = {c: re.compile(rf"(?<![A-Za-z0-9]){re.escape(c)}(?![A-Za-z0-9])") for c in channels}
    of_file: dict[str, str] = {}
    for column in map(str, run.metadata.columns):
        if file_label(column) is not None:
            for name in {re.split(r"[\\/]", str(value))[-1] for value in run.metadata[column].dropna()}:
                inside = [c for c in channels if words[c].search(name)]
                if len(inside) == 1:
                    of_file[name] = inside[0]
    labels = labels_of_channels(run.metadata, of_file)
    return {channel: label.upper() if len(label) <= 3 else label for channel, label in labels.items()}


def covariate_concepts(run: RunLike, wells: Sequence[str], cells: Cells | None) -> Iterator[Concept]:
    """Give the run's covariates; with cells, those that say over a field what is measured of its cells are left out."""
    table = run.covariates().reindex(list(wells))
    named = channel_names(run)
    for column in map(str, table.columns):
        what, _, channel = column.partition("_")
        if column in _COVARIATES:
            words = _COVARIATES[column]
        elif channel and what in _PER_CHANNEL:
            name, unit, explanation, more, less = _PER_CHANNEL[what]
            said = named.get(channel, channel)
            words = name.format(c=said), unit, explanation.format(c=said), more.format(c=said), less.format(c=said)
        else:  # strength, sums of others: they say nothing that a scientist would see
            continue
        if cells is not None and (what in ("intensity", "nuclear")):
            continue
        values = table[column].to_numpy(dtype=np.float64)
        yield Concept(column, COVARIATE, *words, values, cells=None if cells is None else values[cells.well])


def map_concepts(run: RunLike, wells: Sequence[str], controls: Sequence[str]) -> tuple[list[Concept], Ints]:
    """Give doses and classes of the plate map, and which wells were treated alike.

    Parameters
    ----------
    run : Run
        The run.
    wells : sequence of str
        The wells looked at.
    controls : sequence of str
        The wells at dose 0 of every compound.

    Returns
    -------
    concepts : list of Concept
        A dose for each compound with three doses or more (untreated wells are dose 0), then a class for each value of
        the other columns.
    group : ndarray (n,) int
        Wells with the same number were treated alike: they hold the same doses, compounds, genes and classes.
    """
    from napari_phenolens.analysis.dose_series import compound_columns, dose_columns, find_doses, one_unit

    table = run.metadata.reindex(list(wells))
    found: list[Concept] = []
    doses = dose_columns(table)
    try:
        series = find_doses(run, None, None, list(controls), None) if doses else None
    except AnalysisError:  # no column of compounds, or no dose above 0: the numbers alone are tested below
        series = None
    if series is not None:
        place = {well: i for i, well in enumerate(wells)}
        for compound, part in series.wells.groupby("compound", sort=False):
            given, unit, problem = one_unit(part["dose"], part["unit"])
            values = np.full(len(wells), np.nan)
            for well, dose in [*given.items(), *((w, 0.0) for w in series.untreated)]:
                if well in place:
                    values[place[str(well)]] = dose
            if not problem and len(np.unique(values[np.isfinite(values)])) >= 3:
                found.append(_dose(f"{compound} dose", unit, values))
    used = list(doses)
    for column in map(str, table.columns):
        if column in doses and series is not None:
            continue
        if column not in doses and (_PLACE.match(column) or _OTHER.search(column)):
            continue
        concepts = list(column_concepts(table[column], MAP if column not in doses else DOSE))
        found += concepts
        # a compound or gene of its own in every well is no class, but tells treatments apart; a serial number does not
        repeats = bool(concepts) and table[column].nunique() <= len(wells) / 2
        if repeats or column in compound_columns(table) or GENE_COLUMN.match(column):
            used.append(column)
    keys = table[list(dict.fromkeys(used))].astype(str).agg("\x1f".join, axis=1) if used else pd.Series("", table.index)
    return found, np.asarray(pd.factorize(keys)[0], np.intp)


def _dose(name: str, unit: str, doses: Floats) -> Concept:
    # steps of the series, not the numbers: doses are spaced by factors, and the highest would rule every mean
    steps = np.searchsorted(np.unique(doses[np.isfinite(doses)]), doses).astype(np.float64)
    return Concept(name, DOSE, name, unit, "Step of the dose series in the plate map; untreated wells are 0.",
                   f"follows {name}", f"falls with {name}", np.where(np.isfinite(doses), steps, np.nan))  # fmt: skip


def column_concepts(column: pd.Series, kind: str, cells: Cells | None = None) -> Iterator[Concept]:
    """Give the concepts of a column of entries: a number as it is, words as a class for each.

    Parameters
    ----------
    column : Series
        An entry a well, or a cell where `cells` is given.
    kind : str
        See `Concept`.
    cells : Cells or None
        The cells, where the entries are theirs.
    """
    name = str(column.name)
    numbers = pd.to_numeric(column, errors="coerce")
    numeric = bool(column.notna().any() and (numbers.notna() == column.notna()).all())
    truth = pd.api.types.is_bool_dtype(column)
    if numeric and not truth and (numbers.nunique() > _MOST_VALUES or kind == DOSE):
        values = numbers.to_numpy(dtype=np.float64)
        if kind == DOSE:
            yield _dose(name, "", values)
            return
        yield Concept(
            name, kind, name, "", "A number that was given.", f"higher {name}", f"lower {name}",
            values if cells is None else cells.mean(values), cells=None if cells is None else values,
        )  # fmt: skip
        return
    known = column.notna().to_numpy()
    entries = [True] if truth else list(pd.unique(column.dropna()))
    if not truth and len(entries) > max(2, known.sum() // 2):
        return  # a name of its own for nearly every well is no class
    for entry in entries:
        inside = np.where(known, (column == entry).to_numpy(dtype=np.float64, na_value=0.0), np.nan)
        said = name if truth else f"{name} {entry}"
        yield Concept(
            said, kind, said, "", "Wells or cells that were given so.", said, f"not {said}",
            inside if cells is None else cells.mean(inside), True, None if cells is None else inside,
        )  # fmt: skip


def distinct(concepts: Iterable[Concept]) -> list[Concept]:
    """Keep what can be tested, and of concepts with the same values (or the opposite ones) the first."""
    kept: dict[bytes, Concept] = {}
    for concept in concepts:
        if not concept.testable:
            continue
        values = concept.wells if concept.cells is None else concept.cells
        # a class and its opposite tell the same wells apart
        turned = 1.0 - values if concept.binary and values[np.isfinite(values)][0] else values
        kept.setdefault(np.nan_to_num(turned, nan=-1e300).tobytes(), concept)
    return list(kept.values())
