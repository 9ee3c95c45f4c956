"""The numbers of the charts: computed in threads, put into the session, the newest asked for wins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_phenolens.analysis.well_values import FEATURE
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import roles

if TYPE_CHECKING:
    from napari_phenolens.viewer.workbench import Workbench

FEATURE_VALUE, PHENOTYPE_VALUE, COVARIATE_VALUE = "feature", "phenotype", "covariate:"
PATCHES = "patch"


@dataclass(frozen=True, eq=False)
class Charted:
    """The numbers of one chart.

    Attributes
    ----------
    asked : tuple
        What they are of.
    table : DataFrame or None
        What the public function gave; None while it computes, or where there is none.
    why : str
        Why there is none; empty while it computes.
    """

    asked: tuple[Any, ...]
    table: pd.DataFrame | None = None
    why: str = ""


class Charting:
    """Answers what the charts ask."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        bench.session.events.run.connect(self._forget)

    def _forget(self, _run: object = None) -> None:
        self.bench.session.charts = {}

    def choose(self, feature: int) -> None:
        """Choose a feature everywhere: table, plate map, heatmap."""
        s = self.bench.session
        if s.colour_by == "role":
            s.colour_by = FEATURE
        self.bench.showing.feature(feature)

    def values(self) -> list[tuple[str, str]]:
        """List what curves and position effects can be of: ``(key, words)``."""
        s = self.bench.session
        found = [(FEATURE_VALUE, "Chosen feature")]
        if s.comparison is not None:
            found.append((PHENOTYPE_VALUE, "Its phenotype's score"))
            if s.comparison.covariates is not None:
                names = sorted(map(str, s.comparison.covariates["covariate"]))
                found += [(f"{COVARIATE_VALUE}{name}", name.replace("_", " ")) for name in names]
        return found

    def dose(self, value: str, dose: str | None = None, compound: str | None = None) -> None:
        """Ask for dose-response curves over the wells that are not excluded; see `napari_phenolens.dose_curves`."""
        s = self.bench.session
        run, controls = s.run, s.wells_of(roles.CONTROL)
        wells = [well for well in (run.wells if run is not None else ()) if s.roles.get(well) != roles.EXCLUDED]

        def compute(of: Any) -> pd.DataFrame:
            from napari_phenolens.analysis import dose_curves

            return dose_curves(run, of, dose=dose, compound=compound, controls=controls or None, wells=wells)

        self._ask("dose", (*self._of(value), dose, compound, tuple(controls), tuple(wells)), value, compute)

    def positions(self, value: str) -> None:
        """Ask for the position effects among the control wells; see `napari_phenolens.position_effects`."""
        s = self.bench.session
        run, controls = s.run, s.wells_of(roles.CONTROL)

        def compute(of: Any) -> pd.DataFrame:
            from napari_phenolens.analysis import position_effects

            return position_effects(run, of, controls or None)

        self._ask("positions", (*self._of(value), tuple(controls)), value, compute)

    def spread(self, of: str) -> None:
        """Ask how the chosen feature is spread over wells, fields, cells or patches of the comparison's sides."""
        s = self.bench.session
        run, comparison = s.run, s.comparison

        def compute(feature: Any) -> pd.DataFrame:
            from napari_phenolens.analysis import distribution, feature_histogram

            assert comparison is not None
            sides = list(comparison.controls), list(comparison.perturbed)
            if of == PATCHES:
                return feature_histogram(run, feature, *sides)
            return distribution(run, feature, *sides, of=of)

        missing = "" if comparison is not None else "Compare wells first (step 5)."
        self._ask("spread", (of, s.feature, id(comparison)), FEATURE_VALUE, compute, missing)

    def _of(self, value: str) -> tuple[Any, ...]:
        """Tell apart what a value is of."""
        s = self.bench.session
        if value.startswith(COVARIATE_VALUE):
            return (value,)
        return value, s.feature, id(s.comparison) if value == PHENOTYPE_VALUE else None

    def _ask(
        self,
        chart: str,
        asked: tuple[Any, ...],
        value: str,
        compute: Callable[[Any], pd.DataFrame],
        missing: str = "",
    ) -> None:
        """Compute in a thread, unless it is there already; what cannot be had says why in the chart itself."""
        s = self.bench.session
        known = s.charts.get(chart)
        if known is not None and known.asked == asked and (known.table is not None or known.why or self._busy(chart)):
            return
        run, feature, present = s.run, s.feature, self.bench.scoring.present

        def put(charted: Charted) -> None:
            s.charts = {**s.charts, chart: charted}

        if run is None:
            put(Charted(asked, why="Run the model or open finished results (step 4) to get features."))
            return
        if missing:
            put(Charted(asked, why=missing))
            return
        if feature is None and not value.startswith(COVARIATE_VALUE):
            put(Charted(asked, why="Choose a feature in step 5."))
            return
        if value == PHENOTYPE_VALUE and present is None:
            put(Charted(asked, why="Compare wells first (step 5): a phenotype is found between two sides."))
            return

        def work(_job: Any) -> Charted:
            try:
                of: Any = feature
                if value == PHENOTYPE_VALUE and present is not None and feature is not None:
                    of = present.certain(feature)
                elif value.startswith(COVARIATE_VALUE):
                    of = value.removeprefix(COVARIATE_VALUE)
                return Charted(asked, compute(of))
            except PhenoLensError as error:
                return Charted(asked, why=f"{str(error)[:1].upper()}{str(error)[1:]}.")

        def done(charted: Charted) -> None:
            if s.run is run and s.charts.get(chart) is not None and s.charts[chart].asked == asked:
                put(charted)

        self.bench.jobs.start(f"chart-{chart}", work, done, title="Drawing a chart")
        put(Charted(asked))  # after the start: the charts that hear of it see that it is under way

    def _busy(self, chart: str) -> bool:
        return any(job.kind == f"chart-{chart}" and not job.cancelled() for job in self.bench.jobs.running)
