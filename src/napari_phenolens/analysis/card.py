"""`cell_card`: what the model sees in one cell, how unusual that is, which cells look the same, how far to trust it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.cell_reference import LEAST_CONTROLS, SIDES, CellReference
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.places import area_weights
from napari_phenolens.analysis.protocol import Floats, Ints
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import CancelCallback

LISTED = 12  # features on the card
COMMON = 0.5  # a feature that at least so many control cells have can be missed
LOW = 5.0  # percentile among control cells from which on it is missed
NEIGHBOURS = 6  # a side


@dataclass(frozen=True, eq=False)
class CellCard:
    """What can be said of one cell.

    Attributes
    ----------
    cell : int
        Its index in `Run.cells`.
    well, field : str
    label : int
        Its number in the label image.
    at : (float, float)
        Its centroid, field pixels (y, x).
    box : (int, int, int, int)
        First row, first column, and the row and column after the last one.
    area : int
        Pixels.
    border : bool
        Whether the field's edge cuts it.
    features : DataFrame
        The leading ones. Index ``feature``, ranked by ``share``; ``name``; ``value`` (mean activation under the mask);
        ``percentile`` and ``z`` among control cells; ``share`` of what the features say of the cell (all sum to one);
        ``alignment`` (mean of the alignment map under the mask, NaN where tokens cannot be had); ``contribution``: what
        it adds to the score towards "looks perturbed", NaN without one.
    missing : DataFrame
        What control cells have and this one lacks: index ``feature``, ``name``, ``value``, ``usual`` (mean of control
        cells), ``percentile``, ``z``; the most unusual first.
    explained : float
        Cosine between the cell's embedding (mean of its foreground patches' unit tokens) and what all of its features
        rebuild; NaN where tokens cannot be had.
    explained_listed : float
        The same of the listed features alone.
    neighbours : dict
        ``control`` and ``perturbed``: see `CellReference.nearest`.
    probability : float
        Of looking perturbed, at a prior of 50:50, by a model that never saw the cell's well; NaN where there is none.
    rank : float
        Share of control cells that look less perturbed, by the same model; NaN without one.
    notes : tuple of str
        What is missing and why, and what a reader must know.
    """

    cell: int
    well: str
    field: str
    label: int
    at: tuple[float, float]
    box: tuple[int, int, int, int]
    area: int
    border: bool
    features: pd.DataFrame
    missing: pd.DataFrame
    explained: float
    explained_listed: float
    neighbours: dict[str, pd.DataFrame]
    probability: float
    rank: float
    notes: tuple[str, ...] = ()
    # what all of its features rebuild
    _rebuilt: Floats = dataclasses.field(default_factory=lambda: np.zeros(0), repr=False)

    def verdict(self) -> str:
        """Say in words what the cell looks like, and how sure that is."""
        if np.isfinite(self.probability):
            side = "perturbed" if self.probability >= 0.5 else "like control"
            sure = max(self.probability, 1 - self.probability)
            words = f"{sure:.0%}" if sure < 0.99 else "over 99%"
            return (
                f"looks {side} ({words} at a prior of 50:50, by a model that never saw this well; "
                f"more perturbed than {self.rank:.0%} of control cells)"
            )
        if np.isfinite(self.rank):
            return (
                f"looks more perturbed than {self.rank:.0%} of control cells "
                "(a rank alone: too few wells for a probability)"
            )
        return "no second side to compare with: choose perturbed wells"

    def text(self) -> str:
        """Give the card as lines of text."""
        head = f"{self.well}, field {self.field}, cell {self.label} (y {self.at[0]:.0f}, x {self.at[1]:.0f})"
        lines = [head + (", cut by the field's edge" if self.border else ""), self.verdict(), "", "Leading features:"]
        for feature, row in self.features.iterrows():
            name = f" {row['name']}" if row["name"] else ""
            lines.append(
                f"  F{feature}{name}: share {row['share']:.0%}, value {row['value']:.3f}, "
                f"percentile {row['percentile']:.1f}, z {row['z']:+.1f} among control cells"
            )
        if len(self.missing):
            lines += ["", "What control cells have and this one lacks:"]
            for feature, row in self.missing.iterrows():
                name = f" {row['name']}" if row["name"] else ""
                lines.append(f"  F{feature}{name}: {row['value']:.3f}, usually {row['usual']:.3f} (z {row['z']:+.1f})")
        if np.isfinite(self.explained):
            rebuilt = (
                f"All features rebuild the cell's embedding with a cosine of {self.explained:.2f}, those listed with "
                f"{self.explained_listed:.2f}: {1 - self.explained**2:.0%} of it is said by no feature."
            )
            lines += ["", rebuilt]
        for side in SIDES:
            found = self.neighbours[side]
            if len(found):
                places = ", ".join(f"{r.well} cell {r.label} ({r.similarity:.2f})" for r in found.itertuples())
                lines += ["", f"Nearest {side} cells: {places}"]
        if self.notes:
            lines += ["", *self.notes]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as plain values, tables as lists of rows."""
        tables = {name: getattr(self, name).reset_index().to_dict("records") for name in ("features", "missing")}
        near = {side: found.reset_index().to_dict("records") for side, found in self.neighbours.items()}
        return {
            "cell": self.cell, "well": self.well, "field": self.field, "label": self.label, "at": list(self.at),
            "box": list(self.box), "area": self.area, "border": self.border, "verdict": self.verdict(),
            "probability": self.probability, "rank": self.rank, "explained": self.explained,
            "explained_listed": self.explained_listed, **tables, "neighbours": near, "notes": list(self.notes),
        }  # fmt: skip


def cell_card(
    reference: CellReference, cell: int, *, listed: int = LISTED, neighbours: int = NEIGHBOURS, tokens: bool = True
) -> CellCard:
    """Explain one cell.

    Parameters
    ----------
    reference : CellReference
        From `cell_reference`.
    cell : int
        Index in `Run.cells`; `Run.cell_at` gives that of a place.
    listed : int
        Leading features on the card.
    neighbours : int
        Similar cells of each side.
    tokens : bool
        Whether to read the cell's tokens, which takes seconds where they are not in the token store: without them
        ``alignment``, ``explained`` and ``explained_listed`` are NaN, and `with_tokens` adds them later.

    Returns
    -------
    CellCard
        A description of one cell: nothing in it is a test, and no figure carries a p.

    Raises
    ------
    AnalysisError
        Where there is no such cell.
    """
    run, cells = reference.run, reference.cells
    if not 0 <= cell < len(cells):
        raise AnalysisError(f"no cell {cell}; {run.plate_name} has cells 0 to {len(cells) - 1}")
    row = cells.iloc[cell]
    notes: list[str] = []
    if reference.n_controls < LEAST_CONTROLS:
        notes.append(f"{reference.n_controls} control cells: too few for percentiles and z")
    if row["border"]:
        notes.append("the field's edge cuts this cell: what lies outside is not seen")
    given = getattr(run, "cells_given", None)
    if given is not None and (said := given(str(row["well"]), str(row["field"]))):
        notes.append(f"the cells of this field are those of {said}: their sizes compare with other fields' with care")
    codes = reference.codes[cell]
    keep = codes.data != 0
    found, values = codes.indices[keep].astype(np.intp), codes.data[keep].astype(np.float64)
    if not len(found):
        notes.append("no feature is active in this cell")
    atoms = np.asarray(run.lens.dictionary.atoms, np.float64)
    rebuilt = values @ atoms[found]
    size = float(rebuilt @ rebuilt)
    share = values * (atoms[found] @ rebuilt) / size if size > 0 else np.zeros(len(found))
    order = np.argsort(-share, kind="stable")[:listed]
    leading, named = found[order], run.annotations.names()
    contribution = _contributions(reference, cell, leading)
    features = pd.DataFrame(
        {
            "name": named.reindex(leading).fillna("").to_numpy(),
            "value": values[order],
            "percentile": reference.percentile(leading, values[order]),
            "z": reference.z(leading, values[order]),
            "share": share[order],
            "alignment": np.full(len(leading), np.nan),
            "contribution": contribution,
        },
        index=pd.Index(leading, name="feature"),
    )
    probability = rank = float("nan")
    if reference.looks is not None:
        told = reference.looks.cells.iloc[cell]
        probability, rank = float(told["probability"]), float(told["rank"])
        notes += reference.looks.notes
    card = CellCard(
        cell=int(cell), well=str(row["well"]), field=str(row["field"]), label=int(row["label"]),
        at=(float(row["y"]), float(row["x"])), box=tuple(int(row[c]) for c in ("y0", "x0", "y1", "x1")),  # type: ignore[arg-type]
        area=int(row["area"]), border=bool(row["border"]), features=features,
        missing=_missing(reference, found, values, named, listed), explained=float("nan"),
        explained_listed=float("nan"),
        neighbours={side: reference.nearest(cell, side, neighbours) for side in SIDES},
        probability=probability, rank=rank, notes=tuple(notes), _rebuilt=rebuilt,
    )  # fmt: skip
    return with_tokens(reference, card) if tokens else card


def with_tokens(reference: CellReference, card: CellCard, *, cancel: CancelCallback | None = None) -> CellCard:
    """Add what needs the cell's tokens to a card that was made without; nothing else is computed again.

    Parameters
    ----------
    reference : CellReference
        That of the card.
    card : CellCard
        From ``cell_card(..., tokens=False)``.
    cancel : callable, optional
        Asked before every batch where the field is encoded again.

    Returns
    -------
    CellCard
        With ``alignment``, ``explained`` and ``explained_listed``, or with a note that says why not.
    """
    notes: list[str] = []
    token, unit = _embedding(reference, reference.cells.iloc[card.cell], notes, cancel)
    leading = card.features.index.to_numpy(np.intp)
    atoms = np.asarray(reference.run.lens.dictionary.atoms[leading], np.float64)
    features = card.features
    if token is not None:
        features = features.assign(alignment=atoms @ token)
    return replace(
        card, features=features, explained=_cosine(card._rebuilt, unit),
        explained_listed=_cosine(features["value"].to_numpy(np.float64) @ atoms, unit), notes=(*card.notes, *notes),
    )  # fmt: skip


def _embedding(
    reference: CellReference, row: pd.Series[Any], notes: list[str], cancel: CancelCallback | None
) -> tuple[Floats | None, Floats | None]:
    """Give the mean token under the mask, and the mean of the unit tokens of its foreground patches."""
    run, well, name = reference.run, str(row["well"]), str(row["field"])
    if run.unit != "patch":
        notes.append(f"no alignment and no share explained: the unit of this run is the {run.unit}, not the patch")
        return None, None
    y0, x0, y1, x1 = (int(row[c]) for c in ("y0", "x0", "y1", "x1"))
    y, x = np.nonzero(run.cell_labels(well, name)[y0:y1, x0:x1] == int(row["label"]))
    if not len(y):
        notes.append("no alignment and no share explained: the stored label image has no pixel of this cell")
        return None, None
    at = run.field_row(well, name)
    weights = area_weights(y + y0, x + x0, float(at["scale"]), (int(at["h"]), int(at["w"])))
    patches = np.flatnonzero(weights)
    try:
        here = np.asarray(run.patch_tokens(well, name, patches, cancel), np.float64)
    except (PhenoLensError, OSError) as error:
        notes.append(f"no alignment and no share explained: {error}")
        return None, None
    seen = np.asarray(run.foreground(well, name), bool).ravel()[patches]
    norm = np.linalg.norm(here, axis=1)
    seen &= norm > 0
    if not seen.any():
        notes.append("the foreground rule counts this cell as background: it has no code")
        return weights[patches] @ here, None
    return weights[patches] @ here, (weights[patches][seen] / norm[seen]) @ here[seen]


def _cosine(rebuilt: Floats, unit: Floats | None) -> float:
    size = 0.0 if unit is None else float(np.linalg.norm(rebuilt) * np.linalg.norm(unit))
    return float(rebuilt @ unit / size) if unit is not None and size > 0 else float("nan")


def _contributions(reference: CellReference, cell: int, features: Ints) -> Floats:
    if reference.looks is None:
        return np.full(len(features), np.nan)
    return reference.looks.contributions(reference.run, cell).reindex(features).fillna(0.0).to_numpy(np.float64)


def _missing(reference: CellReference, found: Ints, values: Floats, named: pd.Series[Any], listed: int) -> pd.DataFrame:
    """List features that most control cells have and this cell has unusually little of."""
    common = np.flatnonzero(reference.active >= COMMON)
    mine = np.zeros(len(reference.mean))
    mine[found] = values
    percentile, z = reference.percentile(common, mine[common]), reference.z(common, mine[common])
    low = (percentile <= LOW) & (z < 0)
    rows = common[low]
    table = pd.DataFrame(
        {
            "name": named.reindex(rows).fillna("").to_numpy(), "value": mine[rows], "usual": reference.mean[rows],
            "percentile": percentile[low], "z": z[low],
        },
        index=pd.Index(rows, name="feature"),
    )  # fmt: skip
    return table.sort_values("z", kind="stable").head(listed)
