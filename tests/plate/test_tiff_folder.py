"""Folders of images: what names say, what is left out, and that nothing is opened before it is asked for."""

from __future__ import annotations

import builtins
import os
import pickle
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_phenolens.plate import PlateError, open_plate

GUID = "{:08X}-E58C-4E7D-A484-F1578ECD7C53"


def write(path: Path, value: int | np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((6, 8), value, np.uint16) if isinstance(value, int) else value
    tifffile.imwrite(path, image, **options)  # type: ignore[arg-type]


def fill(folder: Path, names: Sequence[str]) -> dict[str, int]:
    """Write one image a name, each of a value of its own."""
    values = {name: i + 1 for i, name in enumerate(names)}
    for name, value in values.items():
        write(folder / name, value)
    return values


Namer = Callable[[str, int, int], str]
PATTERNS: dict[str, tuple[Namer, tuple[str, ...]]] = {
    "phenix": (lambda w, f, c: f"r{ord(w[0]) - 64:02d}c{w[1:]}f{f:02d}p01-ch{c}sk1fk1fl1.tiff", ("ch1", "ch2")),
    "imagexpress": (lambda w, f, c: f"my_A1_plate_{w}_s{f}_w{c}{GUID.format(f * 10 + c)}.tif", ("w1", "w2")),
    "imagexpress exported": (lambda w, f, c: f"9987_{w}_s{f}_w{c}.TIF", ("w1", "w2")),
    "cellvoyager": (lambda w, f, c: f"plate_x_{w}_T0001F{f:03d}L01A0{c}Z01C0{c}.tif", ("C01", "C02")),
    "scanr": (
        lambda w, f, c: f"{w[0]}{int(w[1:])}--W00001--P{f:05d}--Z00000--T00000--{['DAPI', 'GFP'][c - 1]}.tif",
        ("DAPI", "GFP"),
    ),
    "in cell": (
        lambda w, f, c: f"{w[0]} - {w[1:]}(fld {f:02d} wv {['Blue - FITC', 'UV - DAPI'][c - 1]}).tif",
        ("Blue - FITC", "UV - DAPI"),
    ),
    "gen5": (lambda w, f, c: f"{w[0]}{int(w[1:])}_01_{c}_{f}_{['Z red', 'DAPI'][c - 1]}_001.tif", ("Z red", "DAPI")),
    "nikon": (
        lambda w, f, c: f"Well{w}_Point{w}_{f:04d}_Channel{['DAPI', 'GFP'][c - 1]}_Seq000{f}.tif",
        ("DAPI", "GFP"),
    ),
    "rxrx, small letters": (lambda w, f, c: f"{w.lower()}_s{f}_w{c}.tif", ("w1", "w2")),
    "channel folders": (lambda w, f, c: f"{['DAPI', 'GFP'][c - 1]}/{w}_f{f}.tif", ("DAPI", "GFP")),
    "rxrx": (lambda w, f, c: f"{w}_s{f}_w{c}.tif", ("w1", "w2")),
    "tokens": (lambda w, f, c: f"P1_exp3_{w}_f{f}_{['DNA', 'ER'][c - 1]}.tif", ("DNA", "ER")),
    "tokens with words": (lambda w, f, c: f"{w[0]}-{int(w[1:])}_site {f}_ch{c}.tif", ("ch1", "ch2")),
    "tokens of numbers": (lambda w, f, c: f"x_{w}_{f}_{c}.tif", ("1", "2")),
    "tokens, well last": (lambda w, f, c: f"c{c}_s{f}_{w}.tif", ("c1", "c2")),
}


@pytest.mark.parametrize("kind", PATTERNS)
def test_usual_names(kind: str, tmp_path: Path) -> None:
    namer, channels = PATTERNS[kind]
    places = [(w, f, c) for w in ("B07", "C03", "H12") for f in (1, 2) for c in (1, 2)]
    values = fill(tmp_path, [namer(*p) for p in places])
    plate = open_plate(tmp_path)
    assert plate.layout == "tiff-folder"
    assert plate.warnings == ()
    assert plate.name == tmp_path.name
    assert plate.channels == channels
    assert list(plate.wells) == ["B07", "C03", "H12"]
    assert plate.format == (8, 12)
    for well, field, channel in places:
        assert [f.name for f in plate.wells[well].fields] == ["1", "2"]
        found = plate.field(well, str(field))
        name = namer(well, field, channel)
        assert found.read([channels[channel - 1]]).max() == values[name], name
        assert found.files[channel - 1] == tmp_path / name


def test_bbbc013_names_have_no_field(tmp_path: Path) -> None:
    fill(tmp_path, [f"Channel{c}-{i:02d}-{r}-{i:02d}.tif" for c in (1, 2) for r in "AB" for i in (1, 12)])
    plate = open_plate(tmp_path)
    assert plate.channels == ("Channel1", "Channel2")
    assert list(plate.wells) == ["A01", "A12", "B01", "B12"]
    assert [f.name for f in plate.wells["A01"].fields] == ["1"]


def test_rows_of_1536_wells(tmp_path: Path) -> None:
    fill(tmp_path, [f"{w}_s1_w{c}.tif" for w in ("AA02", "AF48", "B07") for c in (1, 2)])
    plate = open_plate(tmp_path)
    assert list(plate.wells) == ["B07", "AA02", "AF48"]
    assert plate.format == (32, 48)


def test_channels_sort_by_number(tmp_path: Path) -> None:
    fill(tmp_path, [f"r01c01f01p01-ch{c}sk1fk1fl1.tiff" for c in (10, 2, 1)])
    assert open_plate(tmp_path).channels == ("ch1", "ch2", "ch10")


def test_fields_are_found_by_name_and_place(tmp_path: Path) -> None:
    fill(tmp_path, [f"x_B07_s{f}_w1.tif" for f in (3, 4, 10)])
    plate = open_plate(tmp_path)
    assert plate.field("b7").name == "3"
    assert plate.field("B7", 2).name == "10"
    assert plate.field("B07", np.int64(1)).name == "4"  # type: ignore[arg-type]
    assert plate.field("07B", "04").name == "4"
    assert plate.wells["b7"].name == "B07"
    assert "b7" in plate.wells
    assert "C1" not in plate.wells
    with pytest.raises(PlateError, match=r"no field '7'; its fields are 3, 4, 10"):
        plate.field("B07", "7")
    with pytest.raises(PlateError, match=r"has 3 field\(s\), so places go from 0 to 2; 3"):
        plate.field("B07", 3)
    with pytest.raises(PlateError, match=r"no images of well C03; it has B07"):
        plate.field("C3")


def test_read_takes_channels_and_regions_in_the_order_asked(tmp_path: Path) -> None:
    ramp = np.arange(48, dtype=np.uint16).reshape(6, 8)
    write(tmp_path / "B07_s1_w1.tif", ramp)
    write(tmp_path / "B07_s1_w2.tif", ramp + 100)
    field = open_plate(tmp_path).field("B07")
    assert (field.shape, field.dtype, field.pixel_size, field.position) == ((6, 8), np.dtype("uint16"), None, None)
    image = field.read(["w2", "w1"], (slice(1, 3), slice(2, None)))
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, np.stack([ramp + 100, ramp])[:, 1:3, 2:])
    np.testing.assert_array_equal(field.read(), np.stack([ramp, ramp + 100]))
    np.testing.assert_array_equal(field.read("w2")[0], ramp + 100)
    with pytest.raises(PlateError, match="no channel 'DNA'; its channels are w1, w2"):
        field.read(["DNA"])


# ---- patterns that the user gives ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["q7_b7_f1_DNA.tif", "q7_b7_f1_ER.tif"], "*_{well}_f{field}_{channel}.tif"),
        (["b7_f1_DNA.tif", "b7_f1_ER.tif"], "{well}_f{field}_{channel}"),
        (["DNA of 2x7, 1.tif", "ER of 2x7, 1.tif"], "{channel} of {row}x{col}, {site}.tif"),
        (["B07/1-DNA.tif", "B07/1-ER.tif"], "{well}/{field}-{channel}.tif"),
        (["xxB07yy1zzDNA.tif", "xxB07yy1zzER.tif"], r"xx(?P<Well>[A-P]\d\d)yy(?P<Site>\d+)zz(?P<ChannelName>[A-Z]+)"),
        (["02-07_DNA.tif", "02-07_ER.tif"], r"^(?P<row>\d\d)-(?P<col>\d\d)_(?P<channel>\w+)\.tif$"),
        (["a/B07_DNA.tif", "a/B07_ER.tif"], r"a/(?P<well>[A-P]\d\d)_(?P<channel>\w+)\.tif"),
    ],
)
def test_patterns(tmp_path: Path, names: list[str], pattern: str) -> None:
    fill(tmp_path, names)
    plate = open_plate(tmp_path, pattern=pattern)
    assert plate.channels == ("DNA", "ER")
    assert list(plate.wells) == ["B07"]
    assert plate.field("B07").name == "1"
    assert plate.field("B07").read().max(axis=(1, 2)).tolist() == [1, 2]


def test_a_pattern_names_the_plate(tmp_path: Path) -> None:
    fill(tmp_path, ["P9-B07-DNA.tif"])
    assert open_plate(tmp_path, pattern="{plate}-{well}-{channel}.tif").name == "P9"
    fill(tmp_path, ["P8-B07-DNA.tif"])
    with pytest.raises(PlateError, match="several plates \\(P8, P9\\)"):
        open_plate(tmp_path, pattern="{plate}-{well}-{channel}.tif")
    assert open_plate(tmp_path, pattern="P8-{well}-{channel}.tif").wells["B07"].fields[0].read().max() == 1


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?P<well>[A-P", "no regular expression"),
        ("{well}_{dye}.tif", "names dye; a template has"),
        ("*.tif", "no named places"),
        ("{channel}_{row}.tif", "does not say which well"),
        ("{well}-{channel}.tif", "none of the 1 images .* fits the pattern .* names are like 'B07_s1_w1.tif'"),
    ],
)
def test_patterns_that_do_not_work(tmp_path: Path, pattern: str, message: str) -> None:
    fill(tmp_path, ["B07_s1_w1.tif"])
    with pytest.raises(PlateError, match=message):
        open_plate(tmp_path, pattern=pattern)


# ---- planes and times ---------------------------------------------------------------------------------------------


def test_planes_in_names(tmp_path: Path) -> None:
    fill(tmp_path, [f"r01c01f01p{z:02d}-ch{c}sk1fk1fl1.tiff" for c in (1, 2) for z in (1, 2, 3)])
    ask = lambda z: open_plate(tmp_path, z=z).field("A01").read().max(axis=(1, 2)).tolist()  # noqa: E731
    assert ask("max") == [3, 6]
    assert ask(0) == [1, 4]
    assert ask(2) == [3, 6]
    assert len(open_plate(tmp_path).field("A01").files) == 6
    assert len(open_plate(tmp_path, z=1).field("A01").files) == 2
    with pytest.raises(PlateError, match=r"z=3, but the plate has 3 planes \(1, 2, 3\): z goes from 0 to 2"):
        open_plate(tmp_path, z=3)


@pytest.mark.parametrize("z", [-1, "min", 1.5, True])
def test_z_is_max_or_a_place(tmp_path: Path, z: object) -> None:
    with pytest.raises(PlateError, match="z="):
        open_plate(tmp_path, z=z)  # type: ignore[arg-type]


def test_max_takes_the_brightest_of_each_pixel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 999, (4, 6, 8), dtype=np.uint16)
    for z, plane in enumerate(stack):
        write(tmp_path / f"p_B07_T0001F001L01A01Z{z + 1:02d}C01.tif", plane)
    field = open_plate(tmp_path).field("B07")
    np.testing.assert_array_equal(field.read()[0], stack.max(0))
    np.testing.assert_array_equal(field.read(None, (slice(2, 4), slice(3, 5)))[0], stack.max(0)[2:4, 3:5])


def test_a_lacking_plane(tmp_path: Path) -> None:
    fill(tmp_path, [f"p_{w}_T0001F001L01A01Z0{z}C01.tif" for w in ("B07", "B08") for z in (1, 2)])
    (tmp_path / "p_B08_T0001F001L01A01Z02C01.tif").unlink()
    assert list(open_plate(tmp_path).wells) == ["B07", "B08"]
    plate = open_plate(tmp_path, z=1)
    assert list(plate.wells) == ["B07"]
    assert "B08 field 1 (no C01)" in plate.warnings[0]


def test_time_points(tmp_path: Path) -> None:
    fill(tmp_path, [f"TimePoint_{t}/x_B07_s1_w1.tif" for t in (1, 2)])
    assert open_plate(tmp_path).field("B07").read().max() == 1
    assert open_plate(tmp_path, t=1).field("B07").read().max() == 2
    assert open_plate(tmp_path).warnings == ()
    with pytest.raises(PlateError, match="t=2, but the plate has 2 time points"):
        open_plate(tmp_path, t=2)


def test_projections_of_the_microscope(tmp_path: Path) -> None:
    names = [f"ZStep_{z}/x_B07_s1_w1.tif" for z in (0, 1, 2)] + ["ZStep_0/x_B07_s1_w2.tif"]
    fill(tmp_path, names)
    write(tmp_path / names[0], 999)  # a projection, which is not to be mixed with its planes
    plate = open_plate(tmp_path)
    assert plate.field("B07").read().max(axis=(1, 2)).tolist() == [3, 4]
    assert "channel(s) w2" in plate.warnings[0]
    assert open_plate(tmp_path, z=0).field("B07").read().max(axis=(1, 2)).tolist() == [2, 4]


# ---- files of several planes or channels --------------------------------------------------------------------------


def test_one_file_with_all_channels(tmp_path: Path) -> None:
    image = np.arange(3 * 48, dtype=np.uint16).reshape(3, 6, 8)
    for well in ("B07", "B08"):
        write(tmp_path / f"x_{well}_s1.tif", image, imagej=True, metadata={"axes": "CYX"})
    plate = open_plate(tmp_path)
    assert plate.channels == ("C1", "C2", "C3")
    field = plate.field("B08")
    assert field.shape == (6, 8)
    np.testing.assert_array_equal(field.read(["C3", "C1"]), image[[2, 0]])
    assert field.files == (tmp_path / "x_B08_s1.tif",)


def test_plain_pages_are_channels_where_names_have_none(tmp_path: Path) -> None:
    image = np.arange(2 * 48, dtype=np.uint16).reshape(2, 6, 8)
    write(tmp_path / "x_B07_s1.tif", image, photometric="minisblack", metadata=None)
    plate = open_plate(tmp_path)
    assert plate.channels == ("C1", "C2")
    np.testing.assert_array_equal(plate.field("B07").read(), image)


def test_plain_pages_are_planes_where_names_have_the_channel(tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(0, 99, (3, 6, 8), dtype=np.uint16)
    write(tmp_path / "x_B07_s1_w1.tif", image, photometric="minisblack")
    np.testing.assert_array_equal(open_plate(tmp_path).field("B07").read()[0], image.max(0))
    np.testing.assert_array_equal(open_plate(tmp_path, z=1).field("B07").read()[0], image[1])
    with pytest.raises(PlateError, match="no z=3"):
        open_plate(tmp_path, z=3).field("B07").read()


def test_ome_tiff_with_time_planes_and_names(tmp_path: Path) -> None:
    image = np.random.default_rng(2).integers(0, 99, (2, 3, 2, 6, 8), dtype=np.uint16)
    metadata = {"axes": "TZCYX", "Channel": {"Name": ["DNA", "ER"]}, "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
    write(tmp_path / "B07.ome.tif", image, metadata=metadata)
    write(tmp_path / "B08.ome.tif", image, metadata=metadata)
    plate = open_plate(tmp_path, t=1)
    assert plate.channels == ("DNA", "ER")
    assert plate.pixel_size == 0.5
    np.testing.assert_array_equal(plate.field("B08").read(), image[1].max(0))
    np.testing.assert_array_equal(open_plate(tmp_path, z=2).field("B08").read("ER"), image[0, 2, 1:])


def test_single_images_without_channel(tmp_path: Path) -> None:
    fill(tmp_path, ["A1.tif", "B2.tif"])
    plate = open_plate(tmp_path)
    assert plate.channels == ("C1",)
    assert plate.field("B2").read().max() == 2


def test_imagej_pixel_size(tmp_path: Path) -> None:
    write(
        tmp_path / "B07_s1_w1.tif",
        np.zeros((6, 8), np.uint16),
        imagej=True,
        resolution=(2.0, 2.0),
        metadata={"unit": "um"},
    )
    assert open_plate(tmp_path).pixel_size == 0.5


def test_printing_resolution_is_no_pixel_size(tmp_path: Path) -> None:
    write(tmp_path / "B07_s1_w1.tif", 1, resolution=(155.0, 155.0), resolutionunit="CENTIMETER")
    assert open_plate(tmp_path).pixel_size is None


# ---- what real folders hold ---------------------------------------------------------------------------------------


def test_thumbnails_strays_and_masks_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path, [f"B7_01_{c}_1_{n}_001.tif" for c, n in ((1, "DAPI"), (2, "GFP"))])
    fill(tmp_path, ["B7_01_1_1_DAPI_001_thumb.tif", "B7_01_1_1_DAPI_001_MaskNuclei.tif", "overview.tif", ".hidden.tif"])
    fill(tmp_path, ["run.zarr/B8_01_1_1_DAPI_001.tif", ".trash/B9_01_1_1_DAPI_001.tif", "._B7_01_1_1_DAPI_001.tif"])
    (tmp_path / "notes.txt").write_text("x")
    plate = open_plate(tmp_path)
    assert list(plate.wells) == ["B07"]
    assert plate.channels == ("DAPI", "GFP")
    assert plate.warnings == ("2 image file(s) whose names fit no well and channel were left out, such as "
                              "B7_01_1_1_DAPI_001_MaskNuclei.tif",)  # fmt: skip


def test_only_thumbnails(tmp_path: Path) -> None:
    fill(tmp_path, ["x_B07_s1_w1_thumb.tif"])
    with pytest.raises(PlateError, match=r"only thumbnails \(1 files\)"):
        open_plate(tmp_path)
    assert list(open_plate(tmp_path, pattern="x_{well}_s{field}_{channel}_thumb.tif").wells) == ["B07"]


def test_folders_below(tmp_path: Path) -> None:
    fill(tmp_path, [f"{w}/img_f{f}_{c}.tif" for w in ("B07", "C08") for f in (1, 2) for c in ("DAPI", "GFP")])
    plate = open_plate(tmp_path)
    assert list(plate.wells) == ["B07", "C08"]
    assert plate.channels == ("DAPI", "GFP")
    assert plate.field("C08", "2").files[1] == tmp_path / "C08" / "img_f2_GFP.tif"
    assert plate.warnings == ()  # the folders say something of their own
    fill(tmp_path / "more", ["a/D03_s1_w1.tif", "b/D04_s1_w1.tif"])
    assert "2 folders (a, b)" in open_plate(tmp_path / "more").warnings[0]


def test_parts_of_names_that_look_like_wells(tmp_path: Path) -> None:
    fill(tmp_path, [f"exp_{w}_d{d}_w1.tif" for w in ("A01", "A02") for d in (0, 1)])
    with pytest.raises(PlateError, match=r"claim to be the same \(well A01, field 1, channel w1\).*_d0_.*_d1_"):
        open_plate(tmp_path)
    assert list(open_plate(tmp_path, pattern="exp_{well}_d1_{channel}.tif").wells) == ["A01", "A02"]


def test_a_plain_folder_takes_the_name_above(tmp_path: Path) -> None:
    fill(tmp_path / "Plate 7__2024-01-01-Measurement 1" / "Images", ["r01c01f01p01-ch1sk1fk1fl1.tiff"])
    plate = open_plate(tmp_path / "Plate 7__2024-01-01-Measurement 1" / "Images")
    assert plate.name == "Plate 7__2024-01-01-Measurement 1"
    table = tmp_path / "map.csv"
    table.write_text("plate,well,x\nPlate 7,A1,1\nPlate 8,A1,2\n")
    named = open_plate(tmp_path / "Plate 7__2024-01-01-Measurement 1" / "Images", table)
    assert named.metadata["x"].tolist() == [1]


def test_two_plates_in_one_folder_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, [f"{p}/x_B07_s1_w1.tif" for p in ("one", "two")])
    with pytest.raises(PlateError, match="claim to be the same") as caught:
        open_plate(tmp_path)
    for part in (
        "well B07, field 1, channel w1",
        str(tmp_path / "one"),
        str(tmp_path / "two"),
        "open the folder of one plate",
    ):
        assert part in str(caught.value)


def test_fields_that_lack_a_channel_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path, [f"x_{w}_s{f}_w{c}.tif" for w in ("B07", "B08", "B09") for f in (1, 2) for c in (1, 2)])
    for name in ("x_B07_s2_w2.tif", "x_B09_s1_w1.tif", "x_B09_s2_w1.tif"):
        (tmp_path / name).unlink()
    plate = open_plate(tmp_path)
    assert list(plate.wells) == ["B07", "B08"]
    assert [f.name for f in plate.wells["B07"].fields] == ["1"]
    assert len(plate.warnings) == 1
    for part in ("3 field(s)", "B07 field 2 (no w2)", "B09 field 1 (no w1)", "B09 field 2 (no w1)"):
        assert part in plate.warnings[0]


def test_a_rare_channel_is_left_out(tmp_path: Path) -> None:
    fill(tmp_path, [f"x_B0{w}_s1_w{c}.tif" for w in (1, 2, 3) for c in (1, 2)] + ["x_B01_s1_w9.tif"])
    plate = open_plate(tmp_path)
    assert plate.channels == ("w1", "w2")
    assert list(plate.wells) == ["B01", "B02", "B03"]
    assert "w9 (1 of 3)" in plate.warnings[0]


def test_names_that_tell_nothing(tmp_path: Path) -> None:
    fill(tmp_path, ["DAPI.tif", "GFP.tif"])
    with pytest.raises(PlateError, match=r"do not tell wells \(DAPI.tif, GFP.tif\); .*pattern="):
        open_plate(tmp_path)


def test_paths_that_are_no_plate(tmp_path: Path) -> None:
    with pytest.raises(PlateError, match="does not exist"):
        open_plate(tmp_path / "nowhere")
    with pytest.raises(PlateError, match="it is empty"):
        open_plate(tmp_path)
    fill(tmp_path, ["A01.tif"])
    with pytest.raises(PlateError, match="is a file"):
        open_plate(tmp_path / "A01.tif")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.c01").touch()
    with pytest.raises(PlateError, match=r"it holds 1 \.c01"):
        open_plate(tmp_path / "sub")


# ---- lazy ---------------------------------------------------------------------------------------------------------


def test_a_big_plate_opens_without_opening_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """384 wells x 9 fields x 5 channels; the files are empty, so reading any would fail as well."""
    wells = [f"{r}{c:02d}" for r in "ABCDEFGHIJKLMNOP" for c in range(1, 25)]
    for well in wells:
        for field in range(1, 10):
            for channel in range(1, 6):
                os.close(os.open(tmp_path / f"plate_{well}_s{field}_w{channel}.tif", os.O_CREAT))

    def refuse(file: object, *_: object, **__: object) -> None:
        raise AssertionError(f"opened {file}")

    with monkeypatch.context() as patch:
        patch.setattr(tifffile, "TiffFile", refuse)
        patch.setattr(tifffile, "imread", refuse)
        patch.setattr(builtins, "open", refuse)
        patch.setattr(os, "open", refuse)
        tracemalloc.start()
        start = time.perf_counter()
        plate = open_plate(tmp_path)
        seconds = time.perf_counter() - start
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(plate.wells) == 384
    assert sum(len(w.fields) for w in plate.wells.values()) == 3456
    assert plate.format == (16, 24)
    assert plate.channels == ("w1", "w2", "w3", "w4", "w5")
    assert seconds < 15  # about one without tracing on an idle machine; this one may be busy
    assert used < 60e6
    with pytest.raises(PlateError, match=r"plate_A01_s1_w1\.tif cannot be read \(it is empty\)"):
        _ = plate.field("A01").shape


def test_a_plate_can_be_sent_to_another_process(tmp_path: Path) -> None:
    fill(tmp_path, [f"x_B07_s1_w{c}.tif" for c in (1, 2)])
    plate = pickle.loads(pickle.dumps(open_plate(tmp_path)))
    assert plate.field("b7").read().max(axis=(1, 2)).tolist() == [1, 2]


# ---- with a plate map ---------------------------------------------------------------------------------------------


def test_plate_map(tmp_path: Path) -> None:
    fill(tmp_path, [f"x_{w}_s1_w{c}.tif" for w in ("B07", "B08", "A10") for c in (1, 2)])
    (tmp_path / "map.csv").write_text(
        "well,role,FileName_DNA,file_gfp,file_odd\n"
        "B8,pos,x_B08_s1_w2.tif,x_B08_s1_w1.tif,x_B08_s1_w1.tif\n"
        "B7,neg,x_B07_s1_w2.tif,sub/x_B07_s1_w1.tif,x_B07_s1_w2.tif\n"
        "H12,pos,none.tif,none.tif,none.tif\n"
    )
    alone = open_plate(tmp_path)
    assert alone.metadata.index.tolist() == ["A10", "B07", "B08"]
    assert alone.metadata.columns.tolist() == []
    assert alone.channel_labels == {}
    assert "map.csv" in alone.warnings[0]
    plate = open_plate(tmp_path, tmp_path / "map.csv")
    assert plate.metadata.index.tolist() == ["A10", "B07", "B08", "H12"]
    assert plate.metadata.columns.tolist() == ["well", "role", "FileName_DNA", "file_gfp", "file_odd"]
    assert plate.metadata.loc["A10"].isna().all()
    assert plate.channel_labels == {"w2": "DNA", "w1": "gfp"}
    assert plate.format == (8, 12)
    assert plate.select("role == 'pos'") == ["B08"]
    assert plate.select("role != 'neg'") == ["B08"]  # A10 is not in the map: nothing is known of it
    assert plate.select(None) == ["A10", "B07", "B08"]
    assert any("H12" in w and "no images" in w for w in plate.warnings)
    assert any("A10" in w and "not in the plate map" in w for w in plate.warnings)


def test_the_map_of_another_plate(tmp_path: Path) -> None:
    fill(tmp_path, ["x_B07_s1_w1.tif"])
    (tmp_path / "map.csv").write_text("well,role\nA1,neg\n")
    with pytest.raises(PlateError, match=r"no well of plate .* \(B07\) is in its plate map \(A01\)"):
        open_plate(tmp_path, tmp_path / "map.csv")


def test_another_layout_is_one_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/plates.md says: a name, what recognises a path, and what lies there."""
    from types import SimpleNamespace

    from napari_phenolens.plate import layouts
    from napari_phenolens.plate.layouts.tiff_folder import TiffSource

    write(tmp_path / "first.tif", 7)
    (tmp_path / "index.xml").touch()

    def contents(path: Path, options: layouts.Options) -> layouts.Contents:
        source = TiffSource({"DNA": (str(path / "first.tif"),)}, None, options.z, options.t)
        return layouts.Contents("mine", ("DNA",), [layouts.FieldEntry(1, 6, "1", source)])

    mine = SimpleNamespace(name="mine", recognises=lambda path: (path / "index.xml").is_file(), contents=contents)
    monkeypatch.setattr(layouts, "_LAYOUTS", list(layouts._LAYOUTS))
    layouts.register_layout(mine)
    plate = open_plate(tmp_path)
    assert (plate.layout, plate.name, list(plate.wells)) == ("mine", "mine", ["B07"])
    assert plate.field("B7").read().max() == 7
    assert open_plate(tmp_path, pattern="*").layout == "mine"
