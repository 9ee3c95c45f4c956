"""How the comparison on show was tested, in words, one click away."""

from __future__ import annotations

from html import escape

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from napari_phenolens.viewer.session import Comparison
from napari_phenolens.widgets.tooltips import tip


def tested_html(comparison: Comparison) -> str:
    """Write how a comparison was tested."""
    from napari_phenolens.analysis import how_tested

    parts = [f"<h3>{escape(comparison.name)}</h3>"]
    if comparison.sides:
        parts.append(f"<p>{escape(comparison.sides)}</p>")
    parts += [f"<p><b>{escape(head)}.</b> {escape(text)}</p>" for head, text in how_tested(comparison.about)]
    notes = "".join(f"<li>{escape(text)}</li>" for text in comparison.warnings)
    return "".join(parts) + (f"<p><b>Before you believe the table</b></p><ul>{notes}</ul>" if notes else "")


class HowTested(QDialog):
    """A window beside napari's; it stays open while one goes on."""

    def __init__(self, comparison: Comparison, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("How was this tested?")
        self.text = QTextBrowser()
        tip(self.text, "charts.tested_text")
        self.text.setHtml(tested_html(comparison))
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        close.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(close)
        self.resize(560, 480)
