"""Names of no known microscope: which of their parts is the well, the field, the channel, learnt from all names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from napari_phenolens.plate.layouts.file_names import Parsed, Parser, field_name, to_int
from napari_phenolens.plate.names import is_well, parse_well

_FIELD = re.compile(r"(?:f|s|site|field|fld|fov|pos|position|xy|p)(\d+)", re.IGNORECASE)
_Z = re.compile(r"z(?:step|plane|stack|slice)?(\d+)", re.IGNORECASE)
_T = re.compile(r"(?:t|tp|time|timepoint)(\d+)", re.IGNORECASE)
_CHANNEL = re.compile(r"(?:c|ch|chan|channel|w|wv|wave|wavelength)(\d+)", re.IGNORECASE)
_WORD = re.compile(
    r"f|s|site|field|fld|fov|pos|position|xy|z|t|time|timepoint|c|ch|chan|channel|w|wv|well", re.IGNORECASE
)
_STAIN = re.compile(
    r"dapi|hoechst.*|h33342|draq.*|dna|nuc.*|e?gfp|[rycmb]fp|fitc|tritc|cy[2357](?:\.5)?|er|rna|agp|golgi|mito.*|actin|phalloidin|"
    r"tubulin|conA|wga|syto.*|texas.*|mcherry|tdtomato|alexa.*|af\d{3}|bf|brightfield|\d{3}(?:nm)?|blue|green|red|farred",
    re.IGNORECASE,
)


def token_parser(stems: Sequence[str], sure: bool = False) -> Parser | None:
    """Learn from all names together which of their parts is the well, the field, the channel, the plane and the time.

    Parameters
    ----------
    stems : sequence of str
        Names without their endings.
    sure : bool
        Take no part for the well that looks like a field, channel or plane (``f1``, ``C01``) in all names.

    Returns
    -------
    callable or None
        What reads one name; None where the names do not tell.
    """
    split = [_tokens(s) for s in stems]
    place = _well_place(split, sure)
    if place is None:
        return None
    # what stands in every name says nothing about the file
    constant = set.intersection(*(set(s) for s in split)) if len(split) > 1 else set()
    constant_stain = next((t for t in split[0] if t in constant and _STAIN.fullmatch(t)), None)

    def parse(stem: str) -> Parsed | None:
        tokens = _tokens(stem)
        if place >= len(tokens) or not is_well(_as_well(tokens[place])):
            return None
        found: dict[str, str] = {}
        words: list[str] = []
        numbers: list[str] = []
        rest = tokens[:place] + tokens[place + 1 :]
        # what differs from name to name comes first: the P1 of a plate's name is no field where f1 and f2 follow
        for token in sorted(rest, key=constant.__contains__):
            for key, pattern in (("z", _Z), ("t", _T), ("channel", _CHANNEL), ("field", _FIELD)):
                match = pattern.fullmatch(token)
                if match and key not in found:
                    found[key] = token if key == "channel" else match[1]
                    break
            else:
                if token not in constant:
                    (numbers if token.isdigit() and not _STAIN.fullmatch(token) else words).append(token)
        if "channel" not in found and words:
            stains = [w for w in words if _STAIN.fullmatch(w)]
            found["channel"] = stains[0] if len(stains) == 1 else "_".join(words)
        if "field" not in found and numbers:
            found["field"] = numbers.pop(0)
        if "channel" not in found and numbers:
            found["channel"] = numbers.pop(0)
        channel = found.get("channel", constant_stain)
        return Parsed(
            *parse_well(_as_well(tokens[place])),
            field_name(found.get("field", "1")),
            channel,
            to_int(found.get("z")),
            to_int(found.get("t")),
        )

    parsed = {stem: parse(stem) for stem in stems}
    # a name with many different words is a time stamp or a serial number, not a channel
    channels = {p.channel for p in parsed.values() if p is not None}
    return parsed.get if len(channels) <= 24 else None


def _tokens(stem: str) -> list[str]:
    parts = [p for p in re.split(r"[_\-.\s()\[\],=/]+", stem) if p]
    tokens: list[str] = []
    for part in parts:
        previous = tokens[-1] if tokens else ""
        if part.isdigit() and (_WORD.fullmatch(previous) or (len(part) <= 2 and re.fullmatch(r"[A-P]", previous))):
            tokens[-1] = previous + part  # "site 1", "A-01"
        else:
            tokens.append(part)
    return tokens


def _as_well(token: str) -> str:
    return re.sub(r"^well(?=[A-Za-z]\w*\d)", "", token, flags=re.IGNORECASE)


def _well_place(split: Sequence[list[str]], sure: bool) -> int | None:
    """Return which token is the well: one that is so in most names, not ``s1`` or ``C01`` which look like one."""
    best: tuple[bool, int, int] | None = None
    for place in range(max(map(len, split), default=0)):
        wells = [parse_well(_as_well(s[place])) for s in split if place < len(s) and is_well(_as_well(s[place]))]
        if len(wells) * 2 < len(split):
            continue
        tokens = {s[place] for s in split if place < len(s)}
        typed = len({w[0] for w in wells}) == 1 and all(
            any(p.fullmatch(t) for p in (_FIELD, _Z, _T, _CHANNEL)) for t in tokens
        )
        if sure and typed:
            continue
        score = (not typed, len(set(wells)), -place)
        best = max(best, score) if best is not None else score
    return -best[2] if best is not None else None
