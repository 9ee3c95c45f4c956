"""Where cells are to come from, as the user chose it; no Qt, no napari."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BUILT_IN, LAYER, FOLDER = "built-in segmentation", "Labels layer", "label files"
KINDS = (BUILT_IN, LAYER, FOLDER)


@dataclass(frozen=True)
class CellSource:
    """What the user chose; None leaves a setting to the run (`napari_phenolens.run.default_segmentation`).

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    layer, folder : str
        Name of the Labels layer; folder of label files.
    nuclear : str or None
        Channel of the nuclei.
    reach : float or None
        Pixels from a nucleus that a cell may reach.
    cytoplasm : tuple of str or None
        Channels that part cells which touch.
    stiffness, smooth : float or None
        What nearness counts against edges; sigma in pixels.
    by_stain : bool
        Whether cells end where these channels do.
    """

    kind: str = BUILT_IN
    layer: str = ""
    folder: str = ""
    nuclear: str | None = None
    reach: float | None = None
    cytoplasm: tuple[str, ...] | None = None
    stiffness: float | None = None
    smooth: float | None = None
    by_stain: bool = False

    def options(self) -> dict[str, Any]:
        """Give what differs from the run's own settings, as `default_segmentation` takes it."""
        names = ("nuclear", "reach", "cytoplasm", "stiffness", "smooth")
        asked = {name: getattr(self, name) for name in names}
        return {k: v for k, v in asked.items() if v is not None} | ({"by_stain": True} if self.by_stain else {})
