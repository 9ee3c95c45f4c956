"""The plate map: 6 to 1536 wells, mouse, keys, roles and colours."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtWidgets import QApplication, QScrollArea

from napari_phenolens.plate import well_name_of
from napari_phenolens.widgets.palette import colours_of, ink_on, table
from napari_phenolens.widgets.plate_map import PlateMap

FORMATS = [(2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48)]


def every(rows: int, columns: int) -> list[str]:
    return [well_name_of(i, j) for i in range(rows) for j in range(columns)]


@pytest.fixture
def make(qtbot: Any) -> Any:
    def build(rows: int, columns: int, wells: list[str] | None = None, width: int = 410) -> PlateMap:
        made = PlateMap()
        qtbot.addWidget(made)
        made.resize(width, 100)
        made.set_plate((rows, columns), every(rows, columns) if wells is None else wells)
        made.show()
        qtbot.wait(10)
        return made

    return build


def centre(made: PlateMap, well: str) -> QPoint:
    return made.rect_of(well).center().toPoint()


@pytest.mark.parametrize(("rows", "columns"), FORMATS)
def test_every_well_of_every_format_can_be_hit(make: Any, rows: int, columns: int) -> None:
    made = make(rows, columns)
    for well in every(rows, columns):
        assert made.well_at(made.rect_of(well).center()) == well
    last = made.rect_of(well_name_of(rows - 1, columns - 1))
    assert last.right() <= made.width()
    assert last.bottom() <= made.height()
    assert made.height() < 420
    assert not made.grab().isNull()


def test_a_click_shows_and_selects(make: Any, qtbot: Any) -> None:
    made = make(8, 12)
    told: list[object] = []
    made.well_clicked.connect(told.append)
    made.selection_changed.connect(told.append)
    qtbot.mouseClick(made, Qt.MouseButton.LeftButton, pos=centre(made, "B07"))
    assert told == [("B07",), "B07"]


def test_a_drag_selects_a_box_and_shows_nothing(make: Any, qtbot: Any) -> None:
    made = make(8, 12)
    shown = []
    made.well_clicked.connect(shown.append)
    drag(made, qtbot, "B02", "C04")
    assert made.selected == ("B02", "B03", "B04", "C02", "C03", "C04")
    drag(made, qtbot, "A01", "A02", Qt.KeyboardModifier.ControlModifier)
    assert made.selected[:2] == ("A01", "A02")
    drag(made, qtbot, "B02", "C03", Qt.KeyboardModifier.AltModifier)
    assert made.selected == ("A01", "A02", "B04", "C04")
    assert shown == []


def drag(made: PlateMap, qtbot: Any, start: str, end: str, keys: Any = Qt.KeyboardModifier.NoModifier) -> None:
    qtbot.mousePress(made, Qt.MouseButton.LeftButton, keys, centre(made, start))
    qtbot.mouseMove(made, centre(made, start) + QPoint(6, 6))
    qtbot.mouseMove(made, centre(made, end))
    qtbot.mouseRelease(made, Qt.MouseButton.LeftButton, keys, centre(made, end))


def test_labels_select_rows_and_columns(make: Any, qtbot: Any) -> None:
    made = make(8, 12)
    qtbot.mouseClick(made, Qt.MouseButton.LeftButton, pos=QPoint(centre(made, "A05").x(), 4))
    assert made.selected == tuple(f"{row}05" for row in "ABCDEFGH")
    qtbot.mouseClick(made, Qt.MouseButton.LeftButton, pos=QPoint(4, centre(made, "C01").y()))
    assert made.selected == tuple(f"C{column:02d}" for column in range(1, 13))


def test_control_and_alt_clicks(make: Any, qtbot: Any) -> None:
    made = make(8, 12)
    shown = []
    made.well_clicked.connect(shown.append)
    for well in ("D04", "A02"):
        qtbot.mouseClick(made, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, centre(made, well))
    assert made.selected == ("A02", "D04")
    qtbot.mouseClick(made, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.AltModifier, centre(made, "A02"))
    assert made.selected == ("D04",)
    assert shown == []


def test_control_from_a_selected_well_takes_away(make: Any, qtbot: Any) -> None:
    made = make(8, 12)
    drag(made, qtbot, "B02", "C04")
    drag(made, qtbot, "C03", "C06", Qt.KeyboardModifier.ControlModifier)
    assert made.selected == ("B02", "B03", "B04", "C02")
    qtbot.mouseClick(made, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, centre(made, "B02"))
    assert made.selected == ("B03", "B04", "C02")


def test_shift_takes_all_up_to_the_well(make: Any, qtbot: Any) -> None:
    made = make(8, 12)
    shown = []
    made.well_clicked.connect(shown.append)
    qtbot.mouseClick(made, Qt.MouseButton.LeftButton, pos=centre(made, "B07"))
    qtbot.mouseClick(made, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, centre(made, "C05"))
    assert made.selected == ("B05", "B06", "B07", "C05", "C06", "C07")
    qtbot.mouseClick(made, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, centre(made, "A07"))
    assert made.selected == ("A07", "B07")
    drag(made, qtbot, "H01", "H02", Qt.KeyboardModifier.ShiftModifier)
    assert made.selected == ("A07", "B07", "H01", "H02")
    assert shown == ["B07"]


def test_dragging_over_labels_takes_rows_and_the_corner_takes_all(make: Any, qtbot: Any) -> None:
    made = make(8, 12)
    start, end = QPoint(4, centre(made, "C01").y()), QPoint(4, centre(made, "D01").y())
    qtbot.mousePress(made, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(made, start + QPoint(0, 6))
    qtbot.mouseMove(made, end)
    qtbot.mouseRelease(made, Qt.MouseButton.LeftButton, pos=end)
    assert made.selected == tuple(f"{row}{column:02d}" for row in "CD" for column in range(1, 13))
    qtbot.mouseClick(
        made, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.AltModifier, QPoint(centre(made, "A01").x(), 4)
    )
    assert "C01" not in made.selected
    assert len(made.selected) == 22
    qtbot.mouseClick(made, Qt.MouseButton.LeftButton, pos=QPoint(3, 3))
    assert len(made.selected) == 96


def test_only_middle_wells_and_wells_that_were_never_there(make: Any, qtbot: Any) -> None:
    """A plate of which only the middle was imaged keeps its format, and a box over nothing selects nothing."""
    made = make(16, 24, ["H12", "H13", "I12"])
    drag(made, qtbot, "A01", "P24")
    assert made.selected == ("H12", "H13", "I12")
    drag(made, qtbot, "A01", "C03")
    assert made.selected == ()


def test_wells_without_images_cannot_be_shown(make: Any, qtbot: Any) -> None:
    made = make(8, 12, ["B02", "B03"])
    made.set_plate((8, 12), ["B02", "B03"], ["A01", "B02"])
    shown = []
    made.well_clicked.connect(shown.append)
    qtbot.mouseClick(made, Qt.MouseButton.LeftButton, pos=centre(made, "A01"))
    assert shown == []
    assert made.selected == ()
    qtbot.mouseClick(made, Qt.MouseButton.LeftButton, pos=centre(made, "B03"))
    assert shown == ["B03"]


def test_keys_walk_show_and_select(make: Any, qtbot: Any) -> None:
    made = make(8, 12)
    shown = []
    made.well_clicked.connect(shown.append)
    made.set_current("A01")
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Return):
        qtbot.keyClick(made, key)
    assert shown == ["B03"]
    qtbot.keyClick(made, Qt.Key.Key_Left)
    qtbot.keyClick(made, Qt.Key.Key_Space)
    assert made.selected == ("B02", "B03")
    for _ in range(30):
        qtbot.keyClick(made, Qt.Key.Key_Up)
        qtbot.keyClick(made, Qt.Key.Key_Left)
    qtbot.keyClick(made, Qt.Key.Key_Return)
    assert shown[-1] == "A01"


def test_shift_and_arrows_extend_and_keys_take_all_or_none(make: Any, qtbot: Any) -> None:
    made = make(8, 12)
    told = []
    made.pointed.connect(told.append)
    made.set_current("B02")
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Down):
        qtbot.keyClick(made, key, Qt.KeyboardModifier.ShiftModifier)
    assert made.selected == ("B02", "B03", "C02", "C03")
    assert told == ["B03", "C03"]
    qtbot.keyClick(made, Qt.Key.Key_End)
    qtbot.keyClick(made, Qt.Key.Key_PageDown)
    assert told[-1] == "H12"
    qtbot.keyClick(made, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert len(made.selected) == 96
    qtbot.keyClick(made, Qt.Key.Key_Escape)
    assert made.selected == ()


def hover(widget: Any, point: QPoint) -> None:
    """Move the mouse over a widget: the event alone, as a virtual screen hands a cursor's moves on when it likes."""
    nothing = Qt.MouseButton.NoButton
    there = QPointF(widget.mapToGlobal(point))
    move = QMouseEvent(QEvent.Type.MouseMove, QPointF(point), there, nothing, nothing, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(widget, move)


def test_the_mouse_tells_the_well_under_it(make: Any) -> None:
    made = make(8, 12)
    told: list[str] = []
    made.pointed.connect(told.append)
    for well in ("B02", "B02", "C02"):
        hover(made, centre(made, well) + QPoint(1, 1))
        hover(made, centre(made, well))
    hover(made, QPoint(3, 3))
    assert told == ["B02", "C02", ""]


def test_recolouring_paints_what_differs_alone(make: Any) -> None:
    """The cost of a recolouring is the wells whose colour differs; moving, selecting and the band cost none."""
    made = make(16, 24)
    wells = every(16, 24)
    first = colours_of(range(384), (0, 383))
    made.set_colours(dict(zip(wells, first, strict=True)))
    made.grab()
    before = made.picture.painted
    made.grab()
    made.set_selected(wells[:40])
    made.set_current("C07")
    made.set_preview(wells[50:60])
    made.grab()
    assert made.picture.painted == before
    made.set_colours({**dict(zip(wells, first, strict=True)), **dict.fromkeys(wells[:5], first[-1])})
    made.grab()
    assert made.picture.painted == before + 5
    made.set_colours(dict(zip(wells, colours_of(range(383, -1, -1), (0, 383)), strict=True)))
    made.grab()
    assert made.picture.painted <= before + 5 + 384


def test_what_is_painted_is_what_a_fresh_map_paints(make: Any) -> None:
    """Painting only what differs leaves nothing of the former picture behind."""
    made, fresh = make(8, 12), make(8, 12)
    wells = every(8, 12)
    made.set_roles(dict.fromkeys(wells, "control"))
    made.set_colours(dict.fromkeys(wells, colours_of([1.0], (0, 1))[0]))
    made.grab()
    for one in (made, fresh):
        one.clearFocus()
        one.set_roles({"A01": "perturbed", "B02": "excluded"})
        one.set_colours({well: colours_of([0.0], (0, 1))[0] for well in wells[:30]})
    assert hash_of(made) == hash_of(fresh)


def test_large_wells_grow_both_ways_and_never_vanish(qtbot: Any) -> None:
    made = PlateMap(large=True)
    qtbot.addWidget(made)
    made.set_plate((32, 48), every(32, 48))
    made.resize(1300, 900)
    assert made.cell() > 25
    least = made.minimumSizeHint()
    assert least.width() >= 48 * 12
    made.resize(least)
    for well in ("A01", "AF48", "P24"):
        assert made.well_at(made.rect_of(well).center()) == well
        assert made.rect().contains(made.rect_of(well).toRect())


def test_small_wells_carry_signs_for_roles(make: Any) -> None:
    """At 1536 wells in the dock no letter fits: controls, positives and excluded are told by signs, not by colour."""
    made = make(32, 48)
    wells = every(32, 48)
    made.set_colours(dict.fromkeys(wells, colours_of([0.5], (0, 1))[0]))
    pictures = set()
    for role in ("control", "perturbed", "positive", "excluded"):
        made.set_roles(dict.fromkeys(wells, role))
        pictures.add(hash_of(made))
    assert len(pictures) == 4


def test_roles_are_drawn_by_letter_too(make: Any) -> None:
    """Two roles differ in the picture even where their colours are the same."""
    made = make(4, 6)
    grey = colours_of([0.5] * 24, (0, 1))
    made.set_colours(dict(zip(every(4, 6), grey, strict=True)))
    pictures = set()
    for role in ("control", "perturbed", "positive", "excluded"):
        made.set_roles(dict.fromkeys(every(4, 6), role))
        pictures.add(hash_of(made))
    assert len(pictures) == 4


def hash_of(made: PlateMap) -> bytes:
    from qtpy.QtCore import QBuffer, QIODevice

    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    made.grab().save(buffer, "PNG")
    return bytes(buffer.data())


def test_a_new_plate_forgets_wells_that_are_gone(make: Any) -> None:
    made = make(8, 12)
    made.set_selected(("A01", "H12"))
    made.set_plate((2, 3), every(2, 3))
    assert made.selected == ("A01",)


def test_colours() -> None:
    assert table().shape == (256, 3)
    low, none, high = colours_of([0.0, float("nan"), 1.0], (0.0, 1.0))
    assert (low.blue() > low.green(), high.red() > high.blue()) == (True, True)
    assert none.red() == none.green() == none.blue()
    assert colours_of([5.0], (1.0, 1.0))[0] is not None  # one value for all: no division by zero
    assert ink_on(high).red() == 0
    assert ink_on(low).red() == 255


def test_control_and_the_wheel_enlarge_the_large_map(qtbot: Any) -> None:
    made, room = PlateMap(large=True), QScrollArea()
    qtbot.addWidget(room)
    room.setWidgetResizable(True)
    room.setWidget(made)
    room.resize(700, 450)
    room.show()
    made.set_plate((32, 48), every(32, 48))
    qtbot.wait(20)
    before = made.cell()
    for _ in range(3):
        wheel(made, 120)
        qtbot.wait(10)
    assert made.cell() == pytest.approx(before * 1.2**3, rel=0.02)
    wheel(made, 120, Qt.KeyboardModifier.NoModifier)  # scrolls
    assert made.cell() == pytest.approx(before * 1.2**3, rel=0.02)
    for _ in range(5):
        wheel(made, -120)
        qtbot.wait(10)
    assert (made.zoom, made.cell()) == (1.0, before)


def wheel(made: PlateMap, by: int, keys: Any = Qt.KeyboardModifier.ControlModifier) -> None:
    at = QPointF(made.rect().center())
    event = QWheelEvent(
        at,
        made.mapToGlobal(at),
        QPoint(),
        QPoint(0, by),
        Qt.MouseButton.NoButton,
        keys,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(made, event)
