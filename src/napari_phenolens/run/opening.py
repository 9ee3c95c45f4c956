"""An engine for an encoder by name."""

from __future__ import annotations

from pathlib import Path

from napari_phenolens.encoders import load_encoder
from napari_phenolens.progress import CancelCallback, ProgressCallback
from napari_phenolens.run.devices import Device
from napari_phenolens.run.engine import Engine


def engine_for(
    encoder: str,
    device: Device,
    *,
    block: int | None = None,
    weights: str | Path | None = None,
    batch: int | None = None,
    precision: str = "auto",
    compiled: bool = False,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> Engine:
    """Give an engine that loads its encoder when it is first needed; arguments are those of `fit_lens`."""
    return Engine(
        lambda where: load_encoder(
            encoder, weights=weights, device=where, block=block, progress=progress, cancel=cancel
        ),
        device,
        batch=batch,
        precision=precision,
        compiled=compiled,
    )
