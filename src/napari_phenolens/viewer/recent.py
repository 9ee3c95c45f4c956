"""Plates, runs and sessions that were open lately, in one small JSON file of the user's configuration folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_phenolens.viewer.workbench import Workbench

log = logging.getLogger(__name__)

MOST = 12
KINDS = ("plate", "run", "session")
_MUST_HOLD = {"plate": "", "run": "run.json", "session": ""}


@dataclass(frozen=True)
class Recent:
    """Something that was open.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    path : str
    name : str
    platemap : str or None
        The table that a plate was opened with.
    options : mapping
        How a plate was opened.
    """

    kind: str
    path: str
    name: str = ""
    platemap: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def why_gone(self) -> str:
        """Say why it cannot be opened; empty where it can. Looks at the disk: not on the main thread."""
        place = Path(self.path)
        try:
            if not place.exists():
                drive = next((p for p in place.parents if p.exists()), None)
                return f"not there any more (there is {drive})" if drive is not None else "its drive is not there"
            needed = _MUST_HOLD[self.kind]
            if needed and not (place / needed).is_file():
                return f"{needed} is not in it any more"
        except OSError as error:
            return error.strerror or str(error)
        return ""


def recent_file() -> Path:
    """Give the file of the list, in the user's configuration folder (``PHENOLENS_CONFIG`` overrides the folder)."""
    from napari_phenolens.encoders.memory import config_file

    return config_file().with_name("recent.json")


def read_recent() -> list[Recent]:
    """List what was open, newest first; empty where there is no list, or a damaged one (then the log says so)."""
    path = recent_file()
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["recent"]
        found = [Recent(**{key: row[key] for key in row if key in Recent.__dataclass_fields__}) for row in rows]
        return [entry for entry in found if entry.kind in KINDS and isinstance(entry.path, str)][:MOST]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s cannot be read (%s); the list of recent plates begins anew", path, error)
        return []


def note_recent(entry: Recent) -> None:
    """Put something at the head of the list."""
    from napari_phenolens.run.json_file import write_json

    others = [old for old in read_recent() if (old.kind, old.path) != (entry.kind, entry.path)]
    rows = [{**vars(one), "options": dict(one.options)} for one in (entry, *others)][:MOST]
    try:
        write_json(recent_file(), {"version": 1, "recent": rows})
    except OSError as error:  # a home that cannot be written to: nothing is remembered, and nothing else is lost
        log.warning("%s cannot be written (%s); recent plates are not remembered", recent_file(), error)


class Remembering:
    """Notes what a viewer's user opens, and opens it again."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        bench.session.events.run.connect(self._run)

    def plate(self, plate: Any, platemap: Path | None) -> None:
        """Remember a plate that the user opened; those that runs and sessions open are remembered with these."""
        self.note("plate", plate.path, plate.name, platemap, getattr(plate, "options", None))

    def _run(self, run: Any) -> None:
        if run is not None:
            self.note("run", run.path, run.plate_name)

    def note(
        self,
        kind: str,
        path: str | Path,
        name: str = "",
        platemap: str | Path | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Remember something that was opened."""
        place = Path(path).expanduser().absolute()
        table = None if platemap is None else str(Path(platemap).expanduser().absolute())
        note_recent(Recent(kind, str(place), name or place.name, table, dict(options or {})))

    def open(self, entry: Recent) -> None:
        """Open something of the list."""
        if entry.kind == "session":
            self.bench.saving.open(entry.path)
        elif entry.kind == "run":
            self.bench.opening.run(entry.path)
        else:
            table = entry.platemap if entry.platemap is not None and Path(entry.platemap).is_file() else None
            self.bench.opening.plate(entry.path, table, entry.options)
