"""Roles: suggestions from the plate map, what a query picks, who wins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.plate import select_wells
from napari_phenolens.viewer import roles


class Source:
    def __init__(self, metadata: pd.DataFrame, wells: list[str] | None = None) -> None:
        self.metadata = metadata
        self.wells = wells if wells is not None else list(metadata.index)

    def select(self, query: Any) -> list[str]:
        return select_wells(self.metadata, query, self.wells)


@pytest.fixture
def source() -> Source:
    wells = [f"{row}{column:02d}" for row in "AB" for column in range(1, 7)]
    kind = ["negcon", "negcon", "trt", "trt", "trt", "poscon"] * 2
    table = pd.DataFrame({"control_type": kind, "dose nM": [0, 0, 1, 2, 3, 9] * 2}, index=pd.Index(wells, name="well"))
    return Source(table)


def test_suggestions_are_queries_that_work(source: Source) -> None:
    found = roles.suggest(source.metadata, source.wells)
    assert found[0].query == "control_type == 'negcon'"
    for suggestion in found:
        wells, error = roles.match(source, suggestion.query)
        assert error == ""
        assert len(wells) == suggestion.wells
    assert "`dose nM` == 3" in [suggestion.query for suggestion in found]


def test_columns_of_names_offer_nothing() -> None:
    wells = [f"A{i:02d}" for i in range(1, 13)]
    table = pd.DataFrame({"file": [f"{well}.tif" for well in wells], "plate": "P1"}, index=pd.Index(wells, name="well"))
    assert roles.suggest(table, wells) == []


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("control_type", ["negcon", "trt", "poscon"], ("control_type == 'negcon'", "control_type == 'poscon'")),
        ("SBS_Controls", [-1, 0, 1], ("SBS_Controls == -1", "SBS_Controls == 1")),
        ("SBS_Controls", [-1.0, 0.0, np.nan], ("SBS_Controls == -1.0", "")),
        ("compound", ["DMSO", "taxol", "nocodazole"], ("compound == 'DMSO'", "")),
        ("role", ["control", "perturbed", "perturbed"], ("role == 'control'", "")),
        ("treatment", ["a", "b", "c"], ("", "")),
        ("dose", [-1, 0, 1], ("", "")),
    ],
)
def test_guess(column: str, values: list[Any], expected: tuple[str, str]) -> None:
    wells = [f"A{i:02d}" for i in range(1, 7)]
    table = pd.DataFrame({column: values * 2}, index=pd.Index(wells, name="well"))
    assert roles.guess(table, wells) == expected


def test_an_empty_query_means_every_other_well(source: Source) -> None:
    given = roles.assign(source, "control_type == 'negcon'", "", "control_type == 'poscon'", {})
    assert given["A01"] == roles.CONTROL
    assert given["A06"] == roles.POSITIVE
    assert [well for well, role in given.items() if role == roles.PERTURBED] == [
        "A03",
        "A04",
        "A05",
        "B03",
        "B04",
        "B05",
    ]


def test_a_named_perturbed_well_stays_perturbed(source: Source) -> None:
    """Positive controls may be what the user wants to compare."""
    given = roles.assign(source, "control_type == 'negcon'", "control_type == 'poscon'", "control_type == 'poscon'", {})
    assert given == {
        "A01": "control",
        "A02": "control",
        "B01": "control",
        "B02": "control",
        "A06": "perturbed",
        "B06": "perturbed",
    }


def test_the_hand_wins(source: Source) -> None:
    given = roles.assign(source, "control_type == 'negcon'", "", "", {"A01": roles.EXCLUDED, "A03": roles.CONTROL})
    assert given["A01"] == roles.EXCLUDED
    assert given["A03"] == roles.CONTROL
    assert roles.assign(source, "", "", "", {"A01": roles.CONTROL})["A02"] == roles.PERTURBED


def test_no_controls_no_roles(source: Source) -> None:
    assert roles.assign(source, "", "", "", {}) == {}
    assert roles.assign(None, "a == 1", "", "", {}) == {}


@pytest.mark.parametrize(
    "query", ["nonsense ==", "no_such == 1", "control_type == 'none'", "1 +", "control_type ==== 2"]
)
def test_a_bad_query_is_told_in_words(source: Source, query: str) -> None:
    wells, error = roles.match(source, query)
    assert wells == []
    assert len(error) > 20


def test_excluded_wells_win_over_the_controls(opened: Any) -> None:
    """A query excludes as one chooses controls, and no p is lost by it: the plate map is no choice after looking."""
    opened.set_queries(excluded="dose == 1")
    assert {opened.session.roles[f"{row}02"] for row in "ABCD"} == {"excluded"}
    assert opened.session.roles["A01"] == "control"


def test_roles_can_be_taken_back(opened: Any) -> None:
    s = opened.session
    before = dict(s.roles)
    opened.mark(("A03", "B03"), "control")
    marked = dict(s.roles)
    opened.set_queries(perturbed="dose > 3")
    assert s.undo.undo_title == "choose perturbed wells"
    assert opened.undo()
    assert (s.perturbed_query, s.roles) == ("", marked)
    assert opened.undo()
    assert (s.hand_roles, s.roles) == ({}, before)
    assert not opened.undo()
    assert opened.redo()
    assert s.roles == marked
    assert s.status == "Done again: mark 2 wells as control."
    opened.set_queries(perturbed="")  # as it is: no step
    assert s.undo.undo_title == "mark 2 wells as control"
