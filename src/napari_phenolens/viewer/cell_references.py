"""What cells are measured against, and the models that tell what they look like: learnt once for a run and sides."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_phenolens.progress import check_cancelled
from napari_phenolens.viewer.sides import Sides

if TYPE_CHECKING:
    from napari_phenolens.analysis import CellReference

WAIT_S = 0.1


@dataclass(frozen=True, eq=False)
class Learnt:
    """What was learnt of the cells of a run.

    Attributes
    ----------
    run : Run
    sides : pair of tuples of str
        Control and perturbed wells.
    reference : CellReference
    why : str
        Why there is nothing that tells the sides apart; empty where there is.
    """

    run: Any
    sides: Sides
    reference: CellReference
    why: str = ""


class References:
    """Keeps the last one; any thread may ask, and whoever asks second waits for the first."""

    def __init__(self) -> None:
        self._known: Learnt | None = None
        self._learning = threading.Lock()

    def known(self, run: Any, sides: Sides) -> Learnt | None:
        """Give what was learnt of these already."""
        held = self._known
        return held if held is not None and held.run is run and held.sides == sides else None

    def forget(self) -> None:
        """Forget it: the cells are others now."""
        self._known = None

    def of(self, run: Any, sides: Sides, cancel: Callable[[], bool]) -> Learnt:
        """Give what cells of a run are measured against; in a thread, since it can take seconds."""
        from napari_phenolens.analysis import AnalysisError, cell_reference, looks

        while not self._learning.acquire(timeout=WAIT_S):
            check_cancelled(cancel)
        try:
            held = self.known(run, sides)
            if held is not None:
                return held
            controls, perturbed = (list(wells) for wells in sides)
            told, why = None, "say which wells are perturbed (step 3)"
            if perturbed:
                try:
                    told, why = looks(run, controls, perturbed, cancel=cancel), ""
                except AnalysisError as error:  # too few wells to tell the sides apart: the rest of a card stands
                    why = str(error)
            made = cell_reference(run, controls, perturbed or None, looks=told, cancel=cancel)
            self._known = held = Learnt(run, sides, made, why)
            return held
        finally:
            self._learning.release()
