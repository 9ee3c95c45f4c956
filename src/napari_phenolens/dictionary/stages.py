"""Stages of a pursuit: which columns its rounds may pick from, and where it is fitted anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from napari_phenolens.dictionary.errors import DictionaryError

Select = Literal["signed", "absolute"]
Refit = Literal["none", "end"] | int


@dataclass(frozen=True)
class Stage:
    """Some rounds over the first so many columns, after which correlations are computed anew."""

    rounds: int
    columns: int


def check_select(select: str) -> None:
    """Refuse a selection rule that is none.

    Raises
    ------
    DictionaryError
        Where it is unknown.
    """
    if select not in get_args(Select):
        raise DictionaryError(f"select is {select!r}; choose one of {', '.join(get_args(Select))}")


def nested_levels(m: int) -> tuple[int, ...]:
    """Sizes of the nested dictionaries of m atoms: a sixteenth, a quarter, all (128 in 512 in 2,048)."""
    return tuple(sorted({max(1, m // 16), max(1, m // 4), m}))


def level_rounds(rounds: int, levels: int) -> tuple[int, ...]:
    """Share rounds out among levels: a quarter to each but the last, and at least one (5, 5, 10 of 20).

    Raises
    ------
    DictionaryError
        Where there are fewer rounds than levels.
    """
    if rounds < levels:
        raise DictionaryError(
            f"{rounds} rounds cannot be shared out among {levels} nested dictionaries; raise the first of sparsity"
        )
    each = max(1, rounds // 4) if levels > 1 else 0
    if each * (levels - 1) >= rounds:
        each = rounds // levels
    return (each,) * (levels - 1) + (rounds - each * (levels - 1),)


def stages(
    rounds: int, per_round: int, m: int, refit: Refit = "none", levels: Sequence[int] | None = None
) -> tuple[Stage, ...]:
    """Plan a pursuit.

    Raises
    ------
    DictionaryError
        Where `refit` or `levels` cannot be.
    """
    if levels is not None:
        sizes = [int(size) for size in levels]
        if not sizes or sizes[-1] != m or any(a >= b for a, b in pairwise(sizes)):
            raise DictionaryError(f"levels are {levels!r}; give growing numbers of atoms, the last being {m}")
        if sizes[0] < per_round:
            raise DictionaryError(
                f"the coarsest of the nested dictionaries has {sizes[0]} atoms; {per_round} are picked a round"
            )
        if refit != "none":
            raise DictionaryError("a nested dictionary is not refitted: its levels would no longer add up")
        return tuple(map(Stage, level_rounds(rounds, len(sizes)), sizes))
    if refit in ("none", "end"):
        return (Stage(rounds, m),)
    if isinstance(refit, bool) or not isinstance(refit, int) or refit < 1:
        raise DictionaryError(f"refit is {refit!r}; choose none, end, or a number of rounds")
    parts = [refit] * (rounds // refit) + ([rounds % refit] if rounds % refit else [])
    return tuple(Stage(part, m) for part in parts)
