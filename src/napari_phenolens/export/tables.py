"""Profiles and comparisons as tables that cytomining and scverse tools read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.protocol import RunLike
from napari_phenolens.export.atomic import written_whole
from napari_phenolens.export.errors import ExportError

FORMATS = ("csv", "parquet", "h5ad")
_INSTALL = 'pip install "napari-phenolens[export]"'


def feature_names(n: int) -> list[str]:
    """Give the column names of n features: phenolens_f0000 and on."""
    digits = max(4, len(str(max(n - 1, 0))))
    return [f"phenolens_f{i:0{digits}d}" for i in range(n)]


def profile_table(
    runs: RunLike | Sequence[RunLike], *, per: str = "patch", kind: str = "activation", covariates: bool = True
) -> pd.DataFrame:
    """Make one table of the well profiles of one run or several, in cytomining's conventions.

    Parameters
    ----------
    runs : Run or sequence of Run
        Runs of one lens.
    per, kind : str
        See ``Run.profiles``.
    covariates : bool
        Add the covariates as ``Metadata_Covariate_<name>`` (they are not features).

    Returns
    -------
    DataFrame
        A row a well: ``Metadata_Plate``, ``Metadata_Well`` (zero-padded), the plate map's columns as
        ``Metadata_<column>``, then one numeric column a feature (``phenolens_f0017``). Wells without foreground have
        NaN features.
    """
    from napari_phenolens.analysis.sides import as_runs

    several, plates = as_runs(runs)
    parts = []
    for run, plate in zip(several, plates, strict=True):
        profiles = run.profiles(per=per, kind=kind)
        wells = profiles.index
        about: dict[str, Any] = {"Metadata_Plate": plate, "Metadata_Well": wells.astype(str)}
        metadata = run.metadata.reindex(wells)
        for column in metadata.columns:
            name = _metadata_name(str(column))
            if name not in about:
                about[name] = metadata[column].to_numpy()
        if covariates:
            measured = run.covariates().reindex(wells)
            about |= {f"Metadata_Covariate_{c}": measured[c].to_numpy() for c in measured.columns}
        features = pd.DataFrame(profiles.to_numpy(), columns=feature_names(profiles.shape[1]))
        parts.append(pd.concat([pd.DataFrame(about, index=range(len(wells))), features], axis=1))
    return pd.concat(parts, ignore_index=True)


def _metadata_name(column: str) -> str:
    """Prefix a plate map's column; what has the prefix in any case keeps its rest."""
    bare = re.sub(r"^metadata_", "", column.strip(), flags=re.I)
    known = {"plate": "Plate", "well": "Well"}
    return f"Metadata_{known.get(bare.lower(), bare)}"


def export_tables(
    runs: RunLike | Sequence[RunLike],
    out: str | Path,
    format: str | None = None,
    *,
    per: str = "patch",
    kind: str = "activation",
    covariates: bool = True,
) -> Path:
    """Write the well profiles as one file.

    Parameters
    ----------
    runs : Run or sequence of Run
        Runs of one lens.
    out : str or Path
        The file; written under another name and renamed when it is whole.
    format : {"csv", "parquet", "h5ad"} or None
        None takes it from the name (``.csv``, ``.csv.gz``, ``.parquet``, ``.h5ad``).
    per, kind, covariates
        See `profile_table`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExportError
        For an unknown format, a missing library or a folder that cannot be written to.
    """
    out = Path(out)
    kind_of_file = _format_of(out, format)
    table = profile_table(runs, per=per, kind=kind, covariates=covariates)
    if kind_of_file == "csv":
        with written_whole(out) as part:
            table.to_csv(part, index=False)
    elif kind_of_file == "parquet":
        _need("pyarrow", out)
        with written_whole(out) as part:
            _plain_columns(table).to_parquet(part, index=False, engine="pyarrow")
    else:
        _need("anndata", out)
        with written_whole(out) as part:
            _as_anndata(table, runs, per=per, kind=kind).write_h5ad(part)
    return out


def export_comparison(table: pd.DataFrame, out: str | Path) -> Path:
    """Write a comparison as CSV, and what `compare` says about it (``attrs``) as JSON of the same name.

    Parameters
    ----------
    table : DataFrame
        From `compare`.
    out : str or Path
        The CSV file.

    Returns
    -------
    Path
        The CSV file.
    """
    out = Path(out)
    with written_whole(out.with_suffix(".json")) as part:
        part.write_text(json.dumps(plain(table.attrs), indent=1), encoding="utf-8")
    with written_whole(out) as part:
        table.to_csv(part)
    return out


def plain(value: Any) -> Any:
    """Make a value of JSON's own kinds (infinite and undefined numbers as null)."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _format_of(out: Path, format: str | None) -> str:
    if format is None:
        name = out.name.lower()
        found = next((f for f in FORMATS if name.endswith((f".{f}", f".{f}.gz"))), None)
        if found is None:
            raise ExportError(
                f"{out.name} does not say its format; end it in .csv, .csv.gz, .parquet or .h5ad, or pass format="
            )
        return found
    if format not in FORMATS:
        raise ExportError(f"no format {format!r}; choose one of {', '.join(FORMATS)}")
    return format


def _need(library: str, out: Path) -> None:
    from importlib.util import find_spec

    if find_spec(library) is None:
        raise ExportError(f"writing {out.name} needs {library}, which is not installed: {_INSTALL}")


def _plain_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Turn columns of mixed kinds into text (missing ones stay missing), as typed formats need."""
    out = table.copy()
    for column in out.columns:
        if out[column].dtype == object:
            known = out[column].dropna()
            if not known.map(lambda v: isinstance(v, str)).all():
                out[column] = out[column].map(str, na_action="ignore")
    return out


def _as_anndata(table: pd.DataFrame, runs: RunLike | Sequence[RunLike], *, per: str, kind: str) -> Any:
    """Make an AnnData: X features, obs Metadata, var what is known of each feature, uns the lens."""
    import anndata

    from napari_phenolens.analysis.sides import as_runs

    several, _ = as_runs(runs)
    about = [c for c in table.columns if c.startswith("Metadata_")]
    obs = _plain_columns(table[about])
    for column in obs.columns:
        if obs[column].dtype == object:
            # Text with gaps is written as categories: a gap in plain text has no place in the file.
            obs[column] = pd.Categorical(obs[column])
    obs.index = pd.Index(table["Metadata_Plate"].astype(str) + "_" + table["Metadata_Well"].astype(str), dtype=object)
    features = [c for c in table.columns if c not in set(about)]
    density = np.mean([r.density.reindex(range(len(features))).to_numpy(dtype=np.float64) for r in several], axis=0)
    var = pd.DataFrame(
        {"feature": np.arange(len(features)), "density": density}, index=pd.Index(features, dtype=object)
    )
    uns = {"phenolens": {"per": per, "kind": kind, "lens": json.dumps(lens_summary(several[0].lens))}}
    return anndata.AnnData(X=table[features].to_numpy(dtype=np.float32), obs=obs, var=var, uns=uns)


def lens_summary(lens: Any) -> dict[str, Any]:
    """Give the plain attributes of a lens by name."""
    names = (
        "name", "version", "created", "encoder", "block", "channels", "channel_pooling", "patch", "tile", "margin",
        "pixel_size", "unit", "controls", "fit_plates", "nuclear", "n_features",
    )  # fmt: skip
    found = {name: getattr(lens, name) for name in names if hasattr(lens, name)}
    dictionary = getattr(lens, "dictionary", None)
    for name in ("method", "sparsity", "k", "seed"):
        if hasattr(dictionary, name):
            found[f"dictionary_{name}"] = getattr(dictionary, name)
    whitening = getattr(lens, "whitening", None)
    if hasattr(whitening, "kind"):
        found["whitening"] = getattr(whitening, "kind", None)
    summary: dict[str, Any] = plain(found)
    return summary
