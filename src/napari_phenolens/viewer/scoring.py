"""The phenotypes of a comparison: one score from the features that go together with the chosen one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import check_cancelled
from napari_phenolens.viewer.session import PHENOTYPE, Comparison

if TYPE_CHECKING:
    from napari_phenolens.analysis.phenotype import Phenotype
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

LIMIT_WELLS = 4  # of either side, for the colour limits of heatmaps
LIMIT_PERCENTILE = 99.5
_NUMBERS = count(1)


@dataclass(frozen=True, eq=False)
class Scored:
    """A feature's phenotype and what it makes of every well.

    Attributes
    ----------
    feature : int
    phenotype : Phenotype or None
        None where there is nothing to score.
    values : Series or None
        Well to score, see `napari_phenolens.analysis.Phenotype.score`.
    why : str
        Why there is none.
    """

    feature: int
    phenotype: Phenotype | None = None
    values: pd.Series | None = None
    why: str = ""


class _Held:
    """A run whose profiles are not read from the disk again."""

    def __init__(self, run: Any, profiles: pd.DataFrame) -> None:
        self._run, self._profiles = run, profiles

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def profiles(self, per: str = "patch", kind: str = "activation") -> pd.DataFrame:
        """Give the profiles."""
        return self._profiles if (per, kind) == ("patch", "activation") else self._run.profiles(per=per, kind=kind)


class Phenotypes:
    """The phenotypes of one run and one comparison, each found once; any thread may ask.

    Parameters
    ----------
    run : Run
    comparison : Comparison
        Its control and perturbed wells are those that phenotypes are found in.
    profiles : DataFrame
        What ``run.profiles()`` gives.

    Attributes
    ----------
    number : int
        Another one for every comparison, by which a heatmap of an older one is known.
    """

    def __init__(self, run: Any, comparison: Comparison, profiles: pd.DataFrame) -> None:
        self.run, self.comparison = run, comparison
        self.number = next(_NUMBERS)
        self._held: Any = _Held(run, profiles)
        self._found: dict[int, Scored] = {}
        self._limits: dict[tuple[int, ...], tuple[float, float]] = {}  # features of one group share theirs
        self._finding, self._measuring = threading.Lock(), threading.Lock()

    def known(self, feature: int) -> Scored | None:
        """Give what was found already."""
        return self._found.get(feature)

    def of(self, feature: int) -> Scored:
        """Find a feature's phenotype and score all wells by it; where nothing differs, it says so."""
        from napari_phenolens.analysis import phenotype

        with self._finding:
            if feature not in self._found:
                controls, perturbed = list(self.comparison.controls), list(self.comparison.perturbed)
                try:
                    found = phenotype(self._held, controls, perturbed, feature=feature)
                    self._found[feature] = Scored(feature, found, found.score(self._held))
                except PhenoLensError as error:
                    self._found[feature] = Scored(feature, why=str(error))
            return self._found[feature]

    def certain(self, feature: int) -> Phenotype:
        """Give a feature's phenotype.

        Raises
        ------
        PhenoLensError
            Where there is none.
        """
        scored = self.of(feature)
        if scored.phenotype is None:
            raise PhenoLensError(f"F{feature} has no phenotype to show: {scored.why}")
        return scored.phenotype

    def limits(self, feature: int, cancel: Callable[[], bool] | None = None) -> tuple[float, float]:
        """Give the colour limits of a phenotype's heatmaps, the same on every well.

        Parameters
        ----------
        feature : int
            Whose phenotype.
        cancel : callable, optional
            Asked between wells.

        Returns
        -------
        (float, float)
            About zero, as far as 99.5 % of the foreground patches reach in the first fields of at most four control and
            four perturbed wells; never nearer than 1, the mean of the perturbed wells.
        """
        found = self.certain(feature)
        with self._measuring:
            if found.features not in self._limits:
                sizes = []
                for well in [*_spread(self.comparison.controls), *_spread(self.comparison.perturbed)]:
                    check_cancelled(cancel)
                    field = self.run.fields(well)[0]
                    values = found.heatmap(self.run, well, field).values
                    sizes.append(np.abs(values[self.run.foreground(well, field)]))
                every = np.concatenate(sizes)
                reach = max(1.0, float(np.percentile(every, LIMIT_PERCENTILE))) if len(every) else 1.0
                self._limits[found.features] = (-reach, reach)
            return self._limits[found.features]


def _spread(wells: tuple[str, ...]) -> list[str]:
    """Take a few wells, spread evenly over all."""
    places = np.unique(np.linspace(0, len(wells) - 1, min(LIMIT_WELLS, len(wells))).astype(int))
    return [wells[i] for i in places]


class Scoring:
    """Keeps the session's score that of the chosen feature while the plate map is coloured by it."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._phenotypes: Phenotypes | None = None
        events = bench.session.events
        for signal in (events.comparison, events.feature, events.colour_by):
            signal.connect(self._follow)

    def take(self, phenotypes: Phenotypes) -> None:
        """Take the phenotypes of a comparison that is about to be the session's."""
        self._phenotypes = phenotypes

    def forget(self) -> None:
        """Forget the former run and its comparison."""
        self.bench.jobs.cancel("phenotype")
        self._phenotypes = None

    @property
    def present(self) -> Phenotypes | None:
        """The phenotypes of the session's comparison; None where there is no comparison."""
        held = self._phenotypes
        return held if held is not None and held.comparison is self.bench.session.comparison else None

    def _follow(self, _value: object = None) -> None:
        s = self.bench.session
        present, feature = self.present, s.feature
        if s.colour_by != PHENOTYPE or present is None or feature is None:
            s.score = None
            return
        s.score = present.known(feature)
        if s.score is not None:
            return

        def work(_job: Job) -> Scored:
            return present.of(feature)

        def done(scored: Scored) -> None:
            if (self.present, s.feature, s.colour_by) == (present, feature, PHENOTYPE):
                s.score = scored

        self.bench.jobs.start("phenotype", work, done, title=f"Scoring the wells by F{feature}'s phenotype")
