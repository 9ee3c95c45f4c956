"""Fields on their way: read and looked at by background threads, encoded, handed over in their order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.progress import CancelCallback
from napari_phenolens.run.devices import quiet_pool
from napari_phenolens.run.geometry import position_offsets
from napari_phenolens.run.parts import Part, PartStore, draw_part, within
from napari_phenolens.run.source import BAD_FIELD, read_ahead
from napari_phenolens.run.units import Scene, Units, look, units_of
from napari_phenolens.threads import budget

if TYPE_CHECKING:
    from napari_phenolens.lens import Lens
    from napari_phenolens.plate import Plate
    from napari_phenolens.run.bench import Bench, LensDraft
    from napari_phenolens.run.engine import Engine
    from napari_phenolens.run.field_tokens import TokenSettings

Place = tuple[str, int]  # a well and a field's place in it
Halves = npt.NDArray[np.float16]

AHEAD = 2  # fields (or bundles) that wait at each step, beside those under way: memory does not grow with their number
MOST_READERS = 8


@dataclass
class Seen:
    """A field that was read and encoded.

    Attributes
    ----------
    scene : Scene
        What it shows.
    units : Units
        What is whitened and coded.
    """

    scene: Scene
    units: Units


@dataclass
class _Loaded:
    """A field on its way: its scene where it is wanted, its pixels, and its packed tokens where they are stored."""

    image: npt.NDArray[Any]
    scene: Scene | None
    packed: Halves | None
    part: Part | None = None  # where the field is not encoded whole; `packed` then holds its patches alone


def bundles(counts: Sequence[int], size: int) -> list[range]:
    """Part a list of fields into bundles that are encoded together.

    Parameters
    ----------
    counts : sequence of int
        Tiles of each field.
    size : int
        Tiles of a bundle; 0: each field by itself.

    Returns
    -------
    list of range
        Places in the list: a field belongs to the bundle that its first tile falls into. A function of the whole list,
        never of what is left to do.
    """
    if size < 1:
        return [range(i, i + 1) for i in range(len(counts))]
    starts = np.cumsum([0, *counts[:-1]])
    cuts = [0, *(np.flatnonzero(np.diff(starts // size)) + 1).tolist(), len(counts)] if len(counts) else [0]
    return [range(a, b) for a, b in pairwise(cuts)]


def stream(
    bench: Bench,
    places: Sequence[Place],
    rules: Lens | LensDraft,
    offsets: npt.NDArray[Any] | None,
    *,
    wanted: Callable[[Place], bool] = lambda _: True,
    cancel: CancelCallback | None = None,
    part: int = 0,
) -> Generator[tuple[str, int, Seen | Exception], None, None]:
    """Read and encode fields, in their order.

    Background threads read fields and look at them, others encode; the calling thread takes what is done. Only a few
    fields are on their way at any time.

    Parameters
    ----------
    bench : Bench
        The plate.
    places : sequence of (str, int)
        The whole list of a pass, whatever of it is done already: it decides the batches.
    rules : Lens or LensDraft
        Foreground, nuclear channel and unit.
    offsets : ndarray or None
        ``(tile * tile, d)`` mean shift of each place in a tile, taken off; None where it is not known.
    wanted : callable
        Which of the places are asked for.
    cancel : callable, optional
        Asked by the calling thread while it waits.
    part : int
        Tiles of a field that are encoded, drawn at random, see `run.parts`; 0: all. Foreground and cells are then those
        of the part.

    Yields
    ------
    tuple
        Well, place, and the field or the error for which it has to be skipped.

    Raises
    ------
    Cancelled
        Where `cancel` said so.
    """
    stop = threading.Event()
    engine, settings, plate, source = bench.source.engine, bench.settings, bench.plate, bench.source
    asked = {place for place in places if wanted(place)}
    missing = [place for place in places if place in asked and not source.has(*place)]
    every = bundle(engine, plate, settings, places, missing)
    parts = [(number, part) for number, part in every if not asked.isdisjoint(part)]

    known = PartStore(source.store, rules, part) if part else None

    def load(where: Place) -> _Loaded:
        well = plate.wells[where[0]]
        field = well.fields[where[1]]
        if where not in asked:  # a batch needs its pixels
            return _Loaded(settings.read(field), None, None)
        if known is not None and (kept := known.get(where)) is not None:
            scene, patches, packed = kept
            return _Loaded(scene.image, scene, packed, Part(np.zeros(0, bool), patches))
        scene = look(field, settings, rules)
        h, w = scene.foreground.shape
        stored = source.stored(*where, h * w)
        if known is None:
            return _Loaded(scene.image, scene, stored)
        seed = (well.row, well.column, where[1])
        drawn = draw_part(settings.plan_of(scene.image), scene.foreground, part, seed, rules.unit)
        scene = within(scene, drawn.patches)
        if stored is not None or not drawn.tiles.any():
            whole = stored if stored is not None else np.zeros((h * w, len(source.half.centre)), np.float16)
            return _Loaded(scene.image, scene, whole[drawn.patches.ravel()], drawn)
        return _Loaded(scene.image, scene, None, drawn)

    def encode(bundle: tuple[int, list[tuple[Place, Any]]]) -> list[tuple[Place, Any]]:
        number, found = bundle
        missing = [isinstance(f, _Loaded) and f.scene is not None and f.packed is None for _, f in found]
        if any(missing):
            readable = [(w, f, m) for (w, f), m in zip(found, missing, strict=True) if isinstance(f, _Loaded)]
            packed = source.encode(
                [w for w, _, _ in readable],
                [f.image for _, f, _ in readable],
                [m for _, _, m in readable],
                number=number,
                stop=stop.is_set,
                parts=None if known is None else [None if f.part is None else f.part.tiles for _, f, _ in readable],
            )
            for (where, f, _), tokens in zip(readable, packed, strict=True):
                if tokens is None or f.part is None:
                    f.packed = f.packed if tokens is None else tokens
                    continue
                f.packed = tokens[f.part.patches.ravel()]
                if known is not None and f.scene is not None:
                    source.keep_part(known, where, f.scene, f.part.patches, f.packed)
        return found

    offset_of = _Offsets(offsets)
    with closing(flow(engine, parts, load, encode, stop, cancel)) as steps:
        for where, found in steps:
            if where not in asked:
                continue
            if isinstance(found, BAD_FIELD):
                yield *where, found
            elif isinstance(found, BaseException):
                raise found
            else:
                yield *where, _seen(bench, rules, offset_of, found)


def flow(
    engine: Engine,
    parts: Sequence[tuple[int, list[Place]]],
    load: Callable[[Place], Any],
    encode: Callable[[tuple[int, list[tuple[Place, Any]]]], list[tuple[Place, Any]]],
    stop: threading.Event,
    cancel: CancelCallback | None,
) -> Generator[tuple[Place, Any], None, None]:
    """Load fields and encode their bundles in background threads, a few ahead of the one in use.

    Parameters
    ----------
    engine : Engine
        How many bundles it takes at a time, and whether the CPU has to be shared with it.
    parts : sequence of (int, list of places)
        Bundles with their numbers.
    load : callable
        Gives what is needed of a field. Its exceptions are handed to `encode` in place of a result.
    encode : callable
        Takes a bundle, ``(number, [(place, loaded)])``, and gives ``[(place, result)]``.
    stop : Event
        Set at the end, whatever ends it.
    cancel : callable, optional
        Asked by the calling thread while it waits.

    Yields
    ------
    tuple
        Place and result, in the order of the bundles.

    Raises
    ------
    Exception
        What `encode` raised: no fault of a field, but of the encoder or the machine.
    Cancelled
        Where `cancel` said so.
    """
    loads = read_ahead(
        chain.from_iterable(part for _, part in parts),
        load,
        AHEAD + readers(cpu=engine.is_cpu),
        pool=quiet_pool(readers(cpu=engine.is_cpu), "phenolens-read"),
        cancel=cancel,
        patient=False,
    )
    bundled = ((number, [next(loads) for _ in part]) for number, part in parts)
    steps = read_ahead(bundled, encode, AHEAD, pool=quiet_pool(engine.drivers, "phenolens-encode"), cancel=cancel)
    try:
        for _, outcome in steps:
            if isinstance(outcome, BaseException):
                raise outcome
            yield from outcome
    finally:
        stop.set()
        steps.close()
        loads.close()


def bundle(
    engine: Engine, plate: Plate, settings: TokenSettings, places: Sequence[Place], missing: Sequence[Place]
) -> list[tuple[int, list[Place]]]:
    """Part a list of fields into numbered bundles, as suits the engine; on the CPU a field is one.

    Parameters
    ----------
    engine : Engine
        Its batch is settled first where it has to encode.
    plate, settings
        Of the fields.
    places : sequence
        The whole list of a pass.
    missing : sequence
        Those that have to be encoded.
    """
    size = 0
    if missing and not engine.is_cpu:
        if not engine.choices.bundle:
            _prepare(engine, plate, settings, missing)
        size = engine.choices.bundle
    counts = [_tiles(plate, settings, place) if size else 1 for place in places]
    return [(number, [places[i] for i in group]) for number, group in enumerate(bundles(counts, size))]


def _prepare(engine: Engine, plate: Plate, settings: TokenSettings, places: Sequence[Place]) -> None:
    """Settle precision and batch on the first field that can be read."""
    for well, place in places:
        try:
            image = settings.read(plate.wells[well].fields[place])
        except BAD_FIELD:
            continue  # noted with its reason when it is its turn
        engine.prepare(image, settings)
        return


def _tiles(plate: Plate, settings: TokenSettings, where: Place) -> int:
    try:
        return len(settings.plan(plate.wells[where[0]].fields[where[1]]).origins)
    except BAD_FIELD:
        return 0


def readers(*, cpu: bool) -> int:
    """Give the threads that read and look: beside a forward on the CPU few of them, beside a GPU as many as help."""
    return max(1, budget() // 4) if cpu else max(1, min(MOST_READERS, budget() - 1))


class _Offsets:
    """The mean shifts of the places in a tile, laid on a field's grid once for all fields of its size."""

    def __init__(self, offsets: npt.NDArray[Any] | None) -> None:
        self.offsets = offsets if offsets is not None and offsets.size else None
        self._last: tuple[Any, npt.NDArray[np.float32]] | None = None

    def __call__(self, plan: Any) -> npt.NDArray[np.float32]:
        if self._last is None or self._last[0] != plan:
            self._last = (plan, position_offsets(plan, np.asarray(self.offsets)))
        return self._last[1]


def _seen(bench: Bench, rules: Lens | LensDraft, offsets: _Offsets, found: _Loaded) -> Seen:
    assert found.scene is not None and found.packed is not None
    h, w = found.scene.foreground.shape
    half = bench.source.half
    if found.part is None:
        tokens = half.unpack(found.packed).reshape(h, w, -1)
    else:  # what was not encoded is no foreground; it stands at the mean, so that it looks like nothing
        tokens = np.broadcast_to(half.centre, (h, w, len(half.centre))).copy()
        tokens[found.part.patches] = half.unpack(found.packed)
    plan = bench.settings.plan_of(found.image)
    if offsets.offsets is not None:  # crops and cells have no place in a tile
        tokens -= offsets(plan)
    return Seen(found.scene, units_of(tokens, found.scene, rules.unit, plan.tile))
