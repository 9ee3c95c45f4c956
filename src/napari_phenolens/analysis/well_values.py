"""One number or word a well, with its title and its scale: what colours a plate map wherever it is drawn."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.analysis.errors import AnalysisError

ROLE, FEATURE, FIELDS = "role", "feature", "fields"
COVARIATE, COLUMN = "covariate:", "map:"  # prefixes of the keys of covariates and of the plate map's columns
Z = " z"  # suffix of a key: as robust z against the controls
CATEGORIES = 4  # a numeric column of at most so many values is a code, not a scale
HUES = 8  # colours that categories are told apart by; beyond, they repeat
DECADES = 100.0  # a positive column that spans more than this is drawn on a logarithmic scale, as doses are
_QUALITY = re.compile(r"focus|background|saturat|blur|skipped", re.I)
_FILES = ("file", "path")


@dataclass(frozen=True)
class WellValues:
    """What a plate map shows.

    Attributes
    ----------
    title : str
        What is shown, with its unit.
    values : Series or None
        Well name to number; None where wells are coloured by role or by category.
    categories : Series or None
        Well name to text.
    limits : tuple of float or None
        Shared limits of the colours.
    diverging : bool
        Whether the values lie about zero.
    note : str
        What one must know to read the values.
    marks : tuple of (float, str)
        Values that mean something, with their letters.
    log : bool
        Whether colours follow the logarithm; zero has the lowest colour.
    told : mapping of str to str
        Well to what is said of it, where that is more than its value.
    """

    title: str
    values: pd.Series | None = None
    categories: pd.Series | None = None
    limits: tuple[float, float] | None = None
    diverging: bool = False
    note: str = ""
    marks: tuple[tuple[float, str], ...] = ()
    log: bool = False
    told: Mapping[str, str] = field(default_factory=dict)

    def shares(self, values: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Give where values lie on the colour bar: 0 its low end, 1 its high end, NaN where there is no number."""
        numbers = np.asarray(values, dtype=float)
        low, high = self.limits or (0.0, 1.0)
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                numbers, low, high = np.log10(np.where(numbers >= 0, numbers, np.nan)), np.log10(low), np.log10(high)
        span = high - low if high > low else 1.0
        return np.asarray(np.clip((numbers - low) / span, 0, 1))

    def levels(self) -> list[object]:
        """Give the distinct categories in a stable order; empty where there are none."""
        if self.categories is None:
            return []
        return sorted(self.categories.dropna().unique(), key=lambda value: (str(type(value)), value))

    def said(self, well: str) -> str:
        """Say a well's value in words; empty where nothing is shown of it."""
        if well in self.told:
            return self.told[well]
        if self.values is not None and well in self.values.index:
            value = float(self.values[well])
            return f"{self.title}: {value:.3g}" if np.isfinite(value) else f"{self.title}: no value"
        if self.categories is not None and well in self.categories.index:
            value = self.categories[well]
            return f"{self.title}: {'no entry' if pd.isna(value) else value}"
        return ""


def robust_z(values: pd.Series, controls: Sequence[str]) -> pd.Series:
    """Give values in robust standard deviations (1.4826 MAD) of the control wells from their median.

    Parameters
    ----------
    values : Series
        A number a well.
    controls : sequence of str
        Wells; those without a number do not count.

    Returns
    -------
    Series
        NaN where there are fewer than two controls or they do not differ. Where the MAD is zero, the standard
        deviation takes its place.
    """
    reference = values.reindex(list(controls)).dropna()
    if len(reference) < 2:
        return values * np.nan
    middle = reference.median()
    spread = 1.4826 * (reference - middle).abs().median()
    if not spread:
        spread = reference.std()
    return (values - middle) / spread if spread else values * np.nan


def scaled(title: str, values: pd.Series, *, diverging: bool = False, log: bool = False) -> WellValues:
    """Give numbers their limits: least and greatest, or about zero as far as 98 % of the sizes reach (at least 1)."""
    numbers = values.to_numpy(dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return WellValues(f"{title}: no numbers", values=values, limits=(0.0, 1.0), diverging=diverging)
    if diverging:
        reach = float(max(np.percentile(np.abs(numbers), 98), 1.0))
        return WellValues(title, values=values, limits=(-reach, reach), diverging=True)
    if log and (numbers >= 0).all() and (numbers > 0).any():
        least = float(numbers[numbers > 0].min())
        if numbers.max() > DECADES * least:
            return WellValues(f"{title} (log scale)", values=values, limits=(least, float(numbers.max())), log=True)
    return WellValues(title, values=values, limits=(float(numbers.min()), float(numbers.max())))


def against_controls(title: str, values: pd.Series, controls: Sequence[str]) -> WellValues:
    """Give numbers as robust z against the control wells."""
    z = robust_z(values, controls)
    if z.notna().any():
        known = int(values.reindex(list(controls)).notna().sum())
        note = f"In robust standard deviations (1.4826 MAD) of the {known} control wells from their median."
        return replace(scaled(f"robust z of {title}", z, diverging=True), note=note)
    why = "the controls do not differ in it" if len(controls) > 1 else "choose at least two control wells"
    return WellValues(f"{title}: no z ({why})", values=z, limits=(-1.0, 1.0), diverging=True)


def numbers_or_words(title: str, data: pd.Series) -> WellValues:
    """Give a column of the plate map as a scale where it holds more than a few numbers, else as categories."""
    if pd.api.types.is_numeric_dtype(data) and not pd.api.types.is_bool_dtype(data) and data.nunique() > CATEGORIES:
        return scaled(title, data, log=True)
    shown = WellValues(title, categories=data)
    count = len(shown.levels())
    note = f"{count} values share {HUES} colours: point at a well to read its own." if count > HUES else ""
    return replace(shown, note=note)


def field_counts(source: Any) -> pd.Series:
    """Give the number of fields of every well of a plate or run."""
    wells = source.wells
    of_plate = isinstance(wells, Mapping)
    counts = {str(well): float(len(wells[well].fields if of_plate else source.fields(well))) for well in wells}
    return pd.Series(counts, dtype=float)


def words_of(covariate: str) -> str:
    """Name a covariate for people; those that tell of the pictures' quality say so."""
    words = str(covariate).replace("_", " ")
    return f"Quality: {words}" if _QUALITY.search(str(covariate)) else words


def columns_of(metadata: pd.DataFrame) -> list[str]:
    """List the plate map's columns that can colour wells: all but names of files."""
    return [str(c) for c in metadata.columns if not str(c).lower().startswith(_FILES)]


def well_values(
    run: Any, by: int | str = ROLE, *, z: bool = False, controls: Sequence[str] | str | None = None
) -> WellValues:
    """Give what a plate map of a run shows, the same numbers as in napari.

    Parameters
    ----------
    run : Run
    by : int or str
        A feature (0-based): its mean activation of every well. ``"fields"``: how many fields a well has. Else a
        covariate (``"cell_count"``, ``"focus"``) or a column of the plate map; write ``"covariate:x"`` or ``"map:x"``
        where both have one of that name. ``"role"``: no value, wells are coloured by role.
    z : bool
        As robust z (1.4826 MAD) against the control wells.
    controls : query or sequence of str, optional
        For `z`; those of the run by default.

    Returns
    -------
    WellValues

    Raises
    ------
    AnalysisError
        The run has nothing of that name, or `z` is asked of words.
    """
    if by == ROLE:
        return WellValues("Roles")
    title, data, of_map = _named(run, by)
    if not z:
        return numbers_or_words(title, data) if of_map else scaled(title, data)
    if not pd.api.types.is_numeric_dtype(data):
        raise AnalysisError(f"{title} holds words, and words have no z against controls; leave z out")
    wells = list(run.controls) if controls is None else list(run.select(controls))
    return against_controls(title, data, wells)


def _named(run: Any, by: int | str) -> tuple[str, pd.Series, bool]:
    """Give title and data, and whether they are of the plate map."""
    if isinstance(by, (int, np.integer)):
        if not 0 <= by < run.n_features:
            raise AnalysisError(f"there is no feature {by}: this run has features 0 to {run.n_features - 1}")
        return feature_title(int(by)), run.profiles()[int(by)], False
    if by == FIELDS:
        return "fields", field_counts(run), False
    covariates, columns = run.covariates(), columns_of(run.metadata)
    covariate, column = by.removeprefix(COVARIATE), by.removeprefix(COLUMN)
    found = []
    if covariate in covariates.columns and not by.startswith(COLUMN):
        found.append((words_of(covariate), covariates[covariate], False))
    if column in columns and not by.startswith(COVARIATE):
        found.append((column, run.metadata[column], True))
    if len(found) == 1:
        return found[0]
    if found:
        raise AnalysisError(f"{by} is a covariate and a column of the plate map: write covariate:{by} or map:{by}")
    known = [FIELDS, *map(str, covariates.columns), *columns]
    raise AnalysisError(f"this run has no {by!r} to colour wells by; it has {', '.join(known)}, and features by number")


def feature_title(feature: int) -> str:
    """Say what a feature's values on a plate map are."""
    return f"F{feature}: mean activation"
