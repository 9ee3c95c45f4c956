"""The colours of wells, on screen and in figures: roles by Okabe and Ito, values by viridis, signed ones about grey."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from napari_phenolens.analysis.well_values import WellValues
from napari_phenolens.plate import roles

Table = npt.NDArray[np.uint8]

STEPS = 256
ROLE_COLOURS = {
    roles.CONTROL: "#56b4e9",
    roles.PERTURBED: "#e69f00",
    roles.POSITIVE: "#cc79a7",
    roles.EXCLUDED: "#5a5a5a",
}
CATEGORIES = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2", "#999999")
NO_ROLE, NO_VALUE = "#828282", "#6e6e6e"
# Every eighth colour of matplotlib's viridis (CC0, van der Walt and Smith); between them no channel is off by more than
# 2 of 255.
_VIRIDIS = (
    "440154", "470d60", "48186a", "482374", "472d7b", "453681", "424086", "3f4989", "3b528b", "375a8d", "33638d",
    "2f6a8e", "2c728e", "297a8e", "26818e", "23898e", "21908c", "1f988b", "1f9f88", "21a685", "28ae80", "31b57b",
    "3ebc74", "4cc26c", "5dc963", "6ece58", "82d34c", "96d83f", "abdc32", "c0df24", "d5e21a", "eae51a", "fde725",
)  # fmt: skip
_SIGNED = ("2166ac", "67a9cf", "e1e1e1", "f1a340", "b35806")  # ColorBrewer's blue and orange about grey


@cache
def table(diverging: bool = False) -> Table:
    """Give 256 colours from low to high, (256, 3) uint8."""
    stops = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in (_SIGNED if diverging else _VIRIDIS)])
    at = np.linspace(0, len(stops) - 1, STEPS)
    return np.stack([np.interp(at, range(len(stops)), stops[:, c]) for c in range(3)], axis=1).round().astype(np.uint8)


def hex_of(share: float, *, diverging: bool = False) -> str:
    """Give the colour at a share of the colour bar, 0 to 1; `NO_VALUE` for NaN."""
    if not np.isfinite(share):
        return NO_VALUE
    r, g, b = table(diverging)[int(share * (STEPS - 1))]
    return f"#{r:02x}{g:02x}{b:02x}"


def fills(shown: WellValues, assigned: dict[str, str], wells: Sequence[str]) -> dict[str, str]:
    """Give each well's colour as ``#rrggbb``.

    Parameters
    ----------
    shown : WellValues
    assigned : dict of str to str
        Well to role; these colour the wells where nothing else is shown.
    wells : sequence of str
    """
    if shown.values is not None:
        shares = shown.shares(shown.values.reindex(list(wells)).to_numpy(dtype=float))
        return {well: hex_of(share, diverging=shown.diverging) for well, share in zip(wells, shares, strict=True)}
    if shown.categories is not None:
        places = {level: i for i, level in enumerate(shown.levels())}
        words = shown.categories.reindex(list(wells))
        return {
            str(well): CATEGORIES[places[word] % len(CATEGORIES)] if word in places else NO_VALUE
            for well, word in words.items()
        }
    return {well: ROLE_COLOURS.get(assigned.get(well, ""), NO_ROLE) for well in wells}


def ink_on(fill: str) -> str:
    """Give black or white, whichever is read better on a colour."""
    red, green, blue = (int(fill[i : i + 2], 16) for i in (1, 3, 5))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else "#ffffff"
