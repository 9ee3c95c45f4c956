"""Whitening with control tokens, ICFL coding and training, and the TopK baseline.

Takes arrays and iterables, knows no store. Importing this package loads neither numba nor scipy nor torch: every name
is loaded where it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_phenolens.dictionary.coder import icfl_encode
    from napari_phenolens.dictionary.errors import DictionaryError
    from napari_phenolens.dictionary.fit import default_batch, default_steps, fit_dictionary
    from napari_phenolens.dictionary.model import Dictionary
    from napari_phenolens.dictionary.quality import reconstruction
    from napari_phenolens.dictionary.reference import icfl_encode_reference
    from napari_phenolens.dictionary.whitening import Whitening

_HOMES = {
    "Dictionary": "model",
    "DictionaryError": "errors",
    "Whitening": "whitening",
    "default_batch": "fit",
    "default_steps": "fit",
    "fit_dictionary": "fit",
    "icfl_encode": "coder",
    "icfl_encode_reference": "reference",
    "reconstruction": "quality",
}

__all__ = [
    "Dictionary",
    "DictionaryError",
    "Whitening",
    "default_batch",
    "default_steps",
    "fit_dictionary",
    "icfl_encode",
    "icfl_encode_reference",
    "reconstruction",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
