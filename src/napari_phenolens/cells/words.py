"""What the measured concepts are called: names, units, explanations, and words for more and for less of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pandas as pd

from napari_phenolens.cells.surroundings import REACH_PX, REACH_UM, ZONES
from napari_phenolens.cells.texture import OFFSET, RADII


class Words(NamedTuple):
    """A concept in words; ``{c}`` stands for the channel and ``{p}`` for the compartment."""

    name: str
    unit: str
    explanation: str
    more: str
    less: str


_PLACES = {
    "nucleus": "the nucleus", "ring": "the ring round the nucleus", "cytoplasm": "the cytoplasm", "cell": "the cell",
}  # fmt: skip
_POSSESSIVE = {"nucleus": "nuclear", "cell": "cell"}
_PLURAL = {"nucleus": "nuclei", "cell": "cells"}

_SHAPE = {
    "area": Words("{a} area", "µm², px² where the pixel size is unknown", "Area inside the outline.",
                  "larger {s}", "smaller {s}"),
    "perimeter": Words("{a} perimeter", "µm, px where the pixel size is unknown", "Length of the outline (Crofton).",
                       "longer outline of {s}", "shorter outline of {s}"),
    "formfactor": Words("roundness of {p}", "", "4 pi area / perimeter²: 1 for a disc, less for a ragged or long "
                        "outline.", "rounder {s}", "less round {s}"),
    "eccentricity": Words("elongation of {p}", "", "Eccentricity of the ellipse with the same moments: 0 for a disc, "
                          "towards 1 for a line.", "more elongated {s}", "less elongated {s}"),
    "solidity": Words("smoothness of the outline of {p}", "", "Area over that of the convex hull: 1 without dents.",
                      "{s} with fewer dents", "{s} with more dents"),
    "areashare": Words("share of the cell that is nucleus", "", "Area of the nucleus over that of the cell.",
                       "nuclei that fill more of the cell", "nuclei that fill less of the cell"),
    "neighbours": Words("neighbours", "cells", f"Other cells whose centres lie within {REACH_UM:g} µm ({REACH_PX:g} px "
                        "where the pixel size is unknown).", "more neighbours", "fewer neighbours"),
    "density": Words("local density", "cells on 10,000 µm² (px² where the pixel size is unknown)", "The neighbours and "
                     "the cell itself, over the part of that disc that lies in the field.", "denser cells",
                     "sparser cells"),
    "distance": Words("distance to the nearest cell", "µm, px where the pixel size is unknown",
                      "From centre to centre.", "cells further apart", "cells closer together"),
    "contact": Words("contact with other cells", "", "Share of the outline that touches another cell.",
                     "cells that touch more", "cells that touch less"),
}  # fmt: skip

_LIGHT = {
    "mean": Words("{c} in {p}", "pixel values", "Mean light of {c} in {p}, above the field's background.",
                  "brighter {c} in {p}", "dimmer {c} in {p}"),
    "total": Words("total {c} in {p}", "pixel values", "Sum of the light of {c} in {p}, above the field's background.",
                   "more {c} in {p} in all", "less {c} in {p} in all"),
    "unevenness": Words("unevenness of {c} in {p}", "", "Standard deviation of the light over its mean, all scales "
                        "together.", "more uneven {c} in {p}", "more even {c} in {p}"),
    "contrast": Words("contrast of {c} in {p}", "grey levels²", "Haralick's contrast: mean squared difference of two "
                      f"pixels {OFFSET} px apart, in quarters of the cell's mean light.",
                      "more contrast of {c} in {p}",
                      "less contrast of {c} in {p}"),
    "homogeneity": Words("fine smoothness of {c} in {p}", "", "Haralick's homogeneity: how alike two pixels "
                         f"{OFFSET} px apart are.", "smoother {c} in {p}", "rougher {c} in {p}"),
    "entropy": Words("disorder of {c} in {p}", "bits", "Haralick's entropy of the pairs of grey levels "
                     f"{OFFSET} px apart.", "more varied texture of {c} in {p}", "plainer texture of {c} in {p}"),
    "correlation": Words("coherence of {c} in {p}", "", f"Haralick's correlation of two pixels {OFFSET} px apart: high "
                         "for broad structures, low for fine ones and for noise.", "broader structures of {c} in {p}",
                         "finer structures of {c} in {p}"),
    "ratio": Words("nucleus-to-cytoplasm ratio of {c}", "log2", "Mean light of {c} in the nucleus over that in the "
                   "ring round it, both above background: 0 is equal, 1 twice as bright in the nucleus.",
                   "{c} further into the nucleus", "{c} further out of the nucleus"),
    "granularity": Words("structures of {c} {n} px wide", "", "Share of the cell's light of {c} in bright "
                         "structures of that width: what the next larger opening takes away.",
                         "more {c} in structures {n} px wide", "less {c} in structures {n} px wide"),
    "radial": Words("{c} {z} of the cell", "", "Light of {c} in that third of the way from the nucleus (the cell's "
                    "middle, without nuclei) to the rim, over the third's share of the area: 1 is even.",
                    "more {c} {z} of the cell", "less {c} {z} of the cell"),
    "offset": Words("lopsidedness of {c}", "", "Distance of the light's centre from the cell's, over the square root "
                    "of its area.", "{c} more to one side of the cell", "{c} more evenly about the cell's middle"),
}  # fmt: skip
_ZONES = ("in the middle", "half-way out", "at the rim")
_COLUMN = re.compile(r"([a-z]+?)(\d*)_(nucleus|ring|cytoplasm|cell)(?:_(.+))?", re.DOTALL)


def concept_words(
    columns: Iterable[str], nuclear: str | None = None, labels: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Put the columns of `cell_concepts` into words.

    Parameters
    ----------
    columns : iterable of str
        Columns; those that are no concepts (a well, a place) are left out.
    nuclear : str, optional
        The nuclear channel: its total in the nucleus is then called DNA content.
    labels : mapping, optional
        What to call channels whose own names say nothing (``{"Channel1": "GFP"}``).

    Returns
    -------
    DataFrame
        Index ``column``; ``name``, ``unit``, ``explanation``, and ``more`` and ``less``: what a scientist sees where
        the number is higher and lower ("brighter GFP in the nucleus").
    """
    rows = {}
    for column in columns:
        found = _words(str(column), nuclear, labels or {})
        if found is not None:
            rows[str(column)] = found
    index = pd.Index(list(rows), name="column", dtype=object)
    return pd.DataFrame(list(rows.values()), index=index, columns=pd.Index(Words._fields))


def _words(column: str, nuclear: str | None, labels: Mapping[str, str]) -> Words | None:
    match = _COLUMN.fullmatch(column)
    if match is None:
        return None
    what, number, place, channel = match.groups()
    words = (_SHAPE if channel is None else _LIGHT).get(what)
    if words is None or bool(number) != (what in ("granularity", "radial")):
        return None
    if what == "total" and place == "nucleus" and channel == nuclear:
        words = Words(
            "DNA content", "pixel values", "Sum of the light of {c} in the nucleus, above background.",
            "more DNA in the nucleus", "less DNA in the nucleus",
        )  # fmt: skip
    filled = {
        "p": _PLACES[place], "a": _POSSESSIVE.get(place, place), "s": _PLURAL.get(place, place),
        "c": labels.get(channel, channel or ""),
        "n": _width(int(number)) if what == "granularity" else "",
        "z": _ZONES[int(number) - 1] if what == "radial" and 1 <= int(number) <= ZONES else "",
    }  # fmt: skip
    return Words(*(text.format(**filled) for text in words))


def _width(radius: int) -> str:
    """Widths in px that an opening of this radius takes away and the next smaller one leaves."""
    smaller = [r for r in RADII if r < radius]
    return f"{2 * max(smaller) + 1 if smaller else 1} to {2 * radius}"
