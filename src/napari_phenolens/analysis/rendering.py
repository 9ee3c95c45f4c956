"""How well the codes of a run render its tokens, over a stated sample of fields, one field in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.analysis.protocol import RunLike
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import CancelCallback, Progress, ProgressCallback, check_cancelled

Place = tuple[int, str, str]  # run, well, field

ANOTHER_PLATE = "held out: the lens was fitted on other plates"
OTHER_WELLS = "held out: wells that the lens was not fitted on"
IN_SAMPLE = "in-sample: the lens was fitted on tokens of these wells"


@dataclass(frozen=True)
class Rendering:
    """Sums over sampled fields.

    Attributes
    ----------
    places : tuple of (int, str, str)
        Run, well and field of each field whose tokens were had.
    wells : tuple of (int, str)
        Run and well of each tally.
    white, tokens : list of Tally
        One a well: of unit whitened tokens, and taken back through the whitening.
    rows : float16 array (n, p)
        Some of the whitened tokens, for refits; empty where none were asked for.
    missing : str
        Why there are no tokens, or why some fields lack; empty where none does.
    """

    places: tuple[Place, ...]
    wells: tuple[tuple[int, str], ...]
    white: list[Any]
    tokens: list[Any]
    rows: npt.NDArray[np.float16]
    missing: str


def sample_fields(
    runs: Sequence[RunLike], wells: Sequence[tuple[int, str]], count: int, fitted: Sequence[set[str]] | None = None
) -> tuple[list[Place], str]:
    """Choose fields spread evenly over wells, of wells that the lens was not fitted on where there are any.

    Parameters
    ----------
    runs : sequence of Run
    wells : sequence of (int, str)
        Run and name of the wells to choose from.
    count : int
        So many fields at most.
    fitted : sequence of set of str, optional
        Wells of each run's plate that are not held out; by default those of `fitted_wells`.

    Returns
    -------
    places : list of (int, str, str)
        Run, well, field; the same for the same wells.
    note : str
        Whether they are held out: `ANOTHER_PLATE`, `OTHER_WELLS` or `IN_SAMPLE`.
    """
    known = [set(fitted_wells(run)) for run in runs] if fitted is None else fitted
    fresh = [(i, well) for i, well in wells if well not in known[i]]
    note = IN_SAMPLE if not fresh else OTHER_WELLS if any(known) else ANOTHER_PLATE
    chosen = fresh or list(wells)
    most = max((len(runs[i].fields(well)) for i, well in chosen), default=0)
    every = [(i, w, runs[i].fields(w)[n]) for n in range(most) for i, w in chosen if n < len(runs[i].fields(w))]
    first = every[: len(chosen)]  # first fields of all wells before second ones
    found = first if count <= len(first) else every
    taken = np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int))
    return [found[n] for n in taken], note


def fitted_wells(run: RunLike) -> list[str]:
    """Give the wells of a run's plate whose tokens the dictionary may have been fitted on."""
    lens = run.lens
    if run.plate_name not in getattr(lens, "plates", ()):
        return []
    named = getattr(lens, "facts", {}).get("fit_on")
    if named is None:  # the sample is drawn from all wells
        return list(run.wells)
    return [name.rsplit("/", 1)[1] for name in named if name.rsplit("/", 1)[0] == run.plate_name]


def render(
    runs: Sequence[RunLike],
    places: Sequence[Place],
    *,
    keep: int = 0,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> Rendering:
    """Read the tokens of fields, from the token store or encoded again, and what their codes render.

    Parameters
    ----------
    runs : sequence of Run
        Runs of one lens over patches.
    places : sequence of (int, str, str)
        See `sample_fields`.
    keep : int
        Whitened tokens to keep, each field the same number.
    progress, cancel : callable, optional

    Returns
    -------
    Rendering
        Codes are those on disk, in half precision. Where a field's tokens cannot be had the reason is in `missing`, and
        with the first three fields of which that is so, it gives up.
    """
    from napari_phenolens.dictionary.tally import Tally

    lens = runs[0].lens
    dictionary = lens.dictionary
    white: dict[tuple[int, str], Any] = {}
    tokens: dict[tuple[int, str], Any] = {}
    rows: list[npt.NDArray[np.float16]] = []
    done: list[Place] = []
    reasons: list[str] = []
    each = -(-keep // max(1, len(places)))
    for number, (i, well, field) in enumerate(places):
        check_cancelled(cancel)
        try:
            asked = {} if cancel is None else {"cancel": cancel}
            x = np.asarray(runs[i].tokens(well, field, **asked), np.float32)
        except PhenoLensError as error:
            reasons.append(str(error))
            if len(reasons) == 3 and not done:
                break
            continue
        here = np.asarray(runs[i].foreground(well, field), bool).ravel()
        x = x.reshape(-1, x.shape[-1])[here]
        index, value = (np.asarray(part)[here] for part in runs[i].codes(well, field))
        length = np.linalg.norm(x.astype(np.float64), axis=1)
        some = length > 0
        x, index, value, length = x[some], index[some], value[some], length[some, None].astype(np.float32)
        if len(x):
            back = dictionary.decode(index, value)
            key = i, well
            white.setdefault(key, Tally(x.shape[1], dictionary.m)).add(x / length, back, index, value)
            whitening = runs[i].lens.whitening  # of a lens that aligns plates, the plate's own
            plain, rendered = whitening.inverse(x), whitening.inverse(back * length)
            tokens.setdefault(key, Tally(plain.shape[1], dictionary.m)).add(plain, rendered, index, value)
            if keep:
                pick = np.random.default_rng([number, 29]).permutation(len(x))[:each]
                rows.append(x[np.sort(pick)].astype(np.float16))
            done.append((i, well, field))
        if progress is not None:
            progress(Progress("tokens", number + 1, len(places), f"{runs[i].plate_name} {well}"))
    kept = np.concatenate(rows)[:keep] if rows else np.zeros((0, dictionary.p), np.float16)
    missing = f"{len(reasons)} of {len(places)} fields: {reasons[0]}" if reasons else ""
    if not done and not missing:
        missing = "no sampled field shows any cells"
    return Rendering(tuple(done), tuple(white), list(white.values()), list(tokens.values()), kept, missing)
