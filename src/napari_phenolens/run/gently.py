"""Loading torch and working with it beside a window that must go on: without holding the interpreter for long.

Two things would hold up every other thread of the process, each for a third of a second on a slow machine: the dynamic
loader, which Python calls with its lock held while it links torch's libraries; and the cyclic garbage collector, which
walks over all objects (torch, timm and napari have a million) again and again while modules are imported.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

_lock = Lock()
_inside = 0
_ours = False  # whether nobody else keeps objects from the collector


@contextmanager
def gently() -> Iterator[None]:
    """Load torch, and work with it, so that other threads of the process go on meanwhile.

    While somebody is inside, the collector passes over the objects that were there before; what was garbage among them
    is found once the last one has left.
    """
    global _inside, _ours
    with _lock:
        _inside += 1
        if _inside == 1:
            _ours = gc.get_freeze_count() == 0
            was_on = gc.isenabled()
            gc.disable()
            try:
                _load()
                gc.freeze()  # before the collector is on again: it would begin with all that was imported
            finally:
                if was_on:
                    gc.enable()
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _ours:
                gc.unfreeze()


def _load() -> None:
    """Import the engine, its libraries linked before and without the interpreter's lock."""
    if "torch" not in sys.modules:
        _link()
        import napari_phenolens.run.job  # noqa: F401 - and torch with it


def _link() -> None:
    """Link torch's libraries by a foreign call, which lets go of the lock; Windows does so by itself.

    In the order and with the flags of torch's own import, which then finds them linked. What goes wrong here is left
    for that import to say.
    """
    spec = find_spec("torch")
    if os.name != "posix" or spec is None or spec.origin is None:
        return
    folder = Path(spec.origin).parent
    try:
        link = ctypes.CDLL(None).dlopen
    except (AttributeError, OSError):
        return
    link.restype, link.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
    for pattern, flags in (
        ("lib/libtorch_global_deps.*", os.RTLD_GLOBAL | os.RTLD_LAZY),
        ("_C.*.so", os.RTLD_LOCAL | os.RTLD_NOW),
    ):
        for file in folder.glob(pattern):
            link(os.fsencode(file), flags)
