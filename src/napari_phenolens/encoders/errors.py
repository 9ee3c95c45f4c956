"""Errors of the encoder room."""

from __future__ import annotations

from napari_phenolens.errors import PhenoLensError


class EncoderError(PhenoLensError):
    """An encoder, its weights or its input do not fit; the message says how to go on."""
