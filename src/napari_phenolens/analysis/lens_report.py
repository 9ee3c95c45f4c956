"""`dictionary_report`: what a run's dictionary is worth, figures with their nulls, or why one cannot be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis import lens_measures as measures
from napari_phenolens.analysis import lens_structure as structure
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.lens_labels import Wells, gather_wells
from napari_phenolens.analysis.metrics import Findings
from napari_phenolens.analysis.protocol import Floats, Query, RunLike
from napari_phenolens.analysis.rendering import IN_SAMPLE, Place, Rendering, render, sample_fields
from napari_phenolens.analysis.sides import as_runs
from napari_phenolens.analysis.telling import Telling
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import CancelCallback, Progress, ProgressCallback, check_cancelled

FIELDS = 24  # whose tokens are read
REFIT_TOKENS = 60_000
NO_TOKENS = "codes are of whole {}s, whose tokens the run does not keep"


@dataclass(frozen=True)
class DictionaryReport:
    """What a dictionary is worth.

    Attributes
    ----------
    table : DataFrame
        A row a metric, index ``metric`` (see `napari_phenolens.analysis.METRICS` for what each means): ``group``,
        ``value``, ``low`` and ``high`` (95 %), ``null`` (what chance gives), ``p``, ``note``. Where a figure cannot be
        had the value is NaN and the note says why.
    features : DataFrame
        A row a feature, index ``feature``: ``density``, and as far as they could be had ``label``, ``selectivity``,
        ``selectivity_p``, ``maximal_selectivity``, ``maximal_p``, ``selective``, ``held_out_auroc``,
        ``monosemanticity`` with ``_null`` and ``_p``, ``row_r2`` ... ``count_r2`` with ``_p``, ``technical``,
        ``nuisance``, ``technical_r2``, ``stability``, ``stability_lowest``, ``level``, ``parent``, ``containment``,
        ``lift``, ``inclusion``, ``interpretable``.
    usage : DataFrame
        Features by how often they are active, see `napari_phenolens.dictionary.usage_histogram`.
    spectrum : DataFrame or None
        See `Whitening.diagnosis`.
    probes, tree : DataFrame or None
        All probes; the finer features of a nested dictionary with their parents.
    facts : dict
        What it is of: plates, lens, column, labels and their wells, fields sampled, what to know about it (``notes``).
    telling : Telling or None
        Features that tell a label, split by split.
    rendering : Rendering or None
        Sums over the sampled fields, well by well.
    """

    table: pd.DataFrame
    features: pd.DataFrame
    usage: pd.DataFrame
    spectrum: pd.DataFrame | None
    probes: pd.DataFrame | None
    tree: pd.DataFrame | None
    facts: dict[str, Any]
    telling: Telling | None = field(repr=False, default=None)
    rendering: Rendering | None = field(repr=False, default=None)


def dictionary_report(
    runs: RunLike | Sequence[RunLike],
    *,
    column: str | None = None,
    plate: str | None = None,
    wells: Query | None = None,
    others: Sequence[Any] = (),
    refits: int = 0,
    embeddings: pd.DataFrame | None = None,
    fields: int = FIELDS,
    permutations: int = 200,
    seed: int = 0,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> DictionaryReport:
    """Measure a run's dictionary.

    Parameters
    ----------
    runs : Run or sequence of Run
        A run, or several of one lens (a run is a plate).
    column : str, optional
        The plate map's column whose values features should be selective for; without it there are no figures of
        selectivity and no probes.
    plate : str, optional
        A column that tells plates, batches or scanners apart; a run is a plate by default. Labels are shuffled within.
    wells : query, optional
        These wells only.
    others : sequence of Run, Lens or path
        Lenses fitted on the same tokens with other seeds, for the stability.
    refits : int
        Fit so many dictionaries with other seeds on sampled tokens, for the stability; takes minutes each.
    embeddings : DataFrame, optional
        Images as somebody else sees them, for the monosemanticity: index well (of one run) or (well, field), a column a
        dimension. By default the plain measurements of each field: cell count, nuclear area, intensities, focus.
    fields : int
        Fields whose tokens are read, from the token store or encoded again.
    permutations : int
        Shuffles of every null.
    seed : int
        Of shuffles and splits.
    progress, cancel : callable, optional
        See `napari_phenolens.progress`.

    Returns
    -------
    DictionaryReport

    Raises
    ------
    AnalysisError
        Where runs do not go together, a column is missing or numbers make no sense.
    Cancelled
        Where the user asked to stop.
    """
    if fields < 0 or refits < 0 or permutations < 1:
        raise AnalysisError(
            f"fields={fields}, refits={refits}, permutations={permutations}: give whole numbers from 0, 0 and 1"
        )
    several, plates = as_runs(runs)
    chosen = gather_wells(several, column, plate, wells)
    sample = sample_fields(several, chosen.names, fields)
    return measured(
        several, plates, chosen, sample, column=column, plate=plate, others=others, refits=refits,
        embeddings=embeddings, permutations=permutations, seed=seed, progress=progress, cancel=cancel,
    )  # fmt: skip


def measured(
    several: Sequence[RunLike], plates: Sequence[str], wells: Wells, sample: tuple[Sequence[Place], str], *,
    column: str | None, plate: str | None, others: Sequence[Any] = (), refits: int = 0,
    embeddings: pd.DataFrame | None = None, permutations: int, seed: int, progress: ProgressCallback | None,
    cancel: CancelCallback | None,
) -> DictionaryReport:  # fmt: skip
    """Do what `dictionary_report` does with chosen wells and fields."""
    lens = several[0].lens
    other_lenses = [structure.lens_of(other) for other in others]
    features = pd.DataFrame(index=pd.RangeIndex(several[0].n_features, name="feature"))
    found = Findings()
    stages = iter(range(1, 7))

    def step(what: str) -> None:
        check_cancelled(cancel)
        if progress is not None:
            progress(Progress("report", next(stages), 6, what))

    places, note = sample
    rendering, why = None, "no field was to be read (fields=0)"
    unit = str(getattr(several[0], "unit", "patch"))
    if unit != "patch":
        why = NO_TOKENS.format(unit)
    elif places:
        keep = REFIT_TOKENS if refits else 0
        rendering = render(several, places, keep=keep, progress=progress, cancel=cancel)
    step("reconstruction and use")
    count = "" if rendering is None else f"{len(rendering.places)} fields, {sum(t.n for t in rendering.white):,} tokens"
    measures.reconstruction(found, lens, rendering, why, f"{note}; {count}")
    histogram = measures.use(found, features, _density(several))
    step("stability")
    fitted = []
    if refits and rendering is not None and len(rendering.rows) >= 2:
        fitted = structure.refitted(lens, rendering.rows, refits, progress, cancel)
    about = f"of them {len(fitted)} fitted on {0 if rendering is None else len(rendering.rows):,} sampled tokens"
    structure.stability(found, features, lens, other_lenses, fitted, about)
    step("technical features")
    measures.technical(found, features, several, wells, permutations, seed)
    step("selectivity")
    telling = measures.interpretability(found, features, wells, permutations, seed)
    measures.monosemanticity(found, features, *_images(several, embeddings), permutations, seed)
    measures.passing(found, features)
    step("probes")
    probed = measures.probes(found, lens, wells, _mean_tokens(several, wells), seed)
    step("whitening and hierarchy")
    spectrum = structure.whitening(found, lens)
    sampled = None
    if lens.dictionary.levels is not None:
        sampled = _codes(several, places or sample_fields(several, wells.names, FIELDS)[0], cancel)
    tree = structure.hierarchy(found, features, lens, sampled, permutations, seed, note)
    facts = _facts(several, plates, lens, wells, column, plate, seed, permutations)
    facts |= {"fields": 0 if rendering is None else len(rendering.places), "tokens": note}
    missing = rendering.missing if rendering is not None else ""
    facts["notes"] = [*wells.notes, *([f"tokens could not be had: {missing}"] if missing else [])]
    if note == IN_SAMPLE:
        facts["notes"].append(
            "The dictionary was fitted on tokens of these very wells: cosine and unexplained variance over them are "
            "in-sample. The rows set aside at the fit were not trained on, but lie in the same fields. To hold wells "
            "out, fit on others."
        )
    return DictionaryReport(
        found.table(), features, histogram, spectrum, probed, tree, facts, telling, rendering
    )  # fmt: skip


def _density(runs: Sequence[RunLike]) -> Floats:
    """Share of all runs' foreground units in which each feature is active."""
    weights = [float(run.field_table["foreground"].sum()) if hasattr(run, "field_table") else 1.0 for run in runs]
    rows = [run.density.to_numpy(np.float64) for run in runs]
    return np.asarray(np.average(rows, axis=0, weights=weights))


def _images(runs: Sequence[RunLike], embeddings: pd.DataFrame | None) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Activations and independent embeddings of images, and what these are."""
    if embeddings is not None:
        if len(runs) > 1:
            raise AnalysisError("embeddings are of one run; give one")
        activations = runs[0].field_profiles() if embeddings.index.nlevels == 2 else runs[0].profiles()  # type: ignore[attr-defined]
        return activations, embeddings, "the embeddings given"
    from napari_phenolens.run.field_facts import field_covariates

    activations = [run.field_profiles() for run in runs]  # type: ignore[attr-defined]
    seen = [field_covariates(run) for run in runs]  # type: ignore[arg-type]
    keys = range(len(runs))
    return pd.concat(activations, keys=keys), pd.concat(seen, keys=keys), "plain measurements of the fields"


def _mean_tokens(runs: Sequence[RunLike], wells: Wells) -> Floats | None:
    """Mean whitened token of each well, from the sums that the runs keep."""
    if not wells.labels:
        return None
    from napari_phenolens.run.field_facts import mean_tokens

    tables = [mean_tokens(run) for run in runs]  # type: ignore[arg-type]
    return np.stack([tables[i].loc[well].to_numpy(np.float64) for i, well in wells.names])


def _codes(runs: Sequence[RunLike], places: Sequence[Place], cancel: CancelCallback | None) -> tuple[Any, Any, Any]:
    """Codes of the foreground of fields, and which field each is of."""
    index, value, image = [], [], []
    for number, (i, well, name) in enumerate(places):
        check_cancelled(cancel)
        codes = runs[i].codes(well, name)
        here: Any = np.asarray(runs[i].foreground(well, name), bool).ravel()
        if getattr(runs[i], "unit", "patch") == "cell":  # codes are of cells, the foreground is painted
            here = np.any(codes[1], axis=1)
        index.append(np.asarray(codes[0])[here])
        value.append(np.asarray(codes[1])[here])
        image.append(np.full(int(here.sum()), number))
    return np.concatenate(index), np.concatenate(value), np.concatenate(image)


def _facts(
    runs: Sequence[RunLike], plates: Sequence[str], lens: Any, wells: Wells, column: str | None, plate: str | None,
    seed: int, permutations: int,
) -> dict[str, Any]:  # fmt: skip
    dictionary = lens.dictionary
    try:
        name = str(runs[0].path)  # type: ignore[attr-defined]
    except (AttributeError, PhenoLensError):
        name = plates[0]
    counts = np.bincount(wells.label[wells.labelled], minlength=len(wells.labels))
    return {
        "run": name,
        "plates": list(plates),
        "encoder": lens.encoder,
        "block": lens.block,
        "unit": getattr(lens, "unit", "patch"),
        "method": dictionary.method,
        "atoms": dictionary.m,
        "sparsity": list(dictionary.sparsity),
        "levels": list(dictionary.levels) if dictionary.levels is not None else None,
        "whitening": lens.whitening.kind,
        "wells": len(wells.names),
        "column": column,
        "plate": plate,
        "labels": {label: int(n) for label, n in zip(wells.labels, counts, strict=True)},
        "seed": seed,
        "permutations": permutations,
    }
