"""Step 3: which wells are controls and which are perturbed."""

from __future__ import annotations

from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_phenolens.viewer import roles
from napari_phenolens.viewer.workbench import Workbench
from napari_phenolens.widgets.map_panel import small_button
from napari_phenolens.widgets.parts import Connections, Section, hint, plural, row
from napari_phenolens.widgets.query_edit import QueryEdit
from napari_phenolens.widgets.role_chooser import RoleChooser
from napari_phenolens.widgets.tooltips import tip


class RolesSection(Section):
    """Roles by the plate map: chosen from its columns, or as queries."""

    def __init__(self, bench: Workbench, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("3  Controls and perturbed", parent)
        self.bench = bench
        self.control = QueryEdit("roles.control", "e.g. control_type == 'negcon'")
        self.perturbed = QueryEdit("roles.perturbed", "every other well")
        self.positive = QueryEdit("roles.positive", "none")
        self.excluded = QueryEdit("roles.excluded", "none")
        self.control.query_changed.connect(lambda query: bench.set_queries(control=query))
        self.perturbed.query_changed.connect(lambda query: bench.set_queries(perturbed=query))
        self.positive.query_changed.connect(lambda query: bench.set_queries(positive=query))
        self.excluded.query_changed.connect(lambda query: bench.set_queries(excluded=query))
        self.chooser = RoleChooser(bench, connections, self)
        self.undo, self.redo = small_button("Undo"), small_button("Redo")
        tip(self.undo, "roles.undo").clicked.connect(bench.undo)
        tip(self.redo, "roles.redo").clicked.connect(bench.redo)
        self.help = hint()
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(QLabel("Controls"), self.control)
        form.addRow(QLabel("Perturbed"), self.perturbed)
        form.addRow(QLabel("Positive"), self.positive)
        form.addRow(QLabel("Excluded"), self.excluded)
        self.body.addWidget(self.help)
        self.body.addWidget(self.chooser)
        self.body.addLayout(form)
        self.body.addLayout(row(self.undo, self.redo))
        events = bench.session.events
        for signal in (events.plate, events.run):
            connections.connect(signal, self._source)
        for signal in (
            events.roles,
            events.control_query,
            events.perturbed_query,
            events.positive_query,
            events.excluded_query,
            events.hand_roles,
        ):
            connections.connect(signal, self._show)
        connections.connect(bench.session.undo.changed, self._steps)
        self._source()
        self._steps()

    def _steps(self) -> None:
        for button, word, title in (
            (self.undo, "Undo", self.bench.session.undo.undo_title),
            (self.redo, "Redo", self.bench.session.undo.redo_title),
        ):
            button.setEnabled(bool(title))
            button.setToolTip(f"{word}: {title}" if title else f"There is nothing to {word.lower()}.")

    def _source(self, _value: object = None) -> None:
        s = self.bench.session
        suggestions = roles.suggest(s.source.metadata, s.wells) if s.source is not None else []
        for edit in (self.control, self.perturbed, self.positive, self.excluded):
            edit.set_suggestions(suggestions)
            edit.setEnabled(s.source is not None)
        self._show()

    def _show(self, _value: object = None) -> None:
        s = self.bench.session
        self.control.set_query(s.control_query)
        self.perturbed.set_query(s.perturbed_query)
        self.positive.set_query(s.positive_query)
        self.excluded.set_query(s.excluded_query)
        if s.source is None:
            self.help.setText("Open a plate first (step 1).")
            self.help.setVisible(True)
            for edit in (self.control, self.perturbed, self.positive, self.excluded):
                edit.set_count("")
            self.set_summary("")
            return
        for edit, query in (
            (self.control, s.control_query),
            (self.perturbed, s.perturbed_query),
            (self.positive, s.positive_query),
            (self.excluded, s.excluded_query),
        ):
            wells, error = roles.match(s.source, query)
            edit.set_count(error or (plural(len(wells), "well") if query else ""), error=bool(error))
            taken = [well for well in wells if s.roles.get(well) == roles.PERTURBED]
            if edit is self.positive and taken:
                edit.set_count(f"{plural(len(wells), 'well')}, {len(taken)} of them used as perturbed above")
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
