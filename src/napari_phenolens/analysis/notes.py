"""What stands over a comparison: the two sides in numbers, and the sentences that a reader must see."""

from __future__ import annotations

from typing import Any

import pandas as pd

from napari_phenolens.analysis.contrast import Design
from napari_phenolens.analysis.permutation import Relabelling, features_that_must_tie
from napari_phenolens.analysis.sides import Sides, shorten

SHARE_WARNING = 0.2


def side_summary(measured: pd.DataFrame, design: Design) -> dict[str, dict[str, float | None]]:
    """Give number of wells, mean cell count and mean foreground share of either side (None where unknown)."""
    summary: dict[str, dict[str, float | None]] = {}
    for name, rows in (("control", ~design.side), ("perturbed", design.side)):
        summary[name] = {"wells": float(rows.sum())}
        for column in ("cell_count", "foreground_share"):
            known = measured.loc[rows, column].dropna() if column in measured else pd.Series(dtype=float)
            summary[name][column] = float(known.mean()) if len(known) else None
    return summary


def comparison_notes(
    sides: Sides,
    summary: dict[str, dict[str, float | None]],
    table: pd.DataFrame,
    tested: Relabelling,
    technical: dict[str, Any],
) -> list[str]:
    """Write the sentences that stand over a comparison.

    Parameters
    ----------
    sides : Sides
        The wells.
    summary : dict
        See `side_summary`.
    table : DataFrame
        The comparison.
    tested : Relabelling
        How p was found.
    technical : dict
        What `technical_flags` says about itself.

    Returns
    -------
    list of str
    """
    notes = list(sides.notes)
    n0, n1 = sides.design.counts
    if sides.excluded:
        notes.append(
            f"{len(sides.excluded)} wells without a profile (no foreground) are left out: {shorten(sides.excluded)}."
        )
    for run, plate in zip(sides.runs, sides.plates, strict=True):
        if getattr(run, "provisional", False) or getattr(run, "complete", True) is False:
            notes.append(f"The run of {plate} is not complete: these figures are provisional.")
    if min(n0, n1) < 3:
        notes.append(f"{n0} control and {n1} perturbed wells: with fewer than three on a side no p or q is given.")
    else:
        features = int(table.loc[table["type"] == "feature", "p"].notna().sum())
        tie = features_that_must_tie(tested.floor, features)
        if tie > features:
            notes.append(
                f"The smallest p of this design is {tested.floor:.2g}: with {features} features no q can fall "
                "below 0.05. Look at effects and their intervals."
            )
        elif tie:
            notes.append(
                f"The smallest p of this design is {tested.floor:.2g}; with {features} features at least {tie} must "
                "reach it together before any q falls below 0.05. Look at effects and their intervals."
            )
    a, b = summary["control"]["foreground_share"], summary["perturbed"]["foreground_share"]
    if a is not None and b is not None and a > 0 and abs(b - a) > SHARE_WARNING * a:
        notes.append(
            f"Foreground share is {a:.2f} in control and {b:.2f} in perturbed wells: the sides differ by "
            f"{abs(b - a) / a:.0%}, "
            "so their means are taken over different parts of the cells."
        )
    a, b = summary["control"]["cell_count"], summary["perturbed"]["cell_count"]
    if a is not None and b is not None:
        notes.append(f"Nuclei a well: {a:.0f} in control, {b:.0f} in perturbed wells.")
    fitted = _fitted_on(sides)
    if fitted:
        notes.append(f"The lens was fitted on {len(fitted)} of the {n0} control wells: {shorten(fitted)}.")
    if technical["confounded"]:
        notes.append(
            f"Perturbation and {', '.join(technical['confounded'])} coincide on this layout: whether a feature is "
            "technical is not "
            "estimable there."
        )
    elif not technical["tested"]:
        notes.append(f"{n0} control wells are too few to tell whether a feature is technical.")
    return notes


def _fitted_on(sides: Sides) -> list[str]:
    """Name the control wells that the lens was fitted on."""
    found = []
    for (p, well), perturbed in zip(sides.wells, sides.design.side, strict=True):
        fitted = set(getattr(sides.runs[p].lens, "controls", None) or ())
        if not perturbed and f"{sides.runs[p].plate_name}/{well}" in fitted:
            found.append(sides.label(p, well))
    return found
