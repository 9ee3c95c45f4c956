"""What belongs to one viewer: its session, jobs, layers, and the actions that the dock's intents call."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import compat, roles
from napari_phenolens.viewer.images import ImageLayers
from napari_phenolens.viewer.jobs import Jobs
from napari_phenolens.viewer.session import Problem, Session
from napari_phenolens.viewer.side_by_side import SideBySide
from napari_phenolens.viewer.slots import HeatmapSlots


class Workbench:
    """Joins the session of a viewer with its jobs and layers.

    It holds the viewer weakly: the viewer may go while a job runs.

    Attributes
    ----------
    session : Session
    jobs : Jobs
    images, slots, side : the fixed layers
    opening, showing, pairing, overview, comparing, scoring, selecting, running, probing, picking ... : the actions, one
        subject each
    """

    def __init__(self, viewer: Any) -> None:
        from napari_phenolens.viewer.cell_finding import CellFinding
        from napari_phenolens.viewer.cell_page import CellPages
        from napari_phenolens.viewer.cell_references import References
        from napari_phenolens.viewer.cell_walking import CellWalking
        from napari_phenolens.viewer.charting import Charting
        from napari_phenolens.viewer.comparing import Comparing
        from napari_phenolens.viewer.contrasting import Contrasting
        from napari_phenolens.viewer.dictionary import Dictionaries
        from napari_phenolens.viewer.feature_page import FeaturePage
        from napari_phenolens.viewer.following import Following
        from napari_phenolens.viewer.naming import Naming
        from napari_phenolens.viewer.opening import Opening
        from napari_phenolens.viewer.overview import Overview
        from napari_phenolens.viewer.pairing import Pairing
        from napari_phenolens.viewer.picking import Picking
        from napari_phenolens.viewer.probing import Probing
        from napari_phenolens.viewer.recent import Remembering
        from napari_phenolens.viewer.regions import Regions
        from napari_phenolens.viewer.responding import Responding
        from napari_phenolens.viewer.running import Running
        from napari_phenolens.viewer.saving import Saving
        from napari_phenolens.viewer.scoring import Scoring
        from napari_phenolens.viewer.selecting import Selecting
        from napari_phenolens.viewer.showing import Showing
        from napari_phenolens.viewer.slot_steps import SlotSteps
        from napari_phenolens.viewer.telling_apart import TellingApart
        from napari_phenolens.viewer.weights import Weights
        from napari_phenolens.viewer.wording import Wording

        self.viewer: Any = weakref.proxy(viewer)
        self.session = Session()
        self.jobs = Jobs()
        self.images = ImageLayers(self.viewer)
        self.slots = HeatmapSlots(self.viewer)
        self.side = SideBySide(self.viewer)
        self.opening = Opening(self)
        self.showing = Showing(self)
        self.slot_steps = SlotSteps(self)
        self.pairing = Pairing(self)
        self.overview = Overview(self)
        self.comparing = Comparing(self)
        self.scoring = Scoring(self)
        self.contrasting = Contrasting(self)
        self.charting = Charting(self)
        self.naming = Naming(self)
        self.page = FeaturePage(self)
        self.selecting = Selecting(self)
        self.running = Running(self)
        self.following = Following(self)
        self.weights = Weights(self)
        self.probing = Probing(self)
        self.dictionary = Dictionaries(self)
        self.picking = Picking(self)
        self.regions = Regions(self)
        self.references = References()
        self.finding = CellFinding(self)
        self.cells = CellPages(self)
        self.walking = CellWalking(self)
        self.responding = Responding(self)
        self.telling = TellingApart(self)
        self.wording = Wording(self)
        self.remembering = Remembering(self)
        self.saving = Saving(self)
        self.jobs.failed.connect(self._on_failed)

    def _on_failed(self, _job: Any, problem: Any) -> None:
        self.session.problem = problem
        self.session.status = f"{problem.title} did not work: {problem.message}"

    def attempt(self, title: str, action: Callable[..., Any], *args: Any) -> Any:
        """Call an action; what the user can put right is shown in the dock, with the way out.

        Returns
        -------
        object or None
            What the action returned; None where it could not be done.
        """
        try:
            return action(*args)
        except PhenoLensError as error:
            self.session.problem = Problem(title, str(error))
            return None

    def update_roles(self) -> None:
        """Give every well its role from the queries and from what was set by hand."""
        s = self.session
        by_query = (s.control_query, s.perturbed_query, s.positive_query)
        s.roles = roles.assign(s.source, *by_query, s.hand_roles, s.excluded_query)

    def set_queries(
        self,
        control: str | None = None,
        perturbed: str | None = None,
        positive: str | None = None,
        excluded: str | None = None,
    ) -> None:
        """Take the queries that the user typed; None leaves one as it is. Can be undone."""
        asked = {"control": control, "perturbed": perturbed, "positive": positive, "excluded": excluded}
        new = {f"{name}_query": query for name, query in asked.items() if query is not None}
        self._set_roles("choose " + " and ".join(name for name in asked if asked[name] is not None) + " wells", **new)

    def mark(self, wells: tuple[str, ...], role: str | None) -> None:
        """Set the role of wells by hand; None gives them back to the queries. Can be undone."""
        s = self.session
        by_hand = {well: old for well, old in s.hand_roles.items() if well not in wells}
        if role is not None:
            by_hand.update(dict.fromkeys(wells, role))
        self.comparing.picked_after = bool(by_hand) and (self.comparing.picked_after or self.contrasting.seen)
        many = wells[0] if len(wells) == 1 else f"{len(wells)} wells"
        self._set_roles(f"mark {many} as {role}" if role else f"reset the role of {many}", hand_roles=by_hand)

    def _set_roles(self, title: str, **fields: Any) -> None:
        """Change what decides the roles, and the roles with it, as one step that can be undone."""
        s = self.session
        before = {name: getattr(s, name) for name in fields}
        if before == fields:
            return

        def put(values: dict[str, Any]) -> None:
            for name, value in values.items():
                setattr(s, name, value)
            self.update_roles()

        s.undo.do(title, lambda: put(fields), lambda: put(before))

    def undo(self) -> bool:
        """Take back the last step; returns whether there was one."""
        title = self.session.undo.undo()
        self.session.status = f"Undone: {title}." if title else "There is nothing to undo."
        return bool(title)

    def redo(self) -> bool:
        """Do again what was taken back; returns whether there was anything."""
        title = self.session.undo.redo()
        self.session.status = f"Done again: {title}." if title else "There is nothing to do again."
        return bool(title)

    def cancel(self) -> bool:
        """Cancel whatever runs; returns whether anything did."""
        any_job = self.jobs.cancel()
        if any_job:
            self.session.status = "Cancelling; what was computed so far is kept."
        return any_job

    def close(self) -> None:
        """Stop the jobs and end what hangs on the viewer."""
        self.jobs.cancel()
        self.picking.disconnect()


_BENCHES: WeakKeyDictionary[Any, Workbench] = WeakKeyDictionary()


def workbench_for(viewer: Any) -> Workbench:
    """Give the one workbench of a viewer, made when it is first asked for."""
    model = compat.unwrap(viewer)
    bench = _BENCHES.get(model)
    if bench is None:
        bench = _BENCHES[model] = Workbench(model)
    return bench
