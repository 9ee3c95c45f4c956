"""One thread budget for torch, our own pools, readers and numba."""

from __future__ import annotations

import os


def budget() -> int:
    """Give the number of threads that heavy work may use.

    Returns
    -------
    int
        ``PHENOLENS_THREADS`` where it is set, else the cores this process may run on.

    Raises
    ------
    ValueError
        Where ``PHENOLENS_THREADS`` is no positive whole number.
    """
    wanted = os.environ.get("PHENOLENS_THREADS")
    if wanted is not None:
        if not wanted.isdigit() or int(wanted) < 1:
            raise ValueError(f"PHENOLENS_THREADS is {wanted!r}; set it to a whole number of 1 or more, or unset it")
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)
