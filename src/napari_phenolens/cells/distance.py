"""How far each pixel is from the nearest label, and which that is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def nearest_label(labels: NDArray[np.integer[Any]]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Find the nearest labelled pixel of every pixel.

    Parameters
    ----------
    labels : ndarray (Y, X) int
        0 is background.

    Returns
    -------
    distance : ndarray (Y, X) float64
        Euclidean distance in px to the nearest labelled pixel; without a meaning where there is none.
    nearest : ndarray (Y, X) int32
        The label of that pixel; 0 where there is none.
    """
    from scipy import ndimage as ndi

    distance, (y, x) = ndi.distance_transform_edt(labels == 0, return_indices=True)
    return distance, np.asarray(labels[y, x], np.int32)
