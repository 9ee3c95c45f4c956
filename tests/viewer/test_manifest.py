"""The manifest: found, valid, every command importable, preferences read."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def manifest() -> Any:
    from npe2 import PluginManifest

    return PluginManifest.from_distribution("napari-phenolens")


def test_found_in_the_installation(manifest: Any) -> None:
    assert manifest.name == "napari-phenolens"
    assert manifest.display_name == "PhenoLens"


def test_root_and_package_are_one_file(repo: Path) -> None:
    assert (repo / "napari.yaml").read_bytes() == (repo / "src" / "napari_phenolens" / "napari.yaml").read_bytes()


def test_every_command_is_there(manifest: Any) -> None:
    for command in manifest.contributions.commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(importlib.import_module(module), name)), command.id


def test_what_it_contributes(manifest: Any) -> None:
    parts = manifest.contributions
    docks = ["PhenoLens", "PhenoLens charts", "PhenoLens cell", "PhenoLens feature"]
    assert [widget.display_name for widget in parts.widgets] == docks
    assert [sample.key for sample in parts.sample_data] == ["demo"]
    assert parts.readers[0].accepts_directories
    assert "*.phenolens.json" in parts.readers[0].filename_patterns
    known = {command.id for command in parts.commands}
    for action in ("open_session", "save_session", "copy_as_python", "next_feature", "previous_feature"):
        assert f"napari-phenolens.{action}" in known
    for action in ("toggle_heatmaps", "open_plate_map", "show_help", "open_dock", "open_charts_dock"):
        assert f"napari-phenolens.{action}" in known
    used = {
        *(w.command for w in parts.widgets),
        *(r.command for r in parts.readers),
        *(s.command for s in parts.sample_data),
    }
    assert used <= known


def test_npe2_finds_it_valid(repo: Path) -> None:
    from npe2 import PluginManifest

    made = PluginManifest.from_file(repo / "napari.yaml")
    made.validate_imports()


def test_the_dock_takes_its_viewer_by_the_name_that_napari_uses() -> None:
    import inspect

    from napari_phenolens.widgets.dock import PhenoLensDock

    assert list(inspect.signature(PhenoLensDock.__init__).parameters)[1] == "napari_viewer"


def test_preferences(plugin_settings: Any, npe2pm: Any, manifest: Any, repo: Path) -> None:
    from napari.settings import get_plugin_settings
    from npe2 import PluginManifest

    from napari_phenolens.viewer.settings import Preferences, preferences

    assert preferences() == Preferences()  # no plugin manager knows us yet
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(repo / "napari.yaml")):
        assert preferences() == Preferences()  # the manifest's defaults are ours
        stored = get_plugin_settings("napari-phenolens")
        stored.compute.device = "cpu"
        stored.display.opacity = 0.4
        assert preferences().device == "cpu"
        assert preferences().opacity == 0.4
