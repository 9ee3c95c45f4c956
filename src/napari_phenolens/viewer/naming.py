"""What the user calls features: names, notes and stars, kept with the run, each change a step that can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer.session import Problem

if TYPE_CHECKING:
    from napari_phenolens.run.annotations import Annotation
    from napari_phenolens.viewer.workbench import Workbench

_WORDS = {"name": "rename", "note": "note about", "star": "star"}


class Naming:
    """Writes names, notes and stars; the session's `said` shows them."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        bench.session.events.run.connect(self._follow)

    def of(self, feature: int) -> Annotation:
        """Give what is said about a feature."""
        from napari_phenolens.run.annotations import Annotation

        return self.bench.session.said.get(feature, Annotation())

    def say(self, feature: int, *, name: str | None = None, note: str | None = None, star: bool | None = None) -> None:
        """Change what is said about a feature; what is None stays. Can be undone.

        Raises
        ------
        PhenoLensError
            Where no run is open, a text is too long or the run's folder cannot be written to.
        """
        s = self.bench.session
        run = s.run
        if run is None:
            raise PhenoLensError("there are no features to name yet: run the model, or open a finished run (step 4)")
        given: dict[str, Any] = {"name": name, "note": note, "star": star}
        said = {k: v for k, v in given.items() if v is not None}
        changes: dict[str, Any] = {k: v.strip() if isinstance(v, str) else v for k, v in said.items()}
        before = self.of(feature)
        after: Annotation = replace(before, **changes)
        if after == before:
            return
        what = " and ".join(_WORDS[k] for k in changes if getattr(before, k) != changes[k])
        title = f"unstar F{feature}" if what == "star" and before.star else f"{what} F{feature}"
        s.undo.do(title, lambda: self._put(run, feature, after), lambda: self._put(run, feature, before))

    def _put(self, run: Any, feature: int, annotation: Annotation) -> None:
        run.annotations.put(feature, annotation)
        if self.bench.session.run is run:
            self.bench.session.said = _copied(run.annotations)

    def _follow(self, run: Any) -> None:
        """Show what is said about the features of the run that was opened."""
        s = self.bench.session
        try:
            s.said = _copied(run.annotations) if run is not None else {}
        except PhenoLensError as error:
            s.said = {}
            s.problem = Problem("Reading names and notes", str(error))


def _copied(annotations: Mapping[int, Annotation]) -> dict[int, Annotation]:
    return {feature: annotations[feature] for feature in annotations}
