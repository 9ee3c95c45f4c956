"""Words for features in napari: those of Python, found once, kept with the run, overruled by the user."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from qtpy.QtCore import Qt

from napari_phenolens import concepts, open_run
from napari_phenolens.analysis import kept_concepts as kept_words
from napari_phenolens.analysis.kept_concepts import FILE
from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED
from napari_phenolens.run import put_cells

FEW = 99  # shuffles: what is compared is equality


@pytest.fixture(scope="module")
def found(demo_with_cells: Path) -> pd.DataFrame:
    run = open_run(demo_with_cells)
    return concepts(run, controls=run.select(DEMO_CONTROLS), permutations=FEW)


@pytest.fixture
def folder(demo_with_cells: Path, tmp_path: Path) -> Path:
    return shutil.copytree(demo_with_cells, tmp_path / "run")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Shuffle less, and count how often words are found."""
    import importlib

    module = importlib.import_module("napari_phenolens.analysis.kept_concepts")
    calls: list[int] = []

    @functools.wraps(concepts)
    def counted(*args: Any, **more: Any) -> pd.DataFrame:
        calls.append(1)
        return concepts(*args, permutations=FEW, **more)

    monkeypatch.setattr(module, "concepts", counted)
    return calls


def test_words_are_kept_with_the_run_number_for_number(folder: Path, found: pd.DataFrame, quick: list[int]) -> None:
    run = open_run(folder)
    assert kept_words(run, DEMO_CONTROLS, find=False) is None
    first = kept_words(run, DEMO_CONTROLS)
    again = kept_words(open_run(folder), DEMO_CONTROLS)
    assert len(quick) == 1
    for table in (first, again):
        pd.testing.assert_frame_equal(table, found, check_exact=True)
        assert table.attrs["labels"] == found.attrs["labels"] and table.attrs["tests"] == found.attrs["tests"]
    # other controls, or other cells: what is kept does not hold of them
    assert kept_words(run, run.select(DEMO_CONTROLS)[:8], find=False) is None
    well = run.cells()["well"].iloc[0]
    put_cells(run, well, None, run.cell_labels(well), given="layer mine")
    assert kept_words(run, DEMO_CONTROLS, find=False) is None
    (folder / FILE).write_bytes(b"torn")
    assert kept_words(run, DEMO_CONTROLS, find=False) is None


@pytest.fixture
def page(qtbot: Any, settle: Any, folder: Path) -> Iterator[Any]:
    from napari.components import ViewerModel

    from napari_phenolens.viewer.workbench import workbench_for
    from napari_phenolens.widgets.feature_dock import FeatureDock

    viewer = ViewerModel()
    bench = workbench_for(viewer)
    made = FeatureDock(viewer)
    qtbot.addWidget(made)
    made.resize(420, 1200)
    made.show()
    bench.opening.run(folder)
    settle(made)
    bench.set_queries(DEMO_CONTROLS, DEMO_PERTURBED["translocation"], "")
    bench.comparing.start()
    settle(made)
    yield made
    bench.close()
    assert bench.jobs.wait(30)
    del viewer


def test_the_page_tells_the_words_and_the_user_overrules_them(
    qtbot: Any, settle: Any, page: Any, folder: Path, found: pd.DataFrame, quick: list[int]
) -> None:
    from napari_phenolens.viewer.copying import as_python
    from napari_phenolens.widgets.feature_model import FeatureModel

    bench, section = page.bench, page.words_section
    s = bench.session
    feature = s.page.feature
    assert section.find.isVisible() and not section.table.isVisible()
    qtbot.mouseClick(section.find, Qt.MouseButton.LeftButton)
    settle(page)
    assert s.problem is None, s.problem
    pd.testing.assert_frame_equal(s.words.table, found, check_exact=True)
    label = found.attrs["labels"][feature]
    rows = found[found["feature"] == feature]
    assert label and section.label.text() == label and not section.find.isVisible()
    assert section.table.rowCount() == 2 * len(rows)
    first = rows.iloc[0]
    assert first["words"] in section.table.item(0, 0).text()
    shown = [section.table.item(1, j).text() for j in range(section.table.columnCount())]
    assert shown[0] == f"{first['rho']:+.2f}" and shown[2] == f"{first['auroc']:.2f}"
    assert shown[4] == ("–" if pd.isna(first["rho_controls"]) else f"{first['rho_controls']:+.2f}")
    alone, sure = rows["support"] == "treatment contrast alone", rows["q"] < 0.05
    fits = rows["tied"] & (rows["rank"] > 1)
    for i, (by_treatment, significant, again) in enumerate(zip(alone, sure, fits, strict=True)):
        said = section.table.item(2 * i, 0).text()
        assert said.startswith("not significant: ") != significant
        assert said.startswith("tied: ") == (again and significant)
        assert said.removeprefix("tied: ").startswith("changes together with ") == (by_treatment and significant)
    assert ("Changes together with" in section.notes.text()) == (alone & sure).any()
    assert ("Tied: " in section.notes.text()) == fits.any()

    # in the table of features, in the search, in the script
    model = FeatureModel()
    model.set_labels(s.words.labels)
    model.set_table(s.comparison.features)
    row = model.row_of(feature)
    assert model.data(model.index(row, model.column_of("label"))) == label
    model.set_filter(first["words"].split()[0])
    assert model.row_of(feature) >= 0
    assert "words = ph.concepts(run, controls=" in as_python(bench)

    # the user's word stands above
    assert bench.wording.called(feature) == label
    qtbot.mouseClick(section.accept, Qt.MouseButton.LeftButton)
    name = open_run(folder).annotations[feature].name
    assert name and label.startswith(name.rstrip("…")) and page.name.text() == name
    bench.undo()
    assert page.name.text() == "" and page.name.placeholderText() == label
    bench.naming.say(feature, name="my rim")
    assert bench.wording.called(feature) == "my rim" and section.label.text() == f"You call it my rim. Found: {label}"

    # kept: there at once when the run is opened again; other controls are said
    bench.opening.run(folder)
    settle(page)
    assert len(quick) == 1
    bench.set_queries(DEMO_CONTROLS, None, None)
    settle(page)
    assert s.words is not None and s.words.labels[feature] == label
    bench.mark((bench.wording.controls[0],), "excluded")
    assert bench.wording.stale() and section.find.text() == "Find them again"
