"""The figure of the blocks: whole files in both formats, with what the table says."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_phenolens.export import ExportError, block_figure, export_block_figure
from napari_phenolens.export.drawing import Drawing

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def table() -> pd.DataFrame:
    score = np.array([0.55, 0.7, 0.9, 0.88])
    made = pd.DataFrame(
        {"balanced_accuracy": score, "low": score - 0.1, "high": score + 0.08, "suggested": [False, False, True, False],
         "perturbation_r2": [0.01, 0.1, 0.3, 0.2], "batch_r2": np.nan},
        index=pd.Index([1, 2, 3, 4], name="block"),
    )  # fmt: skip
    made.attrs = {
        "encoder": "a <b>", "classes": {"control": 12, "perturbed & more": 8}, "group": "well", "batch": "plate",
        "chance": 0.5, "chance_high": 0.66, "suggested": 3,
    }  # fmt: skip
    return made


def test_the_svg_says_what_the_table_says(table: pd.DataFrame) -> None:
    root = ElementTree.fromstring(block_figure(table).svg())
    words = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert "a <b>: control (12), perturbed & more (8)" in words
    assert "suggested: block 3" in words and "chance" in words and "plate: not estimable" in words
    heights = [float(dot.get("cy", "nan")) for dot in root.iter(f"{SVG}circle")][:4]
    assert np.argsort(heights).tolist() == [2, 3, 1, 0]  # the highest block is the topmost dot
    score = table["balanced_accuracy"].to_numpy()
    slope = (heights[0] - heights[2]) / (score[2] - score[0])
    np.testing.assert_allclose(heights, heights[0] - slope * (score - score[0]), atol=0.11)
    assert len(list(root.iter(f"{SVG}polygon"))) == 1


def test_both_factors_are_drawn_where_both_are_known(table: pd.DataFrame) -> None:
    table["batch_r2"] = [0.02, 0.01, 0.0, -0.01]
    words = [t.text for t in ElementTree.fromstring(block_figure(table).svg()).iter(f"{SVG}text")]
    assert "perturbation" in words and "plate" in words
    assert not any("not estimable" in (w or "") for w in words)


def test_both_files_are_whole(table: pd.DataFrame, tmp_path: Path) -> None:
    assert ElementTree.parse(export_block_figure(table, tmp_path / "new" / "curve.svg")).getroot().tag == f"{SVG}svg"
    picture = np.asarray(Image.open(export_block_figure(table, tmp_path / "curve.PNG")))
    drawing = block_figure(table)
    assert picture.shape == (2 * drawing.height, 2 * drawing.width, 3)
    blue = (picture[..., 2].astype(int) - picture[..., 0] > 60).mean()
    assert 0.005 < blue < 0.2
    with pytest.raises(ExportError, match=r"\.svg or \.png"):
        export_block_figure(table, tmp_path / "curve.pdf")


def test_upright_words_read_upward() -> None:
    drawing = Drawing(100, 200)
    drawing.words((50, 100), "mmmmmm", anchor="middle", upright=True)
    ink = np.asarray(Image.open(io.BytesIO(drawing.png(1))).convert("L")) < 128
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    assert np.ptp(rows) > 2 * np.ptp(columns)
    assert abs(rows.mean() - 100) < 6 and columns.max() <= 54
