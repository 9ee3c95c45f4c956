"""One device at work: pixels up, forward, tokens down; what differs between the CPU and an accelerator."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_phenolens.encoders import Encoder
from napari_phenolens.run.devices import workers
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.pixels import as_tensor
from napari_phenolens.threads import budget

Item = TypeVar("Item")
Out = TypeVar("Out")

PRECISIONS = {"float32": None, "float16": torch.float16, "bfloat16": torch.bfloat16}
TOLERANCE = 5e-3  # of the tokens' own spread, by which a half-precision forward may differ from float32
FIRST_BATCH, LAST_BATCH = 8, 1024  # tiles between which the batch of an accelerator is searched
WORTH = 0.05  # share of time a tile that twice the batch must save


def _inner_of(encoder: Encoder) -> Callable[[Tensor, int], Tensor]:
    """Give the forward to a tile's inner tokens: the encoder's own, which may save work, or a part of its whole one."""
    own: Callable[[Tensor, int], Tensor] | None = getattr(encoder, "forward_inner", None)
    if own is not None:
        return own

    def part(tiles: Tensor, margin: int) -> Tensor:
        tokens = encoder.forward_tensor(tiles)
        return tokens[:, :, margin : tokens.shape[2] - margin, margin : tokens.shape[3] - margin]

    return part


class Lane:
    """An encoder on one device.

    Parameters
    ----------
    encoder : Encoder
        On its device.
    compiled : bool
        Whether `torch.compile` compiles its forward.
    """

    drivers = 2  # fields under way at a time: one is read and sent while the other is computed

    def __init__(self, encoder: Encoder, *, compiled: bool = False) -> None:
        self.encoder = encoder
        self.name = encoder.device
        self.where = torch.device(encoder.device)
        self.dtype: torch.dtype | None = None
        self._call = _inner_of(encoder)
        if compiled:
            if self.where.type == "cuda" and sys.modules.get("triton", sys) is None:  # see encoders.timm_door
                raise RunError(
                    "a compiled forward needs Triton, which cannot be loaded beside this screen's graphics driver "
                    "(Mesa with LLVM); run it from the command line, or without compiling"
                )
            self._call = torch.compile(self._call, dynamic=True)
        self._streams = threading.local()

    @property
    def is_cpu(self) -> bool:
        """Whether it is the CPU."""
        return self.where.type == "cpu"

    @property
    def abreast(self) -> int:
        """Batches that are under way side by side."""
        return 1

    def forward(self, tiles: Tensor, margin: int = 0) -> Tensor:
        """Encode tiles ``(n, c, y, x)`` in the precision settled on; tokens are float32, without a rim of `margin`."""
        with torch.inference_mode(), self._precision():
            return self._call(tiles, margin).float()

    def forward_blocks(self, tiles: Tensor, blocks: Sequence[int]) -> dict[int, Tensor]:
        """Encode tiles once and give the whole grids of several blocks, in the precision settled on, as float32."""
        with torch.inference_mode(), self._precision():
            return {block: tokens.float() for block, tokens in self.encoder.forward_tensors(tiles, blocks).items()}

    def _precision(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.dtype is None else torch.autocast(self.where.type, self.dtype)

    def map(self, work: Callable[[Item], Out], items: Sequence[Item]) -> list[Out]:
        """Do the work on each item, in their order: one after the other, since the device itself is parallel."""
        return [work(item) for item in items]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Hold the device, on a stream of the calling thread's own, so that copies overlap another thread's forward."""
        if self.where.type != "cuda":
            yield
            return
        if not hasattr(self._streams, "own"):
            self._streams.own = torch.cuda.Stream(self.where)
        with torch.cuda.device(self.where), torch.cuda.stream(self._streams.own):
            yield

    def upload(self, image: npt.NDArray[Any]) -> Tensor:
        """Send an image to the device in its own number type, from pinned memory and without waiting on CUDA."""
        tensor = as_tensor(image)
        if self.where.type == "cuda":
            return tensor.pin_memory().to(self.where, non_blocking=True)
        if self.where.type == "mps" and tensor.dtype == torch.uint16:
            tensor = tensor.to(torch.float32)  # a type that MPS lacks
        return tensor.to(self.where)

    def download(self, tensors: Sequence[Tensor]) -> list[npt.NDArray[Any]]:
        """Bring tensors to the host; on CUDA all copies are begun before the first is waited for."""
        if self.where.type != "cuda":
            return [t.cpu().numpy() for t in tensors]
        hosts = [torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in tensors]
        for host, tensor in zip(hosts, tensors, strict=True):
            host.copy_(tensor, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return [np.array(host.numpy()) for host in hosts]  # pinned memory is scarce: it is given back

    def wait(self) -> None:
        """Wait until all that was begun is done."""
        if self.where.type == "cuda":
            torch.cuda.synchronize(self.where)
        elif self.where.type == "mps":
            torch.mps.synchronize()

    def relieve(self) -> None:
        """Give back cached memory, after the device ran out of it."""
        relieve(self.where.type)


class CpuLane(Lane):
    """An encoder on the CPU: a batch a thread, and torch single-threaded inside it.

    That needs no waiting of threads for each other within a forward, and no result depends on the number of threads.
    """

    @property
    def abreast(self) -> int:
        """Batches that are under way side by side."""
        return budget()

    def map(self, work: Callable[[Item], Out], items: Sequence[Item]) -> list[Out]:
        """Do the work on each item, spread over the thread budget."""
        return list(workers().map(work, items))


def open_lane(encoder: Encoder, *, compiled: bool = False) -> Lane:
    """Give the lane of an encoder's device."""
    return (CpuLane if encoder.device.startswith("cpu") else Lane)(encoder, compiled=compiled)


def relieve(kind: str) -> None:
    """Give back memory that torch keeps at hand on devices of a kind."""
    if kind == "cuda":
        torch.cuda.empty_cache()
    elif kind == "mps":
        torch.mps.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether a device ran out of memory; MPS and the CPU say so in words alone."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in str(error) or "can't allocate memory" in str(error))
    )


def settle_precision(lane: Lane, tiles: Tensor, wanted: str) -> str:
    """Choose the precision of a lane's forward and set it.

    With ``auto``, float16, then bfloat16 are compared with float32 on some tiles, and the first is taken whose root
    mean square difference is below 0.5 % of the tokens' spread.

    Parameters
    ----------
    lane : Lane
        The lane.
    tiles : Tensor
        ``(n, c, y, x)`` on its device, of a field of the plate.
    wanted : str
        ``auto`` or a name of `PRECISIONS`.

    Returns
    -------
    str
        The name of what was chosen.
    """
    if wanted != "auto":
        lane.dtype = PRECISIONS[wanted]
        return wanted
    lane.dtype = None
    exact = lane.forward(tiles)
    spread = (exact - exact.mean(dim=tuple(range(exact.ndim - 1)), keepdim=True)).square().mean().sqrt()
    for name in ("float16", "bfloat16"):
        lane.dtype = PRECISIONS[name]
        try:
            difference = (lane.forward(tiles) - exact).square().mean().sqrt()
        except RuntimeError as error:  # a device, or one of its operations, may lack the type
            if is_out_of_memory(error):
                raise
            continue
        if bool(torch.isfinite(difference)) and float(difference) < TOLERANCE * float(spread):
            return name
    lane.dtype = None
    return "float32"


def find_batch(lane: Lane, tiles: Tensor) -> int:
    """Find the batch of an accelerator: doubled as long as memory lasts and a tile gets cheaper.

    Parameters
    ----------
    lane : Lane
        The lane, its precision settled.
    tiles : Tensor
        ``(n, c, y, x)`` on its device; repeated to fill a batch.

    Returns
    -------
    int
        Tiles.
    """
    best, before, size = FIRST_BATCH, float("inf"), FIRST_BATCH
    while size <= LAST_BATCH:
        batch = tiles[torch.arange(size, device=tiles.device) % len(tiles)]
        try:
            lane.forward(batch)  # the first call at a size warms up
            lane.wait()
            start = time.perf_counter()
            lane.forward(batch)
            lane.wait()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            lane.relieve()
            return max(1, best // 2)  # room for the second field that is under way
        each = (time.perf_counter() - start) / size
        if each > (1 - WORTH) * before:
            return best
        best, before, size = size, each, 2 * size
    return best
