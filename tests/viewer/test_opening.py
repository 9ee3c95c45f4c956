"""Opening plates, maps and runs; reading by napari; what the dock takes up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import opening, reader


def test_a_plate_opens_with_the_map_beside_it(bench: Any, plate_folder: Path, settle: Any) -> None:
    bench.opening.anything(plate_folder)
    settle(bench)
    s = bench.session
    assert s.problem is None
    assert s.plate.name == "small plate"
    assert bench.opening.platemap == plate_folder / "platemap.csv"
    assert s.control_query == "control_type == 'negcon'"
    assert s.positive_query == "control_type == 'poscon'"
    assert s.well == "A01"
    assert [layer.name for layer in bench.viewer.layers] == ["DNA", "GFP"]


def test_a_run_opens_with_its_plate(opened: Any) -> None:
    s = opened.session
    assert s.plate is not None
    assert s.run.plate_name == "small plate"
    assert s.comparison is not None


def test_results_keep_the_roles_that_were_set_on_their_plate(
    bench: Any, plate_folder: Path, run_folder: Path, fakes: Any, tmp_path: Path, settle: Any
) -> None:
    bench.opening.plate(plate_folder)
    settle(bench)
    s = bench.session
    bench.set_queries(perturbed="dose > 3", excluded="dose == 1")
    bench.mark(("C04",), "control")
    roles = dict(s.roles)
    assert "excluded" in roles.values() and roles["C04"] == "control"
    bench.opening.run(run_folder)
    settle(bench)
    assert s.comparison is not None and dict(s.roles) == roles

    bench.opening.plate(fakes.write_plate(tmp_path / "another", rows=2, columns=3, fields=1))
    settle(bench)
    bench.set_queries(perturbed="dose > 1")
    bench.opening.run(run_folder)  # of the first plate: what was chosen on the other has no place here
    settle(bench)
    assert (s.perturbed_query, s.hand_roles, s.plate.name) == ("", {}, "small plate")


def test_a_run_without_its_pictures_still_shows(bench: Any, run_folder: Path, settle: Any) -> None:
    from napari_phenolens.run import open_run

    run = open_run(run_folder)
    run.plate_path = "/nowhere/at/all"
    bench.opening.run(run_folder)
    settle(bench)
    s = bench.session
    assert s.problem is None
    assert s.plate is None
    assert s.comparison is not None
    assert bench.slots.layer(0).visible
    with pytest.raises(PhenoLensError, match="step 1"):
        bench.showing.side_by_side()


def test_a_bad_folder_is_told_with_a_way_out(bench: Any, tmp_path: Path, settle: Any) -> None:
    bench.opening.anything(tmp_path / "nothing here")
    settle(bench)
    assert bench.session.plate is None
    assert "nothing here" in bench.session.problem.message
    assert "did not work" in bench.session.status


def test_a_map_needs_a_plate(bench: Any, plate_folder: Path, settle: Any) -> None:
    with pytest.raises(PhenoLensError, match="open a plate first"):
        bench.opening.map(plate_folder / "platemap.csv")
    assert bench.attempt("Reading the plate map", bench.opening.map, plate_folder / "platemap.csv") is None
    assert bench.session.problem.title == "Reading the plate map"


def test_another_map_keeps_the_plate(bench: Any, plate_folder: Path, tmp_path: Path, settle: Any) -> None:
    bench.opening.plate(plate_folder)
    settle(bench)
    other = tmp_path / "other.csv"
    other.write_text("well,treatment\nA01,DMSO\nA02,drug\nB01,DMSO\n", encoding="utf-8")
    bench.session.control_query = ""
    bench.opening.map(other)
    settle(bench)
    assert "treatment" in bench.session.plate.metadata.columns
    assert "compound" not in bench.session.plate.metadata.columns
    assert bench.session.control_query == "treatment == 'DMSO'"


def test_a_csv_that_is_no_map_does_not_stop_the_plate(bench: Any, fakes: Any, tmp_path: Path, settle: Any) -> None:
    folder = fakes.write_plate(tmp_path / "p", rows=2, columns=3, fields=1)
    (folder / "platemap.csv").write_text("nothing,of,use\n1,2,3\n", encoding="utf-8")
    bench.opening.plate(folder)
    settle(bench)
    assert bench.session.plate is not None
    assert bench.session.problem is None
    assert "no plate map" in bench.session.status


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.csv"], "a.csv"),
        (["a.csv", "b.csv"], None),
        (["a.csv", "Plate_Map.csv"], "Plate_Map.csv"),
        (["platemap_1.csv", "platemap_2.csv"], None),
        ([], None),
    ],
)
def test_find_platemap(tmp_path: Path, names: list[str], expected: str | None) -> None:
    for name in names:
        (tmp_path / name).write_text("well\n", encoding="utf-8")
    found = opening.find_platemap(tmp_path)
    assert (found.name if found else None) == expected


def test_the_reader_claims_plates_and_runs_only(plate_folder: Path, run_folder: Path, tmp_path: Path) -> None:
    assert reader.get_reader(str(plate_folder)) is reader.read_plate
    assert reader.get_reader([plate_folder]) is reader.read_plate
    assert reader.get_reader(run_folder) is reader.read_run
    assert reader.get_reader(str(plate_folder / "platemap.csv")) is None
    assert reader.get_reader(tmp_path / "missing") is None
    assert reader.get_reader([plate_folder, run_folder]) is None
    (tmp_path / "photos").mkdir()
    for name in ("holiday.tif", "dog.tif", "cat.tif"):
        (tmp_path / "photos" / name).write_bytes(b"")
    assert reader.get_reader(tmp_path / "photos") is None
    (tmp_path / "empty").mkdir()
    assert reader.get_reader(tmp_path / "empty") is None


@pytest.mark.parametrize(
    ("file", "text", "is_plate"),
    [
        (".zattrs", '{"plate": {"wells": []}}', True),
        ("zarr.json", '{"attributes": {"ome": {"version": "0.5", "plate": {}}}}', True),
        (".zattrs", '{"multiscales": []}', False),
        ("zarr.json", "[1, 2]", False),
        (".zattrs", "no json", False),
    ],
)
def test_ome_zarr_is_told_by_its_metadata(tmp_path: Path, file: str, text: str, is_plate: bool) -> None:
    folder = tmp_path / "x.zarr"
    folder.mkdir()
    (folder / file).write_text(text, encoding="utf-8")
    assert (reader.get_reader(folder) is not None) == is_plate


def test_what_the_reader_adds_is_taken_up(bench: Any, plate_folder: Path, settle: Any) -> None:
    end = opening.watch(bench)
    for data, options, kind in reader.read_plate(str(plate_folder)):
        bench.viewer._add_layer_from_data(data, options, kind)
    settle(bench)
    end()
    assert bench.session.plate.name == "small plate"
    assert bench.session.control_query
    assert [layer.name for layer in bench.viewer.layers] == ["DNA", "GFP"]  # the reader's layers, not a second set


def test_a_run_dropped_on_the_viewer(bench: Any, run_folder: Path, settle: Any) -> None:
    for data, options, kind in reader.read_run(str(run_folder)):
        bench.viewer._add_layer_from_data(data, options, kind)
    end = opening.watch(bench)  # the dock comes after the layers
    settle(bench)
    end()
    assert bench.session.comparison is not None
    assert [layer.name for layer in bench.viewer.layers] == ["DNA", "GFP", "F3"]


def test_a_run_without_pictures_is_read_as_strength(run_folder: Path) -> None:
    from napari_phenolens.run import open_run

    open_run(run_folder).plate_path = "/nowhere"
    [(data, options, _)] = reader.read_run(run_folder)
    assert data.shape == (8, 12)
    assert options["name"].startswith("A01: strength")
    assert options["translate"] == pytest.approx((3.5 * 0.65,) * 2)
