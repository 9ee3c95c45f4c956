"""Downloads: behind the licence, with progress, stoppable, offline where that is asked for."""

from __future__ import annotations

import hashlib
import json

import pytest
from huggingface_hub import constants
from small_hub import SmallHub
from tiny_timm import make_weights

from napari_phenolens.encoders import (
    EncoderError,
    LicenceNotAcceptedError,
    accept_licence,
    fetch_weights,
    licence_of,
    load_encoder,
    memory,
)
from napari_phenolens.encoders.catalogue import OPENPHENOM_HUB
from napari_phenolens.encoders.hub import HubWeights
from napari_phenolens.errors import Cancelled

CONTENT = bytes(range(256)) * 4000  # a megabyte


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("PHENOLENS_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100_000)


@pytest.fixture
def online(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub = SmallHub({"lab/model/model.safetensors": CONTENT, "lab/old/pytorch_model.bin": CONTENT[:1000]})
    yield hub
    hub.stop()


def weights(repo="lab/model", licence="mit", **more):
    return HubWeights(repo, "model.safetensors", licence, f"https://example.org/{repo}", **more)


def test_a_file_is_downloaded_once_and_told_of(online):
    told = []
    path = weights().fetch("model", progress=told.append, endpoint=online.url)
    assert path.read_bytes() == CONTENT and weights().cached() == path
    assert {p.stage for p in told} == {"download"} and told[-1].done == told[-1].total == len(CONTENT)
    assert len(told) >= 10 and [p.done for p in told] == sorted({p.done for p in told})
    assert "model" in told[-1].message
    asked = len(online.asked)
    assert weights().fetch("model", endpoint=online.url) == path and len(online.asked) == asked
    assert constants.HF_HUB_DISABLE_XET is False  # put back


def test_a_download_is_stopped_and_leaves_nothing(online, tmp_path):
    told = []
    with pytest.raises(Cancelled, match="nothing of the weights of model is kept"):
        weights().fetch("model", progress=told.append, cancel=lambda: told[-1].done > 400_000, endpoint=online.url)
    assert 400_000 < told[-1].done < len(CONTENT) and weights().cached() is None
    left = [p for p in tmp_path.rglob("*") if p.is_file() and p.stat().st_size > 1000]
    assert not left
    assert weights().fetch("model", endpoint=online.url).read_bytes() == CONTENT


def test_a_licence_comes_first(online):
    asking = weights(licence="for looking only")
    with pytest.raises(LicenceNotAcceptedError, match=r"for looking only \(https://example.org/lab/model\)") as error:
        asking.fetch("model", endpoint=online.url)
    assert (error.value.encoder, error.value.licence) == ("model", "for looking only")
    assert "--accept-licence" in str(error.value) and not online.asked
    path = asking.fetch("model", accept_licence=True, endpoint=online.url)
    assert path.is_file()
    kept = json.loads(memory.config_file().read_text())
    assert kept["accepted"]["lab/model"]["licence"] == "for looking only" and kept["accepted"]["lab/model"]["date"]
    assert memory.is_accepted("lab/model", "for looking only")
    assert not memory.is_accepted("lab/model", "another licence") and not memory.is_accepted("lab/old", "mit")


def test_what_is_here_already_needs_no_acceptance(online):
    path = weights().fetch("model", endpoint=online.url)
    assert weights(licence="for looking only").fetch("model", endpoint=online.url) == path


def test_older_repositories_have_another_file(online):
    old = weights("lab/old", alternatives=("pytorch_model.bin",))
    assert old.fetch("old", endpoint=online.url).name == "pytorch_model.bin"
    assert old.cached() is not None
    with pytest.raises(EncoderError, match=r"lab/model has no other\.bin"):
        HubWeights("lab/model", "other.bin", "mit", "").fetch("model", endpoint=online.url)
    with pytest.raises(EncoderError, match="the download from lab/none failed"):
        weights("lab/none").fetch("none", endpoint=online.url)


def test_offline_says_how_to_go_on(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match=r"out of reach.*--weights FILE"):
        weights().fetch("model")
    with pytest.raises(LicenceNotAcceptedError, match="Recursion non-commercial"):
        load_encoder("openphenom", device="cpu")
    with pytest.raises(EncoderError, match="openphenom: its weights are not on this machine"):
        load_encoder("openphenom", device="cpu", accept_licence=True)
    assert memory.is_accepted(OPENPHENOM_HUB.repo, OPENPHENOM_HUB.licence)


def test_a_timm_model_comes_from_the_hub(online, tmp_path, monkeypatch):
    make_weights("tiny_mae", tmp_path / "made.safetensors")
    content = (tmp_path / "made.safetensors").read_bytes()
    online.files["nobody/tiny_mae.test/model.safetensors"] = content
    monkeypatch.setattr(constants, "ENDPOINT", online.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", online.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    with pytest.raises(LicenceNotAcceptedError, match=r"cc-by-nc-4\.0"):
        fetch_weights("timm:tiny_mae")
    encoder = load_encoder("timm:tiny_mae", device="cpu", accept_licence=True)
    assert encoder.sha256 == hashlib.sha256(content).hexdigest() and encoder.licence == "cc-by-nc-4.0"
    assert fetch_weights("timm:tiny_mae").read_bytes() == content


def test_a_licence_can_be_read_before_it_is_accepted(online, monkeypatch, capsys):
    from napari_phenolens.cli import main

    repo = OPENPHENOM_HUB.repo
    online.files |= {f"{repo}/LICENSE": b"the whole licence", "lab/model/README.md": b"license: mit"}
    assert weights().licence_text(online.url) == "license: mit"  # no licence file: the model card
    with pytest.raises(EncoderError, match=r"there is none.*read it at https://example.org/lab/old"):
        weights("lab/old").licence_text(online.url)
    monkeypatch.setattr(constants, "ENDPOINT", online.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", online.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    about = licence_of("openphenom")
    assert (about.name, about.url, about.source) == (
        OPENPHENOM_HUB.licence, OPENPHENOM_HUB.licence_url, OPENPHENOM_HUB.url,
    )  # fmt: skip
    assert about.asks and about.download and not about.here
    with pytest.raises(SystemExit) as ended:
        main(["encoders", "openphenom", "--licence"])
    said = capsys.readouterr().out
    assert ended.value.code == 0 and "the whole licence" in said and "--accept-licence" in said
    assert not memory.config_file().exists()
    accept_licence("openphenom")
    assert not licence_of("openphenom").asks
    own = licence_of("camae-micro")
    assert own.here and not own.asks and not own.download


def test_a_damaged_memory_is_named(tmp_path):
    memory.config_file().parent.mkdir()
    memory.config_file().write_text("[]")
    with pytest.raises(EncoderError, match=r"encoders\.json.*delete it"):
        memory.is_accepted("a", "b")


def test_weights_are_found_again_by_their_checksum(tmp_path):
    path = tmp_path / "mine.safetensors"
    make_weights("tiny_mae", path)
    encoder = load_encoder("timm:tiny_mae", weights=path, device="cpu")
    again = load_encoder(encoder.name, device="cpu", sha256=encoder.sha256)
    assert again.sha256 == encoder.sha256
    make_weights("tiny_mae", tmp_path / "other.safetensors", img_size=32)
    path.write_bytes((tmp_path / "other.safetensors").read_bytes())  # no longer what it was
    assert memory.remembered_weights(encoder.sha256) is None
    with pytest.raises(EncoderError, match=r"cc-by-nc-4\.0"):
        load_encoder(encoder.name, device="cpu", sha256=encoder.sha256)
