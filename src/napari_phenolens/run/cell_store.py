"""Read the cells that are stored with a run: where they lie, their codes, their measurements, their labels."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens.cells import pooling_weights
from napari_phenolens.run.cell_layout import FOLDER, TABLE, CellPlan, first_row, open_cells
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.files import RunFiles

if TYPE_CHECKING:
    import zarr
    from scipy.sparse import csr_matrix

Doubles = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int32]

_WHOLE = ("label", "y0", "x0", "y1", "x1", "area")
KEPT_BYTES = 96 * 2**20  # of label images kept in memory; a card shows cells of a dozen fields


class CellStore:
    """A run's cells, read once; `CellReader` gives them by the run's names."""

    def __init__(self, run: RunFiles) -> None:
        self.run, self.folder = run, run.path / FOLDER
        self.plan = CellPlan.load(self.folder)
        self._images: dict[tuple[str, int], Labels] = {}
        self.marks: dict[str, dict[str, Any]] = {}
        for well in run.plan.wells:
            path = self.folder / "done" / f"{well}.json"
            if path.is_file() and well in run.wells:
                self.marks[well] = json.loads(path.read_text(encoding="utf-8"))

    @cached_property
    def arrays(self) -> dict[str, zarr.Array[Any]]:
        """The zarr arrays by name."""
        return open_cells(self.folder, self.plan)

    def rows(self, name: str, per: str) -> npt.NDArray[Any]:
        """Read all wells' parts of an array, `per` ``cells`` or ``codes``, one after the other."""
        array = self.arrays[name]
        parts = []
        for well, mark in self.marks.items():
            start = first_row(self.plan, name, self.run.plan.wells.index(well))
            parts.append(np.asarray(array[start : start + sum(f[per] for f in mark["fields"])]))
        return np.concatenate(parts) if parts else np.zeros((0, *array.shape[1:]), array.dtype)

    @cached_property
    def fields(self) -> dict[tuple[str, int], tuple[int, int, str]]:
        """First and last row, and name, of every field with cells, by well and place."""
        found, start = {}, 0
        for well, mark in self.marks.items():
            for f in mark["fields"]:
                found[well, f["place"]] = start, start + f["cells"], f["name"]
                start += f["cells"]
        return found

    @cached_property
    def table(self) -> pd.DataFrame:
        """See `CellReader.cells`."""
        values = self.rows("table", "cells")
        counts = [stop - start for start, stop, _ in self.fields.values()]
        names = np.array([[well, name] for (well, _), (_, _, name) in self.fields.items()], dtype=object)
        both = np.repeat(names.reshape(-1, 2), counts, axis=0)
        columns = {name: values[:, i] for i, name in enumerate(TABLE)}
        columns |= {name: columns[name].astype(np.int64) for name in _WHOLE}
        columns["border"] = columns["border"].astype(bool)
        del columns["place"]
        index = pd.RangeIndex(len(values), name="cell")
        return pd.DataFrame({"well": both[:, 0], "field": both[:, 1], **columns}, index=index)

    @cached_property
    def codes(self) -> csr_matrix:
        """See `CellReader.cell_codes`."""
        from scipy.sparse import csr_matrix

        count = self.rows("count", "cells").astype(np.int64)
        pointer = np.concatenate([[0], np.cumsum(count)])
        index = self.rows("index", "codes").astype(np.int32)
        return csr_matrix((self.rows("value", "codes"), index, pointer), shape=(len(count), self.run.n_features))

    @cached_property
    def measurements(self) -> pd.DataFrame:
        """See `CellReader.cell_measurements`."""
        names = list(self.plan.measurements)
        values = self.rows("measured", "cells") if names else np.zeros((len(self.table), 0), np.float32)
        return pd.DataFrame(values, index=self.table.index, columns=names)

    def labels(self, well: str, place: int, shape: tuple[int, int]) -> Labels:
        """Give a field's label image; the last few stay in memory."""
        key = well, place
        image = self._images.get(key)
        if image is None:
            row = self.run.plan.wells.index(well) * self.plan.fields + place
            image = np.asarray(self.arrays["labels"][row, : shape[0], : shape[1]], np.int32)
            image.setflags(write=False)
            while self._images and sum(i.nbytes for i in self._images.values()) + image.nbytes > KEPT_BYTES:
                self._images.pop(next(iter(self._images)), None)
            self._images[key] = image
        return image


class CellReader(RunFiles):
    """The readers of a run's cells."""

    _store: CellStore | None = None

    @property
    def _cells(self) -> CellStore:
        if self._store is None:
            self._store = CellStore(self)
        return self._store

    def forget_cells(self) -> None:
        """Read the cells anew when they are next asked for."""
        self._store = None

    @property
    def has_cells(self) -> bool:
        """Whether cells of some well are stored with the run."""
        return any((self.path / FOLDER / "done").glob("*.json"))

    @property
    def cell_source(self) -> dict[str, Any]:
        """Where the labels come from: ``kind`` is ``segmentation`` (with its settings) or what the user gave."""
        return dict(self._cells.plan.source)

    def cells_given(self, well: str, field: str | int | None = None) -> str:
        """Say what gave this field alone its labels (`put_cells`); empty where they are from `cell_source`."""
        row = self.field_row(well, field)
        fields = self._cells.marks.get(str(row["well"]), {"fields": []})["fields"]
        return next((str(f.get("given", "")) for f in fields if f["place"] == int(row["place"])), "")

    def cells(self) -> pd.DataFrame:
        """Tell where the cells stored with the run lie.

        Returns
        -------
        DataFrame
            Index ``cell``, 0 to n - 1, by well (row-major), field and label. ``well``, ``field``, ``label``, ``y``,
            ``x`` (centroid), ``y0``, ``x0``, ``y1``, ``x1`` (box, ends outside), ``area`` (all in px of the plate's
            field), ``border`` (touches the field's edge), ``foreground`` (share of its area in foreground patches).

        Raises
        ------
        RunError
            Where no cells are stored: see `add_cells`.
        """
        return self._cells.table

    def cell_codes(self) -> csr_matrix:
        """Give every cell's codes: the run's codes under its mask, by the area that it shares with each patch.

        Returns
        -------
        scipy.sparse.csr_matrix (cells, features) float32
            Rows as in `cells`; background patches count with their empty code, as in `explain`.
        """
        return self._cells.codes

    def cell_measurements(self) -> pd.DataFrame:
        """Give the measurable concepts of every cell (see `cells.cell_concepts`), rows as in `cells`."""
        return self._cells.measurements

    def cells_skipped(self) -> pd.DataFrame:
        """Give the fields whose cells could not be stored: well, field, reason."""
        rows = [{"well": w, **s} for w, mark in self._cells.marks.items() for s in mark["skipped"]]
        return pd.DataFrame(rows, columns=["well", "field", "reason"])

    def cell_labels(self, well: str, field: str | int | None = None) -> Labels:
        """Give a field's cells as a label image, ``(Y, X)`` int32 in px of the plate's field, read-only.

        Raises
        ------
        RunError
            Where there is no such field, or its cells were not stored.
        """
        return self._labels_of(self._cells_of(well, field)[0])

    def cell_at(self, well: str, field: str | int | None, at: tuple[float, float]) -> int | None:
        """Give the cell (its index in `cells`) at ``(y, x)`` in field pixels; None where there is none."""
        row, rows = self._cells_of(well, field)
        labels = self._labels_of(row)
        y, x = (int(np.floor(v + 0.5)) for v in at)
        if not (0 <= y < labels.shape[0] and 0 <= x < labels.shape[1]) or labels[y, x] == 0:
            return None
        of_field = self.cells()["label"].to_numpy()[rows.start : rows.stop]
        return rows.start + int(np.searchsorted(of_field, labels[y, x]))

    def cell_weights(self, well: str, field: str | int | None = None) -> csr_matrix:
        """Give what each square of a field's heatmap counts for each of its cells.

        Returns
        -------
        scipy.sparse.csr_matrix (cells of the field, h * w)
            Shares of area, rows sum to one, in the order of `cells`: ``weights @ heatmap.ravel()`` is the mean of a
            heatmap under every cell.
        """
        row, _ = self._cells_of(well, field)
        return pooling_weights(self._labels_of(row), float(row["scale"]), (int(row["h"]), int(row["w"])))

    def cell_tokens(self, well: str, field: str | int | None = None) -> Doubles:
        """Give the mean whitened, un-normed token under each cell of a field, ``(cells of the field, p)``.

        Tokens come from the token store or are encoded again, see `tokens`.

        Raises
        ------
        RunError
            Where they can be had from neither, or the unit is the crop, whose squares are no patches.
        """
        if self.unit == "crop":
            raise RunError(
                "the unit of this run is the crop: cells have no tokens of their own; use a run over patches"
            )
        tokens = self.tokens(well, field)  # type: ignore[attr-defined]
        weights = self.cell_weights(well, field)
        return np.asarray(weights @ tokens.reshape(-1, tokens.shape[-1]).astype(np.float64))

    def cell_alignment(
        self, well: str, field: str | int | None = None, features: npt.ArrayLike | None = None
    ) -> pd.DataFrame:
        """Give how far the cells of a field point along features: `cell_tokens` times the atoms.

        The mean of a feature's alignment map under a cell, by area, is the cell's alignment.

        Returns
        -------
        DataFrame
            Index ``cell`` as in `cells`, a column a feature.
        """
        _, rows = self._cells_of(well, field)
        chosen = np.arange(self.n_features) if features is None else np.atleast_1d(np.asarray(features, np.intp))
        atoms = self.lens.dictionary.atoms[chosen]
        values = self.cell_tokens(well, field) @ atoms.T.astype(np.float64)
        return pd.DataFrame(values, index=pd.RangeIndex(rows.start, rows.stop, name="cell"), columns=chosen)

    def _labels_of(self, row: pd.Series[Any]) -> Labels:
        return self._cells.labels(str(row["well"]), int(row["place"]), (int(row["y"]), int(row["x"])))

    def _cells_of(self, well: str, field: str | int | None) -> tuple[pd.Series[Any], range]:
        """Give a field's row of `field_table` and the rows of its cells."""
        row = self.field_row(well, field)
        key = str(row["well"]), int(row["place"])
        found = self._cells.fields.get(key)
        if found is None:
            skipped = self.cells_skipped()
            mine = skipped[(skipped["well"] == key[0]) & (skipped["field"] == row["field"])]
            why = f": {mine['reason'].iloc[0]}" if len(mine) else "; go on with `phenolens cells`"
            raise RunError(f"{self.plate_name} {key[0]}: the cells of field {row['field']} are not stored{why}")
        return row, range(found[0], found[1])
