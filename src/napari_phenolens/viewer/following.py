"""Following a run that goes on: its wells fill plate map, table and charts, marked provisional."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer.opening import is_run
from napari_phenolens.viewer.scoring import Phenotypes
from napari_phenolens.viewer.session import Comparison

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

LEAST = 3  # wells with results on each side before they are compared: fewer tell nothing
PAUSE = 10.0  # seconds between looks at the run, at least
SHARE = 0.05  # of the time that looks may take beside the run
PROVISIONAL = " (provisional)"


@dataclass(frozen=True)
class Look:
    """What a thread has read of a run that goes on.

    Attributes
    ----------
    run : Run
        As it lay on disk.
    profiles, covariates : DataFrame
        Of the wells that are there.
    comparison : Comparison or None
        Of the wells that are there; None where a side is too small.
    seconds : float
        What it took.
    """

    run: Any
    profiles: pd.DataFrame
    covariates: pd.DataFrame
    comparison: Comparison | None
    seconds: float


class Following:
    """Looks at the run that goes on, off the main thread, and hands what it finds to the session."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._out: Path | None = None
        self._plate: Any = None
        self._shown: Any = None  # the run that the session holds as long as it is followed
        self._comparison: Comparison | None = None
        self._next = 0.0
        bench.jobs.progressed.connect(self._progressed)
        bench.jobs.ended.connect(self._ended)
        bench.session.events.run.connect(self._say)

    def begin(self, out: str | Path, plate: Any) -> None:
        """Follow a run from its start."""
        self._out, self._plate = Path(out), plate
        s = self.bench.session
        self._shown = self._comparison = None
        if s.run is not None and Path(s.run.path) == self._out:  # it is on show as far as it came, and goes on
            self._shown = s.run
            if s.comparison is not None and s.comparison.about.get("by") == "roles":
                self._comparison = s.comparison
        self._next = time.monotonic() + PAUSE

    def _progressed(self, job: Job) -> None:
        if job.kind == "run" and self._out is not None and time.monotonic() >= self._next:
            self.look()

    def _ended(self, job: Job) -> None:
        if job.kind == "run":
            self.bench.jobs.cancel("follow")
            self._out = None
            self._say()

    def look(self) -> Job | None:
        """Look at the run now; None where that is being done, nothing is followed, or other results are on show."""
        jobs, s, out = self.bench.jobs, self.bench.session, self._out
        # the user looks at another plate, or at other results
        elsewhere = s.plate is not self._plate or (s.run is not None and s.run is not self._shown)
        if out is None or elsewhere or any(job.kind == "follow" for job in jobs.running):
            return None
        before, by_roles = self._shown, self._comparison is not None or s.comparison is None
        picked_after = self.bench.contrasting.picked_after

        def work(job: Job) -> Look | None:
            if not is_run(out):
                return None  # the lens is being fitted
            from napari_phenolens.run import open_run

            start = time.monotonic()
            run = open_run(out)
            if not run.wells or (before is not None and run.marks == before.marks):
                return None
            controls, perturbed = self.bench.comparing.sides_of(run) if by_roles else ([], [])
            comparison = None
            if min(len(controls), len(perturbed)) >= LEAST:
                comparison = compare_so_far(run, controls, perturbed, picked_after)
            return Look(run, run.profiles(), run.covariates(), comparison, time.monotonic() - start)

        self._next = time.monotonic() + PAUSE
        return jobs.start("follow", work, lambda look: self._take(out, look), title="Looking at the wells so far")

    def _take(self, out: Path, look: Look | None) -> None:
        s = self.bench.session
        if look is None or out != self._out or s.plate is not self._plate:
            return  # nothing new, or of another run
        self._next = time.monotonic() + max(PAUSE, look.seconds / SHARE)
        if s.run is None and self._shown is None:
            self._shown = s.run = look.run
        elif s.run is None or s.run is not self._shown:
            return  # opened or closed meanwhile
        else:
            self._shown.renew(look.run)
        self.bench.comparing.take(look.profiles, look.covariates)
        self._say()
        ours = s.comparison is None or s.comparison is self._comparison
        if look.comparison is not None and ours:
            s.contrasts = tuple(kept for kept in s.contrasts if kept is not self._comparison)
            self._comparison = look.comparison
            self.bench.scoring.take(Phenotypes(self._shown, look.comparison, look.profiles))
            s.comparison = look.comparison

    def _say(self, _run: object = None) -> None:
        """Say in the session how much of the run is there."""
        s = self.bench.session
        s.provisional = provisional_words(s.run, going=self._out is not None and s.run is self._shown)


def compare_so_far(run: Any, controls: list[str], perturbed: list[str], picked_after: bool) -> Comparison | None:
    """Compare the wells that are there; it is not counted as a contrast, since the whole run's will be."""
    from napari_phenolens.viewer.comparing import compare_wells

    try:
        found = compare_wells(run, controls, perturbed, picked_after=picked_after)
    except PhenoLensError:  # wells without cells, say: the table waits for more of them
        return None
    about = {**found.about, "by": "roles", "provisional": True}
    return replace(found, name="Perturbed vs control" + PROVISIONAL, about=about)


def provisional_words(run: Any, *, going: bool = False) -> str:
    """Say what is missing of a run; empty where nothing is."""
    if run is None or not getattr(run, "provisional", False):
        return ""
    whole, part, every = run.tally()
    words = f"Provisional: {whole} of {every} wells are whole"
    if part:
        words += f", {part} more hold a first look at a part of their fields"
    return words + ("; they fill in as the run goes on." if going else "; go on with Run (step 4).")
