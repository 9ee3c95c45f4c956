"""The forwards of a run: fixed batches over the devices at hand, less memory or a lost device made up for."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_phenolens.encoders import Encoder
from napari_phenolens.errors import Cancelled
from napari_phenolens.progress import CancelCallback
from napari_phenolens.run.devices import Device, resolve_devices, stay_alone
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import BATCH_TOKENS, TokenSettings, pool_channels
from napari_phenolens.run.geometry import TilePlan, assemble, cut_tiles
from napari_phenolens.run.lanes import (
    PRECISIONS,
    Lane,
    find_batch,
    is_out_of_memory,
    open_lane,
    settle_precision,
)
from napari_phenolens.run.pixels import normalise, settle

Floats = npt.NDArray[np.float32]

PROBE_TILES = 8  # tiles that settle precision and batch of an accelerator
BUNDLE_BATCHES = 4  # batches of one bundle of fields: few are left half full


@dataclass(frozen=True)
class Choices:
    """How forwards are done on a kind of device; kept, so that work that goes on does them alike.

    Attributes
    ----------
    batch : int
        Tiles of one forward; 0: not found yet.
    bundle : int
        Tiles whose fields are encoded together; 0: each field by itself.
    precision : str
        ``float32``, ``float16`` or ``bfloat16``; empty: not settled yet.
    """

    batch: int = 0
    bundle: int = 0
    precision: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self)


class Engine:
    """Encodes bundles of fields on one or several devices.

    Parameters
    ----------
    load : callable
        Gives the encoder on a device; called when tokens are first computed there.
    device : str or sequence of str
        See `resolve_devices`.
    batch : int, optional
        Tiles of one forward. Default: on the CPU about 2,048 tokens; else the batch from which a larger one gains
        nothing, found once.
    precision : str
        ``auto``, ``float32``, ``float16``, ``bfloat16``; see `settle_precision`.
    compiled : bool
        Compile the forward with `torch.compile`.

    Attributes
    ----------
    devices : tuple of str
        Those that compute.
    choices : Choices
        What holds on them.

    Notes
    -----
    A bundle of fields is a fixed function of the list of fields, and batches one of the bundle: a run that goes on
    after a break encodes the very batches of an undisturbed one. On the CPU a bundle is a field, and its batches are
    spread over threads; larger batches gain nothing there. On an accelerator a bundle is filled across fields and
    wells, and whole bundles go to the devices in turn.
    """

    def __init__(
        self,
        load: Callable[[str], Encoder],
        device: Device = "auto",
        *,
        batch: int | None = None,
        precision: str = "auto",
        compiled: bool = False,
    ) -> None:
        if batch is not None and batch < 1:
            raise RunError(f"a batch of {batch} tiles is none; give 1 or more, or leave it out")
        if precision not in ("auto", *PRECISIONS):
            raise RunError(f"precision {precision!r} is unknown; choose one of auto, {', '.join(PRECISIONS)}")
        self.devices = resolve_devices(device)
        if self.is_cpu and precision not in ("auto", "float32"):
            raise RunError(f"precision {precision} is for GPUs; on the CPU it is float32: leave it out")
        self.choices = Choices()
        self._records: list[Callable[[Choices], None]] = []
        self._load, self._batch, self._precision, self._compiled = load, batch, precision, compiled
        self._lanes: dict[str, Lane] = {}
        self._lock = threading.RLock()

    @property
    def is_cpu(self) -> bool:
        """Whether the CPU computes."""
        return self.devices[0].startswith("cpu")

    @property
    def drivers(self) -> int:
        """Threads that may hand in bundles at a time."""
        return Lane.drivers * len(self.devices)

    @property
    def kind(self) -> str:
        """What the choices hold for: the CPU, or the model of the accelerator."""
        kind = self.devices[0].split(":")[0]
        return f"{kind} {torch.cuda.get_device_name(self.devices[0])}" if kind == "cuda" else kind

    def adopt(self, choices: Choices, keep: Callable[[Choices], None]) -> None:
        """Take over choices that were recorded, but for what this engine was told itself; and record what follows.

        Parameters
        ----------
        choices : Choices
            Those on record; `Choices()` where there are none.
        keep : callable
            Called with the choices whenever they change.
        """
        if choices != Choices():
            if self._precision != "auto":
                choices = replace(choices, precision=self._precision)
            if self._batch is not None:
                choices = replace(choices, batch=self._batch, bundle=self._batch * BUNDLE_BATCHES * (not self.is_cpu))
            self.choices = choices
        self._records.append(keep)

    def encoder(self) -> Encoder:
        """Give the encoder on the first device."""
        return self._lane(self._device(0)).encoder

    def prepare(self, image: npt.NDArray[Any], settings: TokenSettings) -> Choices:
        """Settle precision and batch on a field of the plate, where that is open; it decides how fields are bundled."""
        with self._lock:
            lane = self._lane(self._device(0))
            known = self.choices
            if known.precision and known.batch:
                return known
            plan, batch = settings.plan_of(image), known.batch or self._batch or 0
            if lane.is_cpu:
                # Half precision is slow on most CPUs; on one that has bfloat16 it took half the time, but a third of
                # the patches of a field of BBBC013 then had other atoms in their codes.
                return self._choose(Choices(batch or cpu_batch(image.shape[0], plan.tile), 0, "float32"))
            with lane.at_work():
                tiles = self._tiles(lane, image, settings, plan)[:PROBE_TILES]
                precision = ""
                while not precision:
                    try:
                        precision = settle_precision(lane, tiles, known.precision or self._precision)
                    except (RuntimeError, MemoryError) as error:
                        if not is_out_of_memory(error) or len(tiles) == 1:
                            raise
                        lane.relieve()
                        tiles = tiles[: len(tiles) // 2]
                batch = batch or find_batch(lane, tiles)
            return self._choose(Choices(batch, batch * BUNDLE_BATCHES, precision))

    def encode(
        self,
        images: Sequence[npt.NDArray[Any]],
        settings: TokenSettings,
        *,
        needed: Sequence[bool] | None = None,
        number: int = 0,
        finish: Callable[[Tensor], Tensor] | None = None,
        shift: tuple[int, int] = (0, 0),
        stop: Callable[[], bool] | None = None,
    ) -> list[npt.NDArray[Any] | None]:
        """Encode a bundle of fields.

        Parameters
        ----------
        images : sequence of ndarray
            Fields ``(c, Y, X)`` as `TokenSettings.read` gives them.
        settings : TokenSettings
            Pixel rule and geometry.
        needed : sequence of bool, optional
            Whose tokens are wanted; batches that hold no such field are left out. Default: all.
        number : int
            The bundle's place in its list, which decides the device.
        finish : callable, optional
            Applied to each field's tokens on the device.
        shift : tuple of int
            See `cut_tiles`.
        stop : callable, optional
            Asked between batches, from any thread; True ends with `Cancelled`.

        Returns
        -------
        list of ndarray or None
            ``(h, w, d)`` float32 tokens of each field's patches with channels pooled (or what `finish` made of them);
            None where not needed.

        Raises
        ------
        RunError
            Where a single tile does not fit into the memory of the CPU.
        """
        want = [True] * len(images) if needed is None else list(needed)
        while True:
            device = self._device(number)
            try:
                choices = self.prepare(images[0], settings)  # another thread may lose the device, and with it these
                lane = self._lane(device)
                with lane.at_work():
                    return self._on(lane, choices.batch, images, settings, want, finish, shift, stop)
            except RuntimeError as error:
                if device.startswith("cpu"):
                    raise
                reason = error
            if is_out_of_memory(reason) and len(images) > 1:
                break
            self._lost(device, reason)
        half = len(images) // 2
        parts = ((images[:half], want[:half]), (images[half:], want[half:]))
        return [
            each
            for some, asked in parts
            for each in self.encode(some, settings, needed=asked, number=number, finish=finish, shift=shift, stop=stop)
        ]

    def probe(self, image: npt.NDArray[Any], settings: TokenSettings) -> float:
        """Give the seconds that a tile takes on the first device: two batches (for each thread), once warm."""
        batch = self.prepare(image, settings).batch
        lane = self._lane(self._device(0))
        with lane.at_work():
            tiles = self._tiles(lane, image, settings, settings.plan_of(image))
            tiles = tiles[torch.arange(batch, device=tiles.device) % len(tiles)]
            lane.map(lane.forward, [tiles] * lane.abreast)
            lane.wait()
            start = time.perf_counter()
            lane.map(lane.forward, [tiles] * 2 * lane.abreast)
            lane.wait()
        return (time.perf_counter() - start) / (2 * lane.abreast * len(tiles))

    def _on(
        self, lane: Lane, size: int, images: Sequence[npt.NDArray[Any]], settings: TokenSettings, needed: list[bool],
        finish: Callable[[Tensor], Tensor] | None, shift: tuple[int, int], stop: Callable[[], bool] | None,
    ) -> list[npt.NDArray[Any] | None]:  # fmt: skip
        plans = [settings.plan_of(image) for image in images]
        parts = [self._tiles(lane, image, settings, plan, shift) for image, plan in zip(images, plans, strict=True)]
        tiles = parts[0] if len(parts) == 1 else torch.cat(parts)
        ends = np.cumsum([len(p.origins) for p in plans])
        used = np.repeat(needed, [len(p.origins) for p in plans])
        starts = [s for s in range(0, len(tiles), size) if used[s : s + size].any()]

        def work(start: int) -> Tensor:
            if stop is not None and stop():
                raise Cancelled("cancelled; what was computed so far is kept")
            return self._forward(lane, tiles[start : start + size], settings, plans[0])

        tokens: dict[int, Tensor] = {}
        for start, found in zip(starts, lane.map(work, starts), strict=True):
            tokens |= {start + i: each for i, each in enumerate(found)}
        results: dict[int, Tensor] = {}
        for i, (plan, end) in enumerate(zip(plans, ends, strict=True)):
            if needed[i]:
                with torch.inference_mode():
                    field = assemble((tokens[t] for t in range(end - len(plan.origins), end)), plan)
                    results[i] = field if finish is None else finish(field)
        hosts = dict(zip(results, lane.download(list(results.values())), strict=True))
        return [hosts.get(i) for i in range(len(images))]

    def _tiles(
        self,
        lane: Lane,
        image: npt.NDArray[Any],
        settings: TokenSettings,
        plan: TilePlan,
        shift: tuple[int, int] = (0, 0),
    ) -> Tensor:
        """Cut a field into normalised tiles, on the device."""
        pixels = normalise(lane.upload(image), settle(image, settings.normalisation))
        return cut_tiles(pixels, plan, shift)

    def _forward(self, lane: Lane, tiles: Tensor, settings: TokenSettings, plan: TilePlan) -> Tensor:
        """Give the kept tokens of a batch, channels pooled; in smaller batches where memory does not last."""
        try:
            tokens = lane.forward(tiles, plan.margin)
            with torch.inference_mode():
                return pool_channels(tokens, settings.channel_pooling)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(tiles) == 1 and not lane.is_cpu:
                raise  # the CPU has more
            if len(tiles) == 1:
                raise RunError(
                    f"{lane.name}: a single tile of {settings.tile} px does not fit into memory ({error}); "
                    "close other programs, or take another machine"
                ) from error
        lane.relieve()
        with self._lock:
            half = max(1, len(tiles) // 2)
            if half < self.choices.batch:
                self._choose(replace(self.choices, batch=half))
        return torch.cat([self._forward(lane, part, settings, plan) for part in tiles.split(half)])

    def _device(self, number: int) -> str:
        with self._lock:
            return self.devices[number % len(self.devices)]

    def _lane(self, device: str) -> Lane:
        """Give a device's lane, opened when it is first needed."""
        with self._lock:
            if device not in self._lanes:
                self._lanes[device] = open_lane(self._load(device), compiled=self._compiled)
                stay_alone()  # loading an encoder may have set torch's threads
                if self.choices.precision:
                    self._lanes[device].dtype = PRECISIONS[self.choices.precision]
            return self._lanes[device]

    def _choose(self, choices: Choices) -> Choices:
        self.choices = choices
        for lane in self._lanes.values():
            lane.dtype = PRECISIONS[choices.precision]
        for keep in self._records:
            keep(choices)
        return choices

    def _lost(self, device: str, error: RuntimeError) -> None:
        """Go on without a device that fails; said once for each."""
        with self._lock:
            if device not in self.devices:
                return  # another thread has said so
            self.devices = tuple(d for d in self.devices if d != device) or ("cpu",)
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            goes = "the CPU, which is slower" if self.is_cpu else ", ".join(self.devices)
            warnings.warn(f"{device} has stopped working ({reason}); the rest is computed on {goes}", stacklevel=2)
            if self.is_cpu:
                self.choices = Choices()  # the CPU's own
                self._records = []  # what suited the lost device stays on record


def cpu_batch(channels: int, tile: int) -> int:
    """Give the batch of the CPU for tiles of so many channels and `tile` by `tile` patches."""
    return max(1, BATCH_TOKENS // (channels * tile**2))


def encode_field(
    image: npt.NDArray[Any],
    settings: TokenSettings,
    encoder: Encoder,
    cancel: CancelCallback | None = None,
    *,
    shift: tuple[int, int] = (0, 0),
) -> Floats:
    """Encode one field.

    Parameters
    ----------
    image : ndarray
        ``(c, Y, X)`` as `TokenSettings.read` gives it.
    settings : TokenSettings
        Pixel rule and geometry.
    encoder : Encoder
        The encoder.
    cancel : callable, optional
        Asked between batches, from any thread.
    shift : tuple of int
        Pixels by which all tiles are moved down and to the right.

    Returns
    -------
    ndarray
        ``(h, w, d)`` float32 tokens of the field's patches, channels pooled.

    Notes
    -----
    Batches depend on the field alone, so that a resumed run gives the same numbers as an undisturbed one.
    """
    engine = Engine(lambda _: encoder, encoder.device)
    tokens = engine.encode([image], settings, shift=shift, stop=cancel)[0]
    assert tokens is not None
    return tokens
