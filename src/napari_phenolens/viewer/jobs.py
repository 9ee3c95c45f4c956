"""Work off the main thread: one heavy job at a time, newest light job of a kind wins, cancel at any time.

Worker threads put what they have into a queue; the main thread takes it out with `Jobs.pump` (a timer of the dock
calls it). So every callback, and with it every change of a layer or of the session, happens on the main thread.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from psygnal import Signal

from napari_phenolens.errors import Cancelled, PhenoLensError
from napari_phenolens.progress import Progress
from napari_phenolens.viewer.session import Problem

log = logging.getLogger(__name__)

Work = Callable[["Job"], Any]


class BusyError(PhenoLensError):
    """A heavy job runs already."""


@dataclass(eq=False)
class Job:
    """One piece of work, as the worker and the dock see it.

    Attributes
    ----------
    kind : str
        Newer light jobs of the same kind replace older ones.
    title : str
        What is being done, for people.
    heavy : bool
        Whether it holds the one place for heavy work.
    progress : Progress or None
        The last report that the main thread has seen.
    """

    kind: str
    title: str
    heavy: bool = False
    progress: Progress | None = None
    started: float = field(default_factory=time.monotonic)
    _cancel: threading.Event = field(default_factory=threading.Event)
    _latest: Progress | None = None

    def cancelled(self) -> bool:
        """Whether the user has asked to stop; hand this to the engine as ``cancel``."""
        return self._cancel.is_set()

    def report(self, progress: Progress) -> None:
        """Take a report from the worker; hand this to the engine as ``progress``. The newest one wins."""
        self._latest = progress

    def cancel(self) -> None:
        """Ask the worker to stop."""
        self._cancel.set()


@dataclass(frozen=True)
class _Ended:
    job: Job
    value: Any = None
    problem: Problem | None = None


class Jobs:
    """The jobs of one viewer."""

    started = Signal(Job)
    progressed = Signal(Job)
    ended = Signal(Job)
    failed = Signal(Job, Problem)
    arrived = Signal()  # a worker is done; sent from its thread, so that the main thread need not wait for its timer

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Ended] = SimpleQueue()
        self._callbacks: dict[Job, Callable[[Any], None] | None] = {}
        self._newest: dict[str, Job] = {}
        self._threads: dict[Job, threading.Thread] = {}

    @property
    def heavy(self) -> Job | None:
        """The heavy job that runs, if any."""
        return next((job for job in self._threads if job.heavy), None)

    @property
    def running(self) -> tuple[Job, ...]:
        """All jobs that run."""
        return tuple(self._threads)

    def start(
        self,
        kind: str,
        work: Work,
        done: Callable[[Any], None] | None = None,
        *,
        title: str = "",
        heavy: bool = False,
    ) -> Job:
        """Run ``work(job)`` in a thread and ``done(result)`` on the main thread.

        Parameters
        ----------
        kind : str
            A light job replaces an unfinished one of the same kind, whose result is dropped.
        work : callable
            Runs in the thread; must touch no layer and no widget.
        done : callable, optional
            Gets the result on the main thread, unless the job was cancelled, replaced or failed.
        title : str
            For people.
        heavy : bool
            Heavy work excludes other heavy work.

        Raises
        ------
        BusyError
            Where a heavy job runs already.
        """
        if heavy and self.heavy is not None:
            raise BusyError(f"{self.heavy.title} is still running; cancel it or wait for its end, then start again")
        older = self._newest.get(kind)
        if older is not None and not older.heavy:
            older.cancel()
        job = Job(kind, title or kind, heavy)
        self._newest[kind] = job
        self._callbacks[job] = done
        thread = threading.Thread(target=self._work, args=(job, work), name=f"phenolens-{kind}", daemon=True)
        self._threads[job] = thread
        thread.start()
        self.started.emit(job)
        return job

    def soon(self, action: Callable[[], None], wait: float = 0.08) -> Job:
        """Call ``action`` on the main thread a moment later, when the canvas has followed what was changed just now."""
        return self.start("soon", lambda _job: time.sleep(wait), lambda _none: action(), title="Fitting the view")

    def _work(self, job: Job, work: Work) -> None:
        self._queue.put(self._outcome(job, work))
        self.arrived.emit()

    @staticmethod
    def _outcome(job: Job, work: Work) -> _Ended:
        try:
            return _Ended(job, work(job))
        except Cancelled:
            job.cancel()
            return _Ended(job)
        except PhenoLensError as error:
            return _Ended(job, problem=Problem(job.title, str(error)))
        except Exception as error:  # the one boundary: a worker's error must reach the user
            log.exception("%s failed", job.title)
            text = f"{type(error).__name__}: {error}. This was not foreseen; the details help in a report."
            return _Ended(job, problem=Problem(job.title, text, traceback.format_exc()))

    def pump(self) -> bool:
        """Hand on what the workers have sent. Call it on the main thread.

        Returns
        -------
        bool
            Whether jobs still run.
        """
        for job in list(self._threads):
            if job._latest is not None and job._latest is not job.progress:
                job.progress = job._latest
                if not job.cancelled():
                    self.progressed.emit(job)
        while True:
            try:
                end = self._queue.get_nowait()
            except Empty:
                break
            self._finish(end)
        return bool(self._threads)

    def _finish(self, end: _Ended) -> None:
        job = end.job
        done = self._callbacks.pop(job, None)
        self._threads.pop(job, None)
        current = self._newest.get(job.kind) is job
        if current:
            del self._newest[job.kind]
        wanted = current and not job.cancelled()
        if wanted and end.problem is None and done is not None:
            done(end.value)
        self.ended.emit(job)
        if wanted and end.problem is not None:
            self.failed.emit(job, end.problem)

    def cancel(self, kind: str | None = None) -> bool:
        """Ask jobs to stop: those of a kind, or the heavy one and all others; returns whether any ran."""
        hit = [job for job in self._threads if kind is None or job.kind == kind]
        for job in hit:
            job.cancel()
        return bool(hit)

    def wait(self, timeout: float = 10.0) -> bool:
        """Pump until nothing runs (for tests, scripts and closing); False where the time was too short."""
        end = time.monotonic() + timeout
        while self.pump():
            if time.monotonic() > end:
                return False
            for thread in list(self._threads.values()):
                thread.join(0.01)
        return True
