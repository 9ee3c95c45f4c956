"""A plate map as a figure or a table: PNG, SVG or CSV."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.well_values import ROLE, WellValues, well_values
from napari_phenolens.export.atomic import written_whole
from napari_phenolens.export.chart_file import write_chart
from napari_phenolens.export.colours import CATEGORIES, NO_VALUE, ROLE_COLOURS, fills, hex_of, ink_on
from napari_phenolens.export.drawing import INK, PALE, Drawing
from napari_phenolens.plate import parse_well, plate_format, roles, well_name_of

ACROSS = 760  # px of the wells; small plates take less
LARGEST, LETTERED = 44, 13  # edge of a well in px: at most, and the least at which a letter is read
LEFT, TOP, BELOW = 40, 64, 22
BAR, LEVELS = 60, 64  # px of the colour bar's height with its words; steps of colour drawn


@dataclass(frozen=True)
class PlateMap:
    """A plate map that can be drawn or written.

    Attributes
    ----------
    name : str
        The plate.
    shown : WellValues
        What colours the wells.
    roles : mapping of str to str
        Well to role.
    wells : sequence of str
        Those with images.
    metadata : DataFrame
        The plate map's columns, index = well names; wells without images may be among them.
    format : tuple of int
        Rows and columns.
    """

    name: str
    shown: WellValues
    roles: Mapping[str, str]
    wells: Sequence[str]
    metadata: pd.DataFrame
    format: tuple[int, int]
    _fills: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._fills.update(fills(self.shown, dict(self.roles), list(self.wells)))

    def table(self) -> pd.DataFrame:
        """Give a row a well: row, column, role, what is shown, and the plate map's columns.

        Returns
        -------
        DataFrame
            Index ``well``, row-major, wells without images among them (``images`` says which).
        """
        names = sorted({*self.wells, *map(str, self.metadata.index)}, key=parse_well)
        index = pd.Index(names, name="well")
        here = set(self.wells)
        columns: dict[str, Any] = {
            "row": [well_name_of(parse_well(w)[0], 0)[:-2] for w in names],
            "column": [parse_well(w)[1] + 1 for w in names],
            "images": [w in here for w in names],
            "role": [self.roles.get(w, "") for w in names],
        }
        data = self.shown.values if self.shown.values is not None else self.shown.categories
        if data is not None:
            columns[self.shown.title] = data.reindex(names).to_numpy()
        found = pd.DataFrame(columns, index=index)
        rest = self.metadata.reindex(names)[[c for c in self.metadata.columns if str(c) not in found.columns]]
        return found.join(rest.set_axis(index))

    def drawing(self) -> Drawing:
        """Draw the wells with their labels, roles and colour bar; the picture is white whatever napari's theme."""
        rows, columns = self.format
        edge = min(LARGEST, ACROSS / columns)
        wide, high = round(edge * columns), round(edge * rows)
        swatches = self._swatches()
        lines = 1 if self.shown.limits is not None else -(-max(1, len(swatches)) // _per_line(wide))
        legend = BAR if self.shown.limits is not None else 12 + 18 * lines
        legend += 18 if self.shown.limits is not None and self.roles else 0
        notes = textwrap.wrap(self.shown.note, max(wide, 320) // 6)
        drawing = Drawing(max(wide, 320) + LEFT + 16, TOP + high + BELOW + legend + 15 * len(notes))
        drawing.words((LEFT, 22), self.name[:80], size=15)
        drawing.words((LEFT, 40), self.shown.title[:110], size=12)
        self._labels(drawing, edge)
        for i in range(rows):
            for j in range(columns):
                self._well(drawing, well_name_of(i, j), LEFT + j * edge, TOP + i * edge, edge)
        self._legend(drawing, TOP + high + BELOW, wide, swatches)
        for n, line in enumerate(notes):
            drawing.words((LEFT, TOP + high + BELOW + legend + 15 * n + 4), line, size=11)
        return drawing

    def _labels(self, drawing: Drawing, edge: float) -> None:
        size = min(12.0, max(8.0, edge))
        every = int(np.ceil(1.6 * size / edge))
        for j in range(0, self.format[1], every):
            drawing.words((LEFT + (j + 0.5) * edge, TOP - 5), str(j + 1), anchor="middle", size=size)
        every = int(np.ceil(size / (edge + 2)))
        for i in range(0, self.format[0], every):
            at = (LEFT - 6, TOP + (i + 0.5) * edge + size * 0.36)
            drawing.words(at, well_name_of(i, 0)[:-2], anchor="end", size=size)

    def _well(self, drawing: Drawing, well: str, x: float, y: float, edge: float) -> None:
        pad = max(0.4, edge * 0.06)
        box = _box(x + pad, y + pad, edge - 2 * pad)
        if well not in self._fills:
            if well in self.metadata.index:  # the map has it, but there are no images
                drawing.line([*box, box[0]], PALE)
                drawing.line([box[3], box[1]], PALE)
            else:
                drawing.dot((x + edge / 2, y + edge / 2), PALE, 0.8)
            return
        fill = self._fills[well]
        drawing.area(box, fill, 1.0)
        role = self.roles.get(well, "")
        if role and edge >= LETTERED:
            drawing.line([*box, box[0]], INK, 1.2, dashed=role in (roles.PERTURBED, roles.POSITIVE))
            size = edge * 0.46
            at = (x + edge / 2, y + edge / 2 + 0.36 * size)
            drawing.words(at, roles.LETTERS[role], anchor="middle", size=size, colour=ink_on(fill))
        elif role == roles.CONTROL and (self.shown.values is not None or self.shown.categories is not None):
            drawing.dot((x + edge / 2, y + edge / 2), ink_on(fill), edge * 0.1)  # no room for letters

    def _swatches(self) -> list[tuple[str, str]]:
        if self.shown.categories is not None:
            levels = self.shown.levels()
            found = [(CATEGORIES[i % len(CATEGORIES)], str(level)) for i, level in enumerate(levels)]
            absent = self.shown.categories.reindex(list(self.wells)).isna().any()
            return [*found, (NO_VALUE, "no entry")] if absent else found
        return [(ROLE_COLOURS[role], words) for role, words in self._counted()]

    def _counted(self) -> list[tuple[str, str]]:
        counts = {role: list(self.roles.values()).count(role) for role in roles.ROLES}
        return [(role, f"{roles.LETTERS[role]} {roles.WORDS[role]} ({n})") for role, n in counts.items() if n]

    def _legend(self, drawing: Drawing, y: float, wide: int, swatches: list[tuple[str, str]]) -> None:
        if self.shown.limits is None:
            per_line = _per_line(wide)
            for n, (colour, words) in enumerate(swatches):
                x, top = LEFT + (n % per_line) * 150, y + 18 * (n // per_line)
                drawing.area(_box(x, top, 11), colour, 1.0)
                drawing.words((x + 16, top + 10), words[:22], size=11)
            return
        low, high = self.shown.limits
        across = min(wide, 360)
        step = across / LEVELS
        for n in range(LEVELS):
            colour = hex_of((n + 0.5) / LEVELS, diverging=self.shown.diverging)
            left = LEFT + n * step
            right = left + step + 0.3
            drawing.area([(left, y), (right, y), (right, y + 14), (left, y + 14)], colour, 1.0)
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            value = low * (high / low) ** share if self.shown.log else low + share * (high - low)
            at = LEFT + share * across
            drawing.line([(at, y + 14), (at, y + 18)])
            drawing.words((at, y + 30), f"{value:.3g}", anchor="middle", size=11)
        for value, letter in self.shown.marks:
            if low <= value <= high:
                share = float(self.shown.shares([value])[0])
                ink = ink_on(hex_of(share, diverging=self.shown.diverging))
                drawing.words((LEFT + share * across, y + 11), letter, anchor="middle", size=11, colour=ink)
        if self.shown.values is not None and self.shown.values.reindex(list(self.wells)).isna().any():
            drawing.area(_box(LEFT + across + 24, y + 1, 11), NO_VALUE, 1.0)
            drawing.words((LEFT + across + 40, y + 11), "no value", size=11)
        drawing.words((LEFT, y + 50), "   ".join(words for _, words in self._counted()), size=11)


def _per_line(wide: int) -> int:
    return max(1, max(wide, 320) // 150)


def _box(x: float, y: float, edge: float) -> list[tuple[float, float]]:
    return [(x, y), (x + edge, y), (x + edge, y + edge), (x, y + edge)]


def plate_map(
    run: Any,
    by: int | str | WellValues = ROLE,
    *,
    z: bool = False,
    controls: Sequence[str] | str | None = None,
    perturbed: Sequence[str] | str | None = None,
    positive: Sequence[str] | str | None = None,
    excluded: Sequence[str] | str | None = None,
) -> PlateMap:
    """Give the plate map of a run.

    Parameters
    ----------
    run : Run
    by, z
        What colours the wells, see `napari_phenolens.analysis.well_values`; or values that are there already.
    controls, perturbed, positive, excluded : query or sequence of str, optional
        The roles; by default the run's controls, and every other well as perturbed.

    Returns
    -------
    PlateMap
    """
    picked = list(run.controls) if controls is None else list(run.select(controls))
    assigned = roles.assign_roles(
        run.wells,
        picked,
        None if perturbed is None else run.select(perturbed),
        () if positive is None else run.select(positive),
        () if excluded is None else run.select(excluded),
    )
    size = plate_format([*run.wells, *map(str, run.metadata.index)])
    shown = by if isinstance(by, WellValues) else well_values(run, by, z=z, controls=picked)
    return PlateMap(run.plate_name, shown, assigned, list(run.wells), run.metadata, size)


def export_plate_map(plate: PlateMap, out: str | Path) -> Path:
    """Write a plate map: a figure as ``.svg`` or ``.png``, its table as ``.csv``.

    Parameters
    ----------
    plate : PlateMap
        From `plate_map`, or of what napari shows.
    out : path
        Its ending says which.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExportError
        Where the ending is another, or the file cannot be written.
    """

    def table(path: Path) -> None:
        with written_whole(path) as part:
            plate.table().to_csv(part)

    return write_chart(out, plate.drawing, table, "a plate map")
