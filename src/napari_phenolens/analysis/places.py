"""Wells, fields and features as people name them, checked against a run."""

from __future__ import annotations

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.protocol import RunLike


def check_well(run: RunLike, well: str) -> str:
    """Give the full name of a well with results (``b7`` -> ``B07``).

    Raises
    ------
    AnalysisError
        Where the run has no results for it.
    """
    from napari_phenolens.plate import well_name

    name = well_name(well)
    if name not in run.wells:
        there = list(run.wells)
        span = f"{there[0]} to {there[-1]}" if there else "none yet"
        raise AnalysisError(
            f"the run of {run.plate_name} has no results for well {name}; it has {len(there)} wells ({span})"
        )
    return name


def check_field(run: RunLike, well: str, field: str | int | None) -> str:
    """Give the name of a well's field.

    Parameters
    ----------
    run : Run
        The run.
    well : str
        A full well name.
    field : str, int or None
        A name, a 0-based place, or None for the first.

    Raises
    ------
    AnalysisError
        Where the well has no such field.
    """
    names = run.fields(well)
    if not names:
        raise AnalysisError(f"well {well} of {run.plate_name} has no field with results")
    if field is None:
        return names[0]
    if isinstance(field, str) and field in names:
        return field
    if isinstance(field, int) or field.isdigit():
        place = int(field)
        if 0 <= place < len(names):
            return names[place]
    raise AnalysisError(
        f"well {well} of {run.plate_name} has no field {field!r}; it has {', '.join(names)} (or 0 to {len(names) - 1})"
    )


def check_feature(run: RunLike, feature: int) -> int:
    """Give the feature as an int.

    Raises
    ------
    AnalysisError
        Where the lens has no such atom.
    """
    if not 0 <= int(feature) < run.n_features:
        raise AnalysisError(f"no feature {feature}; the run of {run.plate_name} has features 0 to {run.n_features - 1}")
    return int(feature)


def check_kind(kind: str, kinds: tuple[str, ...]) -> str:
    """Give the kind.

    Raises
    ------
    AnalysisError
        Where it is none of `kinds`.
    """
    if kind not in kinds:
        raise AnalysisError(f"no kind {kind!r}; choose one of {', '.join(kinds)}")
    return kind
