"""What all tests share: where the shared data lies, and an environment that leaves the user's own files alone."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent

# Before anything of napari or Qt is imported: napari's settings, our caches and stores go to a place of their own.
_HOME = Path(tempfile.mkdtemp(prefix="phenolens-tests-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ.setdefault("NAPARI_CONFIG", str(_HOME / "napari" / "settings.yaml"))
os.environ["XDG_CACHE_HOME"] = str(_HOME / "cache")
os.environ["XDG_DATA_HOME"] = str(_HOME / "data")
os.environ["PHENOLENS_CONFIG"] = str(_HOME / "config")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

HAS_DISPLAY = sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
if not HAS_DISPLAY:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs OpenGL where there is no display; `tools/test.sh` brings one."""
    if HAS_DISPLAY and os.environ.get("QT_QPA_PLATFORM") != "offscreen":
        return
    skip = pytest.mark.skip(reason="needs a display with OpenGL: run `bash tools/test.sh`, or pytest under xvfb-run")
    for item in items:
        if "gl" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def repo() -> Path:
    """Give the root of the checkout."""
    return REPO


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Give the folder of public plates that some tests read; it is no part of the repository.

    Taken from PHENOLENS_SHARED_DATA, else from ``shared/data`` beside the checkout. Where the variable is set and the
    folder is missing, the test fails: a machine that says it has the data must have it.
    """
    told = os.environ.get("PHENOLENS_SHARED_DATA")
    folder = Path(told) if told else REPO.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    if told:
        pytest.fail(f"PHENOLENS_SHARED_DATA is {told}, and there is no such folder", pytrace=False)
    pytest.skip(f"the shared plates are not here: {folder} is missing (set PHENOLENS_SHARED_DATA to their folder)")


@pytest.fixture(scope="session")
def demo_with_cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the demo plate's finished run with its cells stored, a copy made once; tests only read it."""
    from napari_phenolens import add_cells, open_run
    from napari_phenolens.demo import demo_plate_path, demo_run_path

    demo_plate_path()
    folder = tmp_path_factory.mktemp("demo") / "run"
    add_cells(open_run(shutil.copytree(demo_run_path(), folder)))
    return folder
