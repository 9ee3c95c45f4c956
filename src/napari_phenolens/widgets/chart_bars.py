"""The largest effects with their intervals, ranked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.viewer import roles
from napari_phenolens.widgets.chart import LEAST_HEIGHT, Chart
from napari_phenolens.widgets.chart_volcano import name_of
from napari_phenolens.widgets.palette import ROLE_COLOURS
from napari_phenolens.widgets.plain_plot import pyqtgraph

MOST = 25
LINE = 14  # px of a bar


class BarsChart(Chart):
    """A bar a feature; a chosen one that is further down is added below."""

    title = "Ranked effects"
    _shown: tuple[Any, list[int]] = (None, [])

    def table(self) -> pd.DataFrame | None:
        """Give the bars."""
        comparison = self.bench.session.comparison
        if comparison is None:
            return None
        features = comparison.features[np.isfinite(comparison.features["effect"])]
        shown = features.head(MOST)
        chosen = self.bench.session.feature
        if chosen is not None and chosen not in set(shown["feature"]):
            shown = pd.concat([shown, features[features["feature"] == chosen]])
        columns = ["feature", "name", "effect", "effect_low", "effect_high", "q", "technical"]
        return shown[[c for c in columns if c in shown]]

    def draw(self) -> str:
        """Draw bars and whiskers."""
        shown = self.table()
        if shown is None:
            return "Compare wells first (step 5)."
        if not len(shown):
            return "No feature has an effect: there are too few wells to know their spread."
        pg = pyqtgraph()
        plot = self.plot(bottom="effect and its 95 % interval (SDs)")
        y = -np.arange(len(shown), dtype=float)
        effect, low, high = (shown[c].to_numpy(dtype=float) for c in ("effect", "effect_low", "effect_high"))
        brushes = [ROLE_COLOURS[roles.PERTURBED if e > 0 else roles.CONTROL] for e in effect]
        bars = pg.BarGraphItem(
            x0=np.minimum(effect, 0), y=y, width=np.abs(effect), height=0.7, brushes=brushes, pen=None
        )
        plot.addItem(bars)
        for at, a, b in zip(y, low, high, strict=True):
            if np.isfinite(a) and np.isfinite(b):
                self.line(plot, [a, b], [at, at], width=1)
        features = shown["feature"].tolist()
        self.dots(plot, effect, y, features, self.ink, self._tell, self.choose_feature, size=6)
        if self.bench.session.feature in features:
            at = features.index(self.bench.session.feature)
            self.ring(plot, effect[at], y[at], 14)
        marks = ["*" if t == "yes" else "" for t in shown["technical"]]
        self.view.setMinimumHeight(max(LEAST_HEIGHT, len(shown) * LINE + 50))  # names one below the other
        axis = plot.getAxis("left")
        axis.setTicks([[(at, f"F{f}{m}") for at, f, m in zip(y, features, marks, strict=True)]])
        plot.setMouseEnabled(x=True, y=True)
        self._shown = plot.getViewBox(), features
        self.note.setText("Click a bar to choose its feature. *: follows the well's place (technical).")
        self.note.show()
        return ""

    def clicked(self, event: Any) -> None:
        """Take a click anywhere on a bar's line."""
        box, features = self._shown
        if box is None or event.isAccepted() or not box.sceneBoundingRect().contains(event.scenePos()):
            return
        at = round(-box.mapSceneToView(event.scenePos()).y())
        if 0 <= at < len(features):
            event.accept()
            self.choose_feature(features[at])

    def _tell(self, feature: int, effect: float, _y: float) -> str:
        return f"F{feature}{name_of(self.table(), feature)}: effect {effect:.2f}"
