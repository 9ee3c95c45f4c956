"""The command line: ``phenolens``.

Every command gets its numbers from the public functions of `napari_phenolens`, so that they are those of Python and of
the layers in napari. What is heavy is imported inside the commands: ``phenolens --help`` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with 0 (done), 1 (wrong input), 2 (usage) or 130 (cancelled).

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the command's name; those of the process by default.

    Raises
    ------
    SystemExit
        Always, with the exit code.
    """
    from napari_phenolens.cli.commands import app

    app(args=None if argv is None else list(argv), prog_name="phenolens")
