"""What is planted in the demo plate: conditions, what each does to cells, and the queries that choose their wells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DEMO_CONTROLS = "control_type == 'negcon'"
"""Query for the negative controls of the demo plate."""

DEMO_PERTURBED = {
    "translocation": "control_type == 'poscon'",
    "nuclear size": "compound == 'nuclear enlarger'",
    "actin texture": "compound == 'actin disruptor'",
    "cell loss": "compound == 'cell loss'",
    "mixed translocation": "compound == 'mixed translocator'",
}
"""Query for the wells of each planted phenotype (of the dose series: the top dose)."""

DEMO_SETTINGS: dict[str, Any] = {"atoms": 256}
"""How the demo plate is run, by `phenolens demo` and for the finished run in the package; the rest is the defaults."""

EC50, HILL = 0.4, 1.5  # of the translocator, uM
DOSES = (0.1, 0.3, 1.0, 3.0)

_CONTROL_COUNT, _LOSS_COUNT = 27, 10


@dataclass(frozen=True)
class Condition:
    """What a well was given, and what that does.

    Attributes
    ----------
    name : str
        Short name, used in layouts.
    phenotype : str
        The planted phenotype; "none" in negative controls.
    control_type, compound : str
        As in the plate map.
    dose : float
        uM, NaN where the compound has one dose only.
    strength : float
        How far the phenotype is developed in a cell that responds, 0 to 1.
    responding : float
        Share of cells that respond.
    cells : float
        Mean number of cells a field.
    """

    name: str
    phenotype: str
    control_type: str
    compound: str
    dose: float
    strength: float
    responding: float = 1.0
    cells: float = _CONTROL_COUNT

    @property
    def translocation(self) -> float:
        """Share of the way from a cytoplasmic to a nuclear reporter, in cells that respond."""
        return self.strength if self.phenotype.endswith("translocation") else 0.0

    @property
    def nuclear_scale(self) -> float:
        """Factor on the nucleus's diameter in cells that respond."""
        return 1.0 + 0.34 * self.strength if self.phenotype == "nuclear size" else 1.0

    @property
    def disruption(self) -> float:
        """Share of the way from actin filaments to puncta, in cells that respond."""
        return self.strength if self.phenotype == "actin texture" else 0.0


def response(dose: float) -> float:
    """Hill curve of the translocator: the share of the full response at a dose in uM."""
    return float(dose**HILL / (dose**HILL + EC50**HILL)) if dose > 0 else 0.0


def _translocator(dose: float) -> Condition:
    kind = "poscon" if dose == max(DOSES) else "trt"
    return Condition(f"translocator {dose:g}", "translocation", kind, "translocator", dose, response(dose))


_NAN = float("nan")
CONDITIONS = {
    condition.name: condition
    for condition in (
        Condition("negative", "none", "negcon", "DMSO", 0.0, 0.0),
        *(_translocator(dose) for dose in DOSES),
        Condition("mixed", "mixed translocation", "trt", "mixed translocator", max(DOSES), response(max(DOSES)), 0.5),
        Condition("nuclei", "nuclear size", "trt", "nuclear enlarger", _NAN, 1.0),
        Condition("actin", "actin texture", "trt", "actin disruptor", _NAN, 1.0),
        Condition("loss", "cell loss", "trt", "cell loss", _NAN, 1.0, cells=_LOSS_COUNT),
    )
}
