"""How a command ends: one line for people, and an exit code for scripts."""

from __future__ import annotations

import functools
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ParamSpec, TypeVar

import typer

from napari_phenolens.errors import Cancelled, PhenoLensError

P = ParamSpec("P")
R = TypeVar("R")

WRONG_INPUT = 1
CANCELLED = 130


def one_line(text: object) -> str:
    """Give a message as one line."""
    return " ".join(str(text).split())


def warn(message: object) -> None:
    """Tell the user something that does not stop the work, on stderr."""
    typer.echo(f"phenolens: note: {one_line(message)}", err=True)


def this_command() -> str:
    """Give the command as it was typed, to be pasted into a shell."""
    return " ".join(map(quoted, ["phenolens", *sys.argv[1:]]))


def quoted(text: str) -> str:
    """Quote text for a shell; a query in its own single quotes gets double ones, as people type it."""
    return f'"{text}"' if "'" in text and not set(text) & set('"$`\\!') else shlex.quote(text)


def _show_warning(message: Warning | str, category: type[Warning], *_rest: object, **_more: object) -> None:
    # Ours are UserWarnings and speak to the user; those of libraries (deprecations and the like) speak to developers.
    if category is UserWarning:
        warn(message)


def exit_codes(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors of a command into one line on stderr and the exit codes of the command line.

    A mistake in the program itself is no wrong input: its traceback is shown as it is, to be reported.
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with warnings.catch_warnings():
                if not sys.warnoptions:
                    warnings.showwarning = _show_warning
                return command(*args, **kwargs)
        except PhenoLensError as error:
            typer.echo(f"phenolens: error: {one_line(error)}", err=True)
            raise typer.Exit(WRONG_INPUT) from error
        except BrokenPipeError:
            raise  # `phenolens ... | head` is no error: typer ends it quietly
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            typer.echo(f"phenolens: error: {where}{one_line(error.strerror or error)}", err=True)
            raise typer.Exit(WRONG_INPUT) from error
        except (Cancelled, KeyboardInterrupt) as error:
            typer.echo(
                f"phenolens: cancelled; what was computed is kept, go on with the same command: {this_command()}",
                err=True,
            )
            raise typer.Exit(CANCELLED) from error

    return wrapped


@contextmanager
def cancel_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C ask long work to stop at its next safe place, and the second stop it at once.

    Yields
    ------
    callable
        To be passed as ``cancel``: True once the user has pressed Ctrl-C.
    """
    asked = False

    def ask(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        typer.echo("phenolens: stopping after this batch (Ctrl-C again stops at once)", err=True)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
