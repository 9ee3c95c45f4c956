"""What is typed on the command line, read into what the public functions take."""

from __future__ import annotations

import typer


def channels(text: str | None) -> dict[str, str] | list[str] | None:
    """Read ``GFP,DNA`` as a choice of channels, ``DNA=Channel2,GFP=Channel1`` as names given to them."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    pairs = [part.partition("=") for part in parts]
    named = [bool(sign) for _, sign, _ in pairs]
    if not all(name.strip() and (value.strip() or not sign) for name, sign, value in pairs) or len(set(named)) > 1:
        raise typer.BadParameter(
            f"{text!r} is neither a list of channels (GFP,DNA) nor names for them (DNA=Channel2,GFP=Channel1)"
        )
    if not named[0]:
        return parts
    mapping = {name.strip(): value.strip() for name, _, value in pairs}
    if len(mapping) < len(pairs):
        raise typer.BadParameter(f"{text!r} names a channel twice")
    return mapping


def position(text: str) -> tuple[float, float]:
    """Read ``Y,X`` in field pixels."""
    try:
        y, x = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no place in a field: give two numbers, Y,X in pixels") from None
    return y, x


def corners(text: str) -> list[tuple[float, float]]:
    """Read ``Y,X;Y,X;...``, the corners of a polygon in field pixels."""
    return [position(part) for part in text.split(";") if part.strip()]


def sparsity(text: str | None) -> tuple[int, int] | None:
    """Read ``J,L``: rounds, and atoms a round."""
    if text is None:
        return None
    try:
        rounds, per_round = (int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no sparsity: give two whole numbers, rounds and atoms a round, such as 10,2"
        ) from None
    return rounds, per_round
