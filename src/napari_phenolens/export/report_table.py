"""Tables of the report: which columns, how their numbers are written, what they are sorted by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

COLUMNS = {
    "feature": "The feature's number: which atom of the dictionary.",
    "measurement": "What was measured, without the model.",
    "name": "What a scientist called it.",
    "effect": "Difference of the sides' well means over a moderated standard deviation.",
    "effect_low": "95 % interval of the effect, from.",
    "effect_high": "95 % interval of the effect, to.",
    "q": "Share of false ones among the features up to here, over the features of this comparison.",
    "p": "By relabelling the wells.",
    "auroc": "How well the wells are parted: 0.5 not at all, 1 or 0 completely.",
    "says": "What it goes with, by the concepts tested. A correlate, no cause. Others that fit as well: the wells "
    "cannot tell them from the one that is named.",
    "zprime": "Z', with the perturbed wells as positive controls.",
    "density": "Share of foreground patches where the feature is active.",
    "group": "Features with one number move together: one phenotype.",
    "technical": "Whether it follows row, column, edge, tile or field position among untreated wells.",
    "nuisance": "Which of these.",
    "count_linked": "Whether it goes with the number of cells.",
}


@dataclass(frozen=True)
class Cell:
    """One cell of a table: what is read, what it is sorted by (None: text), where it leads, whether it may wrap."""

    text: str
    number: float | str | None = None
    link: str = ""
    wide: bool = False


def table_rows(table: pd.DataFrame, words: str, anchors: set[str]) -> dict[str, Any]:
    """Lay a table out: the columns that say something, numbers short with their full value beside them for sorting.

    Parameters
    ----------
    table : DataFrame
        With some of `COLUMNS`.
    words : str
        What stands above it.
    anchors : set of str
        Features with a page in the report, which are linked.

    Returns
    -------
    dict
        ``heads``, ``rows`` and ``words``, as the report's template reads them.
    """
    names = [name for name in COLUMNS if name in table.columns and _says(table[name])]
    numeric = {n: pd.api.types.is_numeric_dtype(table[n]) and not pd.api.types.is_bool_dtype(table[n]) for n in names}
    heads = [{"name": n.replace("_", " "), "help": COLUMNS[n], "number": numeric[n]} for n in names]
    rows = []
    for values in table[names].astype(object).itertuples(index=False):
        row = []
        for name, value in zip(names, values, strict=True):
            missing = value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))
            if not numeric[name]:
                row.append(Cell("" if missing else _words(value), wide=name == "says"))
            elif name == "feature":
                shown = f"F{int(value)}"
                row.append(Cell(shown, int(value), shown if shown in anchors else ""))
            else:
                row.append(
                    Cell("", "")
                    if missing
                    else Cell(f"{float(value):.0f}" if name == "group" else f"{float(value):.3g}", repr(float(value)))
                )
        rows.append(row)
    return {"heads": heads, "rows": rows, "words": words}


def _words(value: Any) -> str:
    return ("yes" if value else "") if isinstance(value, bool | np.bool_) else str(value)


def _says(column: pd.Series) -> bool:
    known = column.dropna()
    return bool(len(known)) and not (known.astype(str) == "").all()
