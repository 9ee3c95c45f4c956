"""The words for the features of a run: found once in the background, kept with the run, overruled by names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import roles

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench


@dataclass(frozen=True, eq=False)
class Words:
    """What the features of a run go with.

    Attributes
    ----------
    run : Run
    controls : tuple of str
        The control wells that they were found with.
    table : DataFrame
        See `napari_phenolens.concepts`.
    rows : mapping of int to DataFrame
        The rows of each feature.
    """

    run: Any
    controls: tuple[str, ...]
    table: pd.DataFrame
    rows: Mapping[int, pd.DataFrame]

    @property
    def labels(self) -> Mapping[int, str]:
        """Feature to its label; empty where nothing is significant."""
        return self.table.attrs["labels"]


class Wording:
    """Keeps the session's words those of its run."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        events = bench.session.events
        events.run.connect(self._run_changed)
        events.roles.connect(self._follow)

    def _run_changed(self, _value: object = None) -> None:
        for kind in ("words", "words-kept"):
            self.bench.jobs.cancel(kind)
        self.bench.session.words = None
        self._follow()

    @property
    def controls(self) -> tuple[str, ...]:
        """The control wells by their roles, else the run's own."""
        s = self.bench.session
        have = set(s.run.wells)
        return tuple(w for w in s.wells_of(roles.CONTROL) if w in have) or tuple(s.run.controls)

    def _follow(self, _value: object = None) -> None:
        """Read the words that are kept with the run, where there are any."""
        from napari_phenolens.analysis.kept_concepts import FILE

        s = self.bench.session
        run = s.run
        if run is None or s.words is not None or not (Path(run.path) / FILE).is_file():
            return
        controls = self.controls

        def work(_job: Job) -> Words | None:
            from napari_phenolens.analysis import kept_concepts

            table = kept_concepts(run, list(controls), find=False)
            return None if table is None else _made(run, controls, table)

        def done(found: Words | None) -> None:
            if s.run is run and found is not None:
                s.words = found

        self.bench.jobs.start("words-kept", work, done, title="Reading the words for features")

    def find(self) -> Job:
        """Find the words for all features and keep them with the run: seconds to minutes, in the background.

        Raises
        ------
        PhenoLensError
            Where no run is open.
        """
        s = self.bench.session
        run = s.run
        if run is None:
            raise PhenoLensError("there are no features yet: run the model, or open a finished run (step 4)")
        controls = self.controls

        def work(job: Job) -> Words:
            from napari_phenolens.analysis import kept_concepts

            table = kept_concepts(run, list(controls), cancel=job.cancelled)
            assert table is not None
            return _made(run, controls, table)

        def done(found: Words) -> None:
            if s.run is not run:
                return
            s.words = found
            named = sum(bool(words) for words in found.labels.values())
            s.status = f"{named:,} of {len(found.labels):,} features have words now."
            if not found.table.attrs.get("kept", True):
                s.status += " They could not be written into the run's folder: next time they are found again."

        return self.bench.jobs.start("words", work, done, title="Finding words for the features", heavy=True)

    def stale(self) -> bool:
        """Whether other wells are controls now than when the words were found."""
        words = self.bench.session.words
        # between two runs there are words of the one that goes
        return words is not None and self.bench.session.run is not None and words.controls != self.controls

    def called(self, feature: int) -> str:
        """Give what a feature is called: by the user, else by its label; empty where it is neither."""
        words = self.bench.session.words
        return self.bench.naming.of(feature).name or ("" if words is None else words.labels.get(feature, ""))

    def accept(self, feature: int) -> None:
        """Make the label the feature's name, shortened to what fits; can be undone."""
        from napari_phenolens.run.annotations import LONGEST_NAME

        words = self.bench.session.words
        text = "" if words is None else words.labels.get(feature, "")
        if not text:
            raise PhenoLensError(f"F{feature} has no words: nothing that was tested goes with it")
        if len(text) > LONGEST_NAME:
            text = text.split("; ")[0]
        self.bench.naming.say(feature, name=text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…")


def _made(run: Any, controls: tuple[str, ...], table: pd.DataFrame) -> Words:
    return Words(run, controls, table, {int(str(f)): rows for f, rows in table.groupby("feature")})
