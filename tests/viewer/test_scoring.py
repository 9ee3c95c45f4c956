"""The phenotype in the viewer: the public function's numbers on the plate map and over the cells, never stale ones."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest

import napari_phenolens.analysis as analysis
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer.compat import text_overlay
from napari_phenolens.viewer.overlays import NO_COMPARISON, read_overlay
from napari_phenolens.viewer.session import PHENOTYPE


def public(bench: Any, feature: int) -> Any:
    import napari_phenolens as ph

    comparison = bench.session.comparison
    return ph.phenotype(bench.session.run, list(comparison.controls), list(comparison.perturbed), feature=feature)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Give a list to which every search for a phenotype adds its feature and its thread's name."""
    calls: list[tuple[int, str]] = []
    real = analysis.phenotype

    def phenotype(*args: Any, **options: Any) -> Any:
        calls.append((options["feature"], threading.current_thread().name))
        return real(*args, **options)

    monkeypatch.setattr(analysis, "phenotype", phenotype)
    return calls


def test_the_plate_map_shows_the_public_score(opened: Any, fakes: Any, settle: Any) -> None:
    assert (PHENOTYPE, "Chosen feature's phenotype: score") in opened.comparing.choices()
    s = opened.session
    s.colour_by = PHENOTYPE
    settle(opened)
    for feature in (fakes.PLANTED, 7):
        opened.showing.feature(feature)
        settle(opened)
        found = public(opened, feature)
        shown = opened.comparing.shown()
        pd.testing.assert_series_equal(shown.values, found.score(s.run))
        n = len(found.features)
        assert shown.title == f"F{feature}'s phenotype: {n} feature" + "s" * (n > 1)
        assert shown.limits[0] == -shown.limits[1]
        assert shown.limits[1] >= 1
        assert shown.marks == ((0.0, "C"), (1.0, "P"))
        assert "8 control wells" in shown.note
        assert "in-sample" in shown.note


def test_a_phenotype_is_found_once_and_off_the_main_thread(opened: Any, settle: Any, counted: Any) -> None:
    s = opened.session
    s.colour_by = PHENOTYPE
    opened.showing.feature(7, 0, PHENOTYPE)
    settle(opened)
    for well in ("B04", "A01"):
        opened.showing.well(well)
        settle(opened)
    s.colour_by = "role"
    assert s.score is None
    s.colour_by = PHENOTYPE
    assert s.score.feature == 7
    assert sorted(feature for feature, _ in counted) == sorted({feature for feature, _ in counted})
    assert all(name.startswith("phenolens-") for _, name in counted)


def test_the_heatmap_is_the_public_one(opened: Any, fakes: Any, settle: Any) -> None:
    s = opened.session
    opened.showing.feature(fakes.PLANTED, 0, PHENOTYPE)
    settle(opened)
    found = public(opened, fakes.PLANTED)
    limits = set()
    for well in ("A01", "B04", "D03"):
        opened.showing.well(well)
        settle(opened)
        layer = opened.slots.layer(0)
        np.testing.assert_array_equal(layer.data, found.heatmap(s.run, well, s.field_name).values)
        assert layer.visible
        assert layer.name == f"F{fakes.PLANTED} (phenotype)"
        limits.add(tuple(layer.contrast_limits))
    sample = ["A01", "A02", "B01", "B02", "C01", "C02", "D01", "D02"]
    assert list(s.comparison.controls) == sample
    controls = [sample[i] for i in (0, 2, 4, 7)]
    perturbed = [s.comparison.perturbed[i] for i in np.linspace(0, len(s.comparison.perturbed) - 1, 4).astype(int)]
    sizes = [np.abs(found.heatmap(s.run, well).values) for well in [*controls, *perturbed]]
    reach = max(1.0, float(np.percentile(sizes, 99.5)))
    assert limits == {(-reach, reach)}
    assert "as in perturbed wells, white: as in controls" in text_overlay(opened.viewer).text


def test_both_sides_of_a_pair(opened: Any, fakes: Any, settle: Any) -> None:
    opened.showing.feature(fakes.PLANTED, 0, PHENOTYPE)
    opened.showing.side_by_side("A01", "B04")
    settle(opened)
    found, run = public(opened, fakes.PLANTED), opened.session.run
    by_role = {tuple(layer.metadata["napari-phenolens"]["role"]): layer for layer in opened.side.layers}
    sides = {"control": "A01", "perturbed": "B04"}
    for side, well in sides.items():
        np.testing.assert_array_equal(by_role["side", side, None].data, found.heatmap(run, well).values)
    left, right = (by_role["side", side, None].contrast_limits for side in sides)
    assert left == right
    assert left[0] == -left[1]
    opened.set_queries(perturbed="control_type == 'poscon'")
    opened.comparing.start()
    settle(opened)
    found = public(opened, fakes.PLANTED)
    again = [layer for layer in opened.side.layers if layer.metadata["napari-phenolens"]["role"][-1] is None]
    for layer in again:
        well = layer.metadata["napari-phenolens"]["well"]
        np.testing.assert_array_equal(layer.data, found.heatmap(run, well).values)
    assert [layer.contrast_limits for layer in again] != [left, left]


def test_another_comparison_is_scored_anew(opened: Any, fakes: Any, settle: Any) -> None:
    s = opened.session
    s.colour_by = PHENOTYPE
    opened.showing.feature(fakes.PLANTED, 0, PHENOTYPE)
    opened.showing.well("B04")
    settle(opened)
    before, data = s.score, opened.slots.layer(0).data
    limits = opened.slots.layer(0).contrast_limits
    opened.set_queries(perturbed="control_type == 'poscon'")
    assert s.score is before  # the table and the score are of the former wells until one compares again
    opened.comparing.start()
    settle(opened)
    found = public(opened, fakes.PLANTED)
    assert found.perturbed == ("B06", "C06", "D06")
    layer = opened.slots.layer(0)
    assert layer.visible
    np.testing.assert_array_equal(layer.data, found.heatmap(s.run, "B04").values)
    assert not np.array_equal(layer.data, data)
    assert layer.contrast_limits != limits
    pd.testing.assert_series_equal(opened.comparing.shown().values, found.score(s.run))
    assert opened.comparing.shown().marks[1] == (1.0, "P")


def test_a_score_of_the_former_comparison_is_dropped(
    opened: Any, fakes: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first search is held back until the second comparison is there."""
    s, real, go = opened.session, analysis.phenotype, threading.Event()
    former = s.comparison.perturbed

    def slow(run: Any, controls: Any, perturbed: Any, **options: Any) -> Any:
        if tuple(perturbed) == former:
            assert go.wait(20)
        return real(run, controls, perturbed, **options)

    monkeypatch.setattr(analysis, "phenotype", slow)
    s.colour_by = PHENOTYPE
    opened.showing.feature(fakes.PLANTED, 0, PHENOTYPE)
    assert opened.comparing.shown().values is None
    assert "Scoring" in opened.comparing.shown().title
    opened.set_queries(perturbed="control_type == 'poscon'")
    opened.comparing.start()
    while s.comparison.perturbed == former:
        opened.jobs.pump()
    go.set()
    settle(opened)
    found = public(opened, fakes.PLANTED)
    assert found.perturbed != former
    pd.testing.assert_series_equal(s.score.values, found.score(s.run))
    np.testing.assert_array_equal(opened.slots.layer(0).data, found.heatmap(s.run, s.well, s.field_name).values)


def test_no_old_phenotype_without_a_comparison(opened: Any, fakes: Any, settle: Any) -> None:
    s = opened.session
    s.colour_by = PHENOTYPE
    opened.showing.feature(fakes.PLANTED, 0, PHENOTYPE)
    settle(opened)
    s.comparison = None
    assert s.score is None
    assert PHENOTYPE not in [key for key, _ in opened.comparing.choices()]
    assert "Press Compare" in opened.comparing.shown().title
    opened.showing.well("B04")
    settle(opened)
    assert not opened.slots.layer(0).visible
    assert opened.session.well == "B04"
    assert opened.images.layers[0].visible
    assert s.status == NO_COMPARISON
    with pytest.raises(PhenoLensError, match="press Compare first"):
        read_overlay(s.run, "B04", "1", fakes.PLANTED, PHENOTYPE, None)


def test_a_feature_that_does_not_differ(opened: Any, fakes: Any, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s, profiles = opened.session, opened.session.run.profiles().copy()
    profiles[9] = 0.25
    monkeypatch.setattr(s.run, "profiles", lambda per="patch", kind="activation": profiles)
    opened.comparing.start()
    settle(opened)
    s.colour_by = PHENOTYPE
    opened.showing.feature(fakes.PLANTED, 0, PHENOTYPE)
    settle(opened)
    opened.showing.feature(9)
    settle(opened)
    assert s.problem is not None
    assert "F9 has no phenotype to show" in s.problem.message
    assert "No score: feature 9 does not differ" in opened.comparing.shown().title
    assert not opened.slots.layer(0).visible  # the map of the former feature does not stand for this one
    opened.showing.well("C03")
    settle(opened)
    np.testing.assert_array_equal(opened.images.layers[0].data, s.plate.field("C03").read()[0])
    opened.showing.side_by_side("A01", "B04")
    settle(opened)
    assert s.side_by_side
    assert "does not differ" in s.status
