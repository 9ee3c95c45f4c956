"""Single files: palettes, PNG, colours, and files that are damaged."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from napari_phenolens.plate import Field, PlateError, open_plate

IMAGE = np.random.default_rng(0).integers(0, 255, (64, 48), dtype=np.uint8)


def field_of(path: Path) -> Field:
    return open_plate(path.parent).field("B07")


def palette(greys: np.ndarray) -> np.ndarray:
    return np.stack([greys * 257] * 3).astype(np.uint16)


def test_grey_palettes_give_grey_values(tmp_path: Path) -> None:
    path = tmp_path / "B07_s1_w1.tif"
    tifffile.imwrite(path, IMAGE, photometric="palette", colormap=palette(np.arange(256)), compression="deflate")
    np.testing.assert_array_equal(field_of(path).read()[0], IMAGE)


def test_shuffled_grey_palettes_are_looked_up(tmp_path: Path) -> None:
    path = tmp_path / "B07_s1_w1.tif"
    greys = np.random.default_rng(1).permutation(256)
    tifffile.imwrite(path, IMAGE, photometric="palette", colormap=palette(greys))
    np.testing.assert_array_equal(field_of(path).read()[0], greys[IMAGE])


def test_a_green_palette_is_a_way_of_showing(tmp_path: Path) -> None:
    path = tmp_path / "B07_s1_w1.tif"
    colours = palette(np.arange(256))
    colours[[0, 2]] = 0
    tifffile.imwrite(path, IMAGE, photometric="palette", colormap=colours)
    np.testing.assert_array_equal(field_of(path).read()[0], IMAGE)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "B07_s1_w1.png"
    image = IMAGE.astype(dtype) * (200 if dtype is np.uint16 else 1)
    path.write_bytes(imagecodecs.png_encode(image))
    field = field_of(path)
    assert (field.shape, field.dtype) == (image.shape, image.dtype)
    np.testing.assert_array_equal(field.read()[0], image)


def test_grey_saved_as_colours(tmp_path: Path) -> None:
    path = tmp_path / "B07_s1_w1.png"
    path.write_bytes(imagecodecs.png_encode(np.stack([IMAGE, IMAGE, IMAGE, np.full_like(IMAGE, 255)], axis=-1)))
    np.testing.assert_array_equal(field_of(path).read()[0], IMAGE)
    path.write_bytes(imagecodecs.png_encode(np.stack([IMAGE, IMAGE, 255 - IMAGE], axis=-1)))
    with pytest.raises(PlateError, match=r"B07_s1_w1\.png is a colour picture"):
        field_of(path).read()


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colour_tiffs(tmp_path: Path, planar: str) -> None:
    path = tmp_path / "B07_s1_w1.tif"
    image = np.stack([IMAGE] * 3, axis=-1 if planar == "contig" else 0)
    tifffile.imwrite(path, image, photometric="rgb", planarconfig=planar)
    np.testing.assert_array_equal(field_of(path).read()[0], IMAGE)


@pytest.mark.parametrize("compression", [None, "deflate", "lzw"])
@pytest.mark.parametrize("keep", [0, 4, 300, 0.5, 0.95])
def test_files_cut_short_are_named(tmp_path: Path, compression: str | None, keep: float) -> None:
    path = tmp_path / "B07_s1_w1.tif"
    tifffile.imwrite(path, IMAGE, compression=compression, rowsperstrip=16)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(keep * len(raw)) if isinstance(keep, float) else keep])
    with pytest.raises(PlateError, match=r"B07_s1_w1\.tif cannot be read"):
        field_of(path).read()


def test_garbage_is_named(tmp_path: Path) -> None:
    for name in ("B07_s1_w1.tif", "B07_s1_w2.png"):
        (tmp_path / name).write_bytes(b"not an image at all, but long enough to be one" * 9)
    field = open_plate(tmp_path).field("B07")
    for channel, name in (("w1", "B07_s1_w1.tif"), ("w2", "B07_s1_w2.png")):
        with pytest.raises(PlateError, match=name):
            field.read([channel])
    with pytest.raises(PlateError, match=r"B07_s1_w1\.tif"):
        _ = field.shape


def test_damaged_pixels_are_named(tmp_path: Path) -> None:
    path = tmp_path / "B07_s1_w1.tif"
    tifffile.imwrite(path, IMAGE, compression="deflate")
    with tifffile.TiffFile(path) as tif:
        offset, count = tif.pages[0].dataoffsets[0], tif.pages[0].databytecounts[0]  # type: ignore[union-attr]
    raw = bytearray(path.read_bytes())
    raw[offset + 10 : offset + count - 10] = bytes(count - 20)
    path.write_bytes(raw)
    assert field_of(path).shape == IMAGE.shape  # its header is whole
    with pytest.raises(PlateError, match=r"B07_s1_w1\.tif cannot be read"):
        field_of(path).read()


def test_channels_of_different_size(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "B07_s1_w1.tif", IMAGE)
    tifffile.imwrite(tmp_path / "B07_s1_w2.tif", IMAGE[:32])
    with pytest.raises(PlateError, match=r"w1 \(64, 48\) and w2 \(32, 48\) of field 1, well B07, differ in size"):
        open_plate(tmp_path).field("B07").read()


def test_a_file_that_went_away(tmp_path: Path) -> None:
    path = tmp_path / "B07_s1_w1.tif"
    tifffile.imwrite(path, IMAGE)
    field = field_of(path)
    path.unlink()
    with pytest.raises(PlateError, match=r"B07_s1_w1\.tif cannot be read"):
        field.read()
