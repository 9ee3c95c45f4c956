"""The errors that every room shares; this module imports nothing of the package."""

from __future__ import annotations


class PhenoLensError(ValueError):
    """Bad input: the message names what, where, the cause and the way out."""


class Cancelled(Exception):  # noqa: N818 - a state the user asked for, no error
    """The user asked to stop; everything computed so far is on disk."""
