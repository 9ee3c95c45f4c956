"""`compare_lenses`: two dictionaries or encoders side by side, over the same wells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.bootstrap import Interval, percentile_interval
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.lens_labels import Wells, gather_wells
from napari_phenolens.analysis.lens_matching import by_activity, by_atoms, paired
from napari_phenolens.analysis.lens_measures import over_wells
from napari_phenolens.analysis.lens_report import FIELDS, DictionaryReport, measured
from napari_phenolens.analysis.lens_structure import same_space
from napari_phenolens.analysis.metrics import METRICS
from napari_phenolens.analysis.protocol import Query, RunLike
from napari_phenolens.analysis.rendering import Place, fitted_wells, sample_fields
from napari_phenolens.analysis.sides import as_runs
from napari_phenolens.analysis.telling import half_sampled
from napari_phenolens.progress import CancelCallback, ProgressCallback

WHITENED = ("cosine", "fvu", "shrinkage", "cosine_set_aside", "fvu_set_aside")  # within one whitening alone


@dataclass(frozen=True)
class LensComparison:
    """Two lenses side by side.

    Attributes
    ----------
    table : DataFrame
        A row a metric, index ``metric``: ``group``; for ``a`` and ``b`` the value with ``_low``, ``_high`` and
        ``_null``; ``difference`` (b less a) with ``low`` and ``high`` (95 %) where there is an interval; ``better``
        ("a", "b" or empty: neither, or not certain); ``note``.
    pairs : DataFrame
        Matched features, the most alike first: ``feature_a``, ``feature_b``, ``similarity``, what it is made of, and
        label, selectivity and density on either side. Empty where nothing can be matched.
    matching : dict
        ``by`` (atoms, activity, or empty), ``mean``, ``chance``, ``pairs``, ``above_0.7``, ``reason``.
    verdict : str
        Which lens gives more interpretable features, and how sure that is.
    a, b : DictionaryReport
        Both reports, over the same wells.
    notes : tuple of str
        What to know before believing it.
    """

    table: pd.DataFrame
    pairs: pd.DataFrame
    matching: dict[str, Any]
    verdict: str
    a: DictionaryReport
    b: DictionaryReport
    notes: tuple[str, ...]


def compare_lenses(
    run_a: RunLike,
    run_b: RunLike,
    *,
    column: str | None = None,
    plate: str | None = None,
    wells: Query | None = None,
    fields: int = FIELDS,
    permutations: int = 200,
    seed: int = 0,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> LensComparison:
    """Compare the dictionaries of two runs.

    Parameters
    ----------
    run_a, run_b : Run
        Runs of two lenses, best over one plate: then wells and fields are paired.
    column, plate, wells, fields, permutations, seed, progress, cancel
        See `napari_phenolens.dictionary_report`; without a column there is no verdict.

    Returns
    -------
    LensComparison

    Raises
    ------
    AnalysisError
        Where a run is given twice, or the runs share no wells of one plate.

    Notes
    -----
    The verdict goes by features that tell a label on wells that the label was not chosen on (metric ``telling``): in
    both runs over the same random halves of the same wells, so that their difference has an interval. It is over wells.
    A fit with another seed differs too: for a claim about a method, compare runs of several seeds.
    """
    as_runs([run_a])
    if run_a is run_b or (getattr(run_a, "path", 1) == getattr(run_b, "path", 2)):
        raise AnalysisError("both runs are the same; give the runs of two lenses")
    runs = (run_a, run_b)
    one_plate = run_a.plate_name == run_b.plate_name
    chosen = _wells(runs, column, plate, wells, one_plate)
    samples = _samples(runs, chosen, fields, one_plate)
    a, b = (
        measured(
            [run], [run.plate_name], here, sample, column=column, plate=plate, permutations=permutations, seed=seed,
            progress=progress, cancel=cancel,
        )
        for run, here, sample in zip(runs, chosen, samples, strict=True)
    )  # fmt: skip
    notes = _notes(runs, a, b, one_plate)
    space = same_space(run_a.lens, run_b.lens)
    table = _table(a, b, space, run_a.lens, run_b.lens)
    pairs, matching = _pairs(runs, chosen, (a, b), samples[0][0], space, one_plate, seed, cancel)
    verdict = _verdict(table, a, b, column)
    return LensComparison(table, pairs, matching, verdict, a, b, tuple(notes))


def _wells(
    runs: tuple[RunLike, RunLike], column: str | None, plate: str | None, wells: Query | None, one_plate: bool
) -> tuple[Wells, Wells]:
    """Wells with a profile: of one plate those that both runs have."""
    first, second = (gather_wells([run], column, plate, wells) for run in runs)
    if not one_plate:
        return first, second
    both = [well for _, well in first.names if well in {w for _, w in second.names}]
    if not both:
        raise AnalysisError(f"the runs of {runs[0].plate_name} share no well with a profile; nothing can be compared")
    if len(both) < max(len(first.names), len(second.names)):
        first, second = (gather_wells([run], column, plate, both) for run in runs)
    return first, second


def _samples(
    runs: tuple[RunLike, RunLike], chosen: tuple[Wells, Wells], fields: int, one_plate: bool
) -> list[tuple[list[Place], str]]:
    """Fields whose tokens are read: of one plate the same of both runs, held out from both lenses where that can be."""
    if not one_plate:
        return [sample_fields([run], here.names, fields) for run, here in zip(runs, chosen, strict=True)]
    fitted = [set().union(*(fitted_wells(run) for run in runs))]
    first, note = sample_fields([runs[0]], chosen[0].names, fields, fitted)
    there = [place for place in first if place[2] in runs[1].fields(place[1])]
    return [(there, note), (there, note)]


def _notes(runs: tuple[RunLike, RunLike], a: DictionaryReport, b: DictionaryReport, one_plate: bool) -> list[str]:
    said = [list(report.facts["notes"]) for report in (a, b)]
    notes = [note for note in said[0] if note in said[1]]
    notes += [f"{name}: {note}" for name, mine in zip("AB", said, strict=True) for note in mine if note not in notes]
    if not one_plate:
        notes.append(
            f"The runs are of two plates ({runs[0].plate_name}, {runs[1].plate_name}): no figure is paired, and "
            "differences between the plates count as differences between the lenses."
        )
    l0 = [rows_of(report)["l0"]["value"] for report in (a, b)]
    if abs(l0[0] - l0[1]) > 0.1 * max(l0):
        notes.append(
            f"Not at the same sparsity: {l0[0]:.1f} features a unit in A, {l0[1]:.1f} in B. More features render a "
            "unit better and are harder to read."
        )
    sizes = [report.facts["atoms"] for report in (a, b)]
    if sizes[0] != sizes[1]:
        notes.append(f"Not of one size: {sizes[0]} features in A, {sizes[1]} in B. Look at shares, not at counts.")
    notes.append(
        "Intervals are over wells. Fits with other seeds differ too: for a claim about a method, compare several."
    )
    return notes


def _table(a: DictionaryReport, b: DictionaryReport, space: bool, one: Any, other: Any) -> pd.DataFrame:
    """Both reports' figures side by side with their differences."""
    intervals = _differences(a, b)
    encoder = (one.encoder_sha256, one.block, one.channels) == (other.encoder_sha256, other.block, other.channels)
    rows = {}
    of_a, of_b = rows_of(a), rows_of(b)
    for name, metric in METRICS.items():
        first, second = of_a[name], of_b[name]
        row: dict[str, Any] = {"group": metric.group}
        for side, values in (("a", first), ("b", second)):
            row |= {side: values["value"]} | {f"{side}_{k}": values[k] for k in ("low", "high", "null")}
        notes = [f"{side}: {values['note']}" for side, values in (("A", first), ("B", second)) if values["note"]]
        if first["note"] == second["note"]:
            notes = [first["note"]] if first["note"] else []
        comparable = space if name in WHITENED else encoder if name == "fvu_tokens" else True
        interval = intervals.get(name)
        row["difference"] = second["value"] - first["value"] if comparable else np.nan
        if not comparable:
            notes.insert(0, "not comparable: over other " + ("tokens" if name == "fvu_tokens" else "whitenings"))
        row["low"], row["high"] = (interval.low, interval.high) if interval and comparable else (np.nan, np.nan)
        row["better"] = _better(metric.better, row["low"], row["high"])
        row["note"] = "; ".join(notes)
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")


def _better(way: str, low: float, high: float) -> str:
    if not way or not np.isfinite([low, high]).all() or low <= 0 <= high:
        return ""
    return "b" if (low > 0) == (way == "higher") else "a"


def _differences(a: DictionaryReport, b: DictionaryReport) -> dict[str, Interval]:
    """Intervals of b less a: by wells drawn alike for both, and over the same halves of the same wells."""
    found: dict[str, Interval] = {}
    one, other = a.rendering, b.rendering
    if one is not None and other is not None and one.wells == other.wells and len(one.wells) > 1:
        first, second = over_wells(one.white), over_wells(other.white)
        draws = {name: second[name] - first[name] for name in ("cosine", "fvu", "shrinkage")}
        draws["fvu_tokens"] = over_wells(other.tokens)["fvu"] - over_wells(one.tokens)["fvu"]
        found |= {name: percentile_interval(values[1:], values[0]) for name, values in draws.items()}
    if a.telling is not None and b.telling is not None:
        if a.facts["labels"] == b.facts["labels"] and a.facts["plates"] == b.facts["plates"]:
            found["telling"] = half_sampled(b.telling.counts - a.telling.counts)
            shares = b.telling.counts / max(b.telling.active, 1) - a.telling.counts / max(a.telling.active, 1)
            found["telling_share"] = half_sampled(shares)
        else:  # two plates: the halves have nothing to do with each other
            found["telling"] = _apart(a, b, "telling")
            found["telling_share"] = _apart(a, b, "telling_share")
    return found


def _apart(a: DictionaryReport, b: DictionaryReport, name: str) -> Interval:
    """Interval of the difference of two independent figures."""
    first, second = rows_of(a)[name], rows_of(b)[name]
    half = float(np.hypot(first["high"] - first["value"], second["high"] - second["value"]))
    gap = float(second["value"] - first["value"])
    return Interval(gap, gap - half, gap + half)


def _pairs(
    runs: tuple[RunLike, RunLike], wells: tuple[Wells, Wells], reports: tuple[DictionaryReport, DictionaryReport],
    places: list[Place], space: bool, one_plate: bool, seed: int, cancel: CancelCallback | None,
) -> tuple[pd.DataFrame, dict[str, Any]]:  # fmt: skip
    """Match the features, by their atoms where both live in one space, else by what they do."""
    from napari_phenolens.dictionary.stability import correlations

    features = reports[0].features, reports[1].features
    if space:
        matching, chance = by_atoms(runs[0].lens.dictionary, runs[1].lens.dictionary, seed)
        enough = one_plate and len(wells[0].names) >= 3
        more = {"wells": correlations(wells[0].profiles, wells[1].profiles)} if enough else {}
        by = "atoms"
    elif one_plate and len(wells[0].names) >= 3 and (places := places or _fallback(runs[0], wells[0])):
        matching, chance, well, spatial = by_activity(runs, wells, places, seed=seed, cancel=cancel)
        more, by = {"wells": well, "places": spatial}, "activity"
    else:
        reason = "the lenses live in different spaces, and there are no three wells of one plate that both have"
        return pd.DataFrame(columns=["feature_a", "feature_b", "similarity"]), {"by": "", "reason": reason}
    similar = matching.similarity
    facts = {
        "by": by, "pairs": len(similar), "mean": float(similar.mean()), "chance": chance,
        "above_0.7": int((similar > 0.7).sum()), "reason": "",
    }  # fmt: skip
    return paired(matching, features, more), facts


def _fallback(run: RunLike, wells: Wells) -> list[Place]:
    """Fields for matching where no tokens were to be read: codes need none."""
    return sample_fields([run], wells.names, FIELDS)[0]


def _verdict(table: pd.DataFrame, a: DictionaryReport, b: DictionaryReport, column: str | None) -> str:
    """Say which lens gives more interpretable features."""
    rows: dict[Any, Any] = table.to_dict("index")
    count, share = rows["telling"], rows["telling_share"]
    if not np.isfinite([count["a"], count["b"]]).all():
        return f"Which lens gives more interpretable features cannot be told: {count['note']}."
    said = (
        f"Features that tell a value of {column!r} on wells it was not chosen on: A {_of(count, 'a')} of "
        f"{a.facts['atoms']}, B {_of(count, 'b')} of {b.facts['atoms']} (labels shuffled: {count['a_null']:.0f} and "
        f"{count['b_null']:.0f}); B less A {count['difference']:+.0f} [{count['low']:+.0f}, {count['high']:+.0f}]."
    )
    if not count["better"] and not share["better"]:
        return f"Neither lens gives more interpretable features with certainty. {said}"
    if count["better"] == share["better"]:
        return f"Lens {count['better'].upper()} gives more interpretable features. {said}"
    if count["better"] and share["better"]:
        return (
            f"Lens {count['better'].upper()} gives more interpretable features, lens {share['better'].upper()} the "
            f"larger share of them. {said}"
        )
    which, by = (count, "number") if count["better"] else (share, "share of active features")
    return f"Lens {which['better'].upper()} gives more interpretable features by {by} alone. {said}"


def rows_of(report: DictionaryReport) -> dict[str, Any]:
    """Give the report's rows by metric."""
    return {str(name): row for name, row in report.table.to_dict("index").items()}


def _of(row: dict[str, Any], side: str) -> str:
    return f"{row[side]:.0f} [{row[f'{side}_low']:.0f}, {row[f'{side}_high']:.0f}]"
