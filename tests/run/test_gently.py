"""Torch loaded beside a thread that must go on; the collector as it was before."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import pytest

from napari_phenolens.run.gently import gently


def test_the_collector_is_as_it_was() -> None:
    pytest.importorskip("torch")
    frozen = gc.get_freeze_count()
    with gently():
        outer = gc.get_freeze_count()
        with gently():
            assert gc.isenabled()
            assert gc.get_freeze_count() >= outer > frozen
        assert gc.get_freeze_count() == outer
    assert gc.get_freeze_count() == 0
    assert gc.isenabled()


def test_an_error_inside_ends_it_too() -> None:
    with pytest.raises(ValueError, match="in the middle"), gently():
        raise ValueError("in the middle")
    assert gc.get_freeze_count() == 0


def test_torch_is_there_and_works_in_a_fresh_process() -> None:
    code = (
        "import gc, sys, threading\n"
        "from napari_phenolens.run.gently import gently\n"
        "assert 'torch' not in sys.modules\n"
        "def work():\n"
        "    with gently():\n"
        "        import torch\n"
        "        print(float(torch.ones(3).sum()), gc.isenabled())\n"
        "thread = threading.Thread(target=work)\n"
        "thread.start(), thread.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert (done.returncode, done.stdout.split()) == (0, ["3.0", "True"]), done.stderr
