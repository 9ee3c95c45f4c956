"""OME-Zarr plates of both versions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_phenolens.plate import PlateError, open_plate

SHAPE = (2, 2, 3, 20, 30)  # t, c, z, y, x
IMAGE = np.random.default_rng(0).integers(0, 60000, SHAPE, dtype=np.uint16)
VERSIONS = ["0.4", "0.5"]


def write_json(group: Path, version: str, attributes: dict[str, Any]) -> None:
    group.mkdir(parents=True, exist_ok=True)
    if version == "0.4":
        (group / ".zgroup").write_text('{"zarr_format": 2}')
        (group / ".zattrs").write_text(json.dumps(attributes))
    else:
        meta = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.5", **attributes}}}
        (group / "zarr.json").write_text(json.dumps(meta))


def make(
    path: Path,
    version: str,
    image: np.ndarray = IMAGE,
    axes: str = "tczyx",
    unit: str | None = "micrometer",
    scale: float = 0.5,
    wells: tuple[str, ...] = ("B/07", "A/02"),
    omero: tuple[str, ...] = ("DNA", "ER"),
) -> Path:
    rows, columns = [{"name": r} for r in "AB"], [{"name": f"{c:02d}"} for c in range(1, 9)]
    places = [{"path": w, "rowIndex": "AB".index(w[0]), "columnIndex": int(w[2:]) - 1} for w in wells]
    plate = {"name": "my plate", "rows": rows, "columns": columns, "wells": places, "version": version}
    write_json(path, version, {"plate": plate})
    kinds = {"t": "time", "c": "channel"}
    described = [
        {"name": a, "type": kinds.get(a, "space"), **({"unit": unit} if unit and a in "zyx" else {})} for a in axes
    ]
    for well in wells:
        write_json(path / well, version, {"well": {"images": [{"path": "0"}, {"path": "1"}]}})
        for field in range(2):
            scales = [scale if a in "yx" else 1.0 for a in axes]
            shift = [100.0 * field if a == "y" else 7.0 if a == "x" else 0.0 for a in axes]
            transforms = [{"type": "scale", "scale": scales}, {"type": "translation", "translation": shift}]
            multiscales = [{"axes": described, "datasets": [{"path": "s0", "coordinateTransformations": transforms}]}]
            attributes: dict[str, Any] = {"multiscales": multiscales}
            if omero:
                attributes["omero"] = {"channels": [{"label": o} for o in omero]}
            write_json(path / well / str(field), version, attributes)
            array = zarr.create_array(
                store=str(path / well / str(field) / "s0"),
                shape=image.shape,
                chunks=(*[1] * (image.ndim - 2), 16, 16),
                dtype=image.dtype,
                zarr_format=2 if version == "0.4" else 3,
            )
            array[:] = image + field
    return path


@pytest.mark.parametrize("version", VERSIONS)
def test_plate(tmp_path: Path, version: str) -> None:
    path = make(tmp_path / "p.zarr", version)
    (tmp_path / "map.csv").write_text("well,role\nA2,neg\nB7,pos\n")
    plate = open_plate(path, tmp_path / "map.csv")
    assert (plate.layout, plate.name, plate.channels) == ("ome-zarr", "my plate", ("DNA", "ER"))
    assert list(plate.wells) == ["A02", "B07"]
    assert plate.format == (6, 8)  # the rows and columns that the plate says it has
    assert plate.pixel_size == 0.5
    assert plate.warnings == ()
    assert plate.select("role == 'pos'") == ["B07"]
    field = plate.field("b7", "1")
    assert (field.name, field.shape, field.dtype) == ("1", (20, 30), np.dtype("uint16"))
    assert field.position == (100.0, 7.0)
    np.testing.assert_array_equal(field.read(), IMAGE[0].max(1) + 1)
    region = (slice(3, 9), slice(-12, None))
    np.testing.assert_array_equal(field.read(["ER", "DNA"], region), (IMAGE[0].max(1) + 1)[::-1, 3:9, -12:])
    assert all(f.is_file() and "s0" in f.parts for f in field.files)
    assert field.files


@pytest.mark.parametrize("version", VERSIONS)
def test_planes_and_times(tmp_path: Path, version: str) -> None:
    path = make(tmp_path / "p.zarr", version)
    np.testing.assert_array_equal(open_plate(path, z=2, t=1).field("A2").read(), IMAGE[1, :, 2])
    with pytest.raises(PlateError, match="no z=3: it holds 3"):
        open_plate(path, z=3).field("A2").read()
    with pytest.raises(PlateError, match="no t=2: it holds 2"):
        open_plate(path, t=2).field("A2").read()


@pytest.mark.parametrize("axes", ["cyx", "yx", "zyx"])
def test_fewer_axes(tmp_path: Path, axes: str) -> None:
    image = IMAGE[0, 0, 0] if axes == "yx" else IMAGE[0, 0] if axes == "zyx" else IMAGE[0, :, 0]
    plate = open_plate(make(tmp_path / "p.zarr", "0.4", image, axes, omero=("DNA", "ER") if axes == "cyx" else ()))
    expected = image if axes == "cyx" else image[None] if axes == "yx" else image.max(0)[None]
    assert plate.channels == (("DNA", "ER") if axes == "cyx" else ("C1",))
    np.testing.assert_array_equal(plate.field("A02").read(), expected)


@pytest.mark.parametrize(
    ("unit", "scale", "expected"),
    [("nanometer", 250.0, 0.25), ("micrometer", 1.0, 1.0), (None, 1.0, None), (None, 0.3, 0.3), ("pixel", 2.0, None)],
)
def test_units(tmp_path: Path, unit: str | None, scale: float, expected: float | None) -> None:
    plate = open_plate(make(tmp_path / "p.zarr", "0.5", unit=unit, scale=scale))
    assert plate.pixel_size == (pytest.approx(expected) if expected else None)
    assert any("without a unit" in w for w in plate.warnings) == (unit is None and scale != 1)


def test_channel_names(tmp_path: Path) -> None:
    twice = open_plate(make(tmp_path / "a.zarr", "0.4", omero=("DNA", "DNA")))
    assert twice.channels == ("DNA", "DNA (2)")
    assert "numbered" in twice.warnings[0]
    assert open_plate(make(tmp_path / "b.zarr", "0.4", omero=())).channels == ("C1", "C2")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_missing_or_damaged(tmp_path: Path, version: str) -> None:
    path = make(tmp_path / "p.zarr", version)
    meta = "zarr.json" if version == "0.5" else ".zattrs"
    shutil.rmtree(path / "A" / "02")
    plate = open_plate(path)
    assert list(plate.wells) == ["B07"]
    assert "A02" in plate.warnings[0]
    field = open_plate(path, t=1).field("B07", "1")
    chunk = max((f for f in field.files if "json" not in f.name and not f.name.startswith(".")), key=str)
    chunk.write_bytes(b"damaged")
    with pytest.raises(PlateError, match="s0 cannot be read"):
        field.read()
    (path / "B" / "07" / "1" / meta).write_text("{")
    with pytest.raises(PlateError, match=f"1/{meta} cannot be read"):
        open_plate(path).field("B07", "1").read()
    shutil.rmtree(path / "B")
    with pytest.raises(PlateError, match="no well with images"):
        open_plate(path)
    (path / meta).write_text("{")
    with pytest.raises(PlateError, match=f"{meta} cannot be read"):
        open_plate(path)


def test_an_image_is_no_plate(tmp_path: Path) -> None:
    path = make(tmp_path / "p.zarr", "0.4")
    with pytest.raises(PlateError, match="without plate metadata"):
        open_plate(path / "B" / "07" / "0")
    with pytest.raises(PlateError, match=r"p\.zarr"):
        open_plate(tmp_path)
    with pytest.raises(PlateError, match="leave pattern out"):
        open_plate(path, pattern="{well}.tif")


@pytest.mark.parametrize("version", VERSIONS)
def test_opening_imports_no_zarr(tmp_path: Path, version: str) -> None:
    """Browsing a plate, shapes and pixel sizes included, reads JSON alone."""
    path = make(tmp_path / "p.zarr", version)
    code = (
        "import sys; from napari_phenolens.plate import open_plate; p = open_plate(sys.argv[1]); "
        "heavy = ('zarr', 'torch', 'scipy', 'skimage', 'numba', 'imagecodecs', 'tifffile', 'napari'); "
        "print(p.field('B07').shape, p.pixel_size, [m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(20, 30) 0.5 []"
