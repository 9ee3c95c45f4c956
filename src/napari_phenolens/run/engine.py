"""The forwards of a run: fields in fixed batches over the devices at hand, their tokens laid on each field's grid."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_phenolens.encoders import Encoder
from napari_phenolens.progress import CancelCallback
from napari_phenolens.run.field_tokens import TokenSettings, pool_channels
from napari_phenolens.run.fleet import Fleet
from napari_phenolens.run.geometry import assemble
from napari_phenolens.run.lanes import Lane

Floats = npt.NDArray[np.float32]


class Engine(Fleet):
    """Encodes bundles of fields on one or several devices.

    Notes
    -----
    A bundle of fields is a fixed function of the list of fields, and batches one of the bundle: a run that goes on
    after a break encodes the very batches of an undisturbed one. On the CPU a bundle is a field, and its batches are
    spread over threads; larger batches gain nothing there. On an accelerator a bundle is filled across fields and
    wells, and whole bundles go to the devices in turn.
    """

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
        parts: Sequence[npt.NDArray[np.bool_] | None] | None = None,
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
        parts : sequence of ndarray or None, optional
            Which tiles of each field are encoded, ``(tiles,)`` bool; None: all. The tokens of other places are zero,
            and of places that other tiles keep as well no average.

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

        def work(lane: Lane, batch: int, part: range) -> list[npt.NDArray[Any] | None]:
            chosen, asked = [images[i] for i in part], [want[i] for i in part]
            some = None if parts is None else [parts[i] for i in part]
            return self._fields(lane, batch, chosen, settings, asked, finish, shift, stop, some)

        return self.on_device(images, settings, work, number=number)

    def probe(self, image: npt.NDArray[Any], settings: TokenSettings) -> float:
        """Give the seconds that a tile takes on the first device: two batches (for each thread), once warm."""
        batch = self.prepare(image, settings).batch
        lane = self._lane(self._device(0))
        with lane.at_work():
            tiles = self.tiles(lane, image, settings, settings.plan_of(image))
            tiles = tiles[torch.arange(batch, device=tiles.device) % len(tiles)]
            lane.map(lane.forward, [tiles] * lane.abreast)
            lane.wait()
            start = time.perf_counter()
            lane.map(lane.forward, [tiles] * 2 * lane.abreast)
            lane.wait()
        return (time.perf_counter() - start) / (2 * lane.abreast * len(tiles))

    def _fields(
        self, lane: Lane, size: int, images: Sequence[npt.NDArray[Any]], settings: TokenSettings, needed: list[bool],
        finish: Callable[[Tensor], Tensor] | None, shift: tuple[int, int], stop: Callable[[], bool] | None,
        parts: Sequence[npt.NDArray[np.bool_] | None] | None,
    ) -> list[npt.NDArray[Any] | None]:  # fmt: skip
        """Give each field's tokens, on the host."""
        plans = [settings.plan_of(image) for image in images]
        cut = [self.tiles(lane, image, settings, plan, shift) for image, plan in zip(images, plans, strict=True)]
        every: list[Sequence[int]] = [range(len(p.origins)) for p in plans]  # of each field, which of its tiles
        if parts is not None:
            every = [e if part is None else np.flatnonzero(part).tolist() for e, part in zip(every, parts, strict=True)]
            cut = [tiles[list(chosen)] for tiles, chosen in zip(cut, every, strict=True)]
        tiles = cut[0] if len(cut) == 1 else torch.cat(cut)
        ends = np.cumsum([len(chosen) for chosen in every])
        used = np.repeat(needed, [len(chosen) for chosen in every])

        def forward(begin: int, end: int) -> Tensor:
            tokens = lane.forward(tiles[begin:end], plans[0].margin)
            with torch.inference_mode():
                return pool_channels(tokens, settings.channel_pooling)

        tokens: dict[int, Tensor] = self.in_batches(lane, size, used, forward, stop)
        results: dict[int, Tensor] = {}
        for i, (plan, end) in enumerate(zip(plans, ends, strict=True)):
            if needed[i]:
                first = end - len(every[i])
                place = {tile: tokens[first + n] for n, tile in enumerate(every[i])}
                nothing = torch.zeros_like(next(iter(place.values())))
                with torch.inference_mode():
                    field = assemble((place.get(t, nothing) for t in range(len(plan.origins))), plan)
                    results[i] = field if finish is None else finish(field)
        hosts = dict(zip(results, lane.download(list(results.values())), strict=True))
        return [hosts.get(i) for i in range(len(images))]


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
