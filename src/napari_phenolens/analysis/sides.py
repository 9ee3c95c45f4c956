"""Which wells of which runs stand on which side of a comparison, and their values."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.contrast import Design
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.protocol import Floats, Query, RunLike
from napari_phenolens.errors import PhenoLensError

_ROLE_COLUMN = re.compile(r"^(metadata_)?(control_?type|role|pert_?type|well_?type|sample_?type|well_?role)$", re.I)
_POSITIVE = re.compile(r"^(pos|poscon|positive)([ _-]?(con|ctrl|control)s?)?([ _-].*)?$", re.I)


@dataclass(frozen=True)
class Sides:
    """The wells of a comparison.

    Attributes
    ----------
    runs : tuple
        The runs, one a plate.
    plates : tuple of str
        Their names, made different where two runs carry one name.
    wells : tuple of (int, str)
        Plate and well of every well compared; controls first within each plate.
    design : Design
        Side and plate of each.
    excluded : tuple of str
        Wells that were asked for and left out because their profile is NaN.
    notes : tuple of str
        What a reader must know about the choice.
    """

    runs: tuple[RunLike, ...]
    plates: tuple[str, ...]
    wells: tuple[tuple[int, str], ...]
    design: Design
    excluded: tuple[str, ...]
    notes: tuple[str, ...]

    def label(self, plate: int, well: str) -> str:
        """Name a well; with its plate where there are several."""
        return well if len(self.plates) == 1 else f"{self.plates[plate]}/{well}"

    def names(self, perturbed: bool) -> list[str]:
        """Names of one side's wells."""
        return [self.label(p, w) for (p, w), s in zip(self.wells, self.design.side, strict=True) if s == perturbed]

    def table(self, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Stack the rows of the compared wells out of one table a run; a well or column that a table lacks is NaN."""
        rows = [tables[p].reindex([w]) for p, w in self.wells]
        return pd.concat(rows, axis=0)


def as_runs(runs: RunLike | Sequence[RunLike]) -> tuple[tuple[RunLike, ...], tuple[str, ...]]:
    """Check the runs and name their plates.

    Raises
    ------
    AnalysisError
        Where there is none, one is given twice, or their lenses differ.
    """
    several: tuple[RunLike, ...] = (runs,) if hasattr(runs, "profiles") else tuple(runs)  # type: ignore[assignment]
    if not several:
        raise AnalysisError("no run was given; pass a run or a list of runs")
    for i, run in enumerate(several):
        for other in several[:i]:
            path, seen = getattr(run, "path", None), getattr(other, "path", None)
            if run is other or (path is not None and path == seen):
                raise AnalysisError(f"the run of {run.plate_name} ({path}) is given twice; give each run once")
    first = lens_key(several[0].lens)
    for run in several[1:]:
        if lens_key(run.lens) != first:
            raise AnalysisError(
                f"the runs of {several[0].plate_name} and {run.plate_name} were made with different lenses, so their "
                "features "
                "are different things; apply one lens to both plates (phenolens run PLATE --lens FILE)"
            )
    names: list[str] = []
    for run in several:
        name, count = run.plate_name, 2
        while name in names:
            name, count = f"{run.plate_name} ({count})", count + 1
        names.append(name)
    return several, tuple(names)


def lens_key(lens: Any) -> str:
    """Tell lenses apart by what they compute: encoder, block, whitening matrix and atoms."""
    digest = hashlib.sha256()
    for name in ("encoder", "block", "channels", "channel_pooling", "unit", "patch"):
        digest.update(repr(getattr(lens, name, None)).encode())
    white = "whitening" if getattr(lens, "common", None) is None else "common"  # aligned plates differ, their lens not
    for room, name in (("dictionary", "atoms"), (white, "matrix"), (white, "mean")):
        array = getattr(getattr(lens, room, None), name, None)
        if array is not None:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def select(
    runs: Sequence[RunLike], plates: Sequence[str], query: Query | None, what: str
) -> tuple[list[list[str]], list[str]]:
    """Select wells of every run.

    Parameters
    ----------
    runs, plates : sequences
        Runs and the names of their plates.
    query : str, list of wells or None
        None takes the controls that each run was made with.
    what : str
        For messages: "control" or "perturbed".

    Returns
    -------
    wells : list of lists
        One a run; empty where the query holds for no well of that plate and others have some.
    notes : list of str
        The plates without any, and why.
    """
    found: list[list[str]] = []
    notes: list[str] = []
    failed: PhenoLensError | None = None
    for run, plate in zip(runs, plates, strict=True):
        try:
            wells = list(run.controls) if query is None else list(run.select(query))
            with_results = set(run.wells)
            wells = [w for w in wells if w in with_results]
        except PhenoLensError as error:
            failed = failed or error
            wells = []
            notes.append(f"{plate} has no {what} wells: {error}")
        found.append(wells)
    if not any(found):
        if failed is not None:
            raise AnalysisError(f"no {what} wells: {failed}") from failed
        hint = "pass controls=QUERY" if query is None else "check the query, or that the run has got to these wells"
        raise AnalysisError(f"no {what} wells with results in {', '.join(plates)}; {hint}")
    return found, notes


def gather(
    runs: RunLike | Sequence[RunLike],
    controls: Query | None,
    perturbed: Query,
    *,
    per: str = "patch",
    kind: str = "activation",
) -> tuple[Sides, Floats]:
    """Choose both sides and read their profiles.

    Parameters
    ----------
    runs : Run or sequence of them
        Runs of one lens.
    controls, perturbed : query
        A pandas query over the plate map or a list of wells; controls None takes the runs' own.
    per, kind : str
        Which profiles, see ``Run.profiles``.

    Returns
    -------
    sides : Sides
        Wells whose profile is NaN are left out and named.
    values : ndarray (n, m) float64
        Their profiles.

    Raises
    ------
    AnalysisError
        Where a side is empty, the sides share wells, or no plate holds both.
    """
    several, plates = as_runs(runs)
    left, notes = select(several, plates, controls, "control")
    right, more = select(several, plates, perturbed, "perturbed")
    notes += more
    both = [f"{plate}/{w}" for plate, a, b in zip(plates, left, right, strict=True) for w in a if w in set(b)]
    if both:
        raise AnalysisError(
            f"{len(both)} wells are both control and perturbed: {shorten(both)}; change one of the two queries so "
            "that they share none"
        )
    wells: list[tuple[int, str]] = []
    side: list[bool] = []
    excluded: list[str] = []
    rows: list[Floats] = []
    for p, run in enumerate(several):
        profiles = run.profiles(per=per, kind=kind)
        for perturbed_side, chosen in ((False, left[p]), (True, right[p])):
            values = profiles.reindex(chosen).to_numpy(dtype=np.float64)
            whole = np.isfinite(values).all(axis=1)
            excluded += [
                w if len(plates) == 1 else f"{plates[p]}/{w}" for w, ok in zip(chosen, whole, strict=True) if not ok
            ]
            wells += [(p, w) for w, ok in zip(chosen, whole, strict=True) if ok]
            side += [perturbed_side] * int(whole.sum())
            rows.append(values[whole])
    present = sorted({p for p, _ in wells})
    # Plates without any well left take no part; the rest are numbered anew for the design.
    number = {p: i for i, p in enumerate(present)}
    design = Design(np.array(side, dtype=bool), np.array([number[p] for p, _ in wells], dtype=np.intp))
    n0, n1 = design.counts
    if n0 == 0 or n1 == 0:
        which = "control" if n0 == 0 else "perturbed"
        raise AnalysisError(
            f"no {which} well has a profile ({shorten(excluded)} have no foreground); look at these wells, or "
            "change the foreground rule"
        )
    if design.information == 0:
        raise AnalysisError(
            "no plate holds both control and perturbed wells, so perturbation and plate cannot be told apart; "
            "compare within plates, or add plates that hold both"
        )
    runs_used = tuple(several[p] for p in present)
    plates_used = tuple(plates[p] for p in present)
    ordered = tuple((number[p], w) for p, w in wells)
    return Sides(runs_used, plates_used, ordered, design, tuple(excluded), tuple(notes)), np.concatenate(rows)


def are_positive_controls(sides: Sides) -> bool:
    """Whether the plate maps' role columns call every perturbed well a positive control."""
    for (p, well), perturbed in zip(sides.wells, sides.design.side, strict=True):
        if not perturbed:
            continue
        metadata = sides.runs[p].metadata
        if well not in metadata.index:
            return False
        row = metadata.loc[well]
        values = [str(row[c]).strip() for c in metadata.columns if _ROLE_COLUMN.match(str(c)) and pd.notna(row[c])]
        if not any(_POSITIVE.match(v) for v in values):
            return False
    return True


def shorten(names: Sequence[str], most: int = 12) -> str:
    """List names, the rest as a number."""
    if len(names) <= most:
        return ", ".join(names)
    return ", ".join(names[:most]) + f" and {len(names) - most} more"
