"""`explain`: the features of one place or one cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.places import Place, area_weights, find_field
from napari_phenolens.analysis.protocol import Floats, Ints, RunLike
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import CancelCallback

CONTROL_FIELDS = 48  # so many control fields, spread over the control wells, stand for all

Cell = npt.NDArray[Any] | tuple[npt.NDArray[Any], int]


def explain(
    run: RunLike,
    well: str,
    field: str | int | None = None,
    at: tuple[float, float] | None = None,
    cell: Cell | None = None,
    *,
    cancel: CancelCallback | None = None,
) -> pd.DataFrame:
    """Rank the features of a place, or of a cell.

    Parameters
    ----------
    run : Run
        The run.
    well : str
        A well.
    field : str, int or None
        A field's name or 0-based place; None is the first.
    at : (y, x)
        A place in field pixels: the patch that covers it is explained; with `cell` a label image, the cell under it.
    cell : ndarray (Y, X) bool, ndarray (Y, X) int, or (labels, id)
        A cell's mask, or a label image with `at` or with the cell's label. Its patches are pooled by the area they
        share with the cell.
    cancel : callable, optional
        Asked before every batch where the field is encoded again for its tokens.

    Returns
    -------
    DataFrame
        Index ``feature``, ranked by ``activation``. ``alignment``, ``cosine``: of the whitened token and the atom, NaN
        where tokens cannot be had; ``share``: of the reconstruction (sums to one); ``percentile``: among foreground
        patches of control wells (of a cell NaN: a mean of patches has no place among single ones); ``well_z``: the
        well's mean in SDs of the control wells (without itself); ``strength``: norm of the whitened token; ``i``,
        ``j``, ``y``, ``x``: the patch and its centre (of a cell the centroid). ``attrs["notes"]`` says what is missing
        and why.

    Raises
    ------
    AnalysisError
        Where the well or field is unknown, or place or cell lie outside the field.
    """
    place = find_field(run, well, field)
    well, field = place.well, place.field
    if getattr(run, "unit", "patch") == "cell":
        raise AnalysisError(f"the lens of {run.plate_name} codes whole cells; explain reads lenses of patches or crops")
    foreground = np.asarray(run.foreground(well, field))
    w = place.grid[1]
    notes: list[str] = []
    weights, centre, label = _weights(place, at, cell)
    patches = np.flatnonzero(weights)
    shares = weights[patches]
    index, value = run.codes(well, field)
    index, value = np.asarray(index)[patches], np.asarray(value, dtype=np.float64)[patches]
    active = np.zeros(run.n_features)
    np.add.at(active, index.ravel().astype(np.intp), (value * shares[:, None]).ravel())
    features = np.flatnonzero(active)
    background = not foreground.ravel()[patches].any()
    if background:
        notes.append(
            "this place is background, which the lens does not code"
            if len(features) == 0
            else "this place is background"
        )
    atoms = np.asarray(run.lens.dictionary.atoms, dtype=np.float64)[features]
    alignment, cosine = _directions(run, well, field, patches, shares, atoms, notes, cancel)
    strength = float(np.asarray(run.strength(well, field), dtype=np.float64).ravel()[patches] @ shares)
    single = cell is None
    table = pd.DataFrame(
        {
            "activation": active[features],
            "alignment": alignment,
            "cosine": cosine,
            "share": _shares(active[features], atoms),
            "percentile": _percentiles(run, features, active[features], notes) if single else np.nan,
            "well_z": _well_z(run, well, features, notes),
            "strength": strength,
            "i": patches[0] // w if single else -1,
            "j": patches[0] % w if single else -1,
            "y": centre[0],
            "x": centre[1],
        },
        index=pd.Index(features, name="feature"),
    )
    table = table.iloc[np.argsort(-table["activation"].to_numpy(), kind="stable")]
    table.attrs = {
        "well": well,
        "field": field,
        "cell": label,
        "patches": len(patches),
        "foreground": not background,
        "notes": notes,
    }
    return table


def _weights(
    place: Place, at: tuple[float, float] | None, cell: Cell | None
) -> tuple[Floats, tuple[float, float], int | None]:
    """Give each square's weight (sum one), the centre of the place and the cell's label."""
    (h, w), shape, scale = place.grid, place.shape, place.scale
    where = f"field {place.field} of well {place.well}"
    if at is not None and not (-0.5 <= at[0] < shape[0] - 0.5 and -0.5 <= at[1] < shape[1] - 0.5):
        raise AnalysisError(
            f"(y, x) = ({at[0]:g}, {at[1]:g}) lies outside {where}, which has {shape[0]} x {shape[1]} pixels"
        )
    weights = np.zeros(h * w)
    if cell is None:
        if at is None:
            raise AnalysisError("explain needs a place: pass at=(y, x) in field pixels, or cell=(labels, id)")
        # A pixel's centre has whole coordinates. The last pixels of a field may have no square of their own; they go
        # with the last one.
        i, j = min(int((at[0] + 0.5) // scale), h - 1), min(int((at[1] + 0.5) // scale), w - 1)
        weights[i * w + j] = 1.0
        return weights, (i * scale + (scale - 1) / 2, j * scale + (scale - 1) / 2), None
    labels, label = cell if isinstance(cell, tuple) else (np.asarray(cell), None)
    labels = np.asarray(labels)
    if labels.shape != shape:
        raise AnalysisError(f"the cell's mask has shape {labels.shape}, {where} has {shape}; they must be the same")
    if labels.dtype == bool:
        labels, label = labels.astype(np.int32), 1
    if label is None:
        if at is None:
            raise AnalysisError("a label image needs at=(y, x), or pass cell=(labels, id)")
        label = int(labels[round(at[0]), round(at[1])])
    y, x = np.nonzero(labels == int(label))
    if label == 0 or len(y) == 0:
        raise AnalysisError(f"no cell {label} in {where}; click on a cell, or pass one of the label image's numbers")
    return area_weights(y, x, scale, (h, w)), (float(y.mean()), float(x.mean())), int(label)


def _directions(
    run: RunLike,
    well: str,
    field: str,
    patches: Ints,
    shares: Floats,
    atoms: Floats,
    notes: list[str],
    cancel: CancelCallback | None,
) -> tuple[Floats, Floats]:
    """Inner product and cosine of the place's pooled whitened token with each atom."""
    try:
        asked = {} if cancel is None else {"cancel": cancel}
        tokens = np.asarray(run.tokens(well, field, **asked), dtype=np.float64)
    except (PhenoLensError, OSError) as error:
        notes.append(f"no alignment: {error}")
        nothing = np.full(len(atoms), np.nan)
        return nothing, nothing
    flat = tokens.reshape(-1, tokens.shape[-1])
    if len(flat) <= int(patches.max()) or getattr(run, "unit", "patch") == "crop":
        notes.append("no alignment: this lens codes crops, and tokens are those of patches")
        nothing = np.full(len(atoms), np.nan)
        return nothing, nothing
    token = shares @ flat[patches]
    alignment: Floats = atoms @ token
    norm = float(np.linalg.norm(token))
    return alignment, alignment / norm if norm > 0 else np.zeros_like(alignment)


def _shares(active: Floats, atoms: Floats) -> Floats:
    """Give each feature's share of the reconstruction: v_j <a_j, x> / |x|^2 with x the sum of v_j a_j."""
    rebuilt = active @ atoms
    size = float(rebuilt @ rebuilt)
    out: Floats = active * (atoms @ rebuilt) / size if size > 0 else np.full_like(active, np.nan)
    return out


def _percentiles(run: RunLike, features: Ints, active: Floats, notes: list[str]) -> Floats:
    """Percentile of each activation among the foreground patches of control wells, ties counted half."""
    controls = [c for c in run.controls if c in set(run.wells)]
    fields = [(c, f) for c in controls for f in run.fields(c)]
    if not fields or len(features) == 0:
        if len(features):
            notes.append("no percentile: the run has no control wells")
        return np.full(len(features), np.nan)
    step = max(1, -(-len(fields) // CONTROL_FIELDS))
    place = np.full(run.n_features, -1, dtype=np.intp)
    place[features] = np.arange(len(features))
    below, equal, total = np.zeros(len(features)), np.zeros(len(features)), 0
    for well, field in fields[::step]:
        index, value = run.codes(well, field)
        keep = np.asarray(run.foreground(well, field)).ravel().astype(bool)
        index, value = np.asarray(index)[keep].astype(np.intp), np.asarray(value, dtype=np.float64)[keep]
        n = int(keep.sum())
        at = place[index]
        mine = (at >= 0) & (value != 0)
        at, value = at[mine], value[mine]
        count = np.bincount(at, minlength=len(features))
        below += np.bincount(at[value < active[at]], minlength=len(features)) + np.where(active > 0, n - count, 0)
        equal += np.bincount(at[value == active[at]], minlength=len(features))
        total += n
    if total == 0:
        notes.append("no percentile: the control wells have no foreground")
        return np.full(len(features), np.nan)
    return 100.0 * (below + equal / 2) / total


def _well_z(run: RunLike, well: str, features: Ints, notes: list[str]) -> Floats:
    """Give the well's mean of each feature in SDs of the other control wells."""
    profiles = run.profiles()
    controls = [c for c in run.controls if c != well and c in profiles.index]
    reference = profiles.loc[controls, list(features)].to_numpy(dtype=np.float64)
    reference = reference[np.isfinite(reference).all(axis=1)] if len(features) else reference
    if len(reference) < 3:
        notes.append(f"no well_z: {len(reference)} other control wells")
        return np.full(len(features), np.nan)
    spread = reference.std(axis=0, ddof=1)
    mine = profiles.loc[well, list(features)].to_numpy(dtype=np.float64)
    out: Floats = np.where(spread > 0, (mine - reference.mean(axis=0)) / np.where(spread > 0, spread, 1.0), np.nan)
    return out
