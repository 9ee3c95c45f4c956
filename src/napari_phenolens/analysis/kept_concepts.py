"""The words of all features of a run, found once and kept with it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import logging
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

from napari_phenolens.analysis.concepts import COLUMNS, concepts
from napari_phenolens.analysis.protocol import Query
from napari_phenolens.analysis.sides import select
from napari_phenolens.progress import CancelCallback

log = logging.getLogger(__name__)

FILE = "concepts.json.gz"
SCHEMA = 2


def kept_concepts(
    run: Any, controls: Query | None = None, *, find: bool = True, cancel: CancelCallback | None = None
) -> pd.DataFrame | None:
    """Give what `concepts` says of all features of a run, from the run's folder where it is kept there.

    Parameters
    ----------
    run : Run
        The run.
    controls : query or None
        Control wells; None takes the run's.
    find : bool
        Whether to find the words where none are kept that fit, and to keep them.
    cancel : callable, optional
        Asked now and then.

    Returns
    -------
    DataFrame or None
        That of ``concepts(run, controls=controls)``, number for number; None where none is kept and `find` is false.
        Words found for other control wells, other cells or fewer wells do not fit. ``attrs`` has ``kept``: whether
        they could be written into the run's folder.

    Raises
    ------
    AnalysisError
        As `concepts`.
    """
    (wells,), _ = select([run], [run.plate_name], controls, "control")
    fits = _rests_on(run, list(wells))
    path = Path(run.path) / FILE
    found = _read(path, fits)
    if found is not None or not find:
        return found
    table = concepts(run, controls=list(wells), cancel=cancel)
    table.attrs["kept"] = True
    try:
        _write(path, fits, table)
    except OSError as error:  # a run on a disk that is read-only: found all the same, and found again next time
        log.warning("%s cannot be written: %s", path, error)
        table.attrs["kept"] = False
    return table


def _rests_on(run: Any, controls: list[str]) -> str:
    """Give a checksum over what words rest on: lens, wells and fields, plate map, control wells, and cells."""
    cells: Any = None
    if getattr(run, "has_cells", False):
        table = run.cells()
        given = [
            (str(well), str(name), run.cells_given(well, name))
            for well, name in table[["well", "field"]].drop_duplicates().itertuples(index=False)
        ]
        cells = (
            run.cell_source,
            len(table),
            table[["y", "x", "area"]].sum().tolist(),
            given,
            list(run.cell_measurements().columns),
        )
    fields = run.field_table  # of a first pass there are fewer
    seen = len(fields), int(fields["foreground"].sum())
    parts = run.lens.fingerprint, list(run.wells), seen, controls, run.metadata.to_csv(), cells
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:24]


def _read(path: Path, fits: str) -> pd.DataFrame | None:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            values = json.load(file)
        if values["schema"] != SCHEMA or values["fits"] != fits:
            return None
        table = pd.read_csv(io.StringIO(values["table"]), float_precision="round_trip", keep_default_na=False,
                            na_values={c: [""] for c in values["numbers"]})  # fmt: skip
        if list(table.columns) != list(COLUMNS):
            return None  # of another version
        table = table.astype(values["types"])
        table.attrs = {**values["about"], "kept": True}
        table.attrs["labels"] = {int(feature): words for feature, words in values["about"]["labels"].items()}
        return table
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zlib.error) as error:
        log.warning("%s: the words kept there cannot be read (%s); they are found again", path, error)
        return None


def _write(path: Path, fits: str, table: pd.DataFrame) -> None:
    about = {name: value for name, value in table.attrs.items() if name != "kept"}
    types = {str(c): str(t) for c, t in table.dtypes.items()}
    values = {
        "schema": SCHEMA, "fits": fits, "about": about, "types": types,
        "numbers": [c for c in table.columns if pd.api.types.is_numeric_dtype(table[c])],
        "table": table.to_csv(index=False, float_format="%.17g"),
    }  # fmt: skip
    part = path.with_name(f"{path.name}.part")
    with gzip.open(part, "wt", encoding="utf-8", compresslevel=5) as file:
        json.dump(values, file, default=str)
    part.replace(path)
