"""What the open run's dictionary is worth, measured off the main thread and kept in the session."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_phenolens.errors import PhenoLensError

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

MOST_LABELS = 24  # a column with more values is not offered
PERMUTATIONS = 200
_LIKELY = tuple(re.compile(w, re.I) for w in ("compound|treatment|perturb|gene|target", "control|role|type", ""))


class Dictionaries:
    """Asks `napari_phenolens.dictionary_report` and keeps its answer in ``session.dictionary``."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        bench.session.events.run.connect(self.forget)

    def forget(self, _value: object = None) -> None:
        """Forget the report: it was of another run."""
        self.bench.jobs.cancel("dictionary")
        self.bench.session.dictionary = None

    def columns(self) -> list[str]:
        """Give the columns of the plate map by which wells can be told apart, those of treatments first."""
        run = self.bench.session.run
        if run is None:
            return []
        table = run.metadata.reindex(run.wells)
        found = []
        for column in table.columns:
            counts = table[column].astype(str)[table[column].notna()].value_counts()
            if 2 <= int((counts >= 2).sum()) <= MOST_LABELS and len(counts) < len(table):
                found.append(str(column))
        return sorted(found, key=lambda name: next(n for n, words in enumerate(_LIKELY) if words.search(name)))

    def start(self, column: str | None, fields: int) -> Job:
        """Measure in a thread.

        Parameters
        ----------
        column : str or None
            What features shall tell apart.
        fields : int
            Fields whose tokens are read; 0: none.

        Raises
        ------
        PhenoLensError
            Where no run is open, or another heavy job runs.
        """
        s = self.bench.session
        run = s.run
        if run is None:
            raise PhenoLensError("there are no features yet; run the model (step 4) or open finished results (step 1)")

        def work(job: Job) -> Any:
            from napari_phenolens import dictionary_report

            return dictionary_report(
                run, column=column, fields=fields, permutations=PERMUTATIONS, progress=job.report, cancel=job.cancelled
            )

        def done(report: Any) -> None:
            if s.run is run:
                s.dictionary = report
                s.status = "The dictionary is measured; rest the mouse on a figure to see what it means."

        return self.bench.jobs.start("dictionary", work, done, title="Measuring the dictionary", heavy=True)

    def save(self, path: str | Path) -> None:
        """Write the report as a page or as tables.

        Raises
        ------
        PhenoLensError
            Where there is none, or it cannot be written.
        """
        from napari_phenolens.export import export_dictionary_report

        report = self.bench.session.dictionary
        if report is None:
            raise PhenoLensError("nothing was measured yet")
        files = export_dictionary_report(report, path)
        self.bench.session.status = f"Saved {', '.join(map(str, files))}."
