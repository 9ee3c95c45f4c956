"""Foundation models behind one protocol, their registry and their weights.

The room is loaded lazily: importing it brings in no torch. It can be called as well, which lists the encoders, so
that ``napari_phenolens.encoders()`` works whether or not the room has been imported by then.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from napari_phenolens.encoders.base import Encoder
    from napari_phenolens.encoders.catalogue import EncoderSpec
    from napari_phenolens.encoders.errors import EncoderError
    from napari_phenolens.encoders.hub import LicenceNotAcceptedError
    from napari_phenolens.encoders.licences import Licence, licence_of, licence_text
    from napari_phenolens.encoders.registry import (
        accept_licence,
        fetch_weights,
        find_spec,
        list_encoders,
        load_encoder,
    )

_WHERE = {
    "Encoder": "base",
    "EncoderError": "errors",
    "EncoderSpec": "catalogue",
    "Licence": "licences",
    "LicenceNotAcceptedError": "hub",
    "accept_licence": "registry",
    "fetch_weights": "registry",
    "find_spec": "registry",
    "licence_of": "licences",
    "licence_text": "licences",
    "list_encoders": "registry",
    "load_encoder": "registry",
}
__all__ = [
    "Encoder",
    "EncoderError",
    "EncoderSpec",
    "Licence",
    "LicenceNotAcceptedError",
    "accept_licence",
    "fetch_weights",
    "find_spec",
    "licence_of",
    "licence_text",
    "list_encoders",
    "load_encoder",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


class _Room(ModuleType):
    """A module that can be called."""

    def __call__(self, name: str | None = None) -> pd.DataFrame:
        """List the encoders, see `list_encoders`."""
        from napari_phenolens.encoders.registry import list_encoders

        return list_encoders(name)


sys.modules[__name__].__class__ = _Room
