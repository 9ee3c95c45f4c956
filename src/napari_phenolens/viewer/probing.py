"""Which block of the model tells this plate's controls from its perturbed wells best: probes, as a heavy job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import roles
from napari_phenolens.viewer.running import RunSettings, channel_choice
from napari_phenolens.viewer.settings import preferences

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench


class Probing:
    """Asks `napari_phenolens.blocks` and keeps its table in the session."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        bench.session.events.plate.connect(self.forget)
        bench.session.events.roles.connect(self.forget)

    def forget(self, _value: object = None) -> None:
        """Forget the curve: it was of another plate, or of other wells."""
        self.bench.session.blocks = None

    def sides(self) -> tuple[list[str], list[str]]:
        """Give control and perturbed wells; positive controls stand in where nothing else is perturbed."""
        s = self.bench.session
        return s.wells_of(roles.CONTROL), s.wells_of(roles.PERTURBED) or s.wells_of(roles.POSITIVE)

    def missing(self) -> str:
        """Say what is missing for the question; empty where nothing is."""
        controls, perturbed = self.sides()
        if self.bench.session.plate is None:
            return "open a plate first (step 1)"
        if not controls:
            return "say which wells are controls first (step 3)"
        return "" if perturbed else "say which wells are perturbed first (step 3)"

    def start(self, settings: RunSettings) -> Job:
        """Probe all blocks in a thread; the table lands in ``session.blocks``.

        Raises
        ------
        PhenoLensError
            Where plate or sides are missing, or another heavy job runs.
        """
        missing = self.missing()
        if missing:
            raise PhenoLensError(missing)
        s = self.bench.session
        plate, (controls, perturbed) = s.plate, self.sides()

        def work(job: Job) -> Any:
            from napari_phenolens.run.gently import gently

            chosen: dict[str, Any] = {"encoder": settings.encoder, "device": settings.device}
            channels = channel_choice(settings.channels)
            if channels is not None:
                chosen["channels"] = channels
            if settings.weights:
                chosen["weights"] = settings.weights
            if preferences().token_folder:
                chosen["tokens"] = preferences().token_folder
            chosen |= {"controls": controls, "perturbed": perturbed}
            with gently():
                from napari_phenolens import blocks

                return blocks(plate, progress=job.report, cancel=job.cancelled, **chosen)

        def done(table: Any) -> None:
            if s.plate is plate and self.sides() == (controls, perturbed):
                s.blocks = table
                s.status = f"Block {table.attrs['suggested']} of {table.attrs['encoder']} is suggested."

        return self.bench.jobs.start("blocks", work, done, title="Probing the model's blocks", heavy=True)
