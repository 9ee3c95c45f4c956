"""How long work reports its progress and is asked to stop; this module imports nothing of the package but errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from napari_phenolens.errors import Cancelled


@dataclass(frozen=True)
class Progress:
    """One report of a long job.

    Attributes
    ----------
    stage : str
        What is being done, e.g. ``"encode"``.
    done, total : int
        Units of work finished and in all (0 where the total is unknown).
    message : str
        A short line for people.
    eta : float or None
        Estimated remaining seconds.
    """

    stage: str
    done: int
    total: int
    message: str = ""
    eta: float | None = None


ProgressCallback = Callable[[Progress], None]
CancelCallback = Callable[[], bool]


def check_cancelled(cancel: CancelCallback | None) -> None:
    """Raise `Cancelled` where the user has asked to stop."""
    if cancel is not None and cancel():
        raise Cancelled("cancelled; what was computed so far is kept")


def duration(seconds: float) -> str:
    """Give a time as people say it: ``45 s``, ``3 min``, ``2 h 10 min``."""
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
