"""The report's part on responders and escapers: figures in words, a plate map, a row a well."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_phenolens.analysis import Subpopulations
from napari_phenolens.export.report_table import Cell

COLUMNS = {
    "well": "The well.",
    "side": "Control wells: what is called perturbed there is false.",
    "cells": "Cells found in the well.",
    "called": "Share of the cells that a model that never saw the well calls perturbed.",
    "responders": "That share once the false positives of control wells are taken off.",
    "responders_low": "95 % interval of responders, from: the well's cells as a sample, and other control wells.",
    "responders_high": "95 % interval of responders, to.",
    "escapers": "Cells that still look like control: the rest.",
    "escapers_low": "95 % interval of escapers, from.",
    "escapers_high": "95 % interval of escapers, to.",
}


def responders_words(found: Subpopulations) -> list[str]:
    """Say how many cells respond, of how many that is false, and how far to trust it.

    Parameters
    ----------
    found : Subpopulations
        From `subpopulations`.

    Returns
    -------
    list of str
        Paragraphs.
    """
    counted = found.wells[found.wells["side"] == "counted"]
    told, quality = found.looks, found.looks.calibration
    n = len(found.wells) - len(counted)
    none = " None was seen, which says rare and not never." if found.false_positives.high == 0 else ""
    figures = [
        f"Of {int(counted['cells'].sum()):,} cells in {len(counted)} wells {found.responders:.1%} respond and "
        f"{found.escapers:.1%} still look like control (95 % intervals over wells). Called perturbed: {found.rule}, by "
        "models that never saw the cell's well.",
        f"Of the cells of {n} held-out control wells {found.false_positives:.1%} are so called, falsely: that share is "
        f"taken off.{none} Cells that respond too weakly to be told from control count as escapers.",
        f"Cells of held-out wells are told apart with an AUROC of {told.auroc:.2f} and an accuracy of "
        f"{told.accuracy:.2f}."
        + (
            ""
            if quality is None
            else f" Their probabilities are off by {quality.error:.2f} on average, of which wells this few make "
            f"{quality.chance:.2f} by chance; that taken off, {quality.debiased:.2f} is left."
        ),
    ]
    return [*figures, *(note[0].upper() + note[1:] + "." for note in told.notes)]


def responders_table(found: Subpopulations) -> dict[str, Any]:
    """Lay the wells out for the report's template: ``heads`` and ``rows``, numbers short and whole."""
    table = found.wells.reset_index().replace({"side": {"counted": "perturbed"}})
    table = table.sort_values("side", kind="stable", key=lambda side: side == "control")
    names = list(COLUMNS)
    heads = [
        {"name": name.replace("_", " "), "help": COLUMNS[name], "number": name not in ("well", "side")}
        for name in names
    ]  # fmt: skip
    rows = [[_cell(name, row[name]) for name in names] for _, row in table.iterrows()]
    return {"heads": heads, "rows": rows}


def _cell(name: str, value: Any) -> Cell:
    if name in ("well", "side"):
        return Cell(str(value))
    if not np.isfinite(value):
        return Cell("", "")
    return Cell(f"{int(value)}" if name == "cells" else f"{float(value):.1%}", repr(float(value)))
