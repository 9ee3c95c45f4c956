"""Which condition lies in which well, balanced against the plate's nuisances or confounded with them."""

from __future__ import annotations

from napari_phenolens.demo.phenotypes import CONDITIONS, Condition
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.plate import parse_well, well_name_of

ROWS, COLUMNS = 8, 12
LAYOUTS = ("balanced", "confounded")

# One well of each pair; the other is its image through the plate's centre. So every condition has the same mean row and
# column, and (but for the conditions of a single pair) as many wells at the edge as inside.
_PAIRS = {
    "negative": ("A04", "B12", "D01", "B08", "C10", "D05"),
    "translocator 0.1": ("A06",),
    "translocator 0.3": ("C03",),
    "translocator 1": ("B01",),
    "translocator 3": ("A10", "D08"),
    "mixed": ("C07",),
    "nuclei": ("C12", "B05"),
    "actin": ("A02", "B10"),
    "loss": ("A08", "D03"),
}
_CONFOUNDED_COLUMN = 9  # 0-based; no control lies there


def is_edge(well: str) -> bool:
    """Whether a well lies at the rim of the 96-well plate."""
    row, column = parse_well(well)
    return row in (0, ROWS - 1) or column in (0, COLUMNS - 1)


def conditions(layout: str = "balanced") -> dict[str, Condition]:
    """Give the condition of every well, in row-major order.

    Parameters
    ----------
    layout : str
        "balanced": 36 wells, conditions balanced over rows, columns, edge and interior. "confounded": 20 wells, all
        perturbed ones in one column without controls.

    Returns
    -------
    dict of str to Condition

    Raises
    ------
    PhenoLensError
        For any other layout.
    """
    if layout == "balanced":
        placed = {well: name for name, wells in _PAIRS.items() for first in wells for well in (first, _opposite(first))}
    elif layout == "confounded":
        negative = [well for first in _PAIRS["negative"] for well in (first, _opposite(first))]
        placed = {_out_of_column(well): "negative" for well in negative}
        perturbed = [well_name_of(row, _CONFOUNDED_COLUMN) for row in range(ROWS)]
        placed |= {well: ("translocator 3", "nuclei")[i % 2] for i, well in enumerate(perturbed)}
    else:
        raise PhenoLensError(f"the demo plate has no layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
    return {well: CONDITIONS[placed[well]] for well in sorted(placed, key=parse_well)}


def _opposite(well: str) -> str:
    row, column = parse_well(well)
    return well_name_of(ROWS - 1 - row, COLUMNS - 1 - column)


def _out_of_column(well: str) -> str:
    row, column = parse_well(well)
    return well_name_of(row, column - 1 if column == _CONFOUNDED_COLUMN else column)
