"""Nuclei on drawn fields, empty fields and the real plate."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_phenolens.cells import CellsError, find_nuclear_channel, nuclear_diameter, segment_nuclei


def drawn_nuclei(centres: list[tuple[int, int]], radius: float = 9.0, size: int = 160, seed: int = 0) -> np.ndarray:
    """Soft discs on a background of 100 with noise."""
    y, x = np.mgrid[:size, :size]
    image = np.full((size, size), 100.0)
    for cy, cx in centres:
        image += 400.0 / (1.0 + np.exp(np.hypot(y - cy, x - cx) - radius))
    return np.random.default_rng(seed).normal(image, 8.0).clip(0).astype(np.uint16)


CENTRES = [(30, 30), (30, 90), (80, 50), (80, 69), (130, 120)]


def test_every_drawn_nucleus_is_one_label_and_touching_ones_are_parted() -> None:
    labels = segment_nuclei(drawn_nuclei(CENTRES))
    assert labels.dtype == np.int32
    assert labels.max() == len(CENTRES)
    assert len({int(labels[c]) for c in CENTRES}) == len(CENTRES)
    assert 0 not in {int(labels[c]) for c in CENTRES}
    assert nuclear_diameter(labels) == pytest.approx(18.0, rel=0.15)


@pytest.mark.parametrize("dim", [0.25, 0.5])
def test_dim_nuclei_beside_bright_ones_are_kept(dim: float) -> None:
    y, x = np.mgrid[:128, :128]
    image = np.full((128, 128), 100.0)
    for (cy, cx), light in {(30, 30): 1.0, (30, 90): 1.0, (90, 30): dim, (90, 90): dim}.items():
        image += light * 1000.0 / (1.0 + np.exp(np.hypot(y - cy, x - cx) - 9.0))
    assert segment_nuclei(np.random.default_rng(1).normal(image, 10.0)).max() == 4


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64), np.uint8),
        np.full((64, 64), 7, np.uint16),
        np.random.default_rng(0).poisson(50.0, (200, 200)).astype(np.uint16),
        np.random.default_rng(0).normal(0.0, 1.0, (128, 128)),
        np.zeros((4, 4)),
    ],
    ids=["zeros", "flat", "shot noise", "gaussian noise", "tiny"],
)
def test_fields_without_nuclei_give_zeros(image: np.ndarray) -> None:
    labels = segment_nuclei(image)
    assert labels.shape == image.shape
    assert not labels.any()


def test_a_gradient_of_light_alone_gives_few_objects() -> None:
    y, _ = np.mgrid[:200, :200]
    image = np.random.default_rng(0).normal(100.0 + y, 5.0)
    assert segment_nuclei(image, pixel_size=0.65).max() == 0


def test_more_than_one_channel_is_refused() -> None:
    with pytest.raises(CellsError, match=r"\(2, 8, 8\).*one channel"):
        segment_nuclei(np.zeros((2, 8, 8)))


@pytest.mark.parametrize(
    ("channels", "labels", "found"),
    [
        (["GFP", "DAPI"], None, "DAPI"),
        (["Channel1", "Channel2"], {"Channel1": "gfp", "Channel2": "dna"}, "Channel2"),
        (["OrigER", "OrigDNA", "OrigRNA"], None, "OrigDNA"),
        (["RNA", "Hoechst 33342"], None, "Hoechst 33342"),
        (["HOECHST-33342", "Alexa 488"], None, "HOECHST-33342"),
        (["nucleoli", "nuclei"], None, "nuclei"),
        (["DRAQ5", "x"], None, "DRAQ5"),
        (["cDNA-ish", "w1"], None, "cDNA-ish"),
        (["Channel1", "Channel2"], None, None),
        (["RNA", "ER", "AGP", "Mito"], None, None),
        ([], None, None),
    ],
)
def test_nuclear_channel_is_told_from_names_and_labels(
    channels: list[str], labels: dict[str, str] | None, found: str | None
) -> None:
    assert find_nuclear_channel(channels, labels) == found


def test_bbbc013_counts_are_plausible_in_every_group(shared_data: Path) -> None:
    def count(well: str) -> int:
        (path,) = (shared_data / "bbbc013").glob(f"Channel2-*-{well[0]}-{well[1:]}.tif")
        return int(segment_nuclei(tifffile.imread(path)).max())

    counts = {well: count(well) for well in ("A02", "D01", "B12", "D12", "E01", "F02")}
    assert all(120 <= n <= 320 for n in counts.values()), counts


def test_nf1_nuclei_agree_with_the_published_masks(shared_data: Path) -> None:
    folder = shared_data / "cell_painting" / "NF1_plate2"
    mask = tifffile.imread(folder / "Plate_2_masks" / "D6_01_1_2_DAPI_001_MaskNuclei.tiff") > 0
    found = segment_nuclei(tifffile.imread(folder / "Plate_2_images" / "D6_01_1_2_DAPI_001.tif")) > 0
    assert 2 * (mask & found).sum() / (mask.sum() + found.sum()) > 0.85


def test_a_bbbc013_field_takes_little_time(shared_data: Path) -> None:
    image = tifffile.imread(next((shared_data / "bbbc013").glob("Channel2-*-C-05.tif")))
    segment_nuclei(image)
    spent = []
    for _ in range(3):
        start = time.process_time()
        segment_nuclei(image)
        spent.append(time.process_time() - start)
    # 0.2 s when written; the slack is for slow runners
    assert min(spent) < 1.0


def test_importing_the_room_loads_nothing_heavy() -> None:
    code = (
        "import sys, napari_phenolens.cells; print([m for m in ('skimage','scipy','torch','zarr') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
