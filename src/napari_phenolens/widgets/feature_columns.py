"""The columns of the table of features, and how a value is written in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Column:
    """A column as it is shown."""

    key: str
    title: str
    tip: str


FEATURE_COLUMNS = (
    Column("star", "★", "Features to come back to: click, or press * in the table. Kept with the run."),
    Column("feature", "Feature", "The feature's number (0-based atom of the dictionary)."),
    Column(
        "effect",
        "Effect [95 %]",
        "Difference of the well means, perturbed minus control, in moderated standard deviations, with its 95 % "
        "interval. The table is ranked by its size; sorted, the largest rise or the largest fall stands first.",
    ),
    Column("wells", "Wells", "A bar a well (or a few wells): its mean activation. Controls first, in their colour."),
    Column("name", "Name", "What you call it: double-click or F2 to write. Kept with the run."),
    Column(
        "label",
        "In words",
        "What the feature goes with, of all that was measured (correlates, not causes): found on the feature's page.",
    ),
    Column(
        "auroc", "AUROC", "How well the feature alone tells perturbed from control wells: 0.5 not at all, 1 or 0 fully."
    ),
    Column(
        "q",
        "q",
        "False discovery rate over all features. A small q says that something changed; the effect says what to "
        "look at. Empty: too few wells.",
    ),
    Column(
        "group",
        "Group",
        "Features whose well means go together: one phenotype. ★ marks the strongest of the group. A phenotype's score "
        "and heatmap take up to 50 features of the group.",
    ),
    Column(
        "technical",
        "Tech.",
        "Whether the feature follows the plate's layout (row, column, edge) among the controls: yes, no, or ? "
        "(not estimable).",
    ),
    Column(
        "selectivity",
        "Select.",
        "How much more often it is active in the wells of one treatment than in all others (difference of shares, its "
        "largest over treatments; Madan et al. 2022). Chosen on these wells: in-sample.",
    ),
    Column(
        "sign_stable",
        "Stable",
        "Whether the difference has one sign per patch, per cell and per field. Empty: there is no second view.",
    ),
    Column("density", "Active", "The share of foreground patches where the feature is active, over the whole plate."),
    Column("note", "Note", "Anything worth remembering: double-click or F2 to write. Kept with the run."),
)
COVARIATE_COLUMNS = (
    Column("covariate", "Covariate", "A plain measurement of the wells."),
    *(c for c in FEATURE_COLUMNS if c.key in {"effect", "auroc", "q"}),
)


def columns_for(table: pd.DataFrame, bars: bool = False) -> tuple[Column, ...]:
    """Give the columns of a table that are shown; with bars, that of the wells too."""
    known = COVARIATE_COLUMNS if "covariate" in table.columns else FEATURE_COLUMNS
    there = {*map(str, table.columns), *(("wells",) if bars else ())}
    return tuple(column for column in known if column.key in there)


Get = Callable[[str], Any]  # column to the row's value


def is_missing(value: Any) -> bool:
    """Whether a value is none at all."""
    return value is None or value is pd.NA or bool(value != value)


def words(key: str, get: Get) -> str:
    """Write the value of a column as the table shows it."""
    if key == "wells":
        return ""
    value = get(key)
    if is_missing(value):
        return ""
    if key == "star":
        return "★" if value else "☆"
    if key == "feature":
        return f"F{value}"
    if key == "covariate":
        return str(value).replace("_", " ")
    if key == "effect":
        return _effect(value, get("effect_low"), get("effect_high"))
    if key == "technical":
        said = str(value).lower()
        return "?" if said.startswith("not") else "yes" if said in {"yes", "true"} else "–"
    if key == "sign_stable":
        return "yes" if value else "no"
    if key == "group":
        return f"{value}{' ★' if get('representative') is True else ''}"
    if key == "density":
        return f"{value:.1%}"
    if key == "q":
        return "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _effect(value: float, low: float | None, high: float | None) -> str:
    known = [float(v) for v in (value, low, high) if v is not None and not is_missing(v)]
    digits = 1 if max(map(abs, known)) < 10 else 0
    ends = f" [{low:.{digits}f}, {high:.{digits}f}]" if len(known) == 3 else ""
    return f"{value:+.1f}{ends}"


_FIGURES = ("hedges_g", "ssmd", "robust_z", "zprime", "p", "active_difference", "sign_stable", "count_linked")


def long_words(key: str, get: Get) -> str:
    """Write what a cell's tooltip says."""
    if key in ("name", "note"):
        return str(get(key) or "Double-click to write.")
    if key == "label":
        named = f"You call it {get('name')}. Found: " if get("name") else ""
        return named + str(get(key) or "nothing that was tested goes with it")
    if key == "star":
        return "Starred; click to take it away." if get("star") else "Click to star it."
    if key == "selectivity" and not is_missing(get("selective_for")):
        return f"most selective for {get('selective_for')}"
    if key == "technical":
        nuisance, share = get("nuisance"), get("nuisance_r2")
        about = f" (strongest: {nuisance}, R² {share:.2f})" if nuisance and not is_missing(share) else ""
        return f"technical: {get(key)}{about}"
    lines = []
    for name in _FIGURES:
        value = get(name)
        if not is_missing(value):
            lines.append(
                f"{name.replace('_', ' ')}: {value:.3g}"
                if isinstance(value, float)
                else f"{name.replace('_', ' ')}: {value}"
            )
    return "\n".join(lines)
