"""The one door to timm: importing timm imports Triton, which brings the process down beside Mesa's LLVM.

Software OpenGL (llvmpipe) and some graphics drivers load ``libLLVM``; the copy of LLVM inside Triton then crashes while
it is loaded (seen with torch 2.14, Triton of its CUDA wheel, Mesa 22.3, LLVM 15). In napari the canvas comes first, so
the crash would take the viewer with it. Nothing here needs Triton but a compiled forward on a GPU.
"""

# ruff: noqa: E402 - Triton is kept out before timm is imported
from __future__ import annotations

import sys
from pathlib import Path

_MAPS = Path("/proc/self/maps")


def keep_triton_out(maps: Path = _MAPS) -> bool:
    """Keep Triton from being imported where Mesa's LLVM is in this process.

    Parameters
    ----------
    maps : Path
        The list of what the process has loaded; there is none but on Linux.

    Returns
    -------
    bool
        Whether Triton cannot be imported now: ``import triton`` then raises an ImportError, which torch expects.
    """
    if "triton" not in sys.modules and maps.is_file() and "/libLLVM" in maps.read_text(errors="replace"):
        sys.modules["triton"] = None  # type: ignore[assignment]
    return sys.modules.get("triton", sys) is None


keep_triton_out()

import timm
from timm.layers.mlp import Mlp
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models import get_pretrained_cfg, is_model
from timm.models.vision_transformer import Block, ParallelScalingBlock

__all__ = [
    "Block",
    "Mlp",
    "ParallelScalingBlock",
    "get_pretrained_cfg",
    "is_model",
    "keep_triton_out",
    "resample_abs_pos_embed",
    "timm",
]
