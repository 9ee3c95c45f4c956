"""Copy as Python: the words for features, responders and escapers, and cells told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from napari_phenolens.viewer.responding import OTHERS

if TYPE_CHECKING:
    from napari_phenolens.viewer.workbench import Workbench


def cell_lines(bench: Workbench, names: Callable[[Sequence[str]], str]) -> list[str]:
    """Write the calls that give what is shown of words and of cells; `names` writes a list of wells."""
    s = bench.session
    lines: list[str] = []
    if s.words is not None:
        lines += [
            "",
            "# What each feature goes with, in words (correlates); the name that you gave a feature stands above them.",
            f"words = ph.concepts(run, controls={names(s.words.controls)})",
            "labels = words.attrs['labels']",
        ]
        if s.feature is not None:
            lines.append(f"print(labels[{s.feature}], words[words['feature'] == {s.feature}], sep='\\n')")
    if s.responders is not None:
        controls, perturbed = s.responders.sides
        lines += ["", "# Responders and escapers, by models that never saw the cell's well."]
        lines += [f"like_control = {names(controls)}", f"like_perturbed = {names(perturbed)}"]
        more = ""
        if s.responders.where == OTHERS:
            counted = list(s.responders.found.wells.query("side == 'counted'").index)
            lines.append(f"counted = {names(counted)}")
            more = ", wells=counted"
        lines += [f"found = ph.subpopulations(run, like_control, like_perturbed{more})", "print(found.wells)"]
    if s.told_apart is not None:
        lines += ["", "# The features that tell the chosen cells from others.", f"print({s.told_apart.call}.head(20))"]
    return lines
