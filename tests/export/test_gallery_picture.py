"""Channels' looks and the gallery as a picture, from Python and from the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import viewer_fakes

from napari_phenolens.analysis import gallery
from napari_phenolens.export import (
    ExportError,
    channel_look,
    crop_picture,
    export_gallery,
    gallery_picture,
    plate_looks,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = viewer_fakes.write_plate(tmp_path_factory.mktemp("plate") / "p", rows=2, columns=3)
    return viewer_fakes.FakeRun(folder, folder)


def test_every_colour_is_the_one_that_napari_shows() -> None:
    from napari.utils.colormaps import ensure_colormap

    used = {*channel_look._CYCLE, *(colour for _, colour in channel_look._BY_NAME), "gray"}
    assert set(channel_look.RGB) == used
    for name, colour in channel_look.RGB.items():
        shown = ensure_colormap(name)
        assert shown.name == name
        np.testing.assert_allclose(shown.map([1.0])[0, :3], colour, atol=1e-3)


def test_channels_add_up_within_their_limits() -> None:
    pixels = np.array([[[0, 50, 100, 200]], [[10, 10, 10, 20]]], dtype=np.uint16)
    shown = channel_look.blend(pixels, [(0, 1, 0), (1, 0, 1)], [(0, 100), (10, 20)])
    assert shown.tolist() == [[[0, 0, 0], [0, 128, 0], [0, 255, 0], [255, 255, 255]]]


def test_a_crop_is_drawn_in_its_colours_with_its_outline(run: Any) -> None:
    crop = gallery(run, 3, count=1, size=24)[0]
    looks = plate_looks(run.plate(), run.controls)
    assert set(looks) == {"DNA", "GFP"} and looks["GFP"][0] == (0, 1, 0)
    plain = crop_picture(crop, looks, outline=None)
    expected = channel_look.blend(
        crop.pixels, [looks[c][0] for c in crop.channels], [looks[c][1] for c in crop.channels]
    )
    np.testing.assert_array_equal(plain, expected)
    drawn = crop_picture(crop, looks, times=3)
    assert drawn.shape == (72, 72, 3)
    orange = (drawn == np.array([0xF0, 0x9E, 0x0D])).all(-1)
    (y0, x0), (y1, x1) = crop.outline()[0]
    assert orange[min(round((y0 + y1) * 1.5), 71), min(round((x0 + x1) * 1.5), 71)]
    one = crop_picture(crop, {"DNA": ((1, 1, 1), looks["DNA"][1])}, outline=None)
    assert (one[..., 0] == one[..., 1]).all()


def test_the_command_gives_what_python_gives(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import napari_phenolens
    from napari_phenolens.cli import main

    monkeypatch.setattr(napari_phenolens, "open_run", lambda _path: run)

    def phenolens(*args: object) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        assert not ended.value.code
        return capsys.readouterr().out

    out = tmp_path / "g.png"
    rows = json.loads(phenolens("gallery", "RUN", "--feature", 3, "--count", 4, "--out", out, "--json"))
    crops = gallery(run, 3, count=4)
    assert [(r["well"], r["side"], r["value"], r["y"], r["x"]) for r in rows] == [
        (c.well, c.side, c.value, *c.at) for c in crops
    ]
    roles = dict.fromkeys(run.controls, "control")
    title = f"F3, {run.plate_name}"
    assert out.read_bytes() == gallery_picture(crops, plate_looks(run.plate(), run.controls), title=title, roles=roles)
    from PIL import Image

    with Image.open(io.BytesIO(out.read_bytes())) as picture:
        assert picture.format == "PNG" and picture.width > 300
    table = napari_phenolens.similar_features(run, 3, count=2)
    said = json.loads(phenolens("similar", "RUN", "--feature", 3, "--count", 2, "--json"))
    assert [row["feature"] for row in said["rows"]] == table.index.tolist()
    assert [row["cosine"] for row in said["rows"]] == table["cosine"].tolist()
    assert said["patches"] == table.attrs["patches"]


def test_what_cannot_be_written(run: Any, tmp_path: Path) -> None:
    crops = gallery(run, 3, count=1)
    with pytest.raises(ExportError, match=r"ends in \.png"):
        export_gallery(crops, tmp_path / "g.jpg", {})
    with pytest.raises(ExportError, match="active nowhere"):
        export_gallery([], tmp_path / "g.png", {})
    with pytest.raises(ExportError, match="no channel 'RNA'"):
        plate_looks(run.plate(), run.controls, ["RNA"])
