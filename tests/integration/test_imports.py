"""Importing the package is light, and its public face is whole."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import napari_phenolens as ph

HEAVY = ("torch", "timm", "skimage", "scipy", "zarr", "numba", "sklearn", "imagecodecs")
PUBLIC = [
    "open_plate",
    "fit_lens",
    "apply_lens",
    "open_run",
    "estimate",
    "load_lens",
    "Lens",
    "compare",
    "heatmap",
    "explain",
    "encoders",
]


def in_fresh_process(code: str) -> str:
    """Run code in a Python of its own; gives what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "module",
    [
        "napari_phenolens",
        "napari_phenolens.cli",
        "napari_phenolens.cli.commands",
        "napari_phenolens.plate",
        "napari_phenolens.cells",
        "napari_phenolens.lens",
        "napari_phenolens.dictionary",
        "napari_phenolens.encoders",
        "napari_phenolens.run",
        "napari_phenolens.analysis",
        "napari_phenolens.export",
        "napari_phenolens.demo",
    ],
)
def test_imports_are_light(module: str) -> None:
    loaded = in_fresh_process(f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))")
    assert loaded == ""


def test_browsing_needs_neither_torch_nor_numba() -> None:
    browsing = ["open_plate", "open_run", "load_lens", "Lens", "compare", "heatmap", "explain", "encoders"]
    code = f"import sys, napari_phenolens as ph; [getattr(ph, name) for name in {browsing!r}]\n"
    assert in_fresh_process(code + "print(*sorted({'torch', 'timm', 'numba', 'sklearn'} & set(sys.modules)))") == ""


def test_comparing_a_finished_run_needs_neither_torch_nor_numba() -> None:
    code = (
        "import sys, napari_phenolens as ph\n"
        "from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED, demo_run_path\n"
        "run = ph.open_run(demo_run_path())\n"
        "table = ph.compare(run, DEMO_CONTROLS, DEMO_PERTURBED['translocation'])\n"
        "ph.heatmap(run, run.wells[0], None, int(table.index[0]))\n"
        "print(*sorted({'torch', 'timm', 'numba'} & set(sys.modules)))"
    )
    assert in_fresh_process(code) == ""


@pytest.mark.parametrize("name", PUBLIC)
def test_public_face(name: str) -> None:
    assert callable(getattr(ph, name))
    assert name in ph.__all__
    assert name in dir(ph)


@pytest.mark.parametrize(
    "before", ["", "import napari_phenolens.encoders", "from napari_phenolens.encoders import base"]
)
def test_encoders_is_a_room_and_a_function(before: str) -> None:
    code = f"{before}\nimport napari_phenolens as ph\nprint(*ph.encoders()['name'])\nimport napari_phenolens.encoders\n"
    assert "camae-micro" in in_fresh_process(code + "print(*ph.encoders()['name'])").split()


def test_no_such_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ph.nothing
    assert importlib.import_module("napari_phenolens") is ph
