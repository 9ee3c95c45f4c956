"""timm beside Mesa: Triton is kept out where its LLVM would bring the process down, and only there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

IN_VIEWER = """
import numpy as np
import napari
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=True)
viewer.add_image(np.zeros((32, 32), np.float32))
for _ in range(50):
    QApplication.processEvents()
import threading
def work():
    from napari_phenolens.encoders import load_encoder
    encoder = load_encoder("camae-micro", device="cpu")
    print("tokens", encoder.tokens(np.zeros((1, 2, 128, 128), np.float32)).shape)
thread = threading.Thread(target=work)
thread.start()
thread.join()
viewer.close()
print("alive")
"""


def test_triton_is_kept_out_beside_mesas_llvm_alone(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from napari_phenolens.encoders.timm_door import keep_triton_out
sys.modules.pop("triton", None)
maps = Path(sys.argv[1])
print(keep_triton_out(maps / "missing"), keep_triton_out(maps / "without"), keep_triton_out(maps / "with"))
try:
    import triton
except ImportError:
    print("not imported")
"""
    (tmp_path / "without").write_text("7f00-7f01 r-xp 00000000 08:01 12 /usr/lib/libGL.so.1\n")
    (tmp_path / "with").write_text("7f00-7f01 r-xp 00000000 08:01 12 /usr/lib/x86_64-linux-gnu/libLLVM-15.so.1\n")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["False False True", "not imported"]


@pytest.mark.gl
def test_an_encoder_is_loaded_in_a_thread_of_a_viewer() -> None:
    """A fresh process, as a user's: the canvas is there before torch is."""
    done = subprocess.run([sys.executable, "-c", IN_VIEWER], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    assert "tokens (1, 2, 16, 16, 192)" in done.stdout
    assert "alive" in done.stdout
