"""What the cells of a run are measured against: the codes of its control cells, prepared once for many clicks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.looks import CellRun, Looks
from napari_phenolens.analysis.protocol import Floats, Ints, Query
from napari_phenolens.analysis.sides import select
from napari_phenolens.progress import CancelCallback, check_cancelled

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SIDES = ("control", "perturbed")
LEAST_CONTROLS = 20  # cells: below that a percentile or a z says nothing


class LabelledRun(CellRun, Protocol):
    """A run with cells and their label images."""

    def cell_labels(self, well: str, field: Any = None) -> npt.NDArray[np.int32]:
        """Label image of a field, (Y, X)."""

    def patch_tokens(self, well: str, field: Any, patches: Ints, cancel: Any = None) -> npt.NDArray[Any]:
        """Whitened tokens of some patches of a field, (n, p)."""


@dataclass(frozen=True, eq=False)
class CellReference:
    """The cells of a run, and what is usual among those of its control wells.

    Attributes
    ----------
    run : Run
        The run.
    cells : DataFrame
        As `Run.cells` gives it.
    codes : scipy.sparse.csr_matrix (cells, features)
        As `Run.cell_codes` gives them.
    side : ndarray (cells,) int8
        0: of a control well, 1: of a perturbed well, -1: of another.
    mean, spread : ndarray (features,)
        Mean and standard deviation of every feature over the control cells, those without it counted as 0.
    active : ndarray (features,)
        Share of control cells that have the feature.
    wells : dict
        Names of the wells of each side, ``control`` and ``perturbed``.
    looks : Looks or None
        What tells perturbed from control cells; None where no perturbed wells were given.
    """

    run: LabelledRun
    cells: pd.DataFrame
    codes: csr_matrix
    side: npt.NDArray[np.int8]
    mean: Floats
    spread: Floats
    active: Floats
    wells: dict[str, tuple[str, ...]]
    looks: Looks | None
    _norms: npt.NDArray[np.float32]
    _sorted: npt.NDArray[np.float32]  # values of control cells, feature after feature, ascending
    _starts: Ints
    _of_side: tuple[tuple[Ints, csr_matrix], ...]

    @property
    def n_controls(self) -> int:
        """Number of control cells."""
        return len(self._of_side[0][0])

    def percentile(self, features: Ints, values: Floats) -> Floats:
        """Give the percentile of a feature's value among the control cells, ties counted half.

        Parameters
        ----------
        features, values : ndarray (k,)
            Features and a cell's values.

        Returns
        -------
        ndarray (k,)
            0 to 100; NaN with fewer than twenty control cells.
        """
        n = self.n_controls
        if n < LEAST_CONTROLS:
            return np.full(len(features), np.nan)
        out = np.empty(len(features))
        for place, (feature, value) in enumerate(zip(features, values, strict=True)):
            column = self._sorted[self._starts[feature] : self._starts[feature + 1]]
            below, upto = (int(np.searchsorted(column, np.float32(value), side=side)) for side in ("left", "right"))
            silent = n - len(column)  # cells without the feature have 0
            below += silent if value > 0 else 0
            upto += silent if value >= 0 else 0
            out[place] = 50.0 * (below + upto) / n
        return out

    def z(self, features: Ints, values: Floats) -> Floats:
        """Give values in standard deviations of the control cells; NaN where these do not vary or are too few."""
        if self.n_controls < LEAST_CONTROLS:
            return np.full(len(features), np.nan)
        spread = self.spread[features]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(spread > 0, (values - self.mean[features]) / spread, np.nan)

    def nearest(self, cell: int, side: str, count: int = 6, per_well: int = 2) -> pd.DataFrame:
        """Find the cells of a side with the most similar codes, every cell of it looked at.

        Parameters
        ----------
        cell : int
            Index in `cells`.
        side : {"control", "perturbed"}
            The wells to look in.
        count, per_well : int
            So many cells, at most so many of a well, the cell itself aside.

        Returns
        -------
        DataFrame
            Index ``cell``; ``well``, ``field``, ``label``, ``y``, ``x``, and ``similarity``: the cosine of the codes.
            Empty for a cell without any feature.
        """
        rows, codes = self._of_side[SIDES.index(side)]
        mine = self.codes[cell]
        size = float(np.linalg.norm(mine.data)) if mine.nnz else 0.0
        columns = ["well", "field", "label", "y", "x"]
        if size == 0 or not len(rows):
            return self.cells.iloc[:0][columns].assign(similarity=np.zeros(0))
        wanted = np.zeros(codes.shape[1], np.float32)
        wanted[mine.indices] = mine.data / size
        similarity = np.asarray(codes @ wanted) / np.maximum(self._norms[rows], np.float32(1e-12))
        similarity[rows == cell] = -np.inf
        kept: list[int] = []
        wells = self.cells["well"].to_numpy()
        seen: dict[str, int] = {}
        top = min(len(rows), max(count * per_well * 8, 64))
        while len(kept) < count:
            order = np.argpartition(-similarity, top - 1)[:top]
            order = order[np.lexsort((rows[order], -similarity[order]))]
            kept, seen = [], {}
            for place in order[np.isfinite(similarity[order])]:
                well = str(wells[rows[place]])
                if seen.get(well, 0) < per_well:
                    kept.append(int(place))
                    seen[well] = seen.get(well, 0) + 1
                if len(kept) == count:
                    break
            if top == len(rows):
                break
            top = min(len(rows), 4 * top)
        found = self.cells.iloc[rows[kept]][columns]
        return found.assign(similarity=similarity[kept].astype(np.float64))


def cell_reference(
    run: LabelledRun,
    controls: Query | None = None,
    perturbed: Query | None = None,
    *,
    looks: Looks | None = None,
    cancel: CancelCallback | None = None,
) -> CellReference:
    """Prepare what `cell_card` measures a cell against; some seconds for 200,000 cells, then each card is quick.

    Parameters
    ----------
    run : Run
        A run with cells (`add_cells`).
    controls, perturbed : query
        A pandas query over the plate map or a list of wells; controls None takes the run's own, perturbed None leaves
        out what needs a second side.
    looks : Looks, optional
        From `looks` of the same wells; without it cards do not say what a cell looks like.
    cancel : callable, optional
        Asked now and then.

    Returns
    -------
    CellReference

    Raises
    ------
    AnalysisError
        Where a query holds for no well, the sides share wells, or no well has cells.

    Notes
    -----
    Without any control cell (labels of one field alone, say) cards tell the features and no percentiles.
    """
    cells, codes = run.cells(), run.cell_codes()
    wells: dict[str, tuple[str, ...]] = {"control": (), "perturbed": ()}
    for name, query in zip(SIDES, (controls, perturbed), strict=True):
        if name == "control" or query is not None:
            (found,), _ = select([run], [run.plate_name], query, name)
            wells[name] = tuple(found)
    both = sorted(set(wells["control"]) & set(wells["perturbed"]))
    if both:
        raise AnalysisError(f"wells {', '.join(both)} are both control and perturbed; change a query")
    side = np.full(len(cells), -1, np.int8)
    for number, name in enumerate(SIDES):
        side[cells["well"].isin(wells[name]).to_numpy()] = number
    if not len(cells):
        raise AnalysisError(f"no well of {run.plate_name} has cells; look at run.cells_skipped()")
    check_cancelled(cancel)
    parts = []
    for number in range(len(SIDES)):
        rows = np.flatnonzero(side == number)
        parts.append((rows, codes[rows]))
    control = parts[0][1].tocsc()
    control.eliminate_zeros()
    starts = control.indptr.astype(np.intp)
    ordered = control.data.astype(np.float32)
    for feature in range(control.shape[1]):
        ordered[starts[feature] : starts[feature + 1]].sort()
    check_cancelled(cancel)
    n = max(1, control.shape[0])
    mean = np.asarray(control.sum(axis=0), np.float64).ravel() / n
    square = np.asarray(control.multiply(control).sum(axis=0), np.float64).ravel() / n
    norms = np.sqrt(np.asarray(codes.multiply(codes).sum(axis=1), np.float64).ravel()).astype(np.float32)
    return CellReference(
        run, cells, codes, side, mean, np.sqrt(np.maximum(square - mean**2, 0.0)), np.diff(starts) / n, wells, looks,
        norms, ordered, starts, tuple(parts),
    )  # fmt: skip
