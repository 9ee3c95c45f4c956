"""Which devices of this machine compute, and threads in which torch works alone."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

from napari_phenolens.encoders.registry import pick_device
from napari_phenolens.run.errors import RunError
from napari_phenolens.threads import budget

Device = str | Sequence[str]

POLITE = 5  # how much a background thread gives way to the viewer's, as `nice` counts

_starting = threading.Lock()
_mine = threading.local()


def resolve_devices(device: Device = "auto") -> tuple[str, ...]:
    """Give the devices that compute.

    Parameters
    ----------
    device : str or sequence of str
        ``auto`` (all CUDA devices of the machine, else MPS, else the CPU), ``cuda`` (all of them), ``cuda:1``, ``mps``,
        ``cpu``, or several: ``["cuda:0", "cuda:1"]`` or ``"cuda:0,cuda:1"``.

    Returns
    -------
    tuple of str
        Each once, in the order asked for.

    Raises
    ------
    EncoderError
        Where a device is not on this machine.
    RunError
        Where none is named, or the CPU beside others.
    """
    asked = [d.strip() for d in device.split(",")] if isinstance(device, str) else [d.strip() for d in device]
    found: list[str] = []
    for each in filter(None, asked):
        name = pick_device(each)
        found += [f"cuda:{i}" for i in range(torch.cuda.device_count())] if name == "cuda" else [name]
    unique = tuple(dict.fromkeys(found))
    if not unique:
        raise RunError("no device is named; give auto, cpu, cuda, cuda:0,cuda:1 or mps")
    if len(unique) > 1 and "cpu" in unique:
        raise RunError(f"the CPU is no help beside {', '.join(d for d in unique if d != 'cpu')}; name the GPUs alone")
    return unique


def alone() -> None:
    """Let torch compute in the calling thread alone; other threads keep the number that they have."""
    with _starting:
        # A thread takes torch's common number at its first question, and its own from then on. Setting it sets both;
        # the common one is put back from a thread of its own.
        torch.get_num_threads()
        common: list[int] = []
        _in_new_thread(lambda: common.append(torch.get_num_threads()))
        torch.set_num_threads(1)
        _in_new_thread(lambda: torch.set_num_threads(common[0]))
    _mine.alone = True


def stay_alone() -> None:
    """Do `alone` again in a thread that is to compute alone, after something else may have set torch's threads."""
    if getattr(_mine, "alone", False) and torch.get_num_threads() != 1:
        alone()


def _in_new_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def _begin() -> None:
    alone()
    if sys.platform == "linux":  # elsewhere a priority is the whole process's
        try:
            main = os.getpriority(os.PRIO_PROCESS, os.getpid())
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(19, main + POLITE))
        except OSError:
            return  # not allowed: then the system alone decides


def quiet_pool(threads: int, name: str) -> ThreadPoolExecutor:
    """Give a pool of threads that compute alone and give way to the viewer's thread."""
    return ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=_begin)


@lru_cache(maxsize=4)
def _workers(threads: int) -> ThreadPoolExecutor:
    return quiet_pool(threads, "phenolens-forward")


def workers() -> ThreadPoolExecutor:
    """Give the threads that forwards on the CPU are spread over, one for each of the thread budget."""
    return _workers(budget())
