"""The file of a session: one JSON file that says what was open and chosen, written in one piece, read with care."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.plate.roles import ROLES
from napari_phenolens.run.json_file import write_json

SUFFIX = ".phenolens.json"
FORMAT, VERSION = "phenolens-session", 1
MOST_BYTES = 32 * 2**20  # a session takes some kilobytes; what is larger is no session
QUERIES = ("control", "perturbed", "positive", "excluded")

T = TypeVar("T")


class SessionError(PhenoLensError):
    """A session that cannot be written or read."""


@dataclass(frozen=True)
class SavedContrast:
    """The wells of a comparison, from which its figures are computed again.

    Attributes
    ----------
    controls, perturbed : tuple of str
    name : str
    by : str
        How its wells were chosen: roles, values, selection.
    picked_after : bool
        Whether they were picked after values had been seen: then it carries no p, in this session as in that one.
    """

    controls: tuple[str, ...]
    perturbed: tuple[str, ...]
    name: str = ""
    by: str = "roles"
    picked_after: bool = True


@dataclass(frozen=True)
class SavedLayer:
    """What the user changed of a layer: a slot's heatmap or a channel.

    Attributes
    ----------
    limits : (float, float) or None
        Contrast limits that were moved by hand; None where they are those shared by all wells.
    visible : bool
    """

    limits: tuple[float, float] | None = None
    visible: bool = True


@dataclass(frozen=True)
class SavedSlot(SavedLayer):
    """A heatmap slot."""

    feature: int | None = None
    kind: str = "activation"


@dataclass(frozen=True)
class SavedSession:
    """What a session file holds; everything may be missing.

    Attributes
    ----------
    plate, platemap, run : str or None
        Absolute paths; `open` finds them beside the file too where it was moved together with them.
    options : mapping
        How the plate was opened: pattern, z, t.
    lens, features : str, int
        Fingerprint of the run's lens and its number of features: with another lens a number is another feature.
    queries, hand_roles : mapping
    marked_after : bool
        Whether wells were marked by hand after values had been seen.
    typed_after : tuple of str
        Queries that name wells and were typed so.
    contrasts : tuple of SavedContrast
    shown : int or None
        Which of them was shown.
    feature : int or None
    slots : tuple of SavedSlot
    channels : mapping of str to SavedLayer
    opacity : float or None
    well, field, view, colour_by : str
    side_by_side : bool
    pairs : int
    kept_cells : tuple of int
    camera : tuple or None
        Centre, zoom, angles.
    notes : tuple of str
        What could not be read.
    """

    plate: str | None = None
    platemap: str | None = None
    run: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    lens: str = ""
    features: int | None = None
    queries: Mapping[str, str] = field(default_factory=dict)
    hand_roles: Mapping[str, str] = field(default_factory=dict)
    marked_after: bool = True
    typed_after: tuple[str, ...] = ()
    contrasts: tuple[SavedContrast, ...] = ()
    shown: int | None = None
    feature: int | None = None
    slots: tuple[SavedSlot, ...] = ()
    channels: Mapping[str, SavedLayer] = field(default_factory=dict)
    opacity: float | None = None
    well: str | None = None
    field: str | None = None
    view: str = "field"
    colour_by: str = "role"
    side_by_side: bool = False
    pairs: int = 1
    kept_cells: tuple[int, ...] = ()
    camera: tuple[Any, ...] | None = None
    notes: tuple[str, ...] = ()


def is_session(path: str | Path) -> bool:
    """Whether a path is a session file, by its name."""
    return str(path).lower().endswith(SUFFIX) and Path(path).is_file()


def write(path: str | Path, saved: SavedSession) -> Path:
    """Write a session file beside its place and rename it there.

    Parameters
    ----------
    path : path
        Where the name does not end in ``.phenolens.json``, that is added.
    saved : SavedSession

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SessionError
        Where it cannot be written.
    """
    from napari_phenolens import __version__

    path = Path(path).expanduser().absolute()
    if not path.name.lower().endswith(SUFFIX):
        path = path.with_name(path.name.removesuffix(".json") + SUFFIX)
    values = {
        "format": FORMAT,
        "version": VERSION,
        "written_by": f"napari-phenolens {__version__}",
        "plate": _place(saved.plate, path),
        "platemap": _place(saved.platemap, path),
        "plate_options": dict(saved.options),
        "run": _place(saved.run, path),
        "lens": saved.lens,
        "features": saved.features,
        "queries": dict(saved.queries),
        "hand_roles": dict(saved.hand_roles),
        "marked_after": saved.marked_after,
        "typed_after": list(saved.typed_after),
        "contrasts": [vars(contrast) for contrast in saved.contrasts],
        "shown_contrast": saved.shown,
        "feature": saved.feature,
        "slots": [vars(slot) for slot in saved.slots],
        "channels": {name: vars(layer) for name, layer in saved.channels.items()},
        "opacity": saved.opacity,
        "well": saved.well,
        "field": saved.field,
        "view": saved.view,
        "colour_by": saved.colour_by,
        "side_by_side": saved.side_by_side,
        "pairs": saved.pairs,
        "kept_cells": list(saved.kept_cells),
        "camera": saved.camera,
    }
    try:
        write_json(path, values)
    except OSError as error:
        raise SessionError(
            f"{path} cannot be written: {error.strerror or error}; choose another folder for the session"
        ) from error
    return path


def read(path: str | Path) -> SavedSession:
    """Read a session file; nothing in it is ever run.

    Parts of the wrong kind are left out and named in `SavedSession.notes`.

    Raises
    ------
    SessionError
        Where it is no session, damaged, or of a newer version.
    """
    path = Path(path).expanduser().absolute()
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SessionError(f"{path} is larger than a session can be; choose a file {SUFFIX} that was saved here")
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SessionError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise SessionError(f"{path} is damaged ({error}); open an older copy of it, or the run itself") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise SessionError(f"{path} is no PhenoLens session; choose a file {SUFFIX} that was saved here")
    version = values.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise SessionError(f"{path} was saved by a newer napari-phenolens; update napari-phenolens to open it")
    return _Reader(values, path.parent).session()


def _place(found: str | None, file: Path) -> dict[str, str] | None:
    """Say where something lies, also as seen from the session's folder: both may be moved together."""
    if found is None:
        return None
    place = {"path": found}
    with suppress(ValueError):  # another drive of Windows
        place["beside"] = os.path.relpath(found, file.parent)
    return place


class _Reader:
    """Takes the parts out of a file one by one; what is of the wrong kind is noted, not believed."""

    def __init__(self, values: Mapping[str, Any], folder: Path) -> None:
        self.values, self.folder = values, folder
        self.notes: list[str] = []

    def session(self) -> SavedSession:
        """Read all."""
        take = self._take
        parts: dict[str, Any] = {name: self._path(name) for name in ("plate", "platemap", "run")}
        return SavedSession(
            **parts,
            options=take("plate_options", _options, {}),
            lens=take("lens", _text, ""),
            features=take("features", _optional(_count), None),
            queries=take("queries", _queries, {}),
            hand_roles=take("hand_roles", _roles, {}),
            marked_after=take("marked_after", _flag, True),
            typed_after=take("typed_after", lambda v: tuple(_text(x) for x in v if x in _QUERY_FIELDS), _QUERY_FIELDS),
            contrasts=take("contrasts", lambda v: tuple(map(_contrast, v)), ()),
            shown=take("shown_contrast", _optional(_count), None),
            feature=take("feature", _optional(_count), None),
            slots=take("slots", lambda v: tuple(map(_slot, v)), ()),
            channels=take("channels", lambda v: {_text(k): SavedLayer(*_looks(x)) for k, x in v.items()}, {}),
            opacity=take("opacity", _optional(_number), None),
            well=take("well", _optional(_text), None),
            field=take("field", _optional(_text), None),
            view=take("view", _text, "field"),
            colour_by=take("colour_by", _text, "role"),
            side_by_side=take("side_by_side", _flag, False),
            pairs=take("pairs", _count, 1),
            kept_cells=take("kept_cells", lambda v: tuple(map(_count, v)), ()),
            camera=take("camera", _optional(_camera), None),
            notes=tuple(self.notes),
        )

    def _take(self, name: str, check: Callable[[Any], T], default: T) -> T:
        if name not in self.values:
            return default
        try:
            return check(self.values[name])
        except (TypeError, ValueError, KeyError, AttributeError):
            self.notes.append(f"“{name}” in the file is not what it should be and was left out.")
            return default

    def _path(self, name: str) -> str | None:
        """Give a path as it was, or, where nothing is there, as seen from the file where something is there."""
        place = self._take(name, _optional(_words), None)
        if place is None or "path" not in place:
            return None
        beside = self.folder / place["beside"] if "beside" in place else None
        if not Path(place["path"]).exists() and beside is not None and beside.exists():
            return str(beside.resolve())
        return place["path"]


_QUERY_FIELDS = tuple(f"{name}_query" for name in QUERIES)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(value)
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(value)
    return float(value)


def _optional(check: Callable[[Any], T]) -> Callable[[Any], T | None]:
    return lambda value: None if value is None else check(value)


def _words(value: Any) -> dict[str, str]:
    return {_text(key): _text(word) for key, word in value.items()}


def _queries(value: Any) -> dict[str, str]:
    return {name: query for name, query in _words(value).items() if name in QUERIES}


def _roles(value: Any) -> dict[str, str]:
    return {well: role for well, role in _words(value).items() if role in ROLES}


def _options(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if value.get("pattern") is not None:
        found["pattern"] = _text(value["pattern"])
    if "z" in value:
        found["z"] = "max" if value["z"] == "max" else _count(value["z"])
    if "t" in value:
        found["t"] = _count(value["t"])
    return found


def _wells(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(value)
    return tuple(map(_text, value))


def _contrast(value: Any) -> SavedContrast:
    return SavedContrast(
        _wells(value["controls"]),
        _wells(value["perturbed"]),
        _text(value.get("name", "")),
        _text(value.get("by", "roles")),
        _flag(value.get("picked_after", True)),  # where it is not said, no p is believed
    )


def _looks(value: Any) -> tuple[tuple[float, float] | None, bool]:
    limits = value.get("limits")
    if limits is not None:
        low, high = map(_number, limits)
        if low >= high:
            raise ValueError(limits)
        limits = (low, high)
    return limits, _flag(value.get("visible", True))


def _slot(value: Any) -> SavedSlot:
    return SavedSlot(*_looks(value), _optional(_count)(value.get("feature")), _text(value.get("kind", "activation")))


def _camera(value: Any) -> tuple[Any, ...]:
    center, zoom, angles = value
    look = (tuple(map(_number, center)), _number(zoom), tuple(map(_number, angles)))
    if not (1 < len(look[0]) < 4 and len(look[2]) == 3 and look[1] > 0):
        raise ValueError(value)
    return look
