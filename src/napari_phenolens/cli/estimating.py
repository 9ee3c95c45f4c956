"""What a run will take, said before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate
    from napari_phenolens.progress import CancelCallback, ProgressCallback

KNOWN = ("lens", "encoder", "block", "channels", "sparsity", "atoms", "device", "weights", "batch", "precision")


def estimate_of(plate: Plate, settings: dict[str, Any], progress: ProgressCallback, cancel: CancelCallback) -> str:
    """Estimate a run from its settings, in one line."""
    from napari_phenolens.run import estimate

    chosen = {name: settings[name] for name in KNOWN if name in settings}
    found = estimate(plate, progress=progress, cancel=cancel, **chosen)
    return str(found) if "lens" in settings else f"{found}, and learning the features"
