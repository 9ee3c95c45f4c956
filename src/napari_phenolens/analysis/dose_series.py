"""Which wells make the dose series of which compound: the columns of a plate map, their doses and units."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.protocol import Query, RunLike

_UNIT = r"(?P<unit>[pnuµμm]?M|molar|[pnuµμm]g[ _/]?(per[ _])?mL|mmoles_per_liter|percent|%)"
_DOSE = re.compile(
    rf"^(metadata_)?(compound_?|drug_?)?(dose|dosage|conc|concentration)s?([ _-]*[\[(]?{_UNIT}[\])]?)?$", re.I
)
_MOLES = re.compile(r"^(metadata_)?mmoles_per_liter$", re.I)
_COMPOUND = re.compile(
    r"^(metadata_)?(compound|compound_?name|compound_?id|drug|drug_?name|chemical|treatment|perturbation|pert_iname|"
    r"pert_name|pert_id|broad_sample|agent|inhibitor)$",
    re.I,
)
_MOLAR = {"pm": 1e-12, "nm": 1e-9, "um": 1e-6, "mm": 1e-3, "m": 1.0}


@dataclass(frozen=True)
class Doses:
    """The wells of a plate's dose series.

    Attributes
    ----------
    dose_column, compound_column : str
        The plate map's columns that were used.
    wells : DataFrame
        Index well: ``compound``, ``dose`` (in the compound's unit), ``unit``; treated wells alone.
    untreated : tuple of str
        Wells that stand for dose 0 of every compound.
    """

    dose_column: str
    compound_column: str
    wells: pd.DataFrame
    untreated: tuple[str, ...]


def dose_columns(metadata: pd.DataFrame) -> list[str]:
    """List the columns whose name says dose and that hold numbers, the likeliest first."""
    named = [str(c) for c in metadata.columns if _DOSE.match(str(c)) or _MOLES.match(str(c))]
    return [c for c in named if pd.to_numeric(metadata[c], errors="coerce").notna().any()]


def compound_columns(metadata: pd.DataFrame) -> list[str]:
    """List the columns whose name says compound, the likeliest first: names before identifiers."""
    named = [str(c) for c in metadata.columns if _COMPOUND.match(str(c))]
    return sorted(named, key=lambda c: (not re.search(r"compound|drug|name", c, re.I), bool(re.search("id$", c, re.I))))


def find_doses(
    run: RunLike,
    dose: str | None,
    compound: str | None,
    controls: Query | None,
    wells: Query | None,
) -> Doses:
    """Sort a run's wells into dose series.

    Parameters
    ----------
    run : Run
        The run.
    dose, compound : str or None
        Columns of the plate map; None takes those that are called so.
    controls : query, empty list or None
        The wells at dose 0 of every compound; None takes the run's controls, ``[]`` none.
    wells : query or None
        Only these wells are treated ones; None takes all.

    Raises
    ------
    AnalysisError
        Where a column is missing, or no well has a compound and a dose above 0.
    """
    metadata = run.metadata
    dose = _column(run, dose, dose_columns(metadata), "dose", "concentration")
    compound = _column(run, compound, compound_columns(metadata), "compound", "compound")
    here = set(run.wells)
    chosen = [w for w in (run.wells if wells is None else run.select(wells)) if w in metadata.index]
    numbers = pd.to_numeric(metadata[dose].reindex(chosen), errors="coerce")
    names = metadata[compound].reindex(chosen)
    treated = numbers.index[(numbers > 0) & names.notna()]
    if not len(treated):
        raise AnalysisError(
            f"no well of {run.plate_name} has a number above 0 in {dose!r} and a name in {compound!r}; choose other "
            f"columns: the plate map has {', '.join(map(str, metadata.columns))}"
        )
    table = pd.DataFrame({"compound": names[treated].astype(str), "dose": numbers[treated].astype(np.float64)})
    table["unit"] = _units(metadata, dose).reindex(treated).fillna("")
    table.index = table.index.astype(str).rename("well")
    zero = list(run.controls)
    if controls is not None:
        zero = list(run.select(controls)) if len(controls) else []
    untreated = tuple(w for w in zero if w in here and w not in table.index)
    return Doses(dose, compound, table, untreated)


def _column(run: RunLike, given: str | None, found: list[str], what: str, example: str) -> str:
    columns = [str(c) for c in run.metadata.columns]
    listed = ", ".join(columns) if columns else "no columns"
    if given is not None:
        if given not in columns:
            raise AnalysisError(f"the plate map of {run.plate_name} has no column {given!r}; it has {listed}")
        return given
    if not found:
        raise AnalysisError(
            f"no column of the plate map of {run.plate_name} is called {what} (or {example}, ...), and none was "
            f"named; it has {listed}: pass {what}=COLUMN (on the command line --{what} COLUMN)"
        )
    return found[0]


def _units(metadata: pd.DataFrame, dose: str) -> pd.Series[str]:
    """Give each well's unit: a column beside the dose's, or what the dose's own name says."""
    names = {str(c).lower(): c for c in metadata.columns}
    for name in (f"{dose}_unit", f"{dose}_units", f"{dose} unit", "unit", "units", "metadata_unit"):
        if name.lower() in names:
            return metadata[names[name.lower()]].astype(object).where(lambda s: s.notna(), "").astype(str).str.strip()
    found = _DOSE.match(dose)
    unit = found.group("unit") if found is not None and found.group("unit") else ""
    if _MOLES.match(dose):
        unit = "mM"
    return pd.Series(unit, index=metadata.index, dtype=object)


def one_unit(doses: pd.Series[float], units: pd.Series[str]) -> tuple[pd.Series[float], str, str]:
    """Bring one compound's doses to one unit.

    Returns
    -------
    doses : Series
        In the unit.
    unit : str
        That of most wells; "" where none is stated.
    problem : str
        Why they have none in common; empty where they have.
    """
    found = units.value_counts()
    if len(found) == 1:
        return doses, str(found.index[0]), ""
    factors = {unit: _MOLAR.get(unit.replace("µ", "u").replace("μ", "u").lower()) for unit in map(str, found.index)}
    if any(factor is None for factor in factors.values()):
        listed = ", ".join(unit or "none" for unit in factors)
        return doses, "", f"its doses are in units that cannot be joined: {listed}"
    unit = str(found.index[0])
    common = factors[unit]
    assert common is not None
    return doses * units.map(lambda u: (factors[str(u)] or 1.0) / common), unit, ""
