"""``phenolens demo``: the whole way, as README's first command goes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, without a network or a screen."""
    environment = {k: v for k, v in os.environ.items() if k != "DISPLAY"} | {"HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "napari_phenolens.cli", "demo", str(folder), *options],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Run the demo once; gives its folder and its findings by what was planted."""
    folder = tmp_path_factory.mktemp("demo")
    done = demo(folder, "--json")
    assert done.returncode == 0, done.stderr
    return folder, {row["planted"]: row for row in json.loads(done.stdout)["rows"]}


@pytest.mark.slow
@pytest.mark.torch
def test_planted_phenotypes_lead(told: tuple[Path, dict[str, Any]]) -> None:
    _, found = told
    for name in ("translocation", "nuclear size", "actin texture"):
        first = found[name]["leading"][0]
        assert first["leading"] == "feature"
        assert max(first["auroc"], 1 - first["auroc"]) >= 0.95, (name, first)
    lost = found["cell loss"]["leading"]
    assert lost[0]["count_linked"]
    assert lost[-1]["name"] in ("cell_count", "foreground_share")


@pytest.mark.slow
@pytest.mark.torch
def test_demo_leaves_everything_where_it_says(told: tuple[Path, dict[str, Any]]) -> None:
    folder, found = told
    for name in found:
        stem = name.replace(" ", "-")
        assert (folder / "tables" / f"{stem}.csv").stat().st_size > 1000
        assert len(list((folder / "heatmaps").glob(f"{stem}_feature*.tif"))) == 2
        assert len(list((folder / "heatmaps").glob(f"{stem}_feature*.png"))) == 1
    files = {path: path.stat().st_mtime_ns for part in ("run", "demo-plate") for path in (folder / part).rglob("*")}
    again = demo(folder)
    assert again.returncode == 0, again.stderr
    assert "is complete; nothing was computed again" in again.stdout
    assert f"napari --plugin napari-phenolens {folder / 'run'}" in again.stdout
    assert "Traceback" not in again.stderr
    assert all(
        path.stat().st_mtime_ns == before for path, before in files.items() if path.is_file() and path.name != ".lock"
    )
