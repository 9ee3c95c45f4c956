"""`region_features`: which features the patches inside regions drawn on fields have, and others have not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.cell_choice import Region
from napari_phenolens.analysis.concept_cells import with_against_without
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.explain import CONTROL_FIELDS
from napari_phenolens.analysis.places import Place, find_field, inside_polygon
from napari_phenolens.analysis.protocol import Bools, RunLike

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

REST, CONTROL = "rest", "control"
LEAST_PATCHES = 10  # of either kind
MOST_PATCHES = 100_000  # of control wells that are read; spread over them


def region_features(run: RunLike, region: Region | Sequence[Region], *, against: str = REST) -> pd.DataFrame:
    """Find the features that tell the patches of a drawn region from others.

    The region was drawn by somebody who looked at the cells, and patches of one field are no replicates: the table
    describes what is there, and holds no p and no q. For cells see `distinguish`.

    Parameters
    ----------
    run : Run
        A run of patches.
    region : tuple (well, field, corners) or sequence of them
        Polygons, corners (y, x) in field pixels. A patch is inside where its centre is; background is left out.
    against : str
        ``"rest"``: the other patches of the same fields; ``"control"``: patches of the control wells, up to 48 fields
        spread over them, without the region itself.

    Returns
    -------
    DataFrame
        Index ``feature``, the most telling first: ``auroc`` (chance that the feature is stronger in a patch inside than
        in one outside, ties counted half), ``effect`` (the difference in SDs of single patches, Cohen's d),
        ``inside``, ``outside`` (mean activation), ``active_inside``, ``active_outside`` (share of patches that have the
        feature), ``name`` (what the feature was called). ``attrs``: ``patches_inside``, ``patches_outside``,
        ``against``, ``sides`` (both sides in words, the same for the same patches), ``notes``.

    Raises
    ------
    AnalysisError
        Where the lens codes no patches, a region is no polygon or lies outside its field, or there are fewer than 10
        patches of foreground on a side.
    """
    if getattr(run, "unit", "patch") != "patch":
        raise AnalysisError(
            f"the lens of {run.plate_name} codes {run.unit}s; a region needs a lens of patches (--unit patch)"
        )
    if against not in (REST, CONTROL):
        raise AnalysisError(f"against={against!r} is not known; choose {REST!r} or {CONTROL!r}")
    regions = [region] if isinstance(region, tuple) and isinstance(region[0], str) else list(region)
    if not regions:
        raise AnalysisError("no region was given; draw one, or pass (well, field, corners)")
    drawn = _drawn(run, regions)
    chosen = [_patches(run, place.well, place.field, inside) for place, inside in drawn.values()]
    if against == REST:
        others = [_patches(run, place.well, place.field, ~inside) for place, inside in drawn.values()]
    else:
        others = _control_patches(run, drawn)
    counts = sum(part.shape[0] for part in chosen), sum(part.shape[0] for part in others)
    outside = "elsewhere in these fields" if against == REST else "in control wells"
    if min(counts) < LEAST_PATCHES:
        raise AnalysisError(
            f"{counts[0]} patches of foreground are in the region and {counts[1]} {outside}; at least {LEAST_PATCHES} "
            "of each are needed: draw a larger region over cells"
            + (", or hold it against control wells" if counts[1] < LEAST_PATCHES and against == REST else "")
        )
    table = _table(chosen, others)
    table["name"] = run.annotations.names().to_numpy()
    table.index.name = "feature"
    order = np.argsort(-np.nan_to_num(np.abs(table["auroc"].to_numpy() - 0.5)), kind="stable")
    table = table.iloc[order]
    notes = ["Drawn after looking, and patches of one well are no replicates: this describes, and carries no p."]
    if against == CONTROL and any(place.well not in run.controls for place, _ in drawn.values()):
        notes.append("The region lies in another well than the controls: differences of wells are part of this.")
    table.attrs = {
        "patches_inside": counts[0], "patches_outside": counts[1], "against": against,
        "sides": _sides(drawn, against), "notes": notes,
    }  # fmt: skip
    return table


def _drawn(run: RunLike, regions: Sequence[Region]) -> dict[tuple[str, str], tuple[Place, Bools]]:
    """Give the fields drawn on, with the patches inside, (h, w)."""
    found: dict[tuple[str, str], tuple[Place, Bools]] = {}
    for well, field, corners in regions:
        place = find_field(run, well, field)
        h, w = place.grid
        centres = [place.scale * np.arange(n) + (place.scale - 1) / 2 for n in (h, w)]
        y, x = np.meshgrid(*centres, indexing="ij")
        inside = inside_polygon(corners, np.stack([y.ravel(), x.ravel()], axis=1), place.well).reshape(h, w)
        known = found.get((place.well, place.field))
        found[place.well, place.field] = (place, inside if known is None else known[1] | inside)
    return found


def _patches(run: RunLike, well: str, field: str, wanted: Bools | None = None) -> csr_matrix:
    """Give the activations of a field's patches of foreground, (patches, features)."""
    from scipy.sparse import csr_matrix

    keep = np.asarray(run.foreground(well, field)).astype(bool)
    rows = np.flatnonzero((keep if wanted is None else keep & wanted).ravel())
    index, value = run.codes(well, field)
    index, value = np.asarray(index)[rows], np.asarray(value, dtype=np.float64)[rows]
    pointer = np.arange(len(rows) + 1) * index.shape[1]
    made = csr_matrix((value.ravel(), index.ravel().astype(np.intp), pointer), shape=(len(rows), run.n_features))
    made.sum_duplicates()
    made.eliminate_zeros()
    return made


def _control_patches(run: RunLike, drawn: dict[tuple[str, str], tuple[Place, Bools]]) -> list[csr_matrix]:
    fields = [(well, field) for well in run.controls if well in set(run.wells) for field in run.fields(well)]
    if not fields:
        raise AnalysisError(f"the run of {run.plate_name} has no control wells; hold the region against the rest")
    fields = fields[:: max(1, -(-len(fields) // CONTROL_FIELDS))]
    each = max(1, MOST_PATCHES // len(fields))
    found = []
    for well, field in fields:
        here = drawn.get((well, field))
        patches = _patches(run, well, field, None if here is None else ~here[1])
        found.append(patches[:: max(1, -(-patches.shape[0] // each))])
    return found


def _table(chosen: list[csr_matrix], others: list[csr_matrix]) -> pd.DataFrame:
    from scipy.sparse import vstack

    codes = vstack([*chosen, *others], format="csc")
    n1 = sum(part.shape[0] for part in chosen)
    one = np.zeros(codes.shape[0])
    one[:n1] = 1.0
    sides = (one / n1, (1.0 - one) / (len(one) - n1))
    auroc, effect = (found[:, 0] for found in with_against_without(codes, one[:, None], LEAST_PATCHES))
    columns = {"auroc": auroc, "effect": effect}
    columns.update({name: np.asarray(codes.T @ side) for name, side in zip(("inside", "outside"), sides, strict=True)})
    codes.data = np.ones_like(codes.data)
    for name, side in zip(("active_inside", "active_outside"), sides, strict=True):
        columns[name] = np.asarray(codes.T @ side)
    return pd.DataFrame(columns)


def _sides(drawn: dict[tuple[str, str], tuple[Place, Bools]], against: str) -> tuple[str, str]:
    """Name both sides; the same patches have the same name."""
    parts = []
    for (well, field), (_, inside) in sorted(drawn.items()):
        key = hashlib.sha256(np.packbits(inside).tobytes()).hexdigest()[:8]
        parts.append(f"{int(inside.sum())} patches of {well} field {field} ({key})")
    region = "region: " + "; ".join(parts)
    return ("control wells" if against == CONTROL else f"rest of {region}"), region


def count_region(run: Any, table: pd.DataFrame, *, by: str) -> int:
    """Write a region into the run's log of contrasts, see `run.contrasts.note_contrast`; gives how many were tried."""
    from napari_phenolens.run.contrasts import note_contrast

    outside, inside = table.attrs["sides"]
    return note_contrast(run, [outside], [inside], name=inside, by=by, picked_after=True)
