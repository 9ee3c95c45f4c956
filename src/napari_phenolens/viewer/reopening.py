"""Opening what a saved session names, and computing its contrasts again: all that a thread does of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import Progress, check_cancelled
from napari_phenolens.viewer.session import Comparison
from napari_phenolens.viewer.session_file import SavedSession

if TYPE_CHECKING:
    import pandas as pd

    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.scoring import Phenotypes


@dataclass
class Reopened:
    """What a thread has opened and computed for a session."""

    saved: SavedSession
    notes: list[str]
    plate: Any = None
    platemap: Path | None = None
    run: Any = None
    same_lens: bool = True
    kept: list[Comparison] = field(default_factory=list)
    shown: Phenotypes | None = None
    profiles: pd.DataFrame | None = None
    covariates: pd.DataFrame | None = None


def reopen(saved: SavedSession, job: Job) -> Reopened:
    """Open the plate and the run that a session names; runs in a thread."""
    from napari_phenolens.plate import open_plate
    from napari_phenolens.run import open_run
    from napari_phenolens.viewer.opening import find_platemap

    read = Reopened(saved, list(saved.notes))
    if saved.run is not None:
        job.report(Progress("Opening the results", 0, 1))
        try:
            read.run = open_run(saved.run)
        except PhenoLensError as error:
            read.notes.append(
                f"The results are gone: {error}. Open them where they are now with Open results… (step 1)."
            )
        else:
            same = (saved.lens, saved.features) == (fingerprint(read.run), int(read.run.n_features))
            read.same_lens = same or (not saved.lens and saved.features is None)
    if saved.plate is not None:
        check_cancelled(job.cancelled)
        table = Path(saved.platemap) if saved.platemap is not None else None
        if table is not None and not table.is_file():
            read.notes.append(f"The plate map {table} is gone; load it where it is now with Plate map… (step 1).")
            table = None
        try:
            if table is None and read.run is not None and absolute(read.run.plate_path) == saved.plate:
                read.plate = read.run.plate()  # with the plate map that the run keeps
            else:
                if table is None:  # as when a plate's folder is opened by hand
                    table = find_platemap(saved.plate)
                read.plate, read.platemap = open_plate(saved.plate, table, **saved.options), table
        except PhenoLensError as error:
            read.notes.append(f"The plate's pictures are gone: {error}. Open its folder where it is now (step 1).")
    return read


def compare_again(read: Reopened, job: Job) -> None:
    """Compute the contrasts of a session again; runs in a thread."""
    from napari_phenolens.viewer.comparing import compare_wells, counted
    from napari_phenolens.viewer.scoring import Phenotypes

    run, saved = read.run, read.saved
    if run is None or not saved.contrasts:
        return
    have = set(run.wells)
    made: dict[int, Comparison] = {}
    for i, contrast in enumerate(saved.contrasts):
        check_cancelled(job.cancelled)
        job.report(Progress("Comparing wells", i, len(saved.contrasts), contrast.name))
        gone = sorted({*contrast.controls, *contrast.perturbed} - have)
        if gone:
            read.notes.append(
                f"The contrast “{contrast.name}” was left out: the results have no well {', '.join(gone)}; "
                "compare again (step 5)."
            )
            continue
        try:
            found = compare_wells(run, contrast.controls, contrast.perturbed, picked_after=contrast.picked_after)
        except PhenoLensError as error:
            read.notes.append(f"The contrast “{contrast.name}” was left out: {error}.")
            continue
        about = {**found.about, "by": contrast.by}
        made[i] = counted(run, replace(found, name=contrast.name, about=about))
    if made:
        read.kept = list(made.values())
        read.profiles, read.covariates = run.profiles(), run.covariates()
        shown = made.get(saved.shown if saved.shown is not None else -1, read.kept[-1])
        read.shown = Phenotypes(run, shown, read.profiles)


def absolute(path: Any) -> str:
    """Give the whole path, links followed."""
    return str(Path(path).expanduser().resolve())


def fingerprint(run: Any) -> str:
    """Name the lens of a run; empty where there is no run or it does not say."""
    return str(getattr(getattr(run, "plan", None), "lens", ""))
