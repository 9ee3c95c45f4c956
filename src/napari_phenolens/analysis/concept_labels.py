"""From the strongest concepts of a feature to a few words that name it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.concept_values import DOSE, TREATMENT
from napari_phenolens.analysis.protocol import Bools, Floats

WITHIN_WELLS, WITHIN_TREATMENTS, CONTRAST, GIVEN = (
    "within control wells", "within treatments", "treatment contrast alone", "treatment",
)  # fmt: skip
TOGETHER = "changes together with "  # before what rests on the contrast of treatments alone
Q = 0.05  # a concept above it names nothing
SUPPORT = 0.01  # p from which a correlation inside wells or treatments counts as seen
LEAST_R = 0.1  # and its least size over cells
_LEAST_WITHOUT_Q = 0.5  # |r| from which a concept names what has no q
_CHANCE = 0.55  # AUROC from which cells bear out what wells show
_MOST_DOSES = 2
_LEAST_DOSE = 0.5  # |rho| from which a feature follows a dose


def supports(
    r: Floats, within: Floats, p_within: Floats, cells: Floats, p_cells: Floats, treatment: Bools
) -> list[str]:
    """Say what each correlation rests on, beside the contrast of treatments.

    Parameters
    ----------
    r, within, p_within, cells, p_cells : ndarray (k,)
        The correlation over wells; within treatments with its p; over cells within control wells with its p.
    treatment : ndarray (k,) bool
        Concepts that say what was done to a well.

    Returns
    -------
    list of str
        The strongest support that has the sign of `r`: the cells of control wells, wells treated alike, or none.
    """
    with np.errstate(invalid="ignore"):
        by_cells = (p_cells < SUPPORT) & (cells * np.sign(r) >= LEAST_R)
        by_wells = (p_within < SUPPORT) & (within * np.sign(r) > 0)
    found = np.select([treatment, by_cells, by_wells], [GIVEN, WITHIN_WELLS, WITHIN_TREATMENTS], CONTRAST)
    return [str(value) for value in found]


def label(rows: pd.DataFrame) -> str:
    """Name a feature by its strongest concepts.

    Parameters
    ----------
    rows : DataFrame
        The feature's rows of `concepts`, in their order.

    Returns
    -------
    str
        Such as ``brighter GFP in the nucleus, AUROC 0.97; follows Wortmannin dose, rho 0.95``; empty where no concept
        has a q below 0.05 (of what has no q: |r| of 0.5). The next concept that says the same stands in brackets:
        ``fewer cells (less of the field covered)``. Concepts that the wells cannot tell from the first are counted
        behind it: ``brighter GFP in the nucleus, AUROC 0.97 (5 others fit as well)``.
    """
    # a phenotype's score has no q
    known = rows[(rows["q"] < Q) | (rows["q"].isna() & (rows["r"].abs() >= _LEAST_WITHOUT_Q))]
    parts = []
    looks = known[~known["kind"].isin(TREATMENT)]
    if len(looks):
        first = looks.iloc[0]
        rests = TOGETHER if first["support"] == CONTRAST else ""
        again = looks[looks["same_as"] == first["concept"]]["words"].head(1)
        said = f"{rests}{first['words']}{''.join(f' ({words})' for words in again)}{_how_well(first)}"
        parts.append(said + _fit_as_well(rows[~rows["kind"].isin(TREATMENT)], [first["concept"]]))
    dose = known["kind"] == DOSE
    done = rows[rows["kind"].isin(TREATMENT)]
    given = known[known["kind"].isin(TREATMENT) & (~dose | (known["rho"].abs() >= _LEAST_DOSE))]
    if len(given) and given.iloc[0]["kind"] == DOSE:
        same = given[(given["kind"] == DOSE) & (np.sign(given["r"]) == np.sign(given.iloc[0]["r"]))].head(_MOST_DOSES)
        way = "follows" if given.iloc[0]["r"] > 0 else "falls with"
        said = f"{way} " + " and ".join(f"{d['name']}, rho {d['rho']:.2f}" for _, d in same.iterrows())
        parts.append(said + _fit_as_well(done, same["concept"].tolist()))
    elif len(given):
        way = "stronger" if given.iloc[0]["r"] > 0 else "weaker"
        said = f"{way} in {given.iloc[0]['name']}{_how_well(given.iloc[0])}"
        parts.append(said + _fit_as_well(done, [given.iloc[0]["concept"]]))
    return "; ".join(parts)


def _fit_as_well(family: pd.DataFrame, named: Sequence[str]) -> str:
    """Count the concepts that the wells cannot tell from the first, but for those that are named or say the same."""
    others = family[~family["concept"].isin(named) & ~family["same_as"].isin(named)]
    n = int(others["tied"].sum())
    if n == 0:
        return ""
    return f" ({'all ' if 1 < n == len(others) else ''}{n} {'other fits' if n == 1 else 'others fit'} as well)"


def _how_well(row: pd.Series[Any]) -> str:
    """Give the AUROC the way that r has it; the rank correlation where cells do not say the same as wells."""
    auroc = row["auroc"] if row["r"] > 0 else 1 - row["auroc"]
    return f", AUROC {auroc:.2f}" if auroc > _CHANCE else f", rho {row['rho']:.2f}"


def words(r: Sequence[float] | Floats, more: Sequence[str], less: Sequence[str]) -> list[str]:
    """Give the words for more or for less of each concept, as the sign of its correlation says."""
    return [up if value >= 0 else down for value, up, down in zip(r, more, less, strict=True)]
