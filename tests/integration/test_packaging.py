"""What is installed: the manifest is found in editable and in wheel installs, and nothing is missing."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

FOUND = """
import sys
sys.path.insert(0, {path!r})
import napari_phenolens
from npe2 import PluginManager
manager = PluginManager()
manager.discover()
manifest = manager.get_manifest("napari-phenolens")
print(napari_phenolens.__file__, manifest.name, manifest.display_name, sep="\\n")
"""


def discovered(path: Path) -> list[str]:
    """Let npe2 find the plugin in a fresh process that looks first at this folder."""
    done = subprocess.run(
        [sys.executable, "-c", FOUND.format(path=str(path))], capture_output=True, text=True, check=False, cwd=path
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def wheel(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as a release does, but with the build tools at hand: no network is needed."""
    out = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(repo)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_wheel_holds_everything(wheel: Path, repo: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        manifest = archive.read("napari_phenolens/napari.yaml")
    tracked = subprocess.run(
        ["git", "ls-files", "src/napari_phenolens"], cwd=repo, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    missing = [name for name in tracked if (repo / name).exists() and name.removeprefix("src/") not in sizes]
    assert not missing
    assert manifest == (repo / "src" / "napari_phenolens" / "napari.yaml").read_bytes()
    assert manifest.startswith(b"name: napari-phenolens")
    assert "napari_phenolens/py.typed" in sizes
    assert any(name.endswith(".safetensors") for name in sizes), "no encoder weights"
    assert any(name.startswith("napari_phenolens/demo/") and not name.endswith(".py") for name in sizes), "no demo data"
    assert not [name for name in sizes if "__pycache__" in name]
    assert wheel.stat().st_size < 25e6


def test_manifest_is_found_in_a_wheel_install(wheel: Path, tmp_path: Path) -> None:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--target",
            str(tmp_path),
            str(wheel),
        ],
        check=True,
    )
    where, name, _ = discovered(tmp_path)
    assert Path(where).is_relative_to(tmp_path)
    assert name == "napari-phenolens"


def test_manifest_is_found_in_the_editable_install(repo: Path, tmp_path: Path) -> None:
    try:
        editable = "editable" in (distribution("napari-phenolens").read_text("direct_url.json") or "")
    except PackageNotFoundError:
        editable = False
    if not editable:
        pytest.skip("napari-phenolens is not installed in editable mode here (pip install -e .)")
    where, name, display_name = discovered(tmp_path)
    assert Path(where).is_relative_to(repo / "src")
    assert (name, display_name) == ("napari-phenolens", "PhenoLens")


def test_both_manifests_are_one(repo: Path) -> None:
    root, packaged = repo / "napari.yaml", repo / "src" / "napari_phenolens" / "napari.yaml"
    # Where git has no links (Windows without core.symlinks), the link is a file that holds its target.
    same = root.read_bytes() == packaged.read_bytes()
    assert same or root.read_text().strip() == "src/napari_phenolens/napari.yaml"
    assert not packaged.is_symlink()


def test_manifest_is_valid_and_its_commands_exist(repo: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "npe2", "validate", str(repo / "src" / "napari_phenolens" / "napari.yaml"), "--imports"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_version_is_one(repo: Path) -> None:
    from napari_phenolens import __version__

    assert f"version: {__version__}\n" in (repo / "CITATION.cff").read_text()
    assert f"## [{__version__}]" in (repo / "CHANGELOG.md").read_text()
