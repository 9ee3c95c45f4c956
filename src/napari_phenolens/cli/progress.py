"""Progress of long work on the command line: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from napari_phenolens.progress import duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from napari_phenolens.progress import Progress, ProgressCallback

EVERY = 10.0  # seconds between plain lines


class Remaining:
    """The remaining time of each stage: what the work says, else from the speed since its first report.

    A resumed stage starts with work done already, so that only what was done since counts.
    """

    def __init__(self) -> None:
        self._first: dict[str, tuple[float, int]] = {}

    def __call__(self, report: Progress) -> float | None:
        """Give the remaining seconds of the stage of this report, or None where they can't be told yet."""
        now = time.monotonic()
        if report.stage not in self._first:  # the first step warms up (imports, compiling), and tells nothing
            self._first[report.stage] = (now, report.done)
            return None
        start, done_before = self._first[report.stage]
        if report.eta is not None:
            return report.eta
        done = report.done - done_before
        if report.total <= 0 or done <= 0:
            return None
        return (now - start) / done * (report.total - report.done)


class PlainLines:
    """A line when a stage begins and ends, and one every ten seconds between."""

    def __init__(self) -> None:
        self._remaining = Remaining()
        self._said: dict[str, float] = {}
        self._ended: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, report: Progress) -> None:
        """Print the report where its time has come."""
        with self._lock:
            left = self._remaining(report)
            now = time.monotonic()
            ended = 0 < report.total <= report.done
            due = report.stage not in self._said or now - self._said[report.stage] >= EVERY
            if report.stage in self._ended or not (due or ended):
                return
            self._said[report.stage] = now
            if ended:
                self._ended.add(report.stage)
            typer.echo(_plain(report, None if ended else left), err=True)


def _plain(report: Progress, left: float | None) -> str:
    line = report.stage
    if report.total > 0:
        line += f" {report.done}/{report.total} ({100 * report.done / report.total:.0f} %)"
    if left is not None:
        line += f", {duration(left)} left"
    return f"{line}: {report.message}" if report.message else line


class TerminalBars:
    """One bar a stage, drawn by rich."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._remaining = Remaining()
        self._lock = threading.Lock()

    def __call__(self, report: Progress) -> None:
        """Move the bar of the report's stage."""
        with self._lock:
            left = self._remaining(report)
            if report.stage not in self._tasks:
                self._tasks[report.stage] = self._bars.add_task(report.stage, total=None, left="", message="")
            ended = 0 < report.total <= report.done
            self._bars.update(
                self._tasks[report.stage],
                completed=report.done,
                total=report.total or None,
                left="" if ended or left is None else f"{duration(left)} left",
                message=report.message,
            )


@contextmanager
def show_progress(console: Console) -> Iterator[ProgressCallback]:
    """Show the reports of long work until the block ends.

    Parameters
    ----------
    console : rich.console.Console
        Where to draw; plain lines go to stderr where it is no terminal.

    Yields
    ------
    callable
        To be passed as ``progress``; may be called from any thread.
    """
    if not console.is_terminal:
        yield PlainLines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("[dim]{task.fields[message]}"),
    )
    with Bars(*columns, console=console) as bars:
        yield TerminalBars(bars)
