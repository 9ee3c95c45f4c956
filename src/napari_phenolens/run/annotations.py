"""What people say about a run's features: a name, a note and a star, kept with the run in ``annotations.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from napari_phenolens.run.errors import RunError

FILE = "annotations.json"
SCHEMA = 1
LONGEST_NAME = 80
LONGEST_NOTE = 10_000
WAIT_S = 5.0  # for another program that writes just now


@dataclass(frozen=True)
class Annotation:
    """What is said about one feature.

    Attributes
    ----------
    name : str
        A few words on one line; empty: it has none.
    note : str
        Anything worth remembering.
    star : bool
        Whether it is one to come back to.
    """

    name: str = ""
    note: str = ""
    star: bool = False

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return self != _NOTHING


_NOTHING = Annotation()


class Annotations(Mapping[int, Annotation]):
    """Names, notes and stars of a run's features, by feature; every change is on disk when `put` or `set` returns.

    A feature of which nothing is said has an empty `Annotation`; iteration goes over the others alone, in their order.

    Parameters
    ----------
    folder : Path
        The run's folder.
    lens : str
        Fingerprint of its lens: names belong to that lens's features.
    n_features : int
        How many there are.

    Raises
    ------
    RunError
        Where the file is damaged or of another lens.
    """

    def __init__(self, folder: Path, lens: str, n_features: int) -> None:
        self.path = folder / FILE
        self._lens, self._n = lens, n_features
        self._held = self._read()

    def __getitem__(self, feature: int) -> Annotation:
        """Give what is said about a feature."""
        return self._held.get(self._checked(feature), _NOTHING)

    def __contains__(self, feature: object) -> bool:
        """Whether anything is said about a feature."""
        return feature in self._held

    def __iter__(self) -> Iterator[int]:
        """Go over the features of which something is said."""
        return iter(sorted(self._held))

    def __len__(self) -> int:
        """Count them."""
        return len(self._held)

    def set(
        self, feature: int, *, name: str | None = None, note: str | None = None, star: bool | None = None
    ) -> Annotation:
        """Change what is said about a feature; what is None stays as it is.

        Parameters
        ----------
        feature : int
            The 0-based atom.
        name : str, optional
            At most 80 characters; line breaks and runs of blanks become one blank. Empty: no name.
        note : str, optional
            At most 10,000 characters.
        star : bool, optional
            Whether to mark it.

        Returns
        -------
        Annotation
            What is said now.

        Raises
        ------
        RunError
            Where there is no such feature, a text is too long or the run's folder cannot be written to.
        """
        given: dict[str, Any] = {"name": name, "note": note, "star": star}
        return self._write(feature, {k: v for k, v in given.items() if v is not None})

    def put(self, feature: int, annotation: Annotation) -> Annotation:
        """Say this about a feature, whatever was said before; see `set`."""
        return self._write(feature, asdict(annotation))

    def table(self) -> pd.DataFrame:
        """Give all of it: columns name, note, star, index ``feature``."""
        rows = [asdict(self._held[feature]) for feature in self]
        index = pd.Index(list(self), name="feature", dtype="int64")
        return pd.DataFrame(rows, index=index, columns=["name", "note", "star"])

    def names(self) -> pd.Series[str]:
        """Give the name of every feature, ``""`` where it has none; index ``feature``."""
        every = [self._held[f].name if f in self._held else "" for f in range(self._n)]
        return pd.Series(every, index=pd.RangeIndex(self._n, name="feature"), name="name", dtype=object)

    def _checked(self, feature: int) -> int:
        if not 0 <= int(feature) < self._n:
            raise RunError(f"there is no feature {feature}; this run has 0 to {self._n - 1}")
        return int(feature)

    def _write(self, feature: int, changes: Mapping[str, Any]) -> Annotation:
        from filelock import FileLock, Timeout

        from napari_phenolens.run.json_file import write_json

        feature, changes = self._checked(feature), _tidy(changes)
        try:
            with FileLock(str(self.path) + ".lock", timeout=WAIT_S):
                held = self._read()  # another program may have named other features since
                said = replace(held.get(feature, _NOTHING), **changes)
                held.pop(feature, None)
                if said:
                    held[feature] = said
                known = {str(f): asdict(held[f]) for f in sorted(held)}
                write_json(self.path, {"schema": SCHEMA, "lens": self._lens, "features": known})
        except Timeout as error:
            raise RunError(
                f"{self.path}: another program has been writing to it for {WAIT_S:g} s; try again"
            ) from error
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be written: {error.strerror or error}; names and notes are kept with the run, "
                "so copy its folder to a place that you may write to and open it there"
            ) from error
        self._held = held
        return said

    def _read(self) -> dict[int, Annotation]:
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.path}: the names and notes of this run cannot be read ({error}); mend the file, or move it away"
            ) from error
        try:
            if values["schema"] > SCHEMA:
                raise RunError(f"{self.path}: written by a newer napari-phenolens; update it, or move the file away")
            if values["lens"] != self._lens:
                raise RunError(
                    f"{self.path}: these names are of the features of another lens ({values['lens']}, the run's is "
                    f"{self._lens}); move the file away"
                )
            return {self._checked(int(f)): Annotation(**said) for f, said in values["features"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, RunError):
                raise
            raise RunError(f"{self.path}: damaged ({error!r}); mend the file, or move it away") from error


def _tidy(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Bring texts into order, and refuse what is too long to be a name or a note."""
    tidy = dict(changes)
    if "name" in tidy:
        tidy["name"] = " ".join(str(tidy["name"]).split())
        if len(tidy["name"]) > LONGEST_NAME:
            raise RunError(
                f"the name {tidy['name'][:20]!r}... has {len(tidy['name'])} characters, {LONGEST_NAME} are allowed; "
                "put the rest into the note"
            )
    if "note" in tidy:
        tidy["note"] = str(tidy["note"]).strip()
        if len(tidy["note"]) > LONGEST_NOTE:
            raise RunError(f"the note has {len(tidy['note'])} characters; {LONGEST_NOTE} are allowed")
    if "star" in tidy:
        tidy["star"] = bool(tidy["star"])
    return tidy
