"""Control and perturbed wells as the docks beside the first mean them: those compared, else by their roles."""

from __future__ import annotations

from napari_phenolens.viewer import roles
from napari_phenolens.viewer.session import Session

Sides = tuple[tuple[str, ...], tuple[str, ...]]


def sides_of(session: Session) -> Sides:
    """Give control and perturbed wells that have results; without roles the controls are the run's own."""
    if session.comparison is not None:
        return tuple(session.comparison.controls), tuple(session.comparison.perturbed)
    have = set(session.run.wells)
    control = tuple(w for w in session.wells_of(roles.CONTROL) if w in have) or tuple(session.run.controls)
    perturbed = tuple(w for w in session.wells_of(roles.PERTURBED, roles.POSITIVE) if w in have)
    return control, tuple(w for w in perturbed if w not in control)
