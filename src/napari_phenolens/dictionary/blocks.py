"""Blocks of rows spread over our threads, with BLAS single-threaded inside them.

The blocks are a fixed function of the shapes, and each is computed by one thread, so no result depends on the number of
threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from napari_phenolens.errors import Cancelled
from napari_phenolens.progress import CancelCallback, check_cancelled
from napari_phenolens.threads import budget

Work = Callable[[int, int], None]

_POLL_SECONDS = 0.1  # how often a waiting caller asks whether to stop


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=threads, thread_name_prefix="phenolens-dictionary")


@lru_cache(maxsize=1)
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


_blas_lock = threading.Lock()
_blas_depth = 0
_blas_limiter: Any = None


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold numpy's BLAS at one thread; nests, also over threads (the last one out restores)."""
    global _blas_depth, _blas_limiter
    with _blas_lock:
        if _blas_depth == 0:
            _blas_limiter = _blas().limit(limits=1, user_api="blas")
        _blas_depth += 1
    try:
        yield
    finally:
        with _blas_lock:
            _blas_depth -= 1
            if _blas_depth == 0:
                _blas_limiter.restore_original_limits()
                _blas_limiter = None


def run_blocks(n: int, block: int, make_work: Callable[[], Work], cancel: CancelCallback | None = None) -> None:
    """Call ``work(lo, hi)`` for each block of ``range(n)``, over the thread budget.

    Parameters
    ----------
    n, block : int
        Rows in all, and rows a block.
    make_work : callable
        Called once a thread; gives that thread's ``work``, which may own scratch buffers.
    cancel : callable, optional
        Asked between blocks, always from the calling thread.

    Raises
    ------
    Cancelled
        Where `cancel` said so; some blocks are then not done.
    """
    starts = range(0, n, block)
    threads = min(budget(), len(starts))
    with single_threaded_blas():
        if threads <= 1:
            work = make_work()
            for lo in starts:
                check_cancelled(cancel)
                work(lo, min(lo + block, n))
            return
        todo = iter(starts)
        lock = threading.Lock()
        stop = threading.Event()

        def drain() -> None:
            work = make_work()
            while not stop.is_set():
                with lock:
                    lo = next(todo, None)
                if lo is None:
                    return
                work(lo, min(lo + block, n))

        pool = _pool(threads)
        futures = {pool.submit(drain) for _ in range(threads)}
        stopped = False
        pending = futures
        while pending:
            done, pending = wait(
                pending, timeout=None if cancel is None else _POLL_SECONDS, return_when=FIRST_EXCEPTION
            )
            if any(future.exception() is not None for future in done):
                stop.set()
            if cancel is not None and not stopped and cancel():
                stopped = True
                stop.set()
        for future in futures:
            future.result()
        if stopped:
            raise Cancelled("cancelled; what was computed so far is kept")
