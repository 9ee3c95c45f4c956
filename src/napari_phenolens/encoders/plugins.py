"""Encoders that other packages bring, through the entry points ``phenolens.encoders``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from napari_phenolens.encoders.catalogue import EncoderSpec

GROUP = "phenolens.encoders"


def plugin_specs(taken: Iterable[str]) -> tuple[list[EncoderSpec], list[str]]:
    """Give the encoders of other packages, and what is wrong with those that could not be taken.

    An entry point names an `EncoderSpec`, or a callable without arguments that gives one or several.

    Parameters
    ----------
    taken : iterable of str
        Names that are taken already.

    Returns
    -------
    specs : list of EncoderSpec
        In the order of the entry points' names.
    problems : list of str
        One sentence for each entry point that is broken, naming it and its package.
    """
    names, specs, problems = set(taken), [], []
    for point in _points(tuple(sys.path)):
        try:
            found = _specs_of(point)
        except Exception as error:  # foreign code may raise anything, and must not take the list with it
            problems.append(f"{_said(point)} is broken and left out ({type(error).__name__}: {error})")
            continue
        for spec in found:
            if spec.name in names:
                problems.append(f"{_said(point)} brings {spec.name!r}, a name that is taken; it is left out")
                continue
            names.add(spec.name)
            specs.append(spec)
    return specs, problems


@lru_cache(maxsize=1)
def _points(_path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Find the entry points once for a search path: it reads a file of every installed package, 0.1 s and more."""
    return tuple(sorted(entry_points(group=GROUP), key=lambda p: (p.name, p.value)))


def _specs_of(point: EntryPoint) -> list[EncoderSpec]:
    found = point.load()
    if callable(found) and not isinstance(found, EncoderSpec):
        found = found()
    many = [found] if isinstance(found, EncoderSpec) else list(found)
    for spec in many:
        if not isinstance(spec, EncoderSpec):
            raise TypeError(f"it gives a {type(spec).__name__}, not an EncoderSpec")
    return many


def _said(point: EntryPoint) -> str:
    package = point.dist.name if point.dist is not None else "an unknown package"
    return f"the encoder plug-in {point.name!r} of {package}"
