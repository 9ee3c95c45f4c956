"""Errors of the dictionary room."""

from __future__ import annotations

from napari_phenolens.errors import PhenoLensError


class DictionaryError(PhenoLensError):
    """Input that cannot be whitened, coded or fitted: what, why, and the way out."""


class DeviceError(DictionaryError):
    """A device that cannot code: not on this machine, or not exact enough."""
