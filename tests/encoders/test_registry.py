"""The list of encoders, names that are not in it, and encoders of other packages."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import napari_phenolens as ph
from napari_phenolens.cli.commands import app
from napari_phenolens.encoders import EncoderError, accept_licence, find_spec, list_encoders, load_encoder, memory
from napari_phenolens.encoders.plugins import GROUP

PLUGIN = """
from napari_phenolens.encoders import EncoderSpec
from napari_phenolens.encoders.camae_micro import CAMAEMicro

def spec(name="lab-net", available=lambda: True):
    return EncoderSpec(
        name=name, licence="MIT", description="of another package", channels="1-8", patch=8, tile=128, dim=192,
        blocks=6, parameters=1, weights="in lab-net", load=lambda w, device, block: CAMAEMicro(w, device, block),
        available=available,
    )

one = spec()
def many():
    return [spec("lab-net-2"), spec("lab-net")]
def taken():
    return spec("camae-micro")
def wrong():
    return "no spec"
def unwell():
    return spec("unwell", available=lambda: 1 / 0)
"""


@pytest.fixture
def other_package(tmp_path, monkeypatch):
    """Install a distribution with entry points, as far as Python is concerned."""

    def install(entries):
        (tmp_path / "lab_net.py").write_text(PLUGIN)
        info = tmp_path / "lab_net-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-net\nVersion: 1.0\n")
        lines = "\n".join(f"{k} = {v}" for k, v in entries.items())
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "lab_net", raising=False)

    return install


def test_the_list_names_what_people_ask_for():
    table = ph.encoders().set_index("name")
    assert {"camae-micro", "openphenom", "mae-l8", "mae-g8"} <= set(table.index)
    for family in ("dinov2", "dinov3", "mae", "siglip", "eva02", "hiera", "UNI"):
        assert any(name.startswith("timm:") and family in name for name in table.index)
    assert table.loc["openphenom", "parameters"] == 22_459_776 and table.loc["mae-g8", "dim"] == 1664
    assert bool(table.loc["camae-micro", "available"]) and not bool(table.loc["mae-l8", "available"])
    assert table["licence"].str.len().min() > 2 and not table.attrs["warnings"]


def test_one_encoder_is_told_of_by_name():
    table = list_encoders("timm:test_vit?tile=64")
    assert list(table["name"]) == ["timm:test_vit.r160_in1k?tile=64"]
    assert (table.loc[0, "dim"], table.loc[0, "patch"], table.loc[0, "tile"]) == (64, 16, 64)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("openphenon", r"did you mean openphenom\?"),
        ("dinov3", "did you mean timm:vit_small_patch16_dinov3"),
        ("nothing-like-it", "there are: camae-micro, openphenom"),
        ("camae-micro?tile=64", "camae-micro takes no options"),
        ("timm:vit_smal_patch16_224", "near it: timm:vit_small_patch16_224"),
    ],
)
def test_unknown_names_say_what_comes_near(name, text):
    with pytest.raises(EncoderError, match=text):
        find_spec(name)


def test_other_packages_bring_encoders(other_package):
    other_package({"one": "lab_net:one", "two": "lab_net:many"})
    table = list_encoders()
    assert [n for n in table["name"] if n.startswith("lab")] == ["lab-net", "lab-net-2"]
    (warning,) = table.attrs["warnings"]
    assert "'two' of lab-net" in warning and "'lab-net', a name that is taken" in warning
    encoder = load_encoder("lab-net-2", device="cpu", block=2)
    assert encoder.tokens(np.zeros((1, 1, 128, 128), np.float32)).shape == (1, 1, 16, 16, 192)


def test_broken_plug_ins_are_named_and_break_nothing(other_package):
    other_package(
        {
            "gone": "lab_net:not_there",
            "missing": "no_such_module:x",
            "taken": "lab_net:taken",
            "unwell": "lab_net:unwell",
            "well": "lab_net:one",
            "wrong": "lab_net:wrong",
        }
    )
    table = list_encoders()
    assert "lab-net" in set(table["name"]) and list(table["name"]).count("camae-micro") == 1
    said = " ".join(table.attrs["warnings"])
    for name in ("'gone'", "'missing'", "'taken'", "'unwell'", "'wrong'"):
        assert name in said
    assert "'well'" not in said and "ModuleNotFoundError" in said
    with pytest.raises(EncoderError, match="'missing' of lab-net is broken"):
        find_spec("nothing-like-it")
    done = CliRunner().invoke(app, ["encoders"])
    assert done.exit_code == 0 and "lab-net" in done.stdout and "'missing' of lab-net is broken" in done.stderr


def test_the_command_lists_and_tells(monkeypatch, tmp_path):
    done = CliRunner().invoke(app, ["encoders", "--json"])
    assert done.exit_code == 0
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["openphenom"]["parameters"] == 22_459_776 and rows["camae-micro"]["available"] is True
    assert rows["timm:vit_small_patch14_reg4_dinov2.lvd142m"]["tile"] is None
    assert CliRunner().invoke(app, ["encoders", "--fetch"]).exit_code == 2
    assert CliRunner().invoke(app, ["encoders", "openphenon"]).exit_code == 1


def test_the_command_shows_the_licence_and_takes_the_acceptance(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setenv("PHENOLENS_CONFIG", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    first = CliRunner().invoke(app, ["encoders", "openphenom", "--fetch"])
    assert first.exit_code == 1 and "Recursion non-commercial" in first.stderr and "LICENSE" in first.stderr
    then = CliRunner().invoke(app, ["encoders", "openphenom", "--fetch", "--accept-licence"])
    assert "accepted, the licence of openphenom" in then.stderr
    assert then.exit_code == 1 and "out of reach" in then.stderr  # there is no network here
    assert "openphenom" not in accept_licence("timm:vit_small_patch8_224.dino")
    assert list(json.loads(memory.config_file().read_text())["accepted"]) == ["recursionpharma/OpenPhenom"]
    with pytest.raises(EncoderError, match="no licence has to be accepted"):
        accept_licence("camae-micro")
