"""``python -m napari_phenolens.cli`` is ``phenolens``."""

from __future__ import annotations

from napari_phenolens.cli import main

main()
