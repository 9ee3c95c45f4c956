"""What can be taken back: a stack of steps on the session, for roles, selection, names, notes and slots alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psygnal import Signal

LIMIT = 200  # steps that are kept


@dataclass(frozen=True)
class Step:
    """One thing that the user did.

    Attributes
    ----------
    title : str
        In words that follow "Undo": ``"mark 3 wells as control"``.
    undo, redo : callable
        Take it back, and do it again. Both run on the main thread.
    owner : object
        Who may drop it, see `UndoStack.drop`.
    """

    title: str
    undo: Callable[[], object]
    redo: Callable[[], object]
    owner: object = None


class UndoStack:
    """Steps that were done and steps that were taken back; a new step forgets the latter.

    Attributes
    ----------
    changed : psygnal.Signal
        Something was done, undone or redone.
    """

    changed = Signal()

    def __init__(self) -> None:
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._busy = False

    def do(self, title: str, redo: Callable[[], object], undo: Callable[[], object], owner: object = None) -> None:
        """Do something that can be taken back.

        Parameters
        ----------
        title : str
            See `Step`.
        redo : callable
            Does it; called now, and at every redo.
        undo : callable
            Takes it back.
        owner : object
            See `Step`.
        """
        self._run(redo)
        self.push(Step(title, undo, redo, owner))

    def push(self, step: Step) -> None:
        """Take up a step that was done already; steps within an undo or redo are part of it and are not kept."""
        if self._busy:
            return
        self._done = [*self._done, step][-LIMIT:]
        self._undone = []
        self.changed.emit()

    def change(self, state: Any, title: str, **fields: Any) -> bool:
        """Set attributes of an object, reversibly.

        Parameters
        ----------
        state : object
            Such as the session.
        title : str
            See `Step`.
        **fields
            Attribute to new value, set in this order; taken back in the reverse order.

        Returns
        -------
        bool
            Whether anything differed; where nothing does, no step is kept.
        """
        before = {name: getattr(state, name) for name in fields}
        if all(before[name] is value or bool(before[name] == value) for name, value in fields.items()):
            return False

        def put(values: dict[str, Any]) -> None:
            for name, value in values.items():
                setattr(state, name, value)

        self.do(title, lambda: put(fields), lambda: put(dict(reversed(before.items()))))
        return True

    def undo(self) -> str:
        """Take back the last step; gives its title, empty where there is none."""
        if not self._done:
            return ""
        step = self._done.pop()
        self._run(step.undo)
        self._undone.append(step)
        self.changed.emit()
        return step.title

    def redo(self) -> str:
        """Do again what was taken back last; gives its title, empty where there is none."""
        if not self._undone:
            return ""
        step = self._undone.pop()
        self._run(step.redo)
        self._done.append(step)
        self.changed.emit()
        return step.title

    def clear(self) -> None:
        """Forget all steps: another plate was opened."""
        self._done, self._undone = [], []
        self.changed.emit()

    def drop(self, owner: object) -> None:
        """Forget the steps of an owner: what they were about is not there any more."""
        kept = [[step for step in steps if step.owner is not owner] for steps in (self._done, self._undone)]
        if [len(steps) for steps in kept] != [len(self._done), len(self._undone)]:
            self._done, self._undone = kept
            self.changed.emit()

    @property
    def last(self) -> Step | None:
        """The step that `undo` would take back; None where there is none."""
        return self._done[-1] if self._done else None

    @property
    def undo_title(self) -> str:
        """What `undo` would take back; empty where nothing."""
        return self._done[-1].title if self._done else ""

    @property
    def redo_title(self) -> str:
        """What `redo` would do again; empty where nothing."""
        return self._undone[-1].title if self._undone else ""

    def _run(self, action: Callable[[], object]) -> None:
        before, self._busy = self._busy, True
        try:
            action()
        finally:
            self._busy = before
