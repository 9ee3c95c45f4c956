"""Which channel shows the nuclei, told from its name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# most telling first; an RNA stain may name the nucleoli, which is no nuclear stain
_STAINS = (
    r"dna",
    r"dapi",
    r"hoechst",
    r"h\s*-?\s*33342",
    r"draq\s*-?\s*[57]",
    r"nuclear",
    r"nuclei",
    r"nucleus",
    r"nuc(?!leol)",
    r"h2b",
    r"histone",
    r"sytox",
    r"to-?pro-?3",
)
_WORDS = tuple(re.compile(rf"(?<![a-z]){stain}", re.IGNORECASE) for stain in _STAINS)


def find_nuclear_channel(channels: Sequence[str], labels: Mapping[str, str] | None = None) -> str | None:
    """Find the channel that stains the nuclei by its name or label.

    Parameters
    ----------
    channels : sequence of str
        Channel names in their order.
    labels : mapping of str to str, optional
        Further names of channels, e.g. ``{"Channel2": "dna"}`` (`Plate.channel_labels`).

    Returns
    -------
    str or None
        The channel's name; None where no name tells. Where several match, the most telling stain wins, then the order.

    Examples
    --------
    >>> find_nuclear_channel(["Channel1", "Channel2"], {"Channel1": "gfp", "Channel2": "dna"})
    'Channel2'
    """
    names = [(channel, _split(f"{channel} {(labels or {}).get(channel, '')}")) for channel in channels]
    for word in _WORDS:
        for channel, name in names:
            if word.search(name):
                return channel
    return None


def _split(name: str) -> str:
    """Part camelCase ("OrigDNA") so that a stain's name starts a word."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
