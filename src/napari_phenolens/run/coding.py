"""A run's tokens whitened and coded where its engine computes: on a GPU, so that it does not wait for the CPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.dictionary import DeviceError, Dictionary, Whitening
from napari_phenolens.run.lanes import is_out_of_memory, relieve

if TYPE_CHECKING:
    from napari_phenolens.lens import Lens
    from napari_phenolens.run.fleet import Fleet

Floats = npt.NDArray[np.float32]
Codes = tuple[npt.NDArray[np.int32], Floats]


class Coding:
    """Whitens and codes with a lens, on the engine's devices where these are GPUs, else on the CPU.

    Parameters
    ----------
    lens : Lens
        Its whitening and dictionary.
    engine : Fleet, optional
        Whose devices; default: the CPU.

    Notes
    -----
    A GPU that cannot do it is left to the forwards, with one message. Where its memory does not last for all rows, they
    are done in halves.
    """

    def __init__(self, lens: Lens, engine: Fleet | None = None) -> None:
        self._lens, self._engine = lens, engine
        self._failed: set[str] = set()

    @cached_property
    def _own(self) -> tuple[Whitening, Dictionary]:
        """The lens's, but what they hold on a GPU is given back with this object."""
        return replace(self._lens.whitening), replace(self._lens.dictionary)

    def whiten(self, tokens: Floats, number: int = 0) -> Floats:
        """Whiten tokens ``(n, d)`` to ``(n, p)``; of several devices `number` decides which."""
        device = self._device(number)
        if device == "cpu":
            return self._lens.whitening(tokens)
        white: Floats = self._try(device, self.whiten, tokens, number, lambda: self._own[0](tokens, device=device))
        return white

    def encode(self, white: Floats, number: int = 0) -> Codes:
        """Code whitened tokens: indices and values ``(n, k)``; of several devices `number` decides which."""
        device = self._device(number)
        if device == "cpu":
            return self._lens.dictionary.encode(white)
        codes: Codes = self._try(device, self.encode, white, number, lambda: self._own[1].encode(white, device=device))
        return codes

    def _device(self, number: int) -> str:
        there = () if self._engine is None else self._engine.devices
        device = there[number % len(there)] if there else "cpu"
        return "cpu" if device in self._failed or device.startswith("cpu") else device

    def _try(self, device: str, again: Callable[..., Any], rows: Floats, number: int, work: Callable[[], Any]) -> Any:
        """Do the work on a GPU; where it fails, by halves or on the CPU."""
        try:
            return work()
        except (RuntimeError, DeviceError) as error:
            reason = error
        if is_out_of_memory(reason) and len(rows) > 1:
            relieve(device.split(":")[0])
            halves = [again(part, number) for part in np.array_split(rows, 2)]
            if isinstance(halves[0], tuple):
                return tuple(np.concatenate(parts) for parts in zip(*halves, strict=True))
            return np.concatenate(halves)
        self._failed.add(device)
        said = (str(reason).strip().splitlines() or [type(reason).__name__])[0]
        warnings.warn(f"{device} cannot code ({said}); tokens are coded on the CPU, which is slower", stacklevel=2)
        return again(rows, number)
