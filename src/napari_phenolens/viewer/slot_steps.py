"""What the user does with the heatmap slots, as steps that can be taken back: feature, kind and limits of each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from napari_phenolens.viewer.overlays import overlay_name
from napari_phenolens.viewer.session import SlotState
from napari_phenolens.viewer.slots import Limits, Subject, limits_by_hand, limits_of, put_limits, slot_of, subject_of
from napari_phenolens.viewer.undo import Step

if TYPE_CHECKING:
    from napari_phenolens.viewer.workbench import Workbench

DRAG_S = 1.0  # limits that move again within this time are one step: a slider is dragged


class _LimitsStep:
    """The limits of a slot before and after the user moved them."""

    def __init__(self, index: int, subject: Subject, before: Limits, after: Limits) -> None:
        self.index, self.subject, self.before, self.after = index, subject, before, after
        self.moved = time.monotonic()
        self.step: Step | None = None


class SlotSteps:
    """Changes the slots on the session's stack of steps, and watches their layers for limits that are moved."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._watched: WeakSet[Any] = WeakSet()
        self._last: dict[int, tuple[Subject, Limits]] = {}  # of each slot's layer, as far as we know
        self._waiting: dict[int, tuple[Subject, Limits]] = {}  # limits to put back once the slot shows this subject
        self._dragged: _LimitsStep | None = None
        self._quiet = False
        bench.slots.shown.connect(self._shown)
        bench.session.events.run.connect(lambda _run: self._forget())

    def put(self, index: int, state: SlotState, *, step: bool = True) -> None:
        """Put a feature into a slot, or nothing; the chosen feature follows.

        Parameters
        ----------
        index : int
            The slot.
        state : SlotState
            What it is to show.
        step : bool
            Whether it can be taken back; what nobody asked for is no step.
        """
        s = self.bench.session
        old, chosen = s.slots[index], s.feature
        layer = self.bench.slots.layer(index)
        shown = layer is not None and subject_of(layer) == self.bench.showing.subject(old)
        limits = limits_by_hand(layer) if shown else None
        choose = chosen if state.feature is None else state.feature

        def redo() -> None:
            self._apply(index, state, choose)

        redo()
        if step and (state, choose) != (old, chosen):
            title = _title(index, old, state)
            s.undo.push(Step(title, lambda: self._apply(index, old, chosen, limits), redo, self))

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Move limits without a step: what is put back, and not what the user does."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def _apply(self, index: int, state: SlotState, feature: int | None, limits: Limits | None = None) -> None:
        s, showing = self.bench.session, self.bench.showing
        self._waiting.pop(index, None)
        if limits is not None:
            self._waiting[index] = (showing.subject(state), limits)
        s.slots = s.with_slot(index, state)
        s.feature = feature
        showing.slot_changed(index)

    # ---- their limits ------------------------------------------------------------------------------------------------
    def _shown(self, index: int) -> None:
        """Watch a slot's layer, and put back the limits that wait for what it shows now."""
        layer = self.bench.slots.layer(index)
        if layer is None:
            return
        if layer not in self._watched:
            self._watched.add(layer)
            layer.events.contrast_limits.connect(self._moved)
        waiting = self._waiting.get(index)
        if waiting is not None and waiting[0] == subject_of(layer):
            del self._waiting[index]
            with self.quietly():
                put_limits(layer, waiting[1])
        self._know(layer)

    def _know(self, layer: Any) -> None:
        self._last[slot_of(layer)] = (subject_of(layer), limits_of(layer))

    def _moved(self, event: Any) -> None:
        """Note limits that the user moved; a drag is one step."""
        layer = event.source
        index = slot_of(layer)
        subject, before = self._last.get(index, (None, (0.0, 1.0)))
        now = limits_of(layer)
        ours = self._quiet or self.bench.slots.busy or subject is None or subject != subject_of(layer)
        if not ours and now != before:
            self._note(index, subject, before, now)  # type: ignore[arg-type]
        if not self.bench.slots.busy:
            self._know(layer)

    def _note(self, index: int, subject: Subject, before: Limits, now: Limits) -> None:
        undo, drag = self.bench.session.undo, self._dragged
        if (
            drag is not None
            and drag.step is undo.last
            and (drag.index, drag.subject) == (index, subject)
            and time.monotonic() - drag.moved < DRAG_S
        ):
            drag.after, drag.moved = now, time.monotonic()
            return
        moved = _LimitsStep(index, subject, before, now)
        moved.step = Step(
            f"set the limits of F{subject[0]}",
            lambda: self._set(index, subject, moved.before),
            lambda: self._set(index, subject, moved.after),
            self,
        )
        self._dragged = moved
        undo.push(moved.step)

    def _set(self, index: int, subject: Subject, limits: Limits) -> None:
        layer = self.bench.slots.layer(index)
        if layer is not None and subject_of(layer) == subject:
            with self.quietly():
                put_limits(layer, limits)
        else:  # its heatmap is being read
            self._waiting[index] = (subject, limits)

    def _forget(self) -> None:
        """Another run's features are others: nothing of the former one's can be taken back."""
        self._last, self._waiting, self._dragged = {}, {}, None
        self.bench.session.undo.drop(self)


def _title(index: int, before: SlotState, after: SlotState) -> str:
    """Say a change of a slot in words that follow "Undo"."""
    if after.feature is None:
        return f"clear slot {index + 1}" + (f" of F{before.feature}" if before.feature is not None else "")
    return f"show {overlay_name(after.feature, after.kind)} in slot {index + 1}"
