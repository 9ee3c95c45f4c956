"""What is typed above the table of features, as conditions on whole columns."""

from __future__ import annotations

import operator
import re

import numpy as np
import pandas as pd

_OPERATORS = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"^\s*\|?\s*([A-Za-z_ .]+?)\s*\|?\s*(<=|>=|==|=|<|>)\s*(-?[\d.]+(?:e-?\d+)?)\s*$", re.I)


def search(table: pd.DataFrame, text: str) -> np.ndarray:
    """Find the rows that fit a search.

    Parameters
    ----------
    table : DataFrame
    text : str
        Parts joined by commas or ``and``, all of which must hold: a feature's number (``17``, ``F17``),
        a condition (``effect > 2``, ``q<0.05``), ``group 3``, ``technical``, ``starred``, or a piece of a
        feature's name, note or words, or of a covariate's name.

    Returns
    -------
    ndarray of bool
    """
    keep = np.ones(len(table), dtype=bool)
    for part in re.split(r",|\band\b|&", text, flags=re.I):
        if part.strip():
            keep &= _one(table, part.strip())
    return keep


def _one(table: pd.DataFrame, part: str) -> np.ndarray:
    condition = _CONDITION.match(part)
    names = {str(c).lower(): c for c in table.columns}
    if condition:
        name = condition[1].strip().lower().replace(" ", "_")
        if name in names and pd.api.types.is_numeric_dtype(table[names[name]]):
            values = table[names[name]].to_numpy(dtype=float, na_value=np.nan)
            if "|" in part:
                values = np.abs(values)
            with np.errstate(invalid="ignore"):
                return np.asarray(_OPERATORS[condition[2]](values, float(condition[3])) & np.isfinite(values))
        return np.zeros(len(table), dtype=bool)
    group = re.match(r"^(?:group|g)\s*(\d+)$", part, re.I)
    if group and "group" in table.columns:
        return np.asarray(table["group"].fillna(-1).to_numpy(dtype=float, na_value=-1) == int(group[1]))
    number = re.match(r"^f?(\d+)$", part, re.I)
    if number and "feature" in table.columns:
        return table["feature"].to_numpy() == int(number[1])
    for flag in ("technical", "count_linked"):
        if flag in table.columns and flag.replace("_", " ").startswith(part.lower()) and len(part) > 2:
            return yes(table[flag])
    if "star" in table.columns and part.lower() in {"star", "starred", "★"}:
        return table["star"].to_numpy(dtype=bool)
    if {"name", "note"} <= set(table.columns):
        return _said(table, part)
    if "covariate" in table.columns:
        return table["covariate"].astype(str).str.contains(part.replace(" ", "_"), case=False, regex=False).to_numpy()
    return np.zeros(len(table), dtype=bool)


def _said(table: pd.DataFrame, part: str) -> np.ndarray:
    """Find the rows whose name, note or words hold a piece of text; rows that have none are not looked at."""
    found = np.zeros(len(table), dtype=bool)
    for column in ("name", "note", *(["label"] if "label" in table.columns else [])):
        words = table[column].to_numpy(dtype=object)
        given = np.flatnonzero(words != "")
        if len(given):
            found[given] |= np.char.find(np.char.lower(words[given].astype(str)), part.lower()) >= 0
    return found


def yes(column: pd.Series) -> np.ndarray:
    """Give where a column says yes, however it is written (yes, True)."""
    if pd.api.types.is_bool_dtype(column):
        return column.fillna(False).to_numpy(dtype=bool)
    return column.astype(str).str.lower().isin({"yes", "true"}).to_numpy()
