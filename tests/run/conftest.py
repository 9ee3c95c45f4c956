"""The small synthetic plate and a finished run of it."""

from __future__ import annotations

import pytest
from miniplate import NEGATIVE, SETTINGS, write_plate

from napari_phenolens.plate import open_plate


@pytest.fixture(scope="session")
def plate_folder(tmp_path_factory):
    return write_plate(tmp_path_factory.mktemp("plate") / "mini")


@pytest.fixture
def plate(plate_folder):
    return open_plate(plate_folder, plate_folder / "platemap.csv")


@pytest.fixture(scope="session")
def finished(plate_folder, tmp_path_factory):
    """A finished run, its plate and its token folder."""
    from napari_phenolens.run import run_plate

    folder = tmp_path_factory.mktemp("finished")
    mini = open_plate(plate_folder, plate_folder / "platemap.csv")
    return run_plate(mini, folder / "run", controls=NEGATIVE, tokens=folder / "tokens", **SETTINGS)
