"""A feature's place in the tree of a nested dictionary: what it is a part of, and what its parts are."""

from __future__ import annotations

from typing import Any

import pandas as pd

from napari_phenolens.analysis.places import check_feature

COLUMNS = ["relation", "level", "parent", "name", "density"]


def family(run: Any, feature: int) -> pd.DataFrame:
    """List a feature's ancestors, itself and its children in the tree of a nested dictionary.

    Parameters
    ----------
    run : Run
        The run.
    feature : int
        The 0-based atom.

    Returns
    -------
    DataFrame
        Index ``feature``: the coarsest ancestor first, then the feature, then its children, the most frequent first.
        ``relation`` (ancestor, itself, child), ``level`` (0: coarsest), ``parent`` (-1: none), ``name``, ``density``.
        Empty where the dictionary is not nested. How parents are found: `Dictionary.tree`.

    Raises
    ------
    AnalysisError
        Where there is no such feature.
    """
    feature = check_feature(run, feature)
    dictionary = run.lens.dictionary
    if getattr(dictionary, "levels", None) is None:
        return pd.DataFrame(columns=COLUMNS, index=pd.Index([], name="feature", dtype="int64"))
    tree = dictionary.tree
    above = []
    parent = int(tree["parent"][feature])
    while parent >= 0:
        above.append(parent)
        parent = int(tree["parent"][parent])
    children = [int(f) for f in tree.index[tree["parent"] == feature]]
    children.sort(key=lambda f: -float(run.density[f]))
    members = [*reversed(above), feature, *children]
    table: pd.DataFrame = tree.loc[members, ["level", "parent"]].copy()
    table.insert(0, "relation", ["ancestor"] * len(above) + ["itself"] + ["child"] * len(children))
    table["name"] = run.annotations.names().reindex(members).to_numpy()
    table["density"] = run.density.reindex(members).to_numpy()
    return table
