"""The devices of a run at work: their encoders, what was found to suit them, less memory or a lost one made up for."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_phenolens.encoders import Encoder
from napari_phenolens.errors import Cancelled
from napari_phenolens.run.devices import Device, resolve_devices, stay_alone
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import BATCH_TOKENS, TokenSettings
from napari_phenolens.run.geometry import TilePlan, cut_tiles
from napari_phenolens.run.lanes import (
    PRECISIONS,
    Lane,
    find_batch,
    is_out_of_memory,
    open_lane,
    settle_precision,
)
from napari_phenolens.run.pixels import normalise, settle

Out = TypeVar("Out")

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


class Fleet:
    """One or several devices, each with the encoder.

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
                tiles = self.tiles(lane, image, settings, plan)[:PROBE_TILES]
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

    def on_device(
        self,
        images: Sequence[npt.NDArray[Any]],
        settings: TokenSettings,
        work: Callable[[Lane, int, range], list[Out]],
        *,
        number: int = 0,
        part: range | None = None,
    ) -> list[Out]:
        """Do work on a bundle of fields on one of the devices, on another where that fails.

        Parameters
        ----------
        images, settings, number
            See `encode`.
        work : callable
            ``work(lane, batch, part)`` gives a result for each of the fields whose places in the bundle are `part`;
            where memory does not last for all of them it is asked for halves.
        part : range, optional
            Which of the fields; default: all.

        Returns
        -------
        list
            A result a field, in their order.

        Raises
        ------
        RunError
            Where a single tile does not fit into the memory of the CPU.
        """
        part = range(len(images)) if part is None else part
        while True:
            device = self._device(number)
            try:
                choices = self.prepare(
                    images[part[0]], settings
                )  # another thread may lose the device, and with it these
                lane = self._lane(device)
                with lane.at_work():
                    return work(lane, choices.batch, part)
            except RuntimeError as error:
                if device.startswith("cpu"):
                    raise
                reason = error
            if is_out_of_memory(reason) and len(part) > 1:
                break
            self._lost(device, reason)
        half = len(part) // 2
        return [
            each
            for some in (part[:half], part[half:])
            for each in self.on_device(images, settings, work, number=number, part=some)
        ]

    def in_batches(
        self,
        lane: Lane,
        size: int,
        used: Sequence[bool] | npt.NDArray[np.bool_],
        forward: Callable[[int, int], Sequence[Any] | Tensor],
        stop: Callable[[], bool] | None = None,
    ) -> dict[int, Any]:
        """Go through tiles in batches, in smaller ones where memory does not last.

        Parameters
        ----------
        lane : Lane
            The device at work.
        size : int
            Tiles of a batch.
        used : sequence of bool
            Which tiles are wanted; batches without any are left out.
        forward : callable
            ``forward(begin, end)`` gives a result for each of these tiles.
        stop : callable, optional
            See `encode`.

        Returns
        -------
        dict
            Tile to result.
        """

        def work(start: int) -> Sequence[Any] | Tensor:
            if stop is not None and stop():
                raise Cancelled("cancelled; what was computed so far is kept")
            return self._within_memory(lane, start, min(start + size, len(used)), forward)

        starts = [s for s in range(0, len(used), size) if any(used[s : s + size])]
        done = lane.map(work, starts)
        return {start + i: each for start, found in zip(starts, done, strict=True) for i, each in enumerate(found)}

    def tiles(
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

    def _within_memory(
        self, lane: Lane, begin: int, end: int, forward: Callable[[int, int], Sequence[Any] | Tensor]
    ) -> Sequence[Any] | Tensor:
        """Give a batch's results, in halves where memory does not last."""
        try:
            return forward(begin, end)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if end - begin == 1 and not lane.is_cpu:
                raise  # the CPU has more
            if end - begin == 1:
                raise RunError(
                    f"{lane.name}: a single tile of {lane.encoder.default_tile} px does not fit into memory ({error}); "
                    "close other programs, or take another machine"
                ) from error
        lane.relieve()
        with self._lock:
            half = max(1, (end - begin) // 2)
            if half < self.choices.batch:
                self._choose(replace(self.choices, batch=half))
        found: list[Any] = []
        for start in range(begin, end, half):
            found += self._within_memory(lane, start, min(start + half, end), forward)
        return found

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
