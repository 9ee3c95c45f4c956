"""The encoder that was used last, kept for the next field that is encoded again, and let go when nobody asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

Thing = TypeVar("Thing")

IDLE = 120.0  # seconds after the last use


class Kept(Generic[Thing]):
    """One thing at a time, made when it is asked for and forgotten when it lies idle; any thread may ask.

    Parameters
    ----------
    idle : float
        Seconds after which it is forgotten.
    """

    def __init__(self, idle: float = IDLE) -> None:
        self.idle = idle
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._held: tuple[Hashable, Thing] | None = None
        self._timer: threading.Timer | None = None

    def get(self, key: Hashable, make: Callable[[], Thing]) -> Thing:
        """Give what belongs to the key; what belonged to another one is forgotten."""
        with self._making:
            with self._lock:
                held = self._held
            if held is None or held[0] != key:
                self.forget()
                held = key, make()
            with self._lock:
                self._held = held
                self._wait()
            return held[1]

    def forget(self) -> None:
        """Let go of it."""
        with self._lock:
            self._held = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    @property
    def held(self) -> Hashable | None:
        """The key of what is held; None where nothing is."""
        with self._lock:
            return None if self._held is None else self._held[0]

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        timer = threading.Timer(self.idle, self._idle)
        timer.name, timer.daemon = "phenolens-kept_0", True
        with suppress(RuntimeError):  # the interpreter is ending: all is let go anyway
            timer.start()
        self._timer = timer

    def _idle(self) -> None:
        with self._lock:
            if threading.current_thread() is self._timer:  # else it was used while this one woke up
                self._held = self._timer = None
