"""What a viewer's user has open and chosen: one evented session per viewer, no Qt, no napari."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import SignalGroupDescriptor

from napari_phenolens.viewer.cell_source import CellSource
from napari_phenolens.viewer.undo import UndoStack

if TYPE_CHECKING:
    import pandas as pd

SLOTS = 3
VIEWS = ("field", "well", "plate")  # one field, all fields of a well, all wells of the plate
PHENOTYPE = "phenotype"  # the score of the features that go together: colours wells, and is laid over the cells
KINDS = ("activation", "alignment", PHENOTYPE)


@dataclass(frozen=True)
class SlotState:
    """What a heatmap slot shows.

    Attributes
    ----------
    feature : int or None
        The 0-based atom; None where the slot is empty.
    kind : str
        One of `KINDS`.
    """

    feature: int | None = None
    kind: str = "activation"


@dataclass(frozen=True)
class Problem:
    """An error as the user sees it.

    Attributes
    ----------
    title : str
        What did not work, e.g. ``"Opening the plate"``.
    message : str
        What, where, the cause and the way out.
    details : str
        A traceback where the error was not foreseen, else empty.
    """

    title: str
    message: str
    details: str = ""


@dataclass(frozen=True)
class Comparison:
    """A finished comparison of control with perturbed wells.

    Attributes
    ----------
    features : DataFrame
        A row a feature, ranked, with a column ``feature``.
    covariates : DataFrame or None
        The same figures for cell count, intensities and the like.
    controls, perturbed : tuple of str
        The wells compared.
    warnings : tuple of str
        What a reader must know before believing the table.
    sides : str
        Wells, cells and foreground of either side, in words.
    about : mapping
        What else the public function says of itself (``attrs``): method and floor of p, degrees of freedom, ...
    name : str
        What the user calls it.
    """

    features: pd.DataFrame
    covariates: pd.DataFrame | None
    controls: tuple[str, ...]
    perturbed: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    sides: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""


_BY_IDENTITY = {
    name: operator.is_
    for name in (
        "plate",
        "run",
        "comparison",
        "contrasts",
        "charts",
        "cell",
        "page",
        "score",
        "problem",
        "explanation",
        "blocks",
        "dictionary",
        "licence",
        "cell_preview",
        "words",
        "responders",
        "told_apart",
    )
}


@dataclass(eq=False)
class Session:
    """The state behind the dock; every field has an event of its name.

    Widgets show it and never keep a copy; the actions of the workbench change it, on the main thread alone.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(equality_operators=_BY_IDENTITY)

    plate: Any = None  # plate.Plate
    run: Any = None  # run.Run
    control_query: str = ""
    perturbed_query: str = ""
    positive_query: str = ""
    excluded_query: str = ""
    hand_roles: Mapping[str, str] = field(default_factory=dict)  # well -> role, over the queries
    roles: Mapping[str, str] = field(default_factory=dict)  # well -> role, as it stands
    selected: tuple[str, ...] = ()
    preview: tuple[str, ...] = ()  # wells that a choice in the making would pick
    view: str = "field"  # one of VIEWS
    well: str | None = None
    field_name: str | None = None
    comparison: Comparison | None = None
    contrasts: tuple[Comparison, ...] = ()  # those that are kept side by side, in the order in which they were made
    charts: Mapping[str, Any] = field(default_factory=dict)  # chart -> charting.Charted
    blocks: Any = None  # the table of `napari_phenolens.blocks`, while it is of this plate and these roles
    dictionary: Any = None  # analysis.DictionaryReport of this run
    licence: Any = None  # weights.LicenceQuestion: a licence that waits for the user's answer
    feature: int | None = None
    said: Mapping[int, Any] = field(default_factory=dict)  # feature -> run.annotations.Annotation
    page: Any = None  # feature_page.Page: what was read of the chosen feature, while a dock shows it
    score: Any = None  # scoring.Scored: the chosen feature's phenotype, while the wells are coloured by it
    covariate: str | None = None
    slots: tuple[SlotState, ...] = tuple(SlotState() for _ in range(SLOTS))
    colour_by: str = "role"
    side_by_side: bool = False
    pairs: int = 1  # so many control wells beside as many perturbed ones
    place: tuple[int, int] | None = None  # field pixel (y, x) of the last click
    explanation: Any = None
    provisional: str = ""  # what of the run on show is missing, in words; empty where it is whole
    cells: int | None = None  # so many are stored with the run; None: none, or not counted yet
    cell: Any = None  # cell_page.CellPage: the clicked cell, while a dock shows it
    kept_cells: tuple[int, ...] = ()  # for the report
    cell_source: CellSource = field(default_factory=CellSource)  # where cells are to come from
    previewing: bool = False  # the cells of the field on show are found with each change of that
    cell_preview: Any = None  # cell_finding.CellPreview
    words: Any = None  # wording.Words: the features of this run in words
    responders: Any = None  # responding.Responders: what was counted
    responders_shown: bool = True  # over the cells of the field on show
    told_apart: Any = None  # telling_apart.ToldApart: the features that tell chosen cells from others
    status: str = "Open a plate to begin."
    problem: Problem | None = None
    undo: UndoStack = field(default_factory=UndoStack)  # roles, selection, names, notes, slots

    @property
    def source(self) -> Any:
        """The plate, or the run where only that is open; None where nothing is open."""
        return self.plate if self.plate is not None else self.run

    @property
    def wells(self) -> list[str]:
        """Names of the wells that have images or results, row-major."""
        source = self.source
        return [] if source is None else list(source.wells)

    def wells_of(self, *wanted: str) -> list[str]:
        """Give the wells of these roles, in the plate's order."""
        return [well for well in self.wells if self.roles.get(well) in wanted]

    def with_slot(self, index: int, state: SlotState) -> tuple[SlotState, ...]:
        """Give the slots with one of them replaced."""
        slots: Sequence[SlotState] = self.slots
        return tuple(state if i == index else old for i, old in enumerate(slots))
