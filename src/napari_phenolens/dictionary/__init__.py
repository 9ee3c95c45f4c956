"""Whitening with control tokens, ICFL coding and training, baselines, and what a dictionary is worth.

Takes arrays and iterables, knows no store. Importing this package loads neither numba nor scipy nor torch: every name
is loaded where it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_phenolens.dictionary.carrying import carry
    from napari_phenolens.dictionary.coder import icfl_encode
    from napari_phenolens.dictionary.errors import DeviceError, DictionaryError
    from napari_phenolens.dictionary.fit import fit_dictionary
    from napari_phenolens.dictionary.hierarchy import consistency
    from napari_phenolens.dictionary.model import Dictionary
    from napari_phenolens.dictionary.monosemantic import monosemanticity
    from napari_phenolens.dictionary.plan import check_method, default_batch, default_steps
    from napari_phenolens.dictionary.probes import probe
    from napari_phenolens.dictionary.quality import reconstruction
    from napari_phenolens.dictionary.reference import icfl_encode_reference
    from napari_phenolens.dictionary.selective import selectivity
    from napari_phenolens.dictionary.stability import match_activations, match_atoms, seed_stability
    from napari_phenolens.dictionary.usage import density, shares_of_use, usage_histogram
    from napari_phenolens.dictionary.whitening import Whitening

_HOMES = {
    "DeviceError": "errors",
    "Dictionary": "model",
    "DictionaryError": "errors",
    "Whitening": "whitening",
    "carry": "carrying",
    "check_method": "plan",
    "consistency": "hierarchy",
    "default_batch": "plan",
    "default_steps": "plan",
    "density": "usage",
    "fit_dictionary": "fit",
    "icfl_encode": "coder",
    "icfl_encode_reference": "reference",
    "match_activations": "stability",
    "match_atoms": "stability",
    "monosemanticity": "monosemantic",
    "probe": "probes",
    "reconstruction": "quality",
    "seed_stability": "stability",
    "selectivity": "selective",
    "shares_of_use": "usage",
    "usage_histogram": "usage",
}

__all__ = [
    "DeviceError",
    "Dictionary",
    "DictionaryError",
    "Whitening",
    "carry",
    "check_method",
    "consistency",
    "default_batch",
    "default_steps",
    "density",
    "fit_dictionary",
    "icfl_encode",
    "icfl_encode_reference",
    "match_activations",
    "match_atoms",
    "monosemanticity",
    "probe",
    "reconstruction",
    "seed_stability",
    "selectivity",
    "shares_of_use",
    "usage_histogram",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
