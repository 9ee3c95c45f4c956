"""The keys of every panel in one table, and the way through the panel step by step: what the help panel shows.

Panels bind their keys from this table; a test holds it against the keys that are bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Key:
    """One key or several that do the same.

    Attributes
    ----------
    keys : tuple of str
        As Qt writes them.
    does : str
    action : str
        What the panel calls it; empty where the widget itself handles the key.
    """

    keys: tuple[str, ...]
    does: str
    action: str = ""


PANEL, MAP, TABLE, PAGE, CELL = (
    "The panel PhenoLens",
    "The plate map",
    "The table of features",
    "The feature's page",
    "The cell's panel",
)
UNDO = (
    Key(("Ctrl+Z", "U"), "undo: roles, selections, names, notes, heatmaps, contrasts", "undo"),
    Key(("Ctrl+Shift+Z", "Ctrl+Y"), "do again", "redo"),
)
# None of the letters has a meaning in napari's viewer; all hold only while the panel that they belong to has the focus.
KEYS: dict[str, tuple[Key, ...]] = {
    PANEL: (
        Key(("J",), "next well", "next_well"),
        Key(("K",), "previous well", "previous_well"),
        Key(("N",), "next feature of the ranking", "next_feature"),
        Key(("Shift+N",), "previous feature", "previous_feature"),
        Key(("H",), "heatmaps on and off", "heatmaps"),
        Key(("Q",), "control beside perturbed, and back", "side_by_side"),
        Key(("G",), "explain on click, on and off", "explain"),
        Key(("W",), "to the plate map", "plate_map"),
        Key(("?",), "this help", "help"),
        *UNDO,
    ),
    MAP: (
        Key(("Left", "Right", "Up", "Down", "Home", "End", "PgUp", "PgDown"), "walk; with Shift, select on the way"),
        Key(("Return",), "show the well"),
        Key(("Space",), "take the well into the selection or out of it"),
        Key(("Ctrl+A",), "select all"),
        Key(("Esc",), "select none"),
    ),
    TABLE: (
        Key(("Up", "Down"), "walk over the features; the heatmap follows"),
        Key(("1", "2", "3"), "lay the feature into the first, second, third slot"),
        Key(("*",), "star"),
        Key(("F2",), "write a name or a note"),
    ),
    PAGE: (
        Key(("N",), "next feature of the ranking", "next_feature"),
        Key(("Shift+N",), "previous feature", "previous_feature"),
    ),
    CELL: (
        Key(("N",), "cell of the next higher rank", "next_cell"),
        Key(("B",), "cell of the next lower rank", "previous_cell"),
    ),
}

STEPS = (
    ("Plate", "Drag the plate's folder here, or press Open plate. No plate at hand? Press Demo plate."),
    ("Wells", "Click a well to see it; drag to select. Colour by shows any number on the plate."),
    ("Controls and perturbed", "Say which wells are untreated and which to compare with them."),
    ("Run the model", "Estimate says how long it takes, Run runs; it can be stopped and goes on where it was."),
    ("Features", "Compare ranks what differs. Click a row: it is laid over the cells and colours the plate."),
    ("Heatmaps on the cells", "Up to three features at once, the same limits on every well."),
    ("Control beside perturbed", "Both sides with the same contrast. Charts has volcano, dose-response and more."),
    ("Explain a place", "Click on the cells: which features are there, and how rare that is among controls."),
    ("Dictionary", "What all features together are worth."),
)
COMFORTS = (
    "Session (in step 1) saves all this and opens it again; Copy as Python writes it as a script. "
    "The line at the bottom says what goes on and what to do next. Everything is in the command palette too "
    "(Ctrl+Shift+P, type PhenoLens)."
)


def bound(where: str) -> dict[str, str]:
    """Give the keys that a panel binds: key to action."""
    return {key: entry.action for entry in KEYS[where] for key in entry.keys if entry.action}


def help_html() -> str:
    """Write the help as simple HTML; colours are the theme's."""
    steps = "".join(f"<li><b>{escape(title)}.</b> {escape(text)}</li>" for title, text in STEPS)
    parts = [f"<h3>The way</h3><ol>{steps}</ol><p>{escape(COMFORTS)}</p>", "<h3>Keys</h3>"]
    for where, entries in KEYS.items():
        rows = "".join(
            f"<tr><td><b>{escape(' or '.join(entry.keys))}</b>&nbsp;&nbsp;</td><td>{escape(entry.does)}</td></tr>"
            for entry in entries
        )
        parts.append(f"<p><i>{escape(where)}</i>, while it has the focus</p><table>{rows}</table>")
    return "".join(parts)
