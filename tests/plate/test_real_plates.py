"""Plates as they came from microscopes (shared data, no part of the repository)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_phenolens.plate import PlateError, open_plate


def test_bbbc013(shared_data: Path) -> None:
    folder = shared_data / "bbbc013"
    plate = open_plate(folder, folder / "platemap_derived.csv")
    assert plate.warnings == ()
    assert plate.channels == ("Channel1", "Channel2")
    assert plate.channel_labels == {"Channel1": "gfp", "Channel2": "dna"}
    assert (len(plate.wells), plate.format, plate.pixel_size) == (96, (8, 12), None)
    assert len(plate.select("control_type == 'negcon'")) == 12
    assert plate.metadata["concentration"].dtype.kind == "f"
    image = plate.field("a1").read()
    assert (image.shape, image.dtype) == ((2, 640, 640), np.uint8)
    assert len(np.unique(image)) > 100


def test_bbbc013_by_rows_and_columns(shared_data: Path) -> None:
    folder = shared_data / "bbbc013"
    plate = open_plate(folder, folder / "1049_Metadata.csv")
    assert list(plate.metadata.columns) == ["ImageNumber", "Column", "Row", "SBS_Doses", "SBS_Controls"]
    assert plate.metadata.loc["H12", "ImageNumber"] == 96
    assert len(plate.select("SBS_Controls == -1")) == 16
    assert len(plate.select("SBS_Controls == 1")) == 8
    assert any("platemap_derived.csv" in w for w in open_plate(folder).warnings)


@pytest.mark.parametrize(
    ("folder", "wells", "fields", "channels", "shape", "pixel_size"),
    [
        ("vendor/imagexpress/SingleChannel", 2, 4, 1, (512, 512), 1.3668),
        ("vendor/imagexpress/1well-3C-2S-Zmix-T", 1, 2, 3, (256, 256), 13.5504),
        ("vendor/imagexpress_exported/9987_Plate_3434", 2, 4, 3, (256, 256), 1.3672),
        ("vendor/phenix_pe2loaddata/Version1/images", 1, 1, 6, (1080, 1080), None),
        ("vendor/operetta_harmony_plate/operetta_plate", 1, 2, 1, (1080, 1080), None),
        ("vendor/cellvoyager_cv8000", 3, 12, 2, (2000, 2000), None),
        ("vendor/omezarr/mobie_single-plane-hcs.zarr", 2, 2, 3, (256, 512), 2.7336),
        ("cell_painting/NF1_plate2", 5, 5, 3, (904, 1224), None),
        ("cell_painting/BBBC022_20585_w1_hoechst", 4, 7, 1, (520, 696), None),
        ("cell_painting/BBBC022_A02_s9_3ch", 1, 1, 3, (395, 695), None),
        ("cell_painting/pediatric_BR00143976_C03_f03", 1, 1, 6, (1080, 1080), None),
        ("rxrx_layout/rxrx1_png/images/JUMP-01/Plate1", 1, 4, 6, (512, 512), None),
        ("train/cp_ExampleVitra_bbbc014", 2, 2, 2, (1024, 1360), None),
    ],
)
def test_vendors(shared_data: Path, folder: str, wells: int, fields: int, channels: int, shape: tuple[int, int],
                 pixel_size: float | None) -> None:  # fmt: skip
    plate = open_plate(shared_data / folder)
    assert len(plate.wells) == wells
    assert sum(len(w.fields) for w in plate.wells.values()) == fields
    assert len(plate.channels) == channels
    assert plate.pixel_size == pixel_size
    last = plate.wells[list(plate.wells)[-1]].fields[-1]
    image = last.read(region=(slice(0, 40), slice(None)))
    assert last.shape == shape
    assert image.shape == (channels, 40, shape[1])
    assert all(f.is_file() for f in last.files)


@pytest.mark.parametrize("version", ["v04", "v05"])
def test_ome_zarr_gives_the_pixels_of_the_tiffs(shared_data: Path, version: str) -> None:
    zarr = open_plate(shared_data / f"vendor/omezarr/derived_bbbc013_4wells_{version}.zarr",
                      shared_data / "bbbc013/platemap_derived.csv")  # fmt: skip
    tiff = open_plate(shared_data / "bbbc013")
    assert zarr.name == "BBBC013"
    assert zarr.channels == ("FKHR-EGFP", "DRAQ DNA")
    assert zarr.format == (8, 12)
    assert list(zarr.wells) == ["A01", "A12", "E01", "E02"]
    for well in zarr.wells:
        np.testing.assert_array_equal(zarr.field(well).read(), tiff.field(well).read())


def test_imagexpress_planes_are_projected(shared_data: Path) -> None:
    folder = shared_data / "vendor/imagexpress/SingleChannel"
    planes = [open_plate(folder, z=z).field("E08", "2").read() for z in (0, 1)]
    assert not np.array_equal(*planes)
    np.testing.assert_array_equal(open_plate(folder).field("E08", "2").read(), np.maximum(*planes))
    times = [open_plate(shared_data / "vendor/imagexpress/1well-3C-2S-Zmix-T", t=t).field("C07").read() for t in (0, 1)]
    assert not np.array_equal(*times)


def test_messy_plate_map(shared_data: Path) -> None:
    folder = shared_data / "vendor/imagexpress_cellpaint_tiny"
    pattern = "*_{well}_s{field}_{channel}_thumb*.tif"
    plate = open_plate(folder / "2025-12-16/26159", folder / "platemap.csv", pattern=pattern)
    assert plate.metadata.index.tolist() == ["A02"]
    assert plate.metadata.loc["A02", "Metadata_Compound"] == "DMSO"
    assert plate.metadata.loc["A02", "Metadata_Conc"] == 0.1
    assert not any(c != c.strip() or "\ufeff" in c for c in plate.metadata.columns)
    with pytest.raises(PlateError, match="only thumbnails"):
        open_plate(folder)


def test_semicolon_map_and_gene_map(shared_data: Path) -> None:
    operetta = shared_data / "vendor/operetta_harmony_plate"
    plate = open_plate(operetta / "operetta_plate", operetta / "fixtures/drug_layout.csv")
    assert plate.metadata.loc["C03", "drug"] == "DMSO"
    nf1 = shared_data / "cell_painting/NF1_plate2"
    plate = open_plate(nf1, nf1 / "platemap_NF1_plate2.csv")
    assert plate.select("genotype == 'WT'") == ["D06"]
    assert any("15 image file(s)" in w and "Mask" in w for w in plate.warnings)


def test_a_map_of_sites_is_no_plate_map(shared_data: Path) -> None:
    rxrx = shared_data / "rxrx_layout/rxrx1_png"
    with pytest.raises(PlateError, match=r"A01 \(4 rows\)"):
        open_plate(rxrx / "images/JUMP-01/Plate1", rxrx / "metadata.csv")


def test_no_plate(shared_data: Path) -> None:
    with pytest.raises(PlateError, match="do not tell wells"):
        open_plate(shared_data / "cell_painting/cloome_cdrp_site")
    with pytest.raises(PlateError, match=r"\.c01"):
        open_plate(shared_data / "vendor/cellomics_c01")
