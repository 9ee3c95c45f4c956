"""Step 3: which wells are controls and which are perturbed."""

from __future__ import annotations

from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_phenolens.viewer import roles
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.parts import Connections, Section, hint, plural
from napari_phenolens.widgets.query_edit import QueryEdit


class RolesSection(Section):
    """The three queries."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("3  Controls and perturbed", parent)
        self.bench = bench
        self.control = QueryEdit("roles.control", "e.g. control_type == 'negcon'")
        self.perturbed = QueryEdit("roles.perturbed", "every other well")
        self.positive = QueryEdit("roles.positive", "none")
        self.control.query_changed.connect(lambda query: bench.set_queries(control=query))
        self.perturbed.query_changed.connect(lambda query: bench.set_queries(perturbed=query))
        self.positive.query_changed.connect(lambda query: bench.set_queries(positive=query))
        self.help = hint()
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(QLabel("Controls"), self.control)
        form.addRow(QLabel("Perturbed"), self.perturbed)
        form.addRow(QLabel("Positive"), self.positive)
        self.body.addWidget(self.help)
        self.body.addLayout(form)
        events = bench.session.events
        for signal in (events.plate, events.run):
            connections.connect(signal, self._source)
        for signal in (
            events.roles,
            events.control_query,
            events.perturbed_query,
            events.positive_query,
            events.hand_roles,
        ):
            connections.connect(signal, self._show)
        self._source()

    def _source(self, _value: object = None) -> None:
        s = self.bench.session
        suggestions = roles.suggest(s.source.metadata, s.wells) if s.source is not None else []
        for edit in (self.control, self.perturbed, self.positive):
            edit.set_suggestions(suggestions)
            edit.setEnabled(s.source is not None)
        self._show()

    def _show(self, _value: object = None) -> None:
        s = self.bench.session
        self.control.set_query(s.control_query)
        self.perturbed.set_query(s.perturbed_query)
        self.positive.set_query(s.positive_query)
        if s.source is None:
            self.help.setText("Open a plate first (step 1).")
            self.help.setVisible(True)
            for edit in (self.control, self.perturbed, self.positive):
                edit.set_count("")
            self.set_summary("")
            return
        for edit, query in (
            (self.control, s.control_query),
            (self.perturbed, s.perturbed_query),
            (self.positive, s.positive_query),
        ):
            wells, error = roles.match(s.source, query)
            edit.set_count(error or (plural(len(wells), "well") if query else ""), error=bool(error))
        controls = s.wells_of(roles.CONTROL)
        perturbed = s.wells_of(roles.PERTURBED)
        if not s.perturbed_query and controls:
            self.perturbed.set_count(f"{plural(len(perturbed), 'well')}: all that are neither control nor positive")
        by_hand = f" {plural(len(s.hand_roles), 'well')} set by hand." if s.hand_roles else ""
        if not controls:
            text = "Controls show what is normal. Pick a condition (▾), or select wells in the plate map and mark them."
        elif len(controls) < 3 or (perturbed and len(perturbed) < 3):
            text = "With fewer than three wells on a side there are no p and q values; effects are still shown."
        else:
            text = ""
        self.help.setText((text + by_hand).strip())
        self.help.setVisible(bool(self.help.text()))
        self.set_summary(f"{len(controls)} against {len(perturbed)}" if controls else "choose the controls")
