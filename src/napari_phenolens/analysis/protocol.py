"""What analysis needs of a run, so that anything with these members can be analysed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

Query = str | Sequence[str]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.intp]


class RunLike(Protocol):
    """The members of `napari_phenolens.run.Run` that analysis reads."""

    @property
    def lens(self) -> Any:
        """The lens that made the codes."""

    @property
    def plate_name(self) -> str:
        """Name of the plate."""

    @property
    def n_features(self) -> int:
        """Number of features."""

    @property
    def unit(self) -> str:
        """What is coded: patch, crop or cell."""

    @property
    def patch(self) -> int:
        """Edge of a patch in field pixels."""

    @property
    def metadata(self) -> pd.DataFrame:
        """The plate map, a row a well."""

    @property
    def wells(self) -> Sequence[str]:
        """Wells with results."""

    @property
    def controls(self) -> Sequence[str]:
        """Wells that served as controls of this plate."""

    @property
    def annotations(self) -> Any:
        """Names, notes and stars of features: a mapping with `names()`."""

    @property
    def density(self) -> pd.Series:
        """Share of foreground patches where each feature is active."""

    def select(self, query: Any) -> list[str]:
        """Wells with results that the query holds for."""

    def profiles(self, per: Any = "patch", kind: Any = "activation") -> pd.DataFrame:
        """Well means, wells x features."""

    def covariates(self) -> pd.DataFrame:
        """Wells x covariates."""

    def fields(self, well: str) -> tuple[str, ...]:
        """Names of a well's fields."""

    def field_row(self, well: str, field: Any = None) -> pd.Series:
        """Row of the field table: field, h, w, y, x (px), scale (px a heatmap square)."""

    def codes(self, well: str, field: Any = None) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Feature indices and values of every patch, (h w, k) each."""

    def foreground(self, well: str, field: Any = None) -> npt.NDArray[Any]:
        """Foreground of every patch, (h, w)."""

    def strength(self, well: str, field: Any = None) -> npt.NDArray[Any]:
        """Norm of every whitened token, (h, w)."""

    def activation(
        self, well: str, field: Any, feature: int, stride: Any = None, cancel: Any = None
    ) -> npt.NDArray[Any]:
        """Activation of one feature, (h, w)."""

    def weighted_activation(self, well: str, field: Any, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Weighted sum of all features' activations, (h, w)."""

    def limits(self, feature: int, kind: str = "activation") -> tuple[float, float]:
        """Colour limits shared by all wells."""

    def examples(self, feature: int, count: int = 16, per_well: int = 4) -> pd.DataFrame:
        """Places where a feature is strongest: well, field, unit, value."""

    def histogram(self, feature: int, wells: Sequence[str]) -> tuple[npt.NDArray[Any], int]:
        """Activations of a feature over some wells, counted in bins, and foreground units of these wells."""

    def owner(self, well: str, field: Any = None) -> npt.NDArray[Any]:
        """Cell that each patch belongs to, (h, w), for runs of cells."""

    def plate(self) -> Any:
        """The plate, opened again."""

    def tokens(self, well: str, field: Any = None, stride: Any = None, cancel: Any = None) -> npt.NDArray[Any]:
        """Whitened tokens, (h, w, p)."""
