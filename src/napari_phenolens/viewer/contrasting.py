"""Several contrasts side by side: made by roles, by values of the plate map or from the selection; named, removed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import roles
from napari_phenolens.viewer.session import Comparison

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

ROLES, VALUES, SELECTION = "roles", "values", "selection"
_WELL = re.compile(r"^[A-Za-z]{1,2}0?\d{1,2}$")
_NAMES_WELLS = re.compile(r"\b(well|metadata_well)\b", re.I)


def names_wells(query: str) -> bool:
    """Whether a query picks wells by their names and not by what was done to them."""
    words = [word for word in re.split(r"[,;\s]+", query.strip()) if word]
    return bool(words) and (all(_WELL.match(word) for word in words) or bool(_NAMES_WELLS.search(query)))


class Contrasting:
    """Keeps the contrasts of a run, and knows which of them were picked after looking."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._drawn_after = False  # the selection was made with feature values to be seen
        self.typed_after: set[str] = set()  # queries that name wells and were typed after values were seen
        self._tried_before = 0  # on this run: in earlier sessions, on the command line, of drawn regions
        events = bench.session.events
        events.run.connect(self._run)
        events.selected.connect(self._drawn)
        events.comparison.connect(self._keep)
        for name in ("control_query", "perturbed_query", "positive_query", "excluded_query"):
            getattr(events, name).connect(partial(self._typed, name))

    def _run(self, run: Any) -> None:
        self.bench.session.contrasts = ()
        self.bench.session.undo.drop(self)
        self._drawn_after, self._tried_before = False, 0
        if run is None:
            return
        from napari_phenolens.run.contrasts import contrasts_tried

        try:
            self._tried_before = len(contrasts_tried(run))
        except PhenoLensError as error:
            self.bench.session.status = str(error)

    @property
    def seen(self) -> bool:
        """Whether values of this run's features were to be seen, now or in an earlier session."""
        s = self.bench.session
        return s.comparison is not None or bool(s.contrasts) or self._tried_before > 0

    def tried(self, contrasts: int) -> None:
        """Take up how many contrasts were tried on this run by now, those of drawn regions among them."""
        self._tried_before = max(self._tried_before, contrasts)

    def _drawn(self, _selected: object) -> None:
        self._drawn_after = self.seen

    def _typed(self, name: str, query: str) -> None:
        """Naming wells in a query after looking is picking them by hand."""
        self.typed_after.discard(name)
        if self.seen and names_wells(query):
            self.typed_after.add(name)

    @property
    def picked_after(self) -> bool:
        """Whether the wells of the roles were picked by hand after values had been seen."""
        marked = bool(self.bench.session.hand_roles) and self.bench.comparing.picked_after
        return marked or bool(self.typed_after)

    def _keep(self, comparison: Comparison | None) -> None:
        """Keep what was compared; the same wells again take the place of what was kept of them."""
        s = self.bench.session
        if comparison is None or any(kept is comparison for kept in s.contrasts):
            return
        wells = (comparison.controls, comparison.perturbed)
        others = [kept for kept in s.contrasts if (kept.controls, kept.perturbed) != wells]
        s.contrasts = (*others, comparison)

    # ---- making one ----------------------------------------------------------------------------------------------
    def by_roles(self) -> Job:
        """Compare perturbed with control wells."""
        job: Job = self.bench.comparing.start()
        return job

    def by_values(self, column: str, control: Any, perturbed: Any) -> Job:
        """Compare the wells with one entry in a column of the plate map with those with another.

        Excluded wells are left out. Which wells these are was laid down before anyone looked, so they carry a p; that
        more than one contrast was tried is counted.
        """
        if control == perturbed:
            raise PhenoLensError(f"both sides are {column} {words(control)}; choose two values")
        sides = [self._with(column, value) for value in (control, perturbed)]
        name = f"{column}: {words(perturbed)} vs {words(control)}"
        picked = bool(_NAMES_WELLS.fullmatch(column)) and self.seen
        return self._start(*sides, name=name, by=VALUES, picked_after=picked)

    def by_selection(self, controls: Sequence[str], perturbed: Sequence[str], *, picked_after: bool) -> Job:
        """Compare wells that were selected on the plate map; see `selection` for whether they were picked after."""
        name = f"selected: {some(perturbed)} vs {some(controls)}"
        return self._start(controls, perturbed, name=name, by=SELECTION, picked_after=picked_after)

    def selection(self) -> tuple[tuple[str, ...], bool]:
        """Give the selected wells, and whether they were selected after values had been seen."""
        return self.bench.session.selected, self._drawn_after

    def _with(self, column: str, value: Any) -> list[str]:
        s = self.bench.session
        chosen = s.run.select(self.bench.selecting.query(column, [value])) if s.run is not None else []
        return [well for well in chosen if s.roles.get(well) != roles.EXCLUDED]

    def _start(
        self, controls: Sequence[str], perturbed: Sequence[str], *, name: str, by: str, picked_after: bool
    ) -> Job:
        s = self.bench.session
        if s.run is None:
            raise PhenoLensError("there are no features yet: run the model, or open a finished run (step 4)")
        have = set(s.run.wells)
        left, right = ([w for w in side if w in have] for side in (controls, perturbed))
        for side, wells in (("A", left), ("B", right)):
            if not wells:
                raise PhenoLensError(f"side {side} has no well with results; choose others")
        both = sorted(set(left) & set(right))
        if both:
            raise PhenoLensError(f"{some(both)} on both sides; a well can stand on one side only")
        job: Job = self.bench.comparing.between(left, right, name=name, by=by, picked_after=picked_after)
        return job

    # ---- those kept ------------------------------------------------------------------------------------------------
    def show(self, kept: Comparison) -> None:
        """Make a kept contrast the one whose table and charts are shown."""
        if any(kept is other for other in self.bench.session.contrasts):
            self.bench.comparing.present(kept)

    def rename(self, kept: Comparison, name: str) -> None:
        """Call a kept contrast otherwise; can be undone."""
        name = " ".join(name.split())
        if name and name != kept.name:
            self._replace(f"rename a contrast to {name}", kept, replace(kept, name=name))

    def remove(self, kept: Comparison) -> None:
        """Keep a contrast no longer; it stays counted. Can be undone."""
        self._replace(f"remove the contrast {kept.name}", kept, None)

    def _replace(self, title: str, old: Comparison, new: Comparison | None) -> None:
        s = self.bench.session
        if not any(kept is old for kept in s.contrasts):
            return
        before, shown = s.contrasts, s.comparison
        after = tuple(k for kept in before if (k := new if kept is old else kept) is not None)

        def put(kept: tuple[Comparison, ...], comparison: Comparison | None) -> None:
            s.contrasts = kept
            if comparison is not s.comparison and comparison is not None:
                self.bench.comparing.present(comparison)

        now = shown if shown is not old else new if new is not None else after[-1] if after else shown
        s.undo.do(title, lambda: put(after, now if after else None), lambda: put(before, shown), self)


def words(value: Any) -> str:
    """Name an entry of the plate map."""
    return "no entry" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def some(wells: Sequence[str], most: int = 3) -> str:
    """Name a few wells, the rest as a number."""
    return ", ".join(wells[:most]) + (f" and {len(wells) - most} more" if len(wells) > most else "")
