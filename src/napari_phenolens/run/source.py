"""A plate's tokens, from the token store where they are there, else from the encoder."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import CancelCallback
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import TokenSettings, encode_field
from napari_phenolens.run.pixels import spread
from napari_phenolens.run.token_store import LIMIT, HalfPrecision, TokenStore, default_folder, token_key

if TYPE_CHECKING:
    from napari_phenolens.encoders import Encoder
    from napari_phenolens.plate import Plate

Floats = npt.NDArray[np.float32]
Item = TypeVar("Item")
Out = TypeVar("Out")

SCALE_FIELDS = 4  # fields whose tokens tell the centre and spread of the half-precision rounding
BAD_FIELD = (PhenoLensError, OSError, ValueError)  # what a damaged file raises, whatever reads it


class TokenSource:
    """Gives the tokens of any field of a plate.

    Parameters
    ----------
    plate : Plate
        The plate.
    settings : TokenSettings
        Pixel rule, geometry and channels.
    encoder : callable
        Gives the encoder when it is first needed.
    identity : tuple
        Name of the encoder, checksum of its weights, block.
    folder : Path, optional
        Where token stores lie; default: the user's cache.
    half : HalfPrecision, optional
        The rounding; default: of the store, else from `scale_fields`.
    scale_fields : sequence of (str, int)
        Wells and places of fields for the rounding, where there is no store yet.
    """

    def __init__(
        self,
        plate: Plate,
        settings: TokenSettings,
        encoder: Callable[[], Encoder],
        identity: tuple[str, str, int],
        *,
        folder: Path | None = None,
        half: HalfPrecision | None = None,
        scale_fields: Iterable[tuple[str, int]] = (),
        limit: int = LIMIT,
        cancel: CancelCallback | None = None,
    ) -> None:
        self.plate, self.settings = plate, settings
        self._encoder = encoder
        self.folder = folder or default_folder()
        self.key = token_key(plate, settings, *identity)
        if half is None and not TokenStore.exists(self.folder, self.key):
            half = self._measure(list(scale_fields), cancel)
        try:
            self.store: TokenStore | None = TokenStore(self.folder, self.key, half, limit)
            self.half = self.store.half
        except OSError as error:
            raise RunError(
                f"{self.folder}: tokens cannot be kept there ({error}); give another folder with --tokens"
            ) from error

    def _measure(self, places: list[tuple[str, int]], cancel: CancelCallback | None) -> HalfPrecision:
        sample, reasons = [], []
        for well, place in places:
            field = self.plate.wells[well].fields[place]
            try:
                tokens = encode_field(self.settings.read(field), self.settings, self._encoder(), cancel)
            except BAD_FIELD as error:
                reasons.append(str(error))
                continue
            sample.append(tokens.reshape(-1, tokens.shape[-1]))
            if len(sample) == SCALE_FIELDS:
                break
        if not sample:
            raise RunError(
                f"{self.plate.name}: no field of the control wells could be encoded ({'; '.join(reasons[:3])})"
            )
        rows = np.concatenate(sample)
        return HalfPrecision(rows.mean(0), rows.std(0))

    def field(
        self, well: str, place: int, image: Callable[[], npt.NDArray[Any]], cancel: CancelCallback | None = None
    ) -> Floats:
        """Give a field's tokens.

        Parameters
        ----------
        well : str
            The well.
        place : int
            The field's place in the well.
        image : callable
            Gives the field's pixels where they are needed, as `TokenSettings.read` does.
        cancel : callable, optional
            Asked between batches.

        Returns
        -------
        ndarray
            ``(h, w, d)`` float32, rounded as the store rounds them.
        """
        field = self.plate.wells[well].fields[place]
        h, w = self.settings.plan(field).grid
        packed = self.store.get(well, place) if self.store is not None else None
        if packed is None or len(packed) != h * w:
            tokens = encode_field(image(), self.settings, self._encoder(), cancel)
            packed = self.half.pack(tokens.reshape(h * w, -1))
            if self.store is not None:
                self.store.put(well, place, packed)
        return self.half.unpack(packed).reshape(h, w, -1)


def control_fields(plate: Plate, wells: Iterable[str], count: int) -> list[tuple[str, int]]:
    """Choose fields of some wells, evenly spread: first places of all wells before second ones."""
    names = list(wells)
    most = max((len(plate.wells[w].fields) for w in names), default=0)
    found = [(w, i) for i in range(most) for w in names if i < len(plate.wells[w].fields)]
    first = [f for f in found if f[1] == 0]
    return spread(first if len(first) >= count else found, count)


def read_ahead(
    items: Iterable[Item], load: Callable[[Item], Out], depth: int = 2
) -> Iterator[tuple[Item, Out | BaseException]]:
    """Load items in a background thread, a few ahead of the one in use, in their order.

    Yields
    ------
    tuple
        The item, and what `load` gave or the exception it raised.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="phenolens-read") as pool:
        waiting: deque[tuple[Item, Future[Out]]] = deque()
        try:
            for each in items:
                waiting.append((each, pool.submit(load, each)))
                if len(waiting) > depth:
                    item, future = waiting.popleft()
                    yield item, _outcome(future)
            while waiting:
                item, future = waiting.popleft()
                yield item, _outcome(future)
        finally:
            for _, future in waiting:
                future.cancel()


def _outcome(future: Future[Any]) -> Any:
    error = future.exception()
    return future.result() if error is None else error
