"""A feature's page: what it shows is what Python gives; clicks and keys go there; stale parts are dropped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_phenolens.analysis import feature_histogram, gallery, similar_features
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import compat
from napari_phenolens.viewer.feature_page import CONTROLS, NO_PICTURES
from napari_phenolens.widgets.feature_dock import FeatureDock
from napari_phenolens.widgets.gallery_view import PLACEHOLDER


@pytest.fixture
def page(qtbot: Any, run_folder: Path, settle: Any) -> Iterator[Any]:
    """Give the page beside a run that is open and compared."""
    from napari.components import ViewerModel

    from napari_phenolens.viewer.workbench import workbench_for

    viewer = ViewerModel()
    bench = workbench_for(viewer)
    made = FeatureDock(viewer)
    qtbot.addWidget(made)
    made.resize(420, 1600)
    made.show()
    assert made.empty.isVisible() and not made.head.isVisible()
    bench.opening.run(run_folder)
    settle(made)
    assert bench.session.problem is None, bench.session.problem
    yield made
    bench.close()
    assert bench.jobs.wait(30)
    del viewer


def choose(page: Any, feature: int, settle: Any) -> None:
    page.bench.showing.feature(feature)
    settle(page)
    assert page.bench.session.page.feature == feature


def test_every_part_is_what_python_gives(page: Any, settle: Any) -> None:
    choose(page, 3, settle)
    s = page.bench.session
    shown = s.page
    for mine, theirs in zip(shown.gallery, gallery(s.run, 3, 12, plate=s.plate), strict=True):
        assert (mine.well, mine.side, mine.value, mine.at) == (theirs.well, theirs.side, theirs.value, theirs.at)
        np.testing.assert_array_equal(mine.pixels, theirs.pixels)
    assert shown.similar.equals(similar_features(s.run, 3, 8))
    controls, perturbed = s.comparison.controls, s.comparison.perturbed
    assert shown.histogram.equals(feature_histogram(s.run, 3, controls, perturbed))
    assert page.title.text() == "F3"
    assert page.gallery.crops == shown.gallery
    assert page.similar.rowCount() == len(shown.similar)
    assert page.plot.isVisible() and "no replicates" in page.plot_text.text()
    assert not page.family_section.isVisible()
    row = s.comparison.features.set_index("feature").loc[3]
    assert f"effect {row['effect']:+.1f}" in page.figures.text()
    colours = page.map._colours
    assert set(colours) == set(s.run.wells)
    means = s.run.profiles()[3]
    light = [colours[w].lightness() for w in (means.idxmin(), means.idxmax())]
    assert light[0] < light[1]


def test_a_click_on_an_example_goes_there(page: Any, settle: Any) -> None:
    choose(page, 3, settle)
    bench, view = page.bench, page.gallery
    number = next(i for i, c in enumerate(view.crops) if c.side == "with" and c.well != bench.session.well)
    crop = view.crops[number]
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=view.rect_of(number).center().toPoint())
    settle(page)
    assert (bench.session.well, bench.session.field_name) == (crop.well, crop.field)
    camera = compat.camera(bench.viewer)
    size = bench.session.run.pixel_size
    assert camera.center[-2:] == pytest.approx((crop.at[0] * size, crop.at[1] * size))
    assert camera.zoom >= 3 / size
    assert crop.well in bench.session.status and "F3" in bench.session.status


def test_arrows_and_enter_go_there_too(page: Any, settle: Any, qtbot: Any) -> None:
    choose(page, 3, settle)
    view = page.gallery
    page.activateWindow()
    view.setFocus()
    qtbot.waitUntil(view.hasFocus)
    for _ in range(2):
        QTest.keyClick(view, Qt.Key.Key_Right)
    with qtbot.waitSignal(view.wanted) as asked:
        QTest.keyClick(view, Qt.Key.Key_Return)
    assert asked.args[0] is view.crops[2]
    settle(page)
    assert page.bench.session.well == view.crops[2].well
    assert "without" in view.told(1) and "Click" in view.told(0)
    assert view.crop_at(QPoint(view.width() + 50, 3)) is None


def test_pictures_are_in_the_colours_and_contrast_of_the_canvas(page: Any, settle: Any) -> None:
    choose(page, 3, settle)
    bench, view = page.bench, page.gallery
    before = view._pictures[0].toImage()
    dna, gfp = bench.images.layers
    gfp.visible = False
    dna.colormap = "red"
    dna.contrast_limits = (200, 300)
    looks = bench.page.looks()
    assert looks == {"DNA": ((1, 0, 0), (200, 300))}
    page.enterEvent(None)
    after = view._pictures[0].toImage()
    assert after != before
    pixel = after.pixelColor(after.width() // 2, after.height() // 2)
    assert pixel.blue() == 0 or pixel.name() == "#f09e0d"


def test_examples_of_one_side(page: Any, settle: Any) -> None:
    choose(page, 3, settle)
    page.wells.setCurrentText(CONTROLS)
    page.wells.activated.emit(1)
    assert page.gallery._text == PLACEHOLDER
    settle(page)
    assert page.gallery.crops
    assert {c.well for c in page.gallery.crops} <= set(page.bench.session.comparison.controls)


def test_a_feature_left_behind_leaves_nothing(page: Any, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of an older feature that come late are dropped."""
    import threading

    import napari_phenolens.analysis as analysis

    gate, real = threading.Event(), analysis.gallery

    def slow(run: Any, feature: int, *args: Any, **more: Any) -> Any:
        if feature == 5:
            gate.wait(20)
        return real(run, feature, *args, **more)

    monkeypatch.setattr(analysis, "gallery", slow)
    page.bench.showing.feature(5)
    page.bench.showing.feature(6)
    gate.set()
    settle(page)
    assert page.bench.session.page.feature == 6
    assert {c.feature for c in page.gallery.crops} == {6}


def test_what_cannot_be_read_is_said_and_the_rest_stays(
    page: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import napari_phenolens.analysis as analysis

    def broken(*_args: Any, **_more: Any) -> Any:
        raise PhenoLensError("B04 field 1: the file is truncated")

    monkeypatch.setattr(analysis, "gallery", broken)
    choose(page, 9, settle)
    assert page.gallery._text == "B04 field 1: the file is truncated"
    assert page.bench.session.problem is None
    assert page.bench.session.page.similar is not None
    page.bench.session.plate = None
    choose(page, 8, settle)
    assert page.gallery._text == NO_PICTURES


def test_names_are_written_here_and_seen_there(page: Any, settle: Any, qtbot: Any) -> None:
    choose(page, 3, settle)
    page.activateWindow()
    page.name.setFocus()
    qtbot.waitUntil(page.name.hasFocus)
    QTest.keyClicks(page.name, "Nuclear rim")
    QTest.keyClick(page.name, Qt.Key.Key_Return)
    assert page.bench.session.run.annotations[3].name == "Nuclear rim"
    page.note.setFocus()
    QTest.keyClicks(page.note, "None of the controls")
    page.name.setFocus()
    assert page.bench.session.run.annotations[3].note == "None of the controls"
    QTest.mouseClick(page.star, Qt.MouseButton.LeftButton)
    assert page.bench.session.run.annotations[3].star and page.star.text() == "★"
    choose(page, 4, settle)
    assert page.name.text() == "" and page.note.toPlainText() == "" and page.star.text() == "☆"
    page.bench.session.undo.undo()  # what lies in the slot comes back first
    assert page.bench.session.slots[0].feature == 3 and page.bench.session.run.annotations[3].star
    page.bench.session.undo.undo()
    assert not page.bench.session.run.annotations[3].star


def test_walking_the_ranking_and_going_to_a_neighbour(page: Any, settle: Any, qtbot: Any) -> None:
    s = page.bench.session
    ranked = s.comparison.features["feature"].tolist()
    choose(page, ranked[0], settle)
    QTest.mouseClick(page.following, Qt.MouseButton.LeftButton)
    settle(page)
    assert s.feature == ranked[1]
    page.activateWindow()
    page.gallery.setFocus()
    qtbot.waitUntil(page.gallery.hasFocus)
    QTest.keyClick(page.gallery, Qt.Key.Key_N)
    settle(page)
    assert s.feature == ranked[2]
    QTest.keyClick(page.gallery, Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    settle(page)
    assert s.feature == ranked[1]
    index = page.similar.model().index(0, 0)
    expected = int(s.page.similar.index[0])
    QTest.mouseClick(page.similar.viewport(), Qt.MouseButton.LeftButton, pos=page.similar.visualRect(index).center())
    settle(page)
    assert s.feature == expected == s.page.feature


def test_the_tree_of_a_nested_dictionary(page: Any, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    run = page.bench.session.run
    parent = [-1] * 4 + [0, 0, 1, 1] + [4] * 16
    tree = pd.DataFrame({"level": [0] * 4 + [1] * 4 + [2] * 16, "parent": parent})
    nested = SimpleNamespace(atoms=run.lens.dictionary.atoms, levels=(4, 8, 24), tree=tree)
    monkeypatch.setattr(run.lens, "dictionary", nested)
    choose(page, 4, settle)
    assert page.family_section.isVisible()
    top = page.family.topLevelItem(0)
    assert top.text(0) == "F0" and top.child(0).text(0) == "F4" and top.child(0).childCount() == 16
    children = [int(top.child(0).child(i).text(0)[1:]) for i in range(16)]
    assert sorted(children) == list(range(8, 24))
    assert [run.density[f] for f in children] == sorted((run.density[f] for f in children), reverse=True)
    page.family.itemClicked.emit(top, 0)
    settle(page)
    assert page.bench.session.feature == 0


def test_nothing_is_read_while_nobody_looks(page: Any, settle: Any) -> None:
    bench = page.bench
    bench.page.unwatch()
    assert bench.session.page is None
    bench.showing.feature(10)
    settle(page)
    assert bench.session.page is None
    assert page.empty.isVisible()


def test_controls_say_what_they_are(page: Any) -> None:
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QPlainTextEdit

    for kind in (QAbstractButton, QComboBox, QLineEdit, QPlainTextEdit):
        for widget in page.findChildren(kind):
            if widget.objectName().startswith("qt_") or widget.parent() is page.similar:
                continue
            assert widget.accessibleName() and widget.toolTip(), widget
