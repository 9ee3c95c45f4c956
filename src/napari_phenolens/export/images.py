"""Heatmaps as TIFF files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from napari_phenolens.analysis.heatmap import Heatmap
from napari_phenolens.export.atomic import written_whole
from napari_phenolens.export.tables import plain


def export_heatmap(heatmap: Heatmap, out: str | Path, *, pixel_size: float | None = None, **about: Any) -> Path:
    """Write a heatmap as a float32 TIFF, one pixel a patch.

    Parameters
    ----------
    heatmap : Heatmap
        From `napari_phenolens.heatmap`.
    out : str or Path
        The file.
    pixel_size : float or None
        Micrometres per field pixel; sets the TIFF's resolution, so that ImageJ and others show sizes right.
    about
        More entries of the description, such as ``plate="BBBC013"``.

    Returns
    -------
    Path
        The file. Its description is JSON: ``scale`` and ``translate`` (y, x) in field pixels place it over the field
        (value [i, j] lies at translate + scale * (i, j)), with feature, kind, well, field, limits and pixel_size.
    """
    import tifffile

    out = Path(out)
    description = {
        "feature": heatmap.feature,
        "kind": heatmap.kind,
        **({"channel": heatmap.channel} if heatmap.channel is not None else {}),
        "well": heatmap.well,
        "field": heatmap.field,
        "scale": heatmap.scale,
        "translate": heatmap.translate,
        "limits": heatmap.limits,
        "pixel_size": pixel_size,
        "software": "napari-phenolens",
        **about,
    }
    tags: dict[str, Any] = {}
    if pixel_size:
        # Pixels a centimetre, across and down.
        tags = {
            "resolution": tuple(1e4 / (pixel_size * s) for s in reversed(heatmap.scale)),
            "resolutionunit": "CENTIMETER",
        }
    with written_whole(out) as part:
        tifffile.imwrite(
            part,
            np.ascontiguousarray(heatmap.values, dtype=np.float32),
            photometric="minisblack",
            description=json.dumps(plain(description)),
            metadata=None,
            **tags,
        )
    return out
