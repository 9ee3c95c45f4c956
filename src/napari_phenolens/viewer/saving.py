"""Sessions saved and opened again: what was open and chosen, in one small file; figures are computed anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_phenolens.viewer import compat, roles, session_file
from napari_phenolens.viewer.images import role_of
from napari_phenolens.viewer.reopening import Reopened, absolute, compare_again, fingerprint, reopen
from napari_phenolens.viewer.session import KINDS, SLOTS, VIEWS, Comparison, Problem, SlotState
from napari_phenolens.viewer.session_file import SavedContrast, SavedLayer, SavedSession, SavedSlot, SessionError
from napari_phenolens.viewer.slots import CHANNEL, limits_by_hand, limits_of, put_limits

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

TITLE = "Opening the session"


class Saving:
    """Writes what a viewer's user has open and chosen, and puts it back."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.notes: tuple[str, ...] | None = None  # of the session that was opened last; None while one is opened
        self._waiting: Reopened | None = None
        bench.jobs.ended.connect(self._drawn)

    # ---- saving ------------------------------------------------------------------------------------------------------
    def save(self, path: str | Path) -> Path:
        """Write the session file; gives its path."""
        if self.bench.session.source is None:
            raise SessionError("nothing is open that could be saved; open a plate or a finished run first (step 1)")
        file = session_file.write(path, self.gather())
        self.bench.session.status = f"Saved the session as {file}."
        self.bench.remembering.note("session", file)
        return file

    def gather(self) -> SavedSession:
        """Collect what is open and chosen."""
        s, bench = self.bench.session, self.bench
        contrasts = tuple(
            SavedContrast(c.controls, c.perturbed, c.name, str(c.about.get("by", "roles")), _picked_after(c))
            for c in s.contrasts
        )
        plain = s.view != "plate" and not s.side_by_side
        table = bench.opening.platemap if s.plate is not None else None
        return SavedSession(
            plate=None if s.plate is None else absolute(s.plate.path),
            platemap=None if table is None else absolute(table),
            options=dict(getattr(s.plate, "options", None) or {}),
            run=None if s.run is None else absolute(s.run.path),
            lens=fingerprint(s.run),
            features=None if s.run is None else int(s.run.n_features),
            queries={name: getattr(s, f"{name}_query") for name in session_file.QUERIES},
            hand_roles=dict(s.hand_roles),
            marked_after=bench.comparing.picked_after,
            typed_after=tuple(sorted(bench.contrasting.typed_after)),
            contrasts=contrasts,
            shown=next((i for i, kept in enumerate(s.contrasts) if kept is s.comparison), None),
            feature=None if s.feature is None else int(s.feature),
            slots=tuple(self._slot(i, state) for i, state in enumerate(s.slots)),
            channels={
                role_of(layer)[1]: SavedLayer(self._moved(layer), bool(layer.visible))  # type: ignore[index]
                for layer in bench.images.layers
            },
            opacity=bench.slots.opacity,
            well=s.well,
            field=s.field_name,
            view=s.view,
            colour_by=s.colour_by,
            side_by_side=s.side_by_side,
            pairs=s.pairs,
            kept_cells=tuple(int(cell) for cell in s.kept_cells),
            camera=_plain(compat.look(bench.viewer)) if plain and s.well is not None else None,
        )

    def _slot(self, index: int, state: SlotState) -> SavedSlot:
        layer = self.bench.slots.layer(index)
        feature = None if state.feature is None else int(state.feature)
        if layer is None or state.feature is None:
            return SavedSlot(None, True, feature, state.kind)
        visible = bool(layer.visible) or self.bench.session.view == "plate" or self.bench.session.side_by_side
        return SavedSlot(limits_by_hand(layer), visible, feature, state.kind)

    def _moved(self, layer: Any) -> tuple[float, float] | None:
        """Give a channel's limits where they are not those that all wells share."""
        limits = limits_of(layer)
        return None if limits == _pair(self.bench.showing.limits_of(role_of(layer)[1])) else limits  # type: ignore[index]

    # ---- opening -----------------------------------------------------------------------------------------------------
    def open(self, path: str | Path) -> Job:
        """Open a session in a thread, then put back what is still there; what is gone is said with the way out."""
        self.notes = None

        def work(job: Job) -> Reopened:
            read = reopen(session_file.read(path), job)
            compare_again(read, job)
            return read

        def done(read: Reopened) -> None:
            self._put(read)
            self.bench.remembering.note("session", Path(path).expanduser().absolute())

        return self.bench.jobs.start("open", work, done, title=TITLE)

    def open_and_wait(self, path: str | Path, timeout: float = 600.0) -> tuple[str, ...]:
        """Open a session and wait for it, see `open_session`."""
        bench = self.bench
        self.open(path)
        if not bench.jobs.wait(timeout):
            raise SessionError(f"{path} was not open after {timeout:.0f} s; it goes on in the background")
        if self.notes is None or bench.session.source is None:
            problem = bench.session.problem
            raise SessionError(problem.message if problem is not None else f"{path}: opening it was cancelled")
        return self.notes

    def _put(self, read: Reopened) -> None:
        """Put back all but what hangs on the layers."""
        s, bench, saved = self.bench.session, self.bench, read.saved
        if read.plate is None and read.run is None:
            self.notes = tuple(read.notes)
            s.problem = Problem(TITLE, " ".join(read.notes) or "The session names neither a plate nor a run.")
            return
        bench.opening.put(read.plate, read.platemap, read.run)
        for name, query in saved.queries.items():
            setattr(s, f"{name}_query", query)
        s.hand_roles = {well: role for well, role in saved.hand_roles.items() if well in s.wells}
        gone = sorted(set(saved.hand_roles) - set(s.hand_roles))
        if gone:
            read.notes.append(f"Wells with a role set by hand are not on this plate: {', '.join(gone)}.")
        for name, query in saved.queries.items():
            error = roles.match(s.source, query)[1]
            if error:
                read.notes.append(f"The {name} wells could not be found again: {error}.")
        bench.update_roles()
        bench.comparing.picked_after = saved.marked_after
        bench.contrasting.typed_after = set(saved.typed_after)
        if read.shown is not None and read.profiles is not None:
            bench.comparing.restore(read.kept, read.shown, read.profiles, read.covariates)
        self._put_features(read)
        s.pairs, s.colour_by = max(1, saved.pairs), saved.colour_by
        self._put_well(read)

    def _put_features(self, read: Reopened) -> None:
        s, saved = self.bench.session, read.saved
        if read.run is None:
            return
        if not read.same_lens:
            read.notes.append(
                "The run was made with another lens since, so its numbers stand for other features: the chosen "
                "feature, the heatmaps and the kept cells were left out."
            )
            return
        features = int(read.run.n_features)
        slots = [
            SlotState(slot.feature, slot.kind)
            if slot.feature is not None and slot.feature < features and _known(slot.kind)
            else SlotState()
            for slot in saved.slots[:SLOTS]
        ]
        self.bench.slots.opacity = None if saved.opacity is None else min(1.0, max(0.0, saved.opacity))
        s.slots = (*slots, *(SlotState() for _ in range(SLOTS - len(slots))))
        s.feature = saved.feature if saved.feature is not None and saved.feature < features else None
        s.kept_cells = saved.kept_cells

    def _put_well(self, read: Reopened) -> None:
        s, saved = self.bench.session, read.saved
        well = saved.well if saved.well in s.wells else next(iter(s.wells), None)
        if saved.well is not None and well != saved.well:
            read.notes.append(f"Well {saved.well} is not on this plate; {well or 'no well'} is shown.")
        s.view = saved.view if saved.view in VIEWS and saved.view != "plate" and s.plate is not None else "field"
        s.well, s.field_name = well, saved.field if well == saved.well else None
        self._waiting = read
        if well is None:
            self._finish(read)
        else:
            self.bench.showing.again()

    def _drawn(self, job: Job) -> None:
        """Once the well's pictures and heatmaps are on the canvas, what hangs on the layers is put back."""
        read = self._waiting
        if read is None or job.kind != "picture" or job.cancelled():
            return
        s = self.bench.session
        if s.run is read.run and s.plate is read.plate:
            self._finish(read)
        self._waiting = None

    def _finish(self, read: Reopened) -> None:
        s, bench, saved = self.bench.session, self.bench, read.saved
        self._waiting = None
        for layer in bench.images.layers:
            kept = saved.channels.get(role_of(layer)[1])  # type: ignore[index]
            if kept is not None:
                _restore_look(layer, kept)
        if saved.opacity is not None:
            bench.showing.set_opacity(bench.slots.opacity if bench.slots.opacity is not None else saved.opacity)
        for index, slot in enumerate(saved.slots[:SLOTS]):
            layer = bench.slots.layer(index)
            if layer is not None and s.slots[index] == SlotState(slot.feature, slot.kind) and layer.visible:
                with bench.slot_steps.quietly():
                    _restore_look(layer, slot)
        if saved.camera is not None and s.well == saved.well:
            look = saved.camera
            compat.look_again(bench.viewer, look)
            bench.jobs.soon(lambda: compat.look_again(bench.viewer, look))  # a canvas without a size forgets it
        if saved.side_by_side and s.plate is not None:
            bench.attempt("Showing side by side", bench.showing.side_by_side)
        elif saved.view == "plate" and s.plate is not None:
            bench.attempt("Showing the whole plate", bench.showing.view, "plate")
        self.notes = tuple(read.notes)
        s.status = "The session is open again." if not read.notes else "The session is open again, but not all of it."
        if read.notes:
            s.problem = Problem("Opening all of the session", " ".join(read.notes))


def _picked_after(comparison: Comparison) -> bool:
    return bool(comparison.about.get("picked_after", False))


def _pair(limits: Sequence[float]) -> tuple[float, float]:
    return float(limits[0]), float(limits[1])


def _plain(look: tuple[Any, ...]) -> tuple[Any, ...]:
    center, zoom, angles = look
    return tuple(float(x) for x in center), float(zoom), tuple(float(x) for x in angles)


def _known(kind: str) -> bool:
    return kind in KINDS or kind.startswith(CHANNEL)


def _restore_look(layer: Any, kept: SavedLayer) -> None:
    if kept.limits is not None:
        put_limits(layer, kept.limits)
    layer.visible = kept.visible


# ---- for scripts and notebooks ---------------------------------------------------------------------------------------
def save_session(viewer: Any, path: str | Path) -> Path:
    """Save what a viewer's PhenoLens has open and chosen.

    Saved are the plate, its map and how it was opened, the run, roles, contrasts (their wells and names), the chosen
    feature, heatmap slots, contrast limits that were moved by hand, well, field, view, what colours the wells, kept
    cells and the camera. Names and notes of features live with the run.

    Parameters
    ----------
    viewer : napari.Viewer
    path : path
        Ends in ``.phenolens.json``, else that is added.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SessionError
        Where nothing is open, or the file cannot be written.
    """
    from napari_phenolens.viewer.workbench import workbench_for

    return workbench_for(viewer).saving.save(path)


def open_session(viewer: Any, path: str | Path, timeout: float = 600.0) -> tuple[str, ...]:
    """Open a saved session in a viewer and wait until it is there.

    Parameters
    ----------
    viewer : napari.Viewer
    path : path
        A file that `save_session` wrote.
    timeout : float
        Seconds to wait.

    Returns
    -------
    tuple of str
        What could not be put back, with the way out; empty where all is as it was.

    Raises
    ------
    SessionError
        Where the file cannot be read, neither plate nor run is there, or the time was too short.
    """
    from napari_phenolens.viewer.workbench import workbench_for

    return workbench_for(viewer).saving.open_and_wait(path, timeout)
