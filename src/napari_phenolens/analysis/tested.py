"""How a comparison was tested, in words: the test, what it assumes, and what its p and q can and cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

PICKED_AFTER = (
    "Wells were picked after features had been seen: a choice made after looking carries no p and no q, so they are "
    "left out. Confirm the effect on another plate."
)


def withhold_p(table: pd.DataFrame) -> pd.DataFrame:
    """Take p and q off a comparison whose wells were picked after features had been seen, and say so over it.

    Parameters
    ----------
    table : DataFrame
        From `compare`; changed in place.

    Returns
    -------
    DataFrame
        The same table.
    """
    for column in ("p", "p_parametric", "q"):
        table[column] = np.nan
    table.attrs["picked_after"] = True
    table.attrs["warnings"] = [PICKED_AFTER, *table.attrs["warnings"]]
    return table


def how_tested(about: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """Say how a comparison was tested.

    Parameters
    ----------
    about : mapping
        ``compare(...).attrs``; also ``contrasts_tried`` where it is known.

    Returns
    -------
    list of (str, str)
        A heading and a sentence or two each, in the order in which they are read.
    """
    n0, n1 = int(about["n_controls"]), int(about["n_perturbed"])
    plates = list(about["plates"])
    per = {"patch": "foreground patches", "cell": "cells", "field": "fields"}[str(about["per"])]
    within = f", within each of {len(plates)} plates" if len(plates) > 1 else ""
    found = [
        (
            "What is compared",
            f"{n1} perturbed wells with {n0} control wells. The well is the unit: its value is the mean "
            f"{about['kind']} over its {per}. Patches, cells and fields never count as replicates.",
        ),
        (
            "Effect",
            "Difference of the sides' means over a typical SD: each feature's variance is shrunk to the trend over all "
            f"features (limma's moderated t; {float(about['df']):.1f} degrees of freedom, {float(about['d0']):.1f} of "
            "them borrowed). "
            "The interval is its 95 % interval.",
        ),
    ]
    if about.get("picked_after"):
        found.append(("No p and no q", PICKED_AFTER))
    elif min(n0, n1) < 3:
        found.append(("No p and no q", "A side has fewer than three wells."))
    else:
        floor = float(about["p_floor"])
        found += [
            (
                "p",
                f"The wells' labels are dealt out again{within} ({about['p_method']}), and p is how often the "
                f"moderated t is as large, in either direction. The smallest p that {n0} and {n1} wells allow is "
                f"{floor:.2g}.",
            ),
            (
                "What p assumes",
                "That without an effect any well could as well have been on the other side. Wells that differ in row, "
                "column or edge as well as in treatment break this: see the column technical and the chart Position.",
            ),
            (
                "q",
                "Benjamini and Hochberg over all features of this one comparison: the share of false ones among those "
                "up to here. It says that something changed; the effect says how much.",
            ),
        ]
    tried = about.get("contrasts_tried")
    if tried is not None:
        more = (
            " q does not count contrasts: the more are tried, the more will look right by chance." if tried > 1 else ""
        )
        found.append(("Contrasts tried", f"{tried} on this run so far, this one among them.{more}"))
    found.append(
        (
            "In-sample",
            "The feature on top was chosen for its effect on these very wells, which flatters it. split_half chooses "
            "on half of the wells and quotes the other half.",
        )
    )
    return found
