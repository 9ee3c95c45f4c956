"""What a well is to a comparison: control, perturbed, positive control, or left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

CONTROL, PERTURBED, POSITIVE, EXCLUDED = "control", "perturbed", "positive", "excluded"
ROLES = (CONTROL, PERTURBED, POSITIVE, EXCLUDED)
LETTERS = {CONTROL: "C", PERTURBED: "P", POSITIVE: "+", EXCLUDED: "x"}
WORDS = {CONTROL: "control", PERTURBED: "perturbed", POSITIVE: "positive control", EXCLUDED: "excluded"}


def assign_roles(
    wells: Iterable[str],
    controls: Iterable[str],
    perturbed: Iterable[str] | None = None,
    positive: Iterable[str] = (),
    excluded: Iterable[str] = (),
    by_hand: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Give every well its role.

    The excluded wells win over the controls, these over the positive controls, these over the perturbed. A role set
    by hand wins over all.

    Parameters
    ----------
    wells : iterable of str
        All wells with images.
    controls, positive, excluded : iterable of str
        Wells of that role.
    perturbed : iterable of str or None
        None: every well that is nothing else, once a control is known.
    by_hand : mapping of str to str, optional
        Well to role.

    Returns
    -------
    dict of str to str
        Well to one of `ROLES`; wells without a role are left out.
    """
    controls, by_hand = list(controls), dict(by_hand or {})
    roles: dict[str, str] = {}
    if perturbed is not None:
        roles.update(dict.fromkeys(perturbed, PERTURBED))
    elif controls or CONTROL in by_hand.values():
        roles.update(dict.fromkeys(wells, PERTURBED))
    roles.update({well: POSITIVE for well in positive if perturbed is None or well not in roles})
    roles.update(dict.fromkeys(controls, CONTROL))
    roles.update(dict.fromkeys(excluded, EXCLUDED))
    roles.update({well: role for well, role in by_hand.items() if role in ROLES})
    return roles
