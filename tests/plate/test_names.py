"""Names of wells and plate formats."""

from __future__ import annotations

import pytest

from napari_phenolens.plate import PlateError, parse_well, plate_format, well_name, well_name_of


@pytest.mark.parametrize(
    ("written", "name"),
    [("B07", "B07"), ("b7", "B07"), ("07B", "B07"), ("B-7", "B07"), ("B_07", "B07"), ("B 007", "B07"), ("aa02", "AA02"),
     ("AF48", "AF48"), ("r02c07", "B07"), (" B7\u200b", "B07"), ("p24", "P24")],
)  # fmt: skip
def test_well_name_takes_what_people_write(written: str, name: str) -> None:
    assert well_name(written) == name
    assert well_name_of(*parse_well(written)) == name


def test_parse_well_counts_from_zero() -> None:
    assert parse_well("B07") == (1, 6)
    assert parse_well("AA02") == (26, 1)
    assert parse_well("AF48") == (31, 47)


@pytest.mark.parametrize("written", ["", "B", "7", "B0", "B49", "AG01", "{A24-E24}", "DMSO", "ZZ1", "B7x"])
def test_what_is_no_well_is_named(written: str) -> None:
    with pytest.raises(PlateError, match="is no well"):
        well_name(written)


def test_well_name_of_refuses_places_beyond_a_plate() -> None:
    with pytest.raises(PlateError, match="row"):
        well_name_of(32, 0)
    with pytest.raises(PlateError, match="column"):
        well_name_of(0, 48)


@pytest.mark.parametrize(
    ("wells", "expected"),
    [(["A01"], (2, 3)), (["B03", "C04"], (3, 4)), (["D06"], (4, 6)), (["F08"], (6, 8)), (["H12"], (8, 12)),
     (["A13"], (16, 24)), (["P24"], (16, 24)), (["Q01"], (32, 48)), (["AA02"], (32, 48))],
)  # fmt: skip
def test_plate_format_is_the_smallest_that_holds_all(wells: list[str], expected: tuple[int, int]) -> None:
    assert plate_format(wells) == expected
