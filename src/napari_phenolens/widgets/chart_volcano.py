"""Effect against q of every feature."""

from __future__ import annotations

import numpy as np
import pandas as pd
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor

from napari_phenolens.viewer import roles
from napari_phenolens.widgets.chart import PALE, Chart
from napari_phenolens.widgets.palette import ROLE_COLOURS

LEVEL = 0.05
LEAST = 1e-6  # q below it is drawn here


class VolcanoChart(Chart):
    """A point a feature; those on top of each other share the smallest q that the design allows."""

    title = "Volcano: effect and q"

    def draw(self) -> str:
        """Draw the comparison."""
        comparison = self.bench.session.comparison
        if comparison is None:
            return "Compare wells first (step 5)."
        features = comparison.features
        known = features[np.isfinite(features["effect"]) & np.isfinite(features["q"])]
        if not len(known):
            why = (
                comparison.warnings[0] if comparison.about.get("picked_after") else "A side has fewer than three wells."
            )
            return f"No volcano without q. {why} The chart Ranked effects shows effects with their intervals."
        plot = self.plot(left="−log10 q", bottom="effect (perturbed − control, in SDs)")
        height = -np.log10(np.maximum(known["q"].to_numpy(dtype=float), LEAST))
        self.line(
            plot,
            [float(known["effect"].min()), float(known["effect"].max())],
            [-np.log10(LEVEL)] * 2,
            PALE,
            1,
            Qt.PenStyle.DashLine,
        )
        self.dots(
            plot, known["effect"].to_numpy(dtype=float), height, known["feature"].tolist(), colours(known), self._tell,
            self.choose_feature, symbol=["x" if t == "yes" else "o" for t in known["technical"]],
        )  # fmt: skip
        chosen = known[known["feature"] == self.bench.session.feature]
        if len(chosen):
            q = max(float(chosen["q"].iloc[0]), LEAST)
            self.ring(plot, float(chosen["effect"].iloc[0]), -np.log10(q))
        floor = known["q"].min()
        ties = int((known["q"] == floor).sum())
        self.note.setText(
            "Orange: more in perturbed wells, blue: less; grey: q ≥ 0.05; ×: follows the well's place (technical)."
            + (f" {ties} features share the smallest q that these wells allow, {floor:.2g}." if ties > 20 else "")
        )
        self.note.show()
        return ""

    def _tell(self, feature: int, effect: float, height: float) -> str:
        name = name_of(self.table(), feature)
        return f"F{feature}{name}: effect {effect:.2f}, q {10**-height:.2g}"

    def table(self) -> pd.DataFrame | None:
        """Give effect and q."""
        comparison = self.bench.session.comparison
        if comparison is None:
            return None
        columns = ["feature", "name", "effect", "effect_low", "effect_high", "p", "q", "technical"]
        return comparison.features[[c for c in columns if c in comparison.features]]


def colours(features: pd.DataFrame) -> list[QColor]:
    """Colour features by the side that has more of them; grey where q is 0.05 or more."""
    up, down = ROLE_COLOURS[roles.PERTURBED], ROLE_COLOURS[roles.CONTROL]
    sure = features["q"].to_numpy(dtype=float) < LEVEL
    effect = features["effect"].to_numpy(dtype=float)
    return [PALE if not s else up if e > 0 else down for s, e in zip(sure, effect, strict=True)]


def name_of(table: pd.DataFrame | None, feature: int) -> str:
    """Give the name that a user gave to a feature, in brackets; empty where there is none."""
    if table is None or "name" not in table:
        return ""
    found = table.loc[table["feature"] == feature, "name"]
    return f" ({found.iloc[0]})" if len(found) and found.iloc[0] else ""
