"""The wells' means of every feature as small bars, made for all features at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from napari_phenolens.viewer import roles

MOST = 36  # bars: so many can be told apart in the column
_ORDER = (roles.CONTROL, roles.PERTURBED, roles.POSITIVE, "")


class WellBars:
    """A row of bars for each feature: wells by role, in the plate's order, neighbours joined where there are too many.

    Parameters
    ----------
    profiles : DataFrame
        Wells x features.
    assigned : mapping
        Well to role; excluded wells are left out.
    """

    def __init__(self, profiles: pd.DataFrame, assigned: Mapping[str, str]) -> None:
        groups = [[i for i, w in enumerate(profiles.index) if (assigned.get(w) or "") == role] for role in _ORDER]
        count = sum(map(len, groups))
        each = max(1.0, count / MOST)
        values = profiles.to_numpy(dtype=np.float32)
        parts, self.roles = [], []
        for role, wells in zip(_ORDER, groups, strict=True):
            if wells:
                for some in np.array_split(np.array(wells), max(1, round(len(wells) / each))):
                    known = np.isfinite(values[some])
                    total = np.where(known, values[some], 0).sum(axis=0)
                    seen = known.sum(axis=0)
                    parts.append(np.divide(total, seen, out=np.zeros_like(total), where=seen > 0))
                    self.roles.append(role)
        heights = np.stack(parts, axis=1) if parts else np.zeros((values.shape[1], 0), np.float32)
        heights = np.maximum(heights, 0)
        most = heights.max(axis=1, keepdims=True, initial=0)
        self._heights = np.divide(heights, most, out=np.zeros_like(heights), where=most > 0)
        self._place = {int(feature): i for i, feature in enumerate(profiles.columns)}

    def of(self, feature: int) -> tuple[np.ndarray, list[str]] | None:
        """Give a feature's bars, 0 to 1 of its highest, and their roles; None for a feature without profiles."""
        place = self._place.get(int(feature))
        return None if place is None else (self._heights[place], self.roles)
