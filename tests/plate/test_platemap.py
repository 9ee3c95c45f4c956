"""Plate maps as laboratories keep them."""

from __future__ import annotations

import codecs
from pathlib import Path

import pandas as pd
import pytest

from napari_phenolens.plate import PlateError, read_platemap


def written(tmp_path: Path, text: str, name: str = "map.csv", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "header",
    ["well", "Well", "WELL", "Metadata_Well", "well_position", "Metadata_well_position", "address", "Well Name",
     "Metadata_DestinationWell", "Image_Metadata_Well", "wellID"],
)  # fmt: skip
def test_usual_names_of_the_well_column(tmp_path: Path, header: str) -> None:
    table = read_platemap(written(tmp_path, f"{header},dose\nb7,1\nA1,2\n"))
    assert list(table.index) == ["A01", "B07"]
    assert list(table.columns) == [header, "dose"]
    assert table.loc["B07", header] == "b7"  # columns are as they are


@pytest.mark.parametrize(
    ("row", "column"),
    [("row", "column"), ("Row", "Column"), ("WellRow", "WellCol"), ("Metadata_Row", "Metadata_Col"), ("row", "col")],
)
@pytest.mark.parametrize("rows", [("B", "A"), ("2", "1")])
def test_rows_and_columns(tmp_path: Path, row: str, column: str, rows: tuple[str, str]) -> None:
    table = read_platemap(written(tmp_path, f"{column},{row},x\n07,{rows[0]},1\n01,{rows[1]},2\n"))
    assert list(table.index) == ["A01", "B07"]
    assert list(table["x"]) == [2, 1]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators(tmp_path: Path, separator: str) -> None:
    table = read_platemap(written(tmp_path, f"well{separator}dose\nA1{separator}1.5\n"))
    assert table.loc["A01", "dose"] == 1.5


def test_padding_marks_and_empty_columns(tmp_path: Path) -> None:
    text = "Well , dose  ,\u200bname, ,\nA01 ,  0.1 , \u200bJOE ,, \n\n , , , ,\nA02,,x y,,\n"
    path = tmp_path / "map.csv"
    path.write_bytes(codecs.BOM_UTF8 + text.encode())
    table = read_platemap(path)
    assert list(table.columns) == ["Well", "dose", "name"]
    assert list(table["name"]) == ["JOE", "x y"]
    assert table["dose"].dtype == float
    assert table["dose"].isna().tolist() == [False, True]


def test_encodings(tmp_path: Path) -> None:
    assert read_platemap(written(tmp_path, "well,unit\nA1,µM\n", encoding="cp1252")).loc["A01", "unit"] == "µM"
    assert read_platemap(written(tmp_path, "well\tunit\nA1\tµM\n", encoding="utf-16")).loc["A01", "unit"] == "µM"


def test_types(tmp_path: Path) -> None:
    text = "well;n;x;comma;code;flag;text\nA1;1;1e-3;0,5;007a;True;NA\nA2;02;;2;b;false;None\n"
    table = read_platemap(written(tmp_path, text))
    assert table["n"].tolist() == [1, 2]
    assert table["n"].dtype.kind == "i"
    assert table["x"].iloc[0] == 0.001
    assert table["comma"].tolist() == [0.5, 2.0]
    assert table["code"].tolist() == ["007a", "b"]
    assert table["flag"].tolist() == [True, False]
    assert pd.isna(table["text"].iloc[0])
    assert table["text"].iloc[1] == "None"  # a compound may be called None


def test_quotes(tmp_path: Path) -> None:
    table = read_platemap(written(tmp_path, 'row,column,name\nB,"""03""","a, b"\n'))
    assert list(table.index) == ["B03"]
    assert table["name"].tolist() == ["a, b"]


def test_the_well_column_that_holds_wells_is_taken(tmp_path: Path) -> None:
    table = read_platemap(written(tmp_path, "well_id,address,x\nscreen_1_A1,A1,1\nscreen_1_A2,A2,2\n"))
    assert list(table.index) == ["A01", "A02"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("compound,dose\na,1\n", r"no well column.*compound, dose"),
        ("well,dose\nA1,1\nfoo,2\nA99,3\n", r"column 'well'.*'foo' \(row 2.*'A99' \(row 3"),
        ("row,column\nA,0\n", r"columns 'row' and 'column'.*'A, 0'"),
        ("well,dose\nA1,1\na01,2\nB1,1\n", r"more than once: A01 \(2 rows\)"),
        ("well,dose\nA1,1\n,2\n", r"'' \(row 2"),
        ("well,dose\n", "no rows"),
        ("", "no rows"),
        ("well,dose\nA1,1,2\n", "line 2, has 3 cells"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PlateError, match=message) as caught:
        read_platemap(written(tmp_path, text))
    assert "map.csv" in str(caught.value)


def test_missing_files_and_spreadsheets(tmp_path: Path) -> None:
    written(tmp_path, "well,x\nA1,1\n", "layout.csv")
    with pytest.raises(PlateError, match=r"does not exist.*layout\.csv"):
        read_platemap(tmp_path / "no.csv", beside=tmp_path)
    with pytest.raises(PlateError, match="is a folder"):
        read_platemap(tmp_path)
    with pytest.raises(PlateError, match="save it as CSV"):
        read_platemap(written(tmp_path, "x", "map.xlsx"))
    with pytest.raises(PlateError, match="no text table"):
        read_platemap(written(tmp_path, "PK\0\0", "map.csv"))


def test_several_plates(tmp_path: Path) -> None:
    path = written(tmp_path, "Metadata_Plate,well,x\nP1,A1,1\nP2,A1,2\n26162,A1,3\n")
    assert read_platemap(path, ["p2"])["x"].tolist() == [2]
    assert read_platemap(path, ["other", "26162"])["x"].tolist() == [3]
    with pytest.raises(
        PlateError, match=r"several plates.*'Metadata_Plate': P1, P2, 26162.*called like this one \(other\)"
    ):
        read_platemap(path, ["other"])


def test_one_plate_of_another_name_is_taken(tmp_path: Path) -> None:
    assert read_platemap(written(tmp_path, "plate,well\nBBBC013,A1\n"), ["folder"]).index.tolist() == ["A01"]


def test_data_frames() -> None:
    table = read_platemap(pd.DataFrame({"dose": [2, 1]}, index=["b1", "A1"]))
    assert table.index.tolist() == ["A01", "B01"]
    assert table.columns.tolist() == ["dose"]
    assert read_platemap(pd.DataFrame({"Well": ["a2"], "x": [1]})).index.tolist() == ["A02"]
