"""napari without Qt: the session of a viewer, its jobs, layers, reader, sample and settings."""

from __future__ import annotations
