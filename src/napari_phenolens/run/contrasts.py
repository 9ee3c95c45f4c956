"""The contrasts that were tried on a run, kept with it in ``contrasts.json``: who looks often finds something.

napari and the command line write the log; Python functions only read it. A contrast is its two sets of wells: looking
at the same ones again is no second try.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from napari_phenolens.run.errors import RunError
from napari_phenolens.run.json_file import write_json

FILE = "contrasts.json"
SCHEMA = 1
WAIT_S = 5.0  # for another program that writes just now
_COLUMNS = ("contrast", "name", "controls", "perturbed", "picked_after", "by", "first", "last", "times")


def contrast_key(controls: Sequence[str], perturbed: Sequence[str]) -> str:
    """Name a contrast by its wells, whatever their order."""
    wells = "|".join(",".join(sorted(map(str, side))) for side in (controls, perturbed))
    return hashlib.sha256(wells.encode()).hexdigest()[:12]


def contrasts_tried(run: Any) -> pd.DataFrame:
    """List the contrasts that were tried on a run in napari and on the command line.

    Parameters
    ----------
    run : Run or path
        The run, or its folder.

    Returns
    -------
    DataFrame
        A row a contrast, in the order in which they were tried: ``contrast`` (a key of its wells), ``name``,
        ``controls``, ``perturbed`` (wells), ``picked_after`` (whether wells were picked after seeing values), ``by``
        (napari, command line), ``first``, ``last`` (UTC), ``times``.

    Raises
    ------
    RunError
        Where the log is damaged.
    """
    rows = _read(_path(run))
    return pd.DataFrame([{c: row[c] for c in _COLUMNS} for row in rows], columns=list(_COLUMNS))


def note_contrast(
    run: Any, controls: Sequence[str], perturbed: Sequence[str], *, name: str = "", by: str, picked_after: bool = False
) -> int:
    """Write down that a contrast was tried.

    Parameters
    ----------
    run : Run or path
        The run, or its folder.
    controls, perturbed : sequence of str
        Its wells.
    name : str
        What it is called.
    by : str
        ``"napari"`` or ``"command line"``.
    picked_after : bool
        Whether wells were picked after values had been seen.

    Returns
    -------
    int
        How many contrasts were tried on this run by now, this one among them.

    Raises
    ------
    RunError
        Where the run's folder cannot be written, or the log is damaged; nothing is changed then.
    """
    from filelock import FileLock, Timeout

    path = _path(run)
    try:
        with FileLock(path.with_name(f".{FILE}.lock"), timeout=WAIT_S):
            rows = _read(path)
            key, now = contrast_key(controls, perturbed), datetime.now(UTC).isoformat(timespec="seconds")
            row = next((r for r in rows if r["contrast"] == key), None)
            if row is None:
                row = {
                    "contrast": key, "controls": list(map(str, controls)), "perturbed": list(map(str, perturbed)),
                    "picked_after": picked_after, "by": by, "first": now, "times": 0,
                }  # fmt: skip
                rows.append(row)
            row["name"] = name or row.get("name", "")
            row["picked_after"] = bool(row["picked_after"] or picked_after)
            row["last"], row["times"] = now, int(row["times"]) + 1
            write_json(path, {"schema": SCHEMA, "contrasts": rows})
    except Timeout as error:
        raise RunError(f"{path}: another program has held it for {WAIT_S:.0f} s; close it and try again") from error
    except OSError as error:
        raise RunError(
            f"{path} cannot be written ({error.strerror or error}), so this contrast is not counted; copy the run to "
            "where you may write"
        ) from error
    return len(rows)


def tried_note(tried: int, picked_after: int = 0) -> str:
    """Say how many contrasts were tried; empty for the first one."""
    if tried < 2:
        return ""
    picked = f" ({picked_after} of them with wells picked after looking)" if picked_after else ""
    return (
        f"{tried} contrasts were tried on this run so far{picked}. q counts the features of one contrast and not the "
        f"contrasts: over all of them only about q < {0.05 / tried:.2g} is what q < 0.05 is in one."
    )


def _path(run: Any) -> Path:
    return Path(getattr(run, "path", run)) / FILE


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        rows = json.loads(text)["contrasts"]
        return [{**row} for row in rows if {"contrast", "controls", "perturbed"} <= set(row)]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged ({error}); move it away to count anew") from error
