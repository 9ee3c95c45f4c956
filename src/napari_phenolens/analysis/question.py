"""What a linear probe is asked: which wells, of which class, divided by which group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.protocol import Ints, Query, RunLike
from napari_phenolens.analysis.sides import select, shorten

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate

LEAST_WELLS = 3  # wells of a class, below which nothing is trained and tested
FEW_WELLS = 10  # wells of a class, below which the reader is told what one well weighs
BUILT_IN = ("well", "plate", "row", "column")  # known of every well without a plate map


@dataclass(frozen=True)
class Question:
    """Wells and what is to be told of them.

    Attributes
    ----------
    plates : tuple of str
        Names of the plates, made different where two carry one name.
    wells : tuple of (int, str)
        Plate and name of each well.
    classes : tuple of str
        Names of the classes.
    label, group, batch : ndarray (n,) int
        Class, group (never trained and tested on at once) and batch (plate, scanner) of each well.
    group_name, batch_name : str
        What groups and batches are.
    notes : tuple of str
        What a reader must know about the choice of wells.
    """

    plates: tuple[str, ...]
    wells: tuple[tuple[int, str], ...]
    classes: tuple[str, ...]
    label: Ints
    group: Ints
    batch: Ints
    group_name: str
    batch_name: str
    notes: tuple[str, ...] = ()

    def name(self, well: tuple[int, str]) -> str:
        """Name a well; with its plate where there are several."""
        return well[1] if len(self.plates) == 1 else f"{self.plates[well[0]]}/{well[1]}"

    @property
    def counts(self) -> dict[str, int]:
        """Wells of each class."""
        return {name: int((self.label == i).sum()) for i, name in enumerate(self.classes)}

    def keep(self, rows: npt.NDArray[np.bool_], why: str) -> Question:
        """Give the question without some wells, noting why, and without classes that have too few left.

        Raises
        ------
        AnalysisError
            Where fewer than two classes have three wells or more.
        """
        gone = [self.name(w) for w, kept in zip(self.wells, rows, strict=True) if not kept]
        notes = (*self.notes, f"{len(gone)} wells are left out, {why}: {shorten(gone)}.") if gone else self.notes
        found = replace(
            self,
            wells=tuple(w for w, kept in zip(self.wells, rows, strict=True) if kept),
            label=self.label[rows],
            group=self.group[rows],
            batch=self.batch[rows],
            notes=notes,
        )
        return found._enough()

    def _enough(self) -> Question:
        """Leave out classes with fewer than three wells; refuse where fewer than two are left."""
        small = [name for name, count in self.counts.items() if count < LEAST_WELLS]
        large = [i for i, name in enumerate(self.classes) if name not in small]
        if len(large) < 2:
            had = ", ".join(f"{name}: {count}" for name, count in list(self.counts.items())[:12])
            raise AnalysisError(
                f"a probe needs two classes with {LEAST_WELLS} wells or more each, and there are too few ({had}); "
                "choose wells or a column with more wells of each kind"
            )
        if not small:
            return self
        rows = np.isin(self.label, large)
        note = f"Classes with fewer than {LEAST_WELLS} wells are left out: {shorten(small)}."
        return replace(
            self,
            wells=tuple(w for w, kept in zip(self.wells, rows, strict=True) if kept),
            classes=tuple(self.classes[i] for i in large),
            label=np.searchsorted(large, self.label[rows]),
            group=self.group[rows],
            batch=self.batch[rows],
            notes=(*self.notes, note),
        )


def ask(
    plates: Sequence[Plate],
    *,
    controls: Query | None,
    perturbed: Query | None,
    column: str | None,
    wells: Query | None,
    group: str | None,
    batch: str | None,
) -> Question:
    """Turn queries or a column of the plate map into a question.

    Parameters
    ----------
    plates : sequence of Plate
        The plates.
    controls, perturbed : query or None
        The two classes; or `controls` alone beside a `column`, for the pixel rule.
    column : str or None
        A column of the plate map whose values are the classes.
    wells : query or None
        With a column: only these wells.
    group : str or None
        Column whose wells stay together (``well``, ``plate``, ``row`` and ``column`` are always known); None: the well.
    batch : str or None
        Column of plate or scanner; None: the plate.

    Returns
    -------
    Question

    Raises
    ------
    AnalysisError
        Where the choice is none, sides share wells, a column is missing, or there are too few wells.
    """
    if (perturbed is None) == (column is None):
        raise AnalysisError(
            "say what the probes shall tell apart: controls and perturbed wells (--controls QUERY --perturbed QUERY), "
            "or a column of the plate map (--column NAME)"
        )
    if perturbed is not None and controls is None:
        raise AnalysisError("the perturbed wells are told from control wells: give --controls QUERY too")
    if column is None and wells is not None:
        raise AnalysisError("wells to choose from (--wells) belong to a column; narrow the two queries instead")
    names = _plate_names(plates)
    notes: list[str] = []
    if column is None:
        places, labels, notes = _sides(plates, names, controls, perturbed)
    else:
        chosen = [list(plate.wells) for plate in plates]
        if wells is not None:
            chosen, notes = select(cast("Sequence[RunLike]", plates), names, wells, "chosen")
        places = [(p, w) for p, found in enumerate(chosen) for w in found]
        labels = _values(plates, names, places, column)
        missing = [i for i, value in enumerate(labels) if value is None]
        if missing:
            lost = [places[i][1] if len(names) == 1 else f"{names[places[i][0]]}/{places[i][1]}" for i in missing]
            notes.append(f"{len(lost)} wells have no {column} and are left out: {shorten(lost)}.")
            places = [w for i, w in enumerate(places) if i not in set(missing)]
            labels = [v for v in labels if v is not None]
        if not places:
            raise AnalysisError(f"no well has a {column}; look at the plate map with: phenolens info PLATE")
    classes = list(dict.fromkeys(labels)) if column is None else sorted(set(labels), key=_order)
    grouped = _values(plates, names, places, group) if group else [str(w) for w in places]
    batches = _values(plates, names, places, batch or "plate")
    for name, values in ((group, grouped), (batch, batches)):
        lost = [places[i][1] for i, value in enumerate(values) if value is None]
        if lost:
            raise AnalysisError(
                f"{len(lost)} wells have no {name} ({shorten(lost)}); fill the column in, or choose another"
            )
    question = Question(
        names, tuple(places), tuple(map(str, classes)), np.array([classes.index(v) for v in labels], dtype=np.intp),
        _codes(grouped), _codes(batches), group or "well", batch or "plate", tuple(notes),
    )  # fmt: skip
    return question._enough()


def _sides(
    plates: Sequence[Plate], names: Sequence[str], controls: Query | None, perturbed: Query | None
) -> tuple[list[tuple[int, str]], list[Any], list[str]]:
    # Plates choose wells as runs do; only `select` and `wells` of them are used.
    left, notes = select(cast("Sequence[RunLike]", plates), names, controls, "control")
    right, more = select(cast("Sequence[RunLike]", plates), names, perturbed, "perturbed")
    both = [w for a, b in zip(left, right, strict=True) for w in a if w in set(b)]
    if both:
        raise AnalysisError(
            f"{len(both)} wells are both control and perturbed: {shorten(both)}; change one of the two queries so "
            "that they share none"
        )
    places = [(p, w) for p in range(len(plates)) for w in left[p] + right[p]]
    labels = ["control" if w in set(left[p]) else "perturbed" for p, w in places]
    return places, labels, notes + more


def _plate_names(plates: Sequence[Plate]) -> tuple[str, ...]:
    names: list[str] = []
    for plate in plates:
        name, count = plate.name, 2
        while name in names:
            name, count = f"{plate.name} ({count})", count + 1
        names.append(name)
    return tuple(names)


def _values(
    plates: Sequence[Plate], names: Sequence[str], places: Sequence[tuple[int, str]], column: str
) -> list[Any | None]:
    """Give each well's value of a column of the plate map, or of what is known of every well."""
    found: list[Any | None] = []
    for p, well in places:
        table = plates[p].metadata
        if column in table.columns:
            value = table[column].get(well)
            found.append(None if value is None or pd.isna(value) else value)
        elif column in BUILT_IN:
            at = plates[p].wells[well]
            known = {"well": f"{names[p]}/{well}", "plate": names[p], "row": at.row, "column": at.column + 1}
            found.append(known[column])
        else:
            there = ", ".join(map(str, table.columns)) or "no column"
            raise AnalysisError(
                f"{names[p]}: the plate map has no column {column!r}; it has {there}, and {', '.join(BUILT_IN)} are "
                "always known"
            )
    return found


def _codes(values: Sequence[Any]) -> Ints:
    return np.asarray(pd.factorize(pd.Series(values, dtype=object))[0], dtype=np.intp)


def _order(value: Any) -> tuple[int, float, str]:
    """Numbers by size, then words."""
    number = isinstance(value, (int, float, np.number))
    return (0, float(value), "") if number else (1, 0.0, str(value))
