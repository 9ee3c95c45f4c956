"""Reading the heatmaps that lie over the cells, from a run or from the phenotypes of its comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import Any

import numpy as np

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import check_cancelled
from napari_phenolens.viewer.scoring import Phenotypes
from napari_phenolens.viewer.session import PHENOTYPE
from napari_phenolens.viewer.settings import preferences
from napari_phenolens.viewer.slots import CHANNEL, Overlay, is_signed

NO_COMPARISON = "A phenotype is what differs between control and perturbed wells: press Compare first (step 5)."
# One heatmap at a time runs the encoder again: those that were replaced while they waited end without it.
_ENCODING = Lock()


def read_overlay(
    run: Any,
    well: str,
    field: str,
    feature: int,
    kind: str,
    pixel_size: float | None,
    phenotypes: Phenotypes | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Overlay:
    """Read a feature's heatmap of one field from a run; runs in a thread.

    Parameters
    ----------
    run : Run
    well, field : str
    feature : int
    kind : str
        One of `session.KINDS`, or ``"channel:<name>"``: what that channel gives to the alignment.
    pixel_size : float or None
    phenotypes : Phenotypes or None
        Those of the present comparison; needed for the kind ``"phenotype"`` alone.
    cancel : callable, optional

    Returns
    -------
    Overlay
        The values are those of `napari_phenolens.heatmap`, or of `Phenotype.heatmap`, unchanged; the limits are shared
        by all wells.

    Raises
    ------
    PhenoLensError
        Where a phenotype is asked for and there is no comparison, or the feature does not differ.
    """
    if kind == PHENOTYPE:
        if phenotypes is None:
            raise PhenoLensError(NO_COMPARISON)
        heat = phenotypes.certain(feature).heatmap(run, well, field)
        limits: tuple[float, float] | None = phenotypes.limits(feature, cancel)
        comparison = phenotypes.number
    else:
        from napari_phenolens.analysis import heatmap

        channel = kind.removeprefix(CHANNEL) if kind.startswith(CHANNEL) else None
        asked = kind if channel is None else "alignment"
        stride = _stride(run)
        slow = asked != "activation" or stride is not None
        with _turn(cancel) if slow else nullcontext():
            check_cancelled(cancel)
            heat = heatmap(run, well, field, feature, kind=asked, stride=stride, channel=channel, cancel=cancel)
        limits, comparison = heat.limits, 0
    values = np.asarray(heat.values, dtype=np.float32)
    low, high = limits if limits is not None else (float(np.nanmin(values)), float(np.nanmax(values)))
    return Overlay(
        values=values,
        scale=(float(heat.scale[0]), float(heat.scale[1])),
        translate=(float(heat.translate[0]), float(heat.translate[1])),
        limits=(float(low), float(high)),
        feature=feature,
        kind=kind,
        name=overlay_name(feature, kind),
        pixel_size=pixel_size,
        well=well,
        field=field,
        comparison=comparison,
    )


@contextmanager
def _turn(cancel: Callable[[], bool] | None) -> Iterator[None]:
    """Hold the encoder; who is cancelled waits no longer."""
    while not _ENCODING.acquire(timeout=0.05):
        check_cancelled(cancel)
    try:
        yield
    finally:
        _ENCODING.release()


def _stride(run: Any) -> int | None:
    """Give the pixels between the squares of a heatmap; None: a patch, as the run holds it."""
    parts = preferences().fineness
    if parts == 1 or run.unit != "patch" or run.lens.patch % parts:
        return None
    return int(run.lens.patch) // parts


def kind_words(kind: str) -> str:
    """Give a kind of heatmap in words."""
    return f"alignment by {kind.removeprefix(CHANNEL)}" if kind.startswith(CHANNEL) else kind


def overlay_name(feature: int, kind: str) -> str:
    """Call a heatmap layer by its feature."""
    return f"F{feature}" if kind == "activation" else f"F{feature} ({kind_words(kind)})"


def caption(hue: str, feature: int, kind: str, negative: str = "white") -> str:
    """Say what a slot's colours stand for."""
    if kind == PHENOTYPE:
        return f"F{feature}'s phenotype, {hue}: as in perturbed wells, {negative}: as in controls"
    return f"{hue}: {overlay_name(feature, kind)}" + (f", {negative}: against it" if is_signed(kind) else "")
