"""A plate, a run of it, and a viewer model with its workbench."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from viewer_fixtures import fakes, plate_folder, run_folder  # noqa: F401 - fixtures


@pytest.fixture
def bench() -> Iterator[Any]:
    """Give the workbench of a fresh viewer model."""
    from napari.components import ViewerModel

    from napari_phenolens.viewer.workbench import workbench_for

    viewer = ViewerModel()
    made = workbench_for(viewer)
    yield made
    made.close()
    assert made.jobs.wait(20)
    del viewer


@pytest.fixture
def opened(bench: Any, run_folder: Path) -> Any:  # noqa: F811 - the fixture
    """Give a workbench with the run open and compared."""
    bench.opening.run(run_folder)
    assert bench.jobs.wait(60)
    assert bench.session.problem is None, bench.session.problem
    return bench


@pytest.fixture
def settle() -> Callable[[Any], None]:
    """Give what waits for all jobs of a workbench."""

    def wait(bench: Any) -> None:
        assert bench.jobs.wait(60)

    return wait
