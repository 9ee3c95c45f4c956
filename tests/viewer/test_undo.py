"""Steps that are taken back and done again."""

from __future__ import annotations

from types import SimpleNamespace

from napari_phenolens.viewer import undo
from napari_phenolens.viewer.undo import Step, UndoStack


def test_there_and_back() -> None:
    stack, state = UndoStack(), SimpleNamespace(a=1, b="x")
    told = []
    stack.changed.connect(lambda: told.append((stack.undo_title, stack.redo_title)))
    assert stack.change(state, "set both", a=2, b="y")
    assert (state.a, state.b) == (2, "y")
    assert not stack.change(state, "the same again", a=2)
    assert stack.undo() == "set both"
    assert (state.a, state.b) == (1, "x")
    assert stack.undo() == ""
    assert stack.redo() == "set both"
    assert (state.a, state.b) == (2, "y")
    assert stack.redo() == ""
    assert told == [("set both", ""), ("", "set both"), ("set both", "")]


def test_a_new_step_forgets_what_was_taken_back() -> None:
    stack, state = UndoStack(), SimpleNamespace(a=0)
    for value in (1, 2, 3):
        stack.change(state, f"set {value}", a=value)
    stack.undo()
    stack.undo()
    stack.change(state, "set 9", a=9)
    assert (stack.redo(), state.a) == ("", 9)
    assert (stack.undo(), state.a) == ("set 9", 1)


def test_fields_are_taken_back_in_the_reverse_order() -> None:
    order = []

    class State:
        a = b = 0

        def __setattr__(self, name: str, value: int) -> None:
            order.append(name)
            super().__setattr__(name, value)

    stack = UndoStack()
    stack.change(State(), "both", a=1, b=1)
    stack.undo()
    assert order == ["a", "b", "b", "a"]


def test_steps_within_a_step_are_part_of_it() -> None:
    """Undoing calls what would otherwise push a step of its own."""
    stack, state = UndoStack(), SimpleNamespace(a=0, b=0)
    stack.do("outer", lambda: stack.change(state, "inner", a=1), lambda: stack.change(state, "inner", a=0))
    assert (state.a, stack.undo_title) == (1, "outer")
    stack.undo()
    assert (state.a, stack.undo_title, stack.redo_title) == (0, "", "outer")


def test_it_keeps_so_many_steps_and_forgets_on_request() -> None:
    stack, state = UndoStack(), SimpleNamespace(a=0)
    for value in range(1, undo.LIMIT + 6):
        stack.change(state, "step", a=value)
    while stack.undo():
        pass
    assert state.a == 5
    stack.clear()
    assert stack.redo_title == ""
    stack.push(Step("done elsewhere", lambda: None, lambda: None))
    assert stack.undo_title == "done elsewhere"
