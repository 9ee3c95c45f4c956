"""Any vision transformer of timm with ``forward_intermediates`` as an encoder."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_phenolens.encoders.errors import EncoderError
from napari_phenolens.encoders.names import a_number, join_name, one_of
from napari_phenolens.encoders.timm_door import resample_abs_pos_embed, timm
from napari_phenolens.encoders.timm_facts import TimmFacts, intermediates
from napari_phenolens.encoders.torch_encoder import TorchEncoder, check_block
from napari_phenolens.encoders.weights import read_published, sha256_of

MANY_CHANNELS = 64  # of a plate, each seen alone
CHANNELS = ("each", "triple")


@dataclass(frozen=True)
class TimmOptions:
    """What a name says after its ``?``.

    Attributes
    ----------
    tile : int or None
        The only tile side in px; None: whatever comes.
    channels : str
        ``each``: every plate channel is seen alone, as a grey image, and has tokens of its own. ``triple``: as many
        plate channels as the network has inputs (three) are its red, green and blue, and share tokens.
    """

    tile: int | None = None
    channels: str = "each"

    @classmethod
    def read(cls, name: str, options: Mapping[str, str], facts: TimmFacts) -> TimmOptions:
        """Read the options of a name.

        Raises
        ------
        EncoderError
            Where there is no such option, or its value does not fit the model.
        """
        unknown = set(options) - {"tile", "channels"}
        if unknown:
            raise EncoderError(f"{name!r}: there is no option {', '.join(sorted(unknown))}; there are tile, channels")
        tile = a_number(name, "tile", options["tile"]) if "tile" in options else None
        if tile is not None and tile % facts.unit:
            raise EncoderError(f"{name!r}: tiles of {facts.name} have sides that are multiples of {facts.unit} px")
        return cls(tile, one_of(name, "channels", options.get("channels", "each"), CHANNELS))

    def spell(self, facts: TimmFacts) -> str:
        """Give the one name that says all this."""
        said = {} if self.tile is None else {"tile": str(self.tile)}
        return join_name(facts.name, said if self.channels == "each" else said | {"channels": self.channels})


class TimmEncoder(TorchEncoder):
    """A timm vision transformer as an `Encoder`.

    The network is built for the size of the tiles it is given (`img_size`; timm resamples position codes), and once
    more where that changes. Tokens are those of `forward_intermediates` without the final norm; prefix tokens are
    dropped.

    Parameters
    ----------
    facts : TimmFacts
        The model.
    options : TimmOptions
        How it sees plates.
    weights : Path
        A file of the model's keys in timm, safetensors or a torch pickle of tensors alone.
    device : str
        A torch device.
    block : int, optional
        Which block's tokens to give, 1-based; default: the last.

    Raises
    ------
    EncoderError
        Where the weights do not fit or there is no such block.
    """

    input_range: tuple[float, float] | None = (0.0, 1.0)

    def __init__(
        self, facts: TimmFacts, options: TimmOptions, weights: Path, device: str = "cpu", block: int | None = None
    ) -> None:
        self.name, self.licence, self.device = options.spell(facts), facts.licence, device
        self.blocks = len(facts.dims)
        self.block = self.blocks if block is None else block
        check_block(self.name, self.block, self.blocks)
        self.dim, self.patch = facts.dims[self.block - 1], facts.patches[self.block - 1]
        self.tile, self.default_tile = options.tile, options.tile or facts.default_tile
        triple = options.channels == "triple"
        self.channels = facts.in_channels if triple else None
        self.max_channels = facts.in_channels if triple else MANY_CHANNELS
        self._facts, self._weights, self.sha256 = facts, weights, sha256_of(weights)
        scale = 1 / torch.tensor(facts.std, device=device)
        self._scale = scale[:, None, None]
        self._shift = (-torch.tensor(facts.mean, device=device) * scale)[:, None, None]
        self._lock = threading.Lock()
        self._built: tuple[tuple[int, int], nn.Module] | None = None
        self.network((self.default_tile, self.default_tile))  # weights that do not fit are refused now

    def dim_of(self, block: int) -> int:
        """Give the width of a token of a block, see `Encoder.dim_of`."""
        check_block(self.name, block, self.blocks)
        return self._facts.dims[block - 1]

    def patch_of(self, block: int) -> int:
        """Give the side in pixels of a token of a block, see `Encoder.patch_of`."""
        check_block(self.name, block, self.blocks)
        return self._facts.patches[block - 1]

    def check_sizes(self, channels: int, y: int, x: int) -> None:
        """Refuse channels and tile sizes that do not fit."""
        super().check_sizes(channels, y, x)
        if y % self._facts.unit or x % self._facts.unit:
            raise EncoderError(
                f"{self.name} takes tiles whose sides are multiples of {self._facts.unit} px; these are {y} x {x}"
            )

    def network(self, size: tuple[int, int]) -> nn.Module:
        """Give the network built for tiles of that size, (y, x) px."""
        built = self._built
        if built is None or built[0] != size:
            with self._lock:
                if self._built is None or self._built[0] != size:
                    self._built = None  # two of a large model at once may not fit
                    self._built = size, build(self._facts, self._weights, size).to(self.device)
                built = self._built
        return built[1]

    def forward_blocks(self, pixels: Tensor, blocks: Sequence[int]) -> dict[int, Tensor]:
        """Give the patch tokens of some blocks, see `TorchEncoder.forward_blocks`."""
        n, c, y, x = pixels.shape
        network = self.network((y, x))
        if self.channels is None:
            pixels = pixels.reshape(n * c, 1, y, x)
        images = pixels * self._scale + self._shift  # a grey image is repeated here
        output_format = self._facts.output_format
        found = intermediates(network, images, [b - 1 for b in blocks], output_format)
        out = {}
        for block, tokens in zip(blocks, found, strict=True):
            if output_format == "NCHW":
                tokens = tokens.permute(0, 2, 3, 1)
            patch = self.patch_of(block)
            out[block] = tokens.reshape(n, 1 if self.channels else c, y // patch, x // patch, self.dim_of(block))
        return out


def build(facts: TimmFacts, weights: Path, size: tuple[int, int]) -> nn.Module:
    """Build a timm model for a tile size and fill it from a file.

    Parameters
    ----------
    facts : TimmFacts
        The model.
    weights : Path
        The file; the classification head is left out, position codes are resampled to the size, and whatever else the
        model's own loading in timm adapts. Every parameter of the network must come from it.
    size : tuple of int
        (y, x) px.

    Raises
    ------
    EncoderError
        Where keys or shapes do not fit, or the model takes no such size.
    """
    tensors = read_published(weights)
    for layer in facts.classifier:
        for part in ("weight", "bias"):
            tensors.pop(f"{layer}.{part}", None)
    try:
        try:
            return _load(facts, tensors, size)
        except RuntimeError as error:
            if "size mismatch for pos_embed:" not in str(error):
                raise
            # Hiera's and CaiT's position codes are not resampled by timm's own loading.
            return _load(facts, tensors | {"pos_embed": _resampled(tensors["pos_embed"], facts, size)}, size)
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        raise EncoderError(f"{facts.name} cannot be built for a tile size, so it is no vision transformer") from error
    except Exception as error:  # timm and the model's own code raise what they like
        text = " ".join(str(error).split())[:400]
        raise EncoderError(
            f"{weights}: cannot be loaded as {facts.name} for tiles of {size[0]} x {size[1]} px ({text})"
        ) from error


def _load(facts: TimmFacts, tensors: dict[str, Tensor], size: tuple[int, int]) -> nn.Module:
    # timm is told that the file has no classes, so that it loads strictly, and where the tensors are.
    overlay = {
        "state_dict": tensors, "source": "", "file": None, "num_classes": 0, "label_offset": 0, "custom_load": False,
    }  # fmt: skip
    network: Any = timm.create_model(
        facts.model, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=0, img_size=size
    )
    network.pretrained_cfg = network.default_cfg = {}  # they would keep the file's tensors alive
    found: nn.Module = network.requires_grad_(False).eval()
    return found


def _resampled(codes: Tensor, facts: TimmFacts, size: tuple[int, int]) -> Tensor:
    """Resample position codes ``(1, side * side, d)`` to the grid of a tile size."""
    side = math.isqrt(codes.shape[1])
    if codes.ndim != 3 or side**2 != codes.shape[1]:
        raise ValueError(f"position codes of shape {tuple(codes.shape)} are no square grid")
    grid = [n // facts.patches[0] for n in size]
    out: Tensor = resample_abs_pos_embed(codes.float(), new_size=grid, old_size=[side, side], num_prefix_tokens=0)
    return out
