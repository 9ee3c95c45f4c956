"""Names of encoders with options: ``timm:vit_small_patch16_dinov3?tile=224&channels=triple``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from napari_phenolens.encoders.errors import EncoderError


def split_name(name: str) -> tuple[str, dict[str, str]]:
    """Take a name apart.

    Parameters
    ----------
    name : str
        What stands before ``?`` names the encoder; after it stand options, ``key=value`` joined by ``&``.

    Returns
    -------
    base : str
        The encoder.
    options : dict of str
        The options, as they were written.

    Raises
    ------
    EncoderError
        Where an option has no value or stands twice.
    """
    base, _, text = name.strip().partition("?")
    options: dict[str, str] = {}
    for part in text.split("&") if text else []:
        key, sign, value = part.partition("=")
        if not (key and sign and value) or key in options:
            raise EncoderError(f"{name!r}: options are written ?key=value&key=value, each once; {part!r} is not")
        options[key] = value
    return base, options


def join_name(base: str, options: Mapping[str, str]) -> str:
    """Give the one spelling of an encoder with options: in the order of their keys."""
    text = "&".join(f"{key}={options[key]}" for key in sorted(options))
    return f"{base}?{text}" if text else base


def no_options(name: str) -> str:
    """Give the name of an encoder that takes no options; refuse any."""
    base, options = split_name(name)
    if options:
        raise EncoderError(f"{base} takes no options; leave ?{'&'.join(options)} out")
    return base


def one_of(name: str, key: str, value: str, choices: Sequence[str]) -> str:
    """Give an option's value where it is one of the choices."""
    if value not in choices:
        raise EncoderError(f"{name!r}: {key} is one of {', '.join(choices)}, not {value!r}")
    return value


def a_number(name: str, key: str, value: str) -> int:
    """Give an option's value as a positive whole number."""
    if not value.isdecimal() or int(value) < 1:
        raise EncoderError(f"{name!r}: {key} is a whole number of 1 or more, not {value!r}")
    return int(value)
