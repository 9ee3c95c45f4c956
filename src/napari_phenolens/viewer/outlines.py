"""Outlines over the cells: one fixed layer for each thing that is outlined, its data replaced."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_phenolens.viewer.images import KEY, find_layer


def show_outline(
    viewer: Any, role: tuple[str, ...], corners: np.ndarray, *, name: str, colour: str, width: float, like: list[Any],
    size: float,
) -> None:  # fmt: skip
    """Outline a polygon.

    Parameters
    ----------
    viewer : napari viewer
    role : tuple of str
        Which layer of ours it is.
    corners : ndarray (n, 2)
        Field pixels (y, x).
    name, colour, width : str, str, float
        Of the layer where it is new; the width in field pixels.
    like : list of layers
        The first of them gives the units.
    size : float
        World units a field pixel.
    """
    layer = find_layer(viewer, role)
    if layer is None:
        active = viewer.layers.selection.active
        viewer.add_shapes(
            [corners],
            shape_type="polygon",
            name=name,
            edge_color=colour,
            face_color="transparent",
            edge_width=width,
            scale=(size, size),
            units=next((other.units for other in like), None),
            metadata={KEY: {"role": role}},
        )
        if active is not None:
            viewer.layers.selection = {active}
    else:
        layer.scale = (size, size)
        layer.data = [corners]
        layer.visible = True


def hide_outline(viewer: Any, role: tuple[str, ...]) -> None:
    """Hide an outline where there is one."""
    layer = find_layer(viewer, role)
    if layer is not None:
        layer.visible = False
