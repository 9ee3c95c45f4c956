from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.analysis import compare, heatmap
from napari_phenolens.analysis.heatmap import Heatmap
from napari_phenolens.export import (
    ExportError,
    export_comparison,
    export_heatmap,
    export_tables,
    profile_table,
)
from napari_phenolens.export.atomic import written_whole


def _fake():
    """Borrow the run of the analysis tests."""
    path = Path(__file__).resolve().parent.parent / "analysis" / "conftest.py"
    spec = importlib.util.spec_from_file_location("analysis_conftest", path)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run():
    fake = _fake()
    wells = pd.Index(fake.plate_of(2, 4), name="well")
    values = pd.DataFrame(np.random.default_rng(0).normal(size=(8, 20)), index=wells)
    values.loc["B04"] = np.nan
    metadata = pd.DataFrame(
        {
            "Metadata_Plate": "other",
            "Metadata_Well": list(wells),
            "compound": ["DMSO"] * 4 + ["drug"] * 3 + [None],
            "dose": [0, "0", 0.5, 1, 2, 3, 4, None],
        },
        index=wells,
    )
    extra = pd.DataFrame({"cell_count": np.arange(8.0)}, index=wells)
    run = fake.FakeRun(values, metadata, extra=extra, controls=list(wells[:4]))
    run.lens.name, run.lens.channels = "a lens", ("DNA", "GFP")
    return run


def test_table_in_cytomining_s_conventions(run):
    table = profile_table(run)
    assert list(table.columns[:5]) == [
        "Metadata_Plate", "Metadata_Well", "Metadata_compound", "Metadata_dose", "Metadata_Covariate_cell_count",
    ]  # fmt: skip
    assert list(table.columns[5:7]) == ["phenolens_f0000", "phenolens_f0001"]
    assert len(table.columns) == 25 and table.columns.is_unique
    assert (table["Metadata_Plate"] == "P1").all()
    assert table["Metadata_Well"].tolist() == run.wells
    np.testing.assert_array_equal(table["phenolens_f0003"], run.values[3])
    assert not any("Covariate" in c for c in profile_table(run, covariates=False).columns)


def test_several_plates_stack(run):
    other = _fake().FakeRun(run.values + 1, run.metadata, plate_name="P2", lens=run.lens)
    table = profile_table([run, other])
    assert table["Metadata_Plate"].tolist() == ["P1"] * 8 + ["P2"] * 8


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "deep/er/t.parquet"])
def test_round_trip(run, tmp_path, name):
    path = export_tables(run, tmp_path / name)
    back = pd.read_parquet(path) if name.endswith("parquet") else pd.read_csv(path)
    table = profile_table(run)
    assert list(back.columns) == list(table.columns)
    np.testing.assert_allclose(back["phenolens_f0007"], table["phenolens_f0007"])
    assert back["Metadata_Well"].tolist() == run.wells
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_anndata(run, tmp_path):
    anndata = pytest.importorskip("anndata")
    path = export_tables(run, tmp_path / "t.h5ad")
    back = anndata.read_h5ad(path)
    assert back.shape == (8, 20)
    assert back.obs_names[0] == "P1_A01" and back.var_names[17] == "phenolens_f0017"
    np.testing.assert_allclose(back.X, run.values.to_numpy(dtype=np.float32))
    np.testing.assert_allclose(back.var["density"], run.density)
    assert back.obs["Metadata_compound"].isna().sum() == 1
    lens = json.loads(back.uns["phenolens"]["lens"])
    assert lens["name"] == "a lens" and lens["channels"] == ["DNA", "GFP"]
    assert back.uns["phenolens"]["kind"] == "activation"


def test_format_by_word_or_name(run, tmp_path):
    assert pd.read_csv(export_tables(run, tmp_path / "table.txt", format="csv")).shape == (8, 25)
    with pytest.raises(ExportError, match="does not say its format"):
        export_tables(run, tmp_path / "table.txt")
    with pytest.raises(ExportError, match="choose one of csv, parquet, h5ad"):
        export_tables(run, tmp_path / "table.txt", format="xlsx")


@pytest.mark.parametrize(("name", "library"), [("t.parquet", "pyarrow"), ("t.h5ad", "anndata")])
def test_a_missing_library_is_named_with_the_command(run, tmp_path, monkeypatch, name, library):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None)
    with pytest.raises(ExportError, match=rf'{library}.*pip install "napari-phenolens\[export\]"'):
        export_tables(run, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_whole(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    with written_whole(path) as part:
        part.write_text("new")
    assert path.read_text() == "new"
    if os.name == "posix":
        assert path.stat().st_mode & 0o044 == 0o044 & ~_umask()
    with pytest.raises(ExportError, match="it is a folder"), written_whole(tmp_path) as part:
        part.write_text("x")
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot write"), written_whole(tmp_path / "file" / "a.csv"):
        pass


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_comparison(run, tmp_path):
    table = compare(run, ["A01", "A02", "A03"], ["B01", "B02", "B03", "B04"], permutations=99)
    path = export_comparison(table, tmp_path / "c.csv")
    back = pd.read_csv(path, index_col="feature")
    assert [str(i) for i in back.index] == [str(i) for i in table.index]
    np.testing.assert_allclose(back["effect"].to_numpy(), table["effect"].to_numpy())
    about = json.loads((tmp_path / "c.json").read_text())
    assert about["excluded"] == ["B04"] and about["warnings"] == table.attrs["warnings"]


def test_heatmap_tiff(run, tmp_path):
    import tifffile

    shown = heatmap(run, "A02", None, 3)
    path = export_heatmap(shown, tmp_path / "h.tif", pixel_size=0.5, plate="P1")
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        values, about = page.asarray(), json.loads(page.description)
        x, unit = page.tags["XResolution"].value, page.tags["ResolutionUnit"].value
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, shown.values)
    assert about["scale"] == [8, 8] and about["translate"] == [3.5, 3.5] and about["feature"] == 3
    assert about["well"] == "A02" and about["plate"] == "P1" and about["limits"] == [0, 1]
    assert unit == 3 and x[0] / x[1] == pytest.approx(1e4 / 4)  # a patch of 8 px of 0.5 um: 2500 a centimetre
    plain = Heatmap(np.zeros((2, 2), np.float32), (8.0, 8.0), (3.5, 3.5))
    assert export_heatmap(plain, tmp_path / "p.tif").exists()
