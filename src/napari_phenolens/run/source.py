"""A plate's tokens, from the token store where they are there, else from the encoder."""

from __future__ import annotations

import json
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import CancelCallback, check_cancelled
from napari_phenolens.run.devices import quiet_pool
from napari_phenolens.run.engine import Engine
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import TokenSettings
from napari_phenolens.run.fleet import Choices
from napari_phenolens.run.json_file import write_json
from napari_phenolens.run.pixels import spread
from napari_phenolens.run.token_store import LIMIT, HalfPrecision, TokenStore, default_folder, token_key

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate
    from napari_phenolens.run.parts import PartStore
    from napari_phenolens.run.units import Scene

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
Item = TypeVar("Item")
Out = TypeVar("Out")

SCALE_FIELDS = 4  # fields whose tokens tell the centre and spread of the half-precision rounding
BAD_FIELD = (PhenoLensError, OSError, ValueError)  # what a damaged file raises, whatever reads it
POLL = 0.1  # seconds after which a waiting thread asks whether to stop


class TokenSource:
    """Gives the tokens of any field of a plate.

    Parameters
    ----------
    plate : Plate
        The plate.
    settings : TokenSettings
        Pixel rule, geometry and channels.
    engine : Engine
        Computes what is not stored.
    identity : tuple
        Name of the encoder, checksum of its weights, block.
    folder : Path, optional
        Where token stores lie; default: the user's cache.
    half : HalfPrecision, optional
        The rounding; default: of the store, else from `scale_fields`.
    scale_fields : sequence of (str, int)
        Wells and places of fields for the rounding, where there is no store yet.
    record : Path, optional
        A file beside the store's own in which the engine's choices are kept.
    """

    def __init__(
        self,
        plate: Plate,
        settings: TokenSettings,
        engine: Engine,
        identity: tuple[str, str, int],
        *,
        folder: Path | None = None,
        half: HalfPrecision | None = None,
        scale_fields: Iterable[tuple[str, int]] = (),
        limit: int = LIMIT,
        cancel: CancelCallback | None = None,
        record: Path | None = None,
    ) -> None:
        self.plate, self.settings, self.engine = plate, settings, engine
        self.folder = folder or default_folder()
        self.key = token_key(plate, settings, *identity)
        self._told = False
        records = [path for path in (record, self.folder / self.key / "devices.json") if path is not None]
        kind = engine.kind
        ready = False  # a new store's folder is made with its rounding, and that takes tokens

        def keep(choices: Choices) -> None:
            if ready:
                _keep(records, kind, choices)

        engine.adopt(_recorded(records, kind), keep)
        first: dict[tuple[str, int], Halves] = {}
        if half is None and not TokenStore.exists(self.folder, self.key):
            half, first = self._measure(list(scale_fields), cancel)
        try:
            self.store = TokenStore(self.folder, self.key, half, limit, first)
            ready = True
            if engine.choices != Choices():
                keep(engine.choices)
        except OSError as error:
            raise RunError(
                f"{self.folder}: tokens cannot be kept there ({error}); give another folder with --tokens"
            ) from error
        self.half = self.store.half

    def _measure(
        self, places: list[tuple[str, int]], cancel: CancelCallback | None
    ) -> tuple[HalfPrecision, dict[tuple[str, int], Halves]]:
        """Take the rounding from a few fields, and give their tokens so rounded."""
        sample: dict[tuple[str, int], Floats] = {}
        reasons = []
        stop = threading.Event()

        def work(where: tuple[str, int]) -> Floats:
            image = self.settings.read(self.plate.wells[where[0]].fields[where[1]])
            tokens = self.engine.encode([image], self.settings, stop=stop.is_set)[0]
            assert tokens is not None
            return tokens.reshape(-1, tokens.shape[-1])

        steps = read_ahead(places, work, 1, pool=quiet_pool(1, "phenolens-encode"), cancel=cancel)
        try:
            for where, tokens in steps:
                if isinstance(tokens, BAD_FIELD):
                    reasons.append(str(tokens))
                elif isinstance(tokens, BaseException):
                    raise tokens
                else:
                    sample[where] = tokens
                if len(sample) == SCALE_FIELDS:
                    break
        finally:
            stop.set()
            steps.close()
        if not sample:
            raise RunError(
                f"{self.plate.name}: no field of the control wells could be encoded ({'; '.join(reasons[:3])})"
            )
        rows = np.concatenate(list(sample.values()))
        half = HalfPrecision(rows.mean(0), rows.std(0))
        return half, {where: half.pack(tokens) for where, tokens in sample.items()}

    def has(self, well: str, place: int) -> bool:
        """Tell whether a field's tokens are stored."""
        return self.store.has(well, place)

    def stored(self, well: str, place: int, units: int) -> Halves | None:
        """Give a field's packed tokens ``(units, d)``, or None where the store does not have them."""
        packed = self.store.get(well, place)
        return packed if packed is not None and len(packed) == units else None

    def encode(
        self,
        places: Sequence[tuple[str, int]],
        images: Sequence[npt.NDArray[Any]],
        needed: Sequence[bool],
        *,
        number: int = 0,
        stop: Callable[[], bool] | None = None,
        parts: Sequence[npt.NDArray[np.bool_] | None] | None = None,
    ) -> list[Halves | None]:
        """Compute a bundle's tokens, packed ``(h * w, d)``, and store them; None where not needed.

        Where `parts` are asked for (see `Engine.encode`), what is no whole field is not stored.
        """
        found = self.engine.encode(
            images, self.settings, needed=needed, number=number, finish=self.half.pack, stop=stop, parts=parts
        )
        packed = [None if each is None else each.reshape(-1, each.shape[-1]) for each in found]
        for i, ((well, place), each) in enumerate(zip(places, packed, strict=True)):
            if each is not None and (parts is None or parts[i] is None):
                self._put(well, place, each)
        return packed

    def keep_part(self, parts: PartStore, where: tuple[str, int], scene: Scene, patches: Any, packed: Halves) -> None:
        """Keep the part of a field that was encoded."""
        self._keep(lambda: parts.put(where, scene, patches, packed))

    def _put(self, well: str, place: int, packed: Halves) -> None:
        self._keep(lambda: self.store.put(well, place, packed))

    def _keep(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            if not self._told:  # tokens can be computed again: the run goes on without keeping them
                self._told = True
                warnings.warn(f"{self.store.path}: tokens cannot be kept ({error}); the run goes on", stacklevel=2)


def _recorded(records: Sequence[Path], kind: str) -> Choices:
    """Read the choices of a kind of device from the first file that has them."""
    for path in records:
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8")).get(kind)
            if found is not None:
                return Choices(**found)
    return Choices()


def _keep(records: Sequence[Path], kind: str, choices: Choices) -> None:
    for path in records:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        write_json(path, known | {kind: choices.to_dict()})


def control_fields(plate: Plate, wells: Iterable[str], count: int) -> list[tuple[str, int]]:
    """Choose fields of some wells, evenly spread: first places of all wells before second ones."""
    names = list(wells)
    most = max((len(plate.wells[w].fields) for w in names), default=0)
    found = [(w, i) for i in range(most) for w in names if i < len(plate.wells[w].fields)]
    first = [f for f in found if f[1] == 0]
    return spread(first if len(first) >= count else found, count)


def read_ahead(
    items: Iterable[Item],
    load: Callable[[Item], Out],
    depth: int = 2,
    *,
    pool: ThreadPoolExecutor | None = None,
    cancel: CancelCallback | None = None,
    patient: bool = True,
) -> Generator[tuple[Item, Out | BaseException], None, None]:
    """Do work on items in background threads, a few ahead of the one in use, in their order.

    Parameters
    ----------
    items : iterable
        Asked for one after the other by the calling thread.
    load : callable
        The work.
    depth : int
        Items under way or waiting at a time, beside the one in use: memory does not grow with their number.
    pool : ThreadPoolExecutor, optional
        The threads, shut down at the end; default: one.
    cancel : callable, optional
        Asked by the calling thread while it waits.
    patient : bool
        Whether an end before the last item waits for the work that has begun; else that ends by itself.

    Yields
    ------
    tuple
        The item, and what `load` gave or the exception it raised.

    Raises
    ------
    Cancelled
        Where `cancel` said so.
    """
    threads = pool or ThreadPoolExecutor(1, thread_name_prefix="phenolens-read")
    waiting: deque[tuple[Item, Future[Out]]] = deque()
    ended = False
    try:
        for each in items:
            waiting.append((each, threads.submit(load, each)))
            if len(waiting) > depth:
                item, future = waiting.popleft()
                yield item, _outcome(future, cancel)
        while waiting:
            item, future = waiting.popleft()
            yield item, _outcome(future, cancel)
        ended = True
    finally:
        threads.shutdown(wait=ended or patient, cancel_futures=True)


def _outcome(future: Future[Any], cancel: CancelCallback | None) -> Any:
    while True:
        check_cancelled(cancel)
        try:
            error = future.exception(None if cancel is None else POLL)
        except NotYet:
            continue
        return future.result() if error is None else error
