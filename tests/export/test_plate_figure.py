"""The plate map as a figure and as a table."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.analysis.well_values import WellValues, scaled
from napari_phenolens.export import ExportError, PlateMap, export_plate_map
from napari_phenolens.export.colours import CATEGORIES, NO_VALUE, fills, hex_of, ink_on, table
from napari_phenolens.plate import roles, well_name_of

SVG = "{http://www.w3.org/2000/svg}"


def every(rows: int, columns: int) -> list[str]:
    return [well_name_of(i, j) for i in range(rows) for j in range(columns)]


def plate(rows: int, columns: int, shown: WellValues | None = None, without: tuple[str, ...] = ()) -> PlateMap:
    names = every(rows, columns)
    wells = [w for w in names if w not in without]
    metadata = pd.DataFrame({"compound": ["DMSO" if w.endswith("01") else "drug" for w in names]}, index=names)
    assigned = roles.assign_roles(wells, [w for w in wells if w.endswith("01")], None, excluded=["B02"])
    if shown is None:
        shown = scaled("F3: mean activation", pd.Series(np.arange(len(wells), dtype=float), index=wells))
    return PlateMap("a <plate>", shown, assigned, wells, metadata, (rows, columns))


@pytest.mark.parametrize(("rows", "columns"), [(2, 3), (8, 12), (16, 24), (32, 48)])
def test_every_well_is_drawn_once_in_its_colour(rows: int, columns: int) -> None:
    made = plate(rows, columns, without=("A02",))
    root = ElementTree.fromstring(made.drawing().svg())
    filled = [p.get("fill") for p in root.iter(f"{SVG}polygon")]
    wells = list(made.wells)
    expected = [hex_of(share) for share in np.arange(len(wells)) / (len(wells) - 1)]
    assert filled[: len(wells)] == expected
    words = [t.text for t in root.iter(f"{SVG}text")]
    assert {"a <plate>", "F3: mean activation", "A", "1"} <= set(words)
    _, _, width, height = map(float, str(root.get("viewBox")).split())
    for text in root.iter(f"{SVG}text"):
        assert 0 <= float(str(text.get("x"))) <= width
        assert 0 <= float(str(text.get("y"))) <= height


def test_roles_are_told_by_letter_and_border_where_there_is_room() -> None:
    text = plate(8, 12).drawing().svg()
    letters = re.findall(r">([CPx+])</text>", text)
    assert (letters.count("P"), letters.count("x")) == (8 * 11 - 1, 1)
    assert letters.count("C") == 8 + 1  # and the label of row C
    assert text.count("stroke-dasharray") == 8 * 11 - 1  # perturbed wells


def test_the_colour_bar_has_numbers_and_the_letters_of_marks() -> None:
    values = pd.Series([0.0, 1.0, 2.0], index=["A01", "A02", "A03"])
    shown = WellValues("score", values=values, limits=(-2.0, 2.0), diverging=True, marks=((0.0, "C"), (1.0, "P")))
    words = re.findall(r">([^<]+)</text>", plate(2, 3, shown).drawing().svg())
    assert {"-2", "-1", "0", "1", "2"} <= set(words)
    assert "no value" in words  # row B
    doses = scaled("dose", pd.Series([0, 0.01, 10.0], index=["A01", "A02", "A03"]), log=True)
    words = re.findall(r">([^<]+)</text>", plate(2, 3, doses).drawing().svg())
    assert {"0.01", "0.316", "10", "dose (log scale)"} <= set(words)


def test_the_table_holds_what_is_drawn(tmp_path: Path) -> None:
    made = plate(2, 3, without=("A02",))
    path = export_plate_map(made, tmp_path / "new folder" / "map.csv")
    table_ = pd.read_csv(path, index_col="well", keep_default_na=False)
    assert list(table_.index) == every(2, 3)
    assert list(table_["role"]) == ["control", "", "perturbed", "control", "excluded", "perturbed"]
    assert list(table_["images"]) == [True, False, True, True, True, True]
    assert table_.loc["A02", "F3: mean activation"] == ""
    assert float(table_.loc["B03", "F3: mean activation"]) == 4
    assert table_.loc["B03", "compound"] == "drug"
    assert (table_.loc["B03", "row"], table_.loc["B03", "column"]) == ("B", 3)


def test_png(tmp_path: Path) -> None:
    from PIL import Image

    path = export_plate_map(plate(8, 12), tmp_path / "map.PNG")
    picture = np.asarray(Image.open(io.BytesIO(path.read_bytes())))
    drawn = {tuple(c) for c in picture.reshape(-1, picture.shape[-1])}
    assert len(drawn) > 50
    assert tuple(table()[255]) in drawn  # the last well
    with pytest.raises(ExportError, match=r"\.svg, \.png or \.csv"):
        export_plate_map(plate(2, 3), tmp_path / "map.pdf")


def test_colours() -> None:
    """The stops of viridis give napari's viridis."""
    from napari.utils.colormaps import ensure_colormap

    napari = np.asarray(ensure_colormap("viridis").map(np.linspace(0, 1, 256)))[:, :3] * 255
    assert np.abs(table().astype(float) - napari).max() < 2.5
    words = WellValues("compound", categories=pd.Series({"A01": "b", "A02": "a", "A03": None}))
    assert fills(words, {}, ["A01", "A02", "A03"]) == {"A01": CATEGORIES[1], "A02": CATEGORIES[0], "A03": NO_VALUE}
    assert (ink_on("#fde725"), ink_on("#440154")) == ("#000000", "#ffffff")
