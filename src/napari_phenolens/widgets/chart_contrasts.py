"""The contrasts that are kept, side by side: the effects of two of them against each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from qtpy.QtCore import QModelIndex, QSignalBlocker, Qt
from qtpy.QtGui import QFont
from qtpy.QtWidgets import QComboBox, QInputDialog, QLabel, QListWidget, QListWidgetItem, QPushButton, QWidget

from napari_phenolens.viewer import roles
from napari_phenolens.viewer.session import Comparison
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.chart import PALE, Chart, boxes
from napari_phenolens.widgets.contrast_maker import ContrastMaker
from napari_phenolens.widgets.palette import ROLE_COLOURS
from napari_phenolens.widgets.parts import Connections, row
from napari_phenolens.widgets.tooltips import tip


class ContrastsChart(Chart):
    """List, maker and scatter."""

    title = "Contrasts side by side"
    needs = ("contrasts", "comparison", "feature")

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__(bench, connections, parent)
        self.list = QListWidget()
        tip(self.list, "contrasts.list")
        self.list.setMaximumHeight(110)
        self.list.setWordWrap(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemActivated.connect(self._show_item)
        self.list.itemClicked.connect(self._show_item)
        self.rename, self.remove = QPushButton("Rename…"), QPushButton("Remove")
        tip(self.rename, "contrasts.rename").clicked.connect(self._rename)
        tip(self.remove, "contrasts.remove").clicked.connect(self._remove)
        self.maker = ContrastMaker(bench, connections)
        self.across, self.up = QComboBox(), QComboBox()
        tip(self.across, "contrasts.across").activated.connect(lambda _index: self.refresh())
        tip(self.up, "contrasts.up").activated.connect(lambda _index: self.refresh())
        self._layout.insertWidget(0, self.list)
        self._layout.insertLayout(1, row(self.rename, self.remove))
        self._layout.insertWidget(2, self.maker)
        self._layout.insertLayout(3, boxes(QLabel("Effects"), self.across, QLabel("and"), self.up))
        connections.connect(bench.session.events.contrasts, self._fill)
        connections.connect(bench.session.events.comparison, self._fill)
        self._fill()

    # ---- the list ----------------------------------------------------------------------------------------------------
    def _fill(self, _value: object = None) -> None:
        s = self.bench.session
        with QSignalBlocker(self.list):
            self.list.clear()
            for kept in s.contrasts:
                item = QListWidgetItem(said(kept))
                item.setData(Qt.ItemDataRole.ToolTipRole, tell(kept))
                font = QFont(item.font())
                font.setBold(kept is s.comparison)
                item.setFont(font)
                self.list.addItem(item)
                if kept is s.comparison:
                    self.list.setCurrentItem(item)
        for i, box in enumerate((self.across, self.up)):
            before = box.currentIndex()
            with QSignalBlocker(box):
                box.clear()
                box.addItems([called(kept, s.contrasts) for kept in s.contrasts])
                box.setCurrentIndex(before if 0 <= before < len(s.contrasts) else min(i, len(s.contrasts) - 1))
        if len(s.contrasts) > 1 and self.across.currentIndex() == self.up.currentIndex():
            self.up.setCurrentIndex(1 if self.across.currentIndex() == 0 else 0)
        for part in (self.rename, self.remove):
            part.setEnabled(bool(s.contrasts))

    def chosen(self) -> Comparison | None:
        """Give the contrast whose line is chosen."""
        index, contrasts = self.list.currentRow(), self.bench.session.contrasts
        return contrasts[index] if 0 <= index < len(contrasts) else None

    def _show_item(self, _item: QListWidgetItem | QModelIndex) -> None:
        kept = self.chosen()
        if kept is not None:
            self.bench.attempt("Showing a contrast", self.bench.contrasting.show, kept)

    def _rename(self) -> None:
        kept = self.chosen()
        if kept is None:
            return
        name, taken = QInputDialog.getText(self, "Rename the contrast", "Name", text=kept.name)
        if taken:
            self.bench.contrasting.rename(kept, name)

    def _remove(self) -> None:
        kept = self.chosen()
        if kept is not None:
            self.bench.contrasting.remove(kept)

    # ---- the scatter -------------------------------------------------------------------------------------------------
    def table(self) -> pd.DataFrame | None:
        """Give both contrasts' effects, a row a feature."""
        contrasts = self.bench.session.contrasts
        i, j = self.across.currentIndex(), self.up.currentIndex()
        if not (0 <= i < len(contrasts) and 0 <= j < len(contrasts)) or i == j:
            return None
        a, b = (kept.features.set_index("feature") for kept in (contrasts[i], contrasts[j]))
        both = pd.DataFrame({"effect_a": a["effect"], "effect_b": b["effect"].reindex(a.index)}).dropna()
        both.insert(0, "contrast_b", contrasts[j].name)
        both.insert(0, "contrast_a", contrasts[i].name)
        return both.rename_axis("feature").reset_index()

    def draw(self) -> str:
        """Draw effect against effect."""
        contrasts = self.bench.session.contrasts
        both = self.table()
        if both is None:
            self.note.hide()
            return "Compare wells first (step 5)." if not contrasts else (
                "Make a second contrast above, then its effects are drawn against those of the first."
            )  # fmt: skip
        a, b = contrasts[self.across.currentIndex()], contrasts[self.up.currentIndex()]
        names = [called(kept, contrasts) for kept in (a, b)]
        plot = self.plot(left=f"effect: {short(names[1], 16)}", bottom=f"effect: {short(names[0], 32)}")
        x, y = both["effect_a"].to_numpy(dtype=float), both["effect_b"].to_numpy(dtype=float)
        ends = np.array([min(x.min(), y.min(), 0), max(x.max(), y.max(), 0)])
        self.line(plot, ends, ends, PALE, 1, Qt.PenStyle.DashLine)
        colour = ROLE_COLOURS[roles.PERTURBED]
        self.dots(plot, x, y, both["feature"].tolist(), colour, self._tell, self.choose_feature, size=6)
        here = both[both["feature"] == self.bench.session.feature]
        if len(here):
            self.ring(plot, float(here["effect_a"].iloc[0]), float(here["effect_b"].iloc[0]))
        shared = set(a.controls) & set(b.controls)
        words = [f"Correlation of effects {np.corrcoef(x, y)[0, 1]:.2f} over {len(both):,} features."]
        if shared:
            words.append(
                f"Both use {len(shared)} of the same control wells: their chance errors go together, which alone makes "
                "effects agree."
            )
        self.note.setText(" ".join(words))
        self.note.show()
        return ""

    def _tell(self, feature: int, x: float, y: float) -> str:
        return f"F{feature}: {x:.2f} and {y:.2f}"


def called(kept: Comparison, contrasts: Sequence[Comparison]) -> str:
    """Give a contrast's name; contrasts of one name are told apart by their wells, which stand first."""
    alike = sum(other.name == kept.name for other in contrasts)
    return kept.name if alike < 2 else f"{len(kept.perturbed)} vs {len(kept.controls)} wells: {kept.name}"


def short(name: str, most: int) -> str:
    """Cut a name to what fits along an axis."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def said(kept: Comparison) -> str:
    """Say a contrast in a line."""
    words = f"{kept.name}  ·  {len(kept.perturbed)} vs {len(kept.controls)} wells"
    if not len(kept.features):
        return words
    top = kept.features.iloc[0]
    words += f"  ·  F{int(top['feature'])} {top['effect']:+.1f}"
    sure = kept.features["q"].notna().any()
    return words + (f"  ·  {int((kept.features['q'] < 0.05).sum())} with q < 0.05" if sure else "  ·  no p")


def tell(kept: Comparison) -> str:
    """Say what a line cannot hold."""
    wells = f"A (control): {', '.join(kept.controls)}\nB (perturbed): {', '.join(kept.perturbed)}"
    picked = "\nPicked after features had been seen: no p, no q." if kept.about.get("picked_after") else ""
    return f"Click to show it in table and charts.\n{wells}{picked}"
