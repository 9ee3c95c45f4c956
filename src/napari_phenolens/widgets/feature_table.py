"""The table view of features: keys for slots and stars, writing in place, widths."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_phenolens.widgets.effect_delegate import EffectDelegate
from napari_phenolens.widgets.feature_model import FeatureModel

_WIDTHS = {
    "star": 24,
    "feature": 58,
    "name": 84,
    "label": 170,
    "covariate": 130,
    "effect": 108,
    "auroc": 58,
    "q": 52,
    "group": 50,
    "technical": 44,
    "selectivity": 54,
    "sign_stable": 54,
    "density": 54,
    "wells": 76,
    "note": 120,
}


class FeatureTable(QTableView):
    """A table in which the keys 1 to 3 choose a heatmap slot, and * stars the feature."""

    slot_key: Callable[[int], None] | None = None
    star_key: Callable[[], None] | None = None

    def __init__(self, model: FeatureModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModel(model)
        triggers = QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed
        self.setEditTriggers(triggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setItemDelegate(EffectDelegate(self))
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setMinimumHeight(210)
        self.setMaximumHeight(260)
        vertical = self.verticalHeader()
        vertical.setVisible(False)
        vertical.setDefaultSectionSize(24)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        header.setMinimumSectionSize(24)
        header.setSortIndicatorShown(False)

    def fit_columns(self) -> None:
        """Give each column of the model its width."""
        model = self.model()
        for i, column in enumerate(getattr(model, "columns", ())):
            self.setColumnWidth(i, _WIDTHS.get(column.key, 60))

    @property
    def writing(self) -> bool:
        """Whether a cell is being written just now."""
        return self.state() == QAbstractItemView.State.EditingState

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Hand digits and the star on."""
        if event is not None and event.text() in {"1", "2", "3"} and self.slot_key is not None:
            self.slot_key(int(event.text()) - 1)
            return
        if event is not None and event.text() == "*" and self.star_key is not None:
            self.star_key()
            return
        super().keyPressEvent(event)
