"""Queries over the plate map."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.plate import PlateError, select_wells

WELLS = ["A10", "A02", "A01", "B01"]  # A03 is in the map without images, A10 has images and is not in the map


@pytest.fixture
def metadata() -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "role": ["neg", "pos", "neg", "trt", np.nan],
            "dose": [0, 10.5, 0, 3, np.nan],
            "cell line": [*"xxyy", np.nan],
        },
        index=["A01", "A02", "A03", "B01", "A10"],
    )
    return table.rename_axis("well")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("role == 'neg'", ["A01"]),
        ("role != 'neg'", ["A02", "B01"]),
        ("dose > 1 and role in ['pos', 'trt']", ["A02", "B01"]),
        ("dose > 1 & ~(role == 'pos')", ["B01"]),
        ("not role == 'neg'", ["A02", "B01"]),
        ("`cell line` == 'y'", ["B01"]),
        ("role.str.startswith('p') or dose.between(2, 4)", ["A02", "B01"]),
        ("role.isin(['pos'])", ["A02"]),
        ("role.str.lower().str.contains('o')", ["A02"]),
        ("well == 'A10'", ["A10"]),
        ("well in ['A01', 'B01'] and dose == 0", ["A01"]),
        ("role == 'a`b' or dose * 2 == 21", ["A02"]),
        ("b1, a10", ["A10", "B01"]),
        ("A01", ["A01"]),
        (["b1", "A01", "b01"], ["A01", "B01"]),
        (None, ["A01", "A02", "A10", "B01"]),
    ],
)
def test_wells_are_chosen_row_major(metadata: pd.DataFrame, query: str | list[str] | None, expected: list[str]) -> None:
    assert select_wells(metadata, query, WELLS) == expected


def test_unknown_column_lists_those_there_are(metadata: pd.DataFrame) -> None:
    with pytest.raises(PlateError, match=r"names roles, but the plate map has the columns role, dose, cell line"):
        select_wells(metadata, "roles == 'neg'", WELLS)


def test_without_a_plate_map_it_says_so() -> None:
    empty = pd.DataFrame(index=pd.Index(["A01"], name="well"))
    with pytest.raises(PlateError, match="no plate map was given"):
        select_wells(empty, "role == 'neg'", ["A01"])
    assert select_wells(empty, "well == 'A01'", ["A01"]) == ["A01"]


def test_empty_selection_says_what_values_there_are(metadata: pd.DataFrame) -> None:
    with pytest.raises(PlateError, match=r"no well fits.*role has the values 'neg', 'pos', 'trt'.*A10"):
        select_wells(metadata, "role == 'negative'", WELLS)


def test_a_column_is_compared_with_what_it_holds(metadata: pd.DataFrame) -> None:
    with pytest.raises(PlateError, match=r"cannot be evaluated.*dose has the values 0.0, 10.5, 3.0"):
        select_wells(metadata, "dose > 'a'", WELLS)
    with pytest.raises(PlateError, match="no yes or no"):
        select_wells(metadata, "dose", WELLS)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("role = 'neg'", "=="),
        ("role == 'neg", "cannot be read"),
        ("", "empty"),
        ("dose == @x", "'@'"),
        ("role.__class__ == 1", "'__'"),
        ("__import__('os').system('true')", "'__'"),
        ("open('x')", "calls a function"),
        ("role.to_csv('x')", "'to_csv'"),
        ("role.str.cat('x')", "'cat'"),
        ("role.values == 1", "'values'"),
        ("role.str.contains('x').to_pickle('x')", "'to_pickle'"),
        ("[x for x in role]", "more than comparisons"),
        ("dose ** 10 ** 10 > 1", "more than comparisons"),
        ("lambda: 1", "more than comparisons"),
        ("dose[0] == 1", "more than comparisons"),
        ("(lambda: role)() == 1", "calls a function"),
    ],
)
def test_only_comparisons_are_evaluated(metadata: pd.DataFrame, query: str, message: str, tmp_path: Path) -> None:
    before = os.listdir(".")
    with pytest.raises(PlateError) as caught:
        select_wells(metadata, query, WELLS)
    assert message in str(caught.value)
    assert os.listdir(".") == before


def test_marks_inside_quotes_are_text(metadata: pd.DataFrame) -> None:
    metadata["mail"] = ["a@b", "c__d", "", "", np.nan]
    assert select_wells(metadata, "mail == 'a@b' or mail == \"c__d\"", WELLS) == ["A01", "A02"]


def test_a_column_called_well_is_the_column(metadata: pd.DataFrame) -> None:
    table = metadata.rename_axis(None).assign(well=["one", "two", "three", "four", np.nan])
    assert select_wells(table, "well == 'two'", WELLS) == ["A02"]


def test_lists_name_what_is_missing(metadata: pd.DataFrame) -> None:
    with pytest.raises(
        PlateError, match=r"no images of well\(s\) A03, H12 \(A03 in the plate map, but without images\)"
    ):
        select_wells(metadata, ["A01", "A03", "H12"], WELLS)
    with pytest.raises(PlateError, match="'nonsense' is no well"):
        select_wells(metadata, ["nonsense"], WELLS)
    with pytest.raises(PlateError, match="empty"):
        select_wells(metadata, [], WELLS)
