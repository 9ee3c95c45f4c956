"""What colours a plate map: the same numbers for napari, Python and the command line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.analysis import AnalysisError, well_values
from napari_phenolens.analysis.well_values import WellValues, scaled

WELLS = ["A01", "A02", "A03", "B01", "B02", "B03"]


def run(**metadata: Any) -> Any:
    index = pd.Index(WELLS, name="well")
    columns = {"compound": ["DMSO", "DMSO", "DMSO", "x", "x", "y"], "dose": [0, 0, 0.001, 0.01, 1, 10.0], **metadata}
    profiles = pd.DataFrame({0: [1, 2, 3, 4, 5, 6.0], 1: [2.0] * 6}, index=index)
    covariates = pd.DataFrame({"cell_count": [10, 20, 30, 40, 50, np.nan], "focus_DNA": [1.0] * 6}, index=index)
    return SimpleNamespace(
        n_features=2, wells=WELLS, controls=["A01", "A02", "A03"], metadata=pd.DataFrame(columns, index=index),
        profiles=lambda: profiles, covariates=lambda: covariates, fields=lambda well: ("1",) * (1 + (well == "B03")),
        select=lambda query: query if isinstance(query, list) else [query],
    )  # fmt: skip


def test_a_feature_and_its_z() -> None:
    shown = well_values(run(), 0)
    assert (shown.title, shown.limits, shown.diverging) == ("F0: mean activation", (1.0, 6.0), False)
    z = well_values(run(), 0, z=True)
    assert z.values is not None
    assert z.values["B01"] == pytest.approx((4 - 2) / 1.4826)  # median 2, MAD 1
    assert (z.diverging, z.limits is not None and z.limits[0] == -z.limits[1]) == (True, True)
    other = well_values(run(), 0, z=True, controls=["B01", "B02", "B03"])
    assert other.values is not None
    assert other.values["A01"] == pytest.approx((1 - 5) / 1.4826)


def test_where_there_is_no_z_it_says_why() -> None:
    assert "the controls do not differ" in well_values(run(), 1, z=True).title
    assert "choose at least two control wells" in well_values(run(), 0, z=True, controls=["A01"]).title
    with pytest.raises(AnalysisError, match="words"):
        well_values(run(), "compound", z=True)


def test_covariates_quality_fields_and_columns() -> None:
    assert well_values(run(), "cell_count").said("A02") == "cell count: 20"
    assert well_values(run(), "cell_count").said("B03") == "cell count: no value"
    assert well_values(run(), "focus_DNA").title == "Quality: focus DNA"
    assert well_values(run(), "fields").said("B03") == "fields: 2"
    words = well_values(run(), "compound")
    assert (words.levels(), words.said("B03")) == (["DMSO", "x", "y"], "compound: y")
    assert well_values(run()).values is None


def test_doses_over_decades_are_drawn_on_a_log_scale() -> None:
    shown = well_values(run(), "dose")
    assert (shown.log, shown.limits) == (True, (0.001, 10.0))
    np.testing.assert_allclose(shown.shares([0, 0.001, 0.1, 10, np.nan]), [0, 0, 0.5, 1, np.nan])
    assert not scaled("x", pd.Series([1.0, 2, 3]), log=True).log


def test_a_numeric_code_is_no_scale() -> None:
    shown = well_values(run(kind=[-1, -1, 0, 0, 1, 1]), "kind")
    assert shown.levels() == [-1, 0, 1]


def test_names_that_are_unknown_or_twice_there() -> None:
    with pytest.raises(AnalysisError, match=r"no 'what' .* fields, cell_count, focus_DNA, compound, dose"):
        well_values(run(), "what")
    with pytest.raises(AnalysisError, match="features 0 to 1"):
        well_values(run(), 2)
    twice = run(cell_count=[1, 2, 3, 4, 5, 6])
    with pytest.raises(AnalysisError, match="covariate:cell_count or map:cell_count"):
        well_values(twice, "cell_count")
    assert well_values(twice, "map:cell_count").said("B03") == "cell_count: 6"
    assert well_values(twice, "covariate:cell_count").said("B03") == "cell count: no value"


def test_shares_of_one_value_for_all() -> None:
    assert WellValues("x", limits=(2.0, 2.0)).shares([2.0]) == 0


def test_many_categories_say_that_colours_repeat() -> None:
    from napari_phenolens.analysis.well_values import HUES, numbers_or_words
    from napari_phenolens.export.colours import CATEGORIES

    assert len(CATEGORIES) == HUES
    words = pd.Series([f"compound {i}" for i in range(9)])
    assert numbers_or_words("compound", words).note.startswith("9 values share 8 colours")
    assert numbers_or_words("compound", words[:8]).note == ""
