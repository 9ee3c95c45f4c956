"""`concepts`: what a feature goes with, in words. Correlates, not causes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.concept_labels import label, supports, words
from napari_phenolens.analysis.concept_synonyms import grouped, synonyms, without_question
from napari_phenolens.analysis.concept_tables import GeneSets, gene_concepts, label_concepts, table_concepts
from napari_phenolens.analysis.concept_ties import tied_with_first, too_few_to_tell
from napari_phenolens.analysis.concept_values import (
    LEAST_WELLS,
    TREATMENT,
    Cells,
    Concept,
    covariate_concepts,
    distinct,
    find_cells,
    map_concepts,
    measured_concepts,
)
from napari_phenolens.analysis.concept_wells import compare_wells, link_wells
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.permutation import benjamini_hochberg
from napari_phenolens.analysis.phenotype import Phenotype
from napari_phenolens.analysis.places import check_feature
from napari_phenolens.analysis.protocol import Floats, Query, RunLike
from napari_phenolens.analysis.sides import select, shorten
from napari_phenolens.progress import CancelCallback

COLUMNS = (
    "feature", "rank", "concept", "kind", "name", "words", "r", "p", "q", "rho", "auroc", "auroc_of", "effect",
    "rho_controls", "rho_within", "p_within", "r_cells", "r_cells_controls", "p_cells_controls", "support", "wells",
    "same_as", "tied",
)  # fmt: skip


def concepts(
    run: RunLike,
    features: Sequence[int] | int | Phenotype | None = None,
    *,
    controls: Query | None = None,
    perturbed: Query | None = None,
    annotations: pd.DataFrame | str | Path | None = None,
    labels: Any = None,
    gene_sets: GeneSets | None = None,
    gene: str | None = None,
    most: int = 5,
    per: str = "patch",
    kind: str = "activation",
    permutations: int = 1000,
    seed: int = 0,
    cancel: CancelCallback | None = None,
) -> pd.DataFrame:
    """Test every feature against every concept that is known, and name the features by the strongest.

    Concepts are: what was measured of the cells that are stored with the run (`cells.cell_concepts`, see `add_cells`),
    the run's covariates, doses and classes of the plate map, and what the caller brings.

    Parameters
    ----------
    run : Run
        The run.
    features : int, sequence of int, Phenotype or None
        The features to give rows of; None gives all. All are tested, so that q is the same whatever is asked for.
        Or the score of a phenotype (see `phenotype`), steadier than any one feature: in the column ``feature`` it is
        called "phenotype", and it has no p and q, since its features were picked on wells of the same plate.
    controls : query or None
        Control wells; None takes the run's.
    perturbed : query or None
        None looks at all wells; else at the control wells and these alone.
    annotations : DataFrame, path or None
        The caller's table of wells or of cells, see `concept_tables.table_concepts`.
    labels : array, Series, DataFrame or None
        The caller's classes (or numbers) of the cells, one a row of ``run.cells()``: cell types, phenotypes.
    gene_sets : mapping, DataFrame, path or None
        For screens of genes: set to genes, see `concept_tables.gene_concepts`.
    gene : str or None
        The plate map's column of genes, for `gene_sets`.
    most : int
        Rows a feature: so many concepts of how cells look and so many of treatment.
    per, kind : str
        Which profiles, see ``Run.profiles``.
    permutations, seed : int
        Shuffles of whole wells.
    cancel : callable, optional
        Asked now and then.

    Returns
    -------
    DataFrame
        A row a feature and concept, the strongest first; columns are explained in docs/concepts.md. ``attrs`` holds
        ``labels`` (feature to words; empty where nothing is significant), ``warnings``, ``tests``, ``wells``,
        ``concepts``, ``permutations``, ``cells``, ``question``: classes of the plate map that are one of the sides
        themselves, which are not offered.

    Raises
    ------
    AnalysisError
        Where a choice names nothing, a table does not fit, or too few wells have a profile.

    Notes
    -----
    After scFeatureLens (Schuster 2024, arXiv 2410.11468), which tests features against gene sets over cells; here the
    well is the unit of every p, and q is Benjamini-Hochberg's over all features and concepts.
    """
    scored = features if isinstance(features, Phenotype) else None
    asked: Any = [] if features is None or scored is not None else np.atleast_1d(np.asarray(features))
    wanted = [check_feature(run, f) for f in asked]
    if scored is not None:
        per, kind = scored.per, scored.kind
    wells, values, control, notes = _wells(run, controls, perturbed, per, kind)
    cells = find_cells(run, wells)
    codes = None if cells is None else run.cell_codes()[cells.rows]  # type: ignore[attr-defined]
    if scored is not None:
        values, codes = _as_feature(scored, values, codes)
    listed, group = _concepts(run, wells, control, cells, annotations, labels, gene_sets, gene)
    listed, question = without_question(listed, control, _second_side(wells, control, perturbed, scored))
    if not listed:
        raise AnalysisError(
            f"nothing is known of the {len(wells)} wells of {run.plate_name} but which side they are on; add cells "
            "(phenolens cells RUN), or give a table of annotations"
        )
    if cells is None:
        notes.append(
            "No cells are stored with this run, so that only covariates, the plate map and what was given are tested; "
            "add them with: phenolens cells RUN"
        )
    table = _test(listed, values, control, group, cells, codes, permutations, seed, cancel)
    notes += too_few_to_tell(table, len(wells))
    kept = table[table["feature"].isin(wanted)] if wanted else table
    if scored is not None:
        kept = kept.assign(feature="phenotype", p=np.nan, q=np.nan)
    named = {f if scored is not None else int(str(f)): label(rows) for f, rows in kept.groupby("feature")}
    shown = kept[kept["rank"] <= most].reset_index(drop=True)
    shown.attrs = {
        "labels": named,
        "warnings": notes,
        "tests": 0 if scored is not None else int(table["p"].notna().sum()),
        "wells": wells,
        "concepts": len(listed),
        "question": question,
        "cells": 0 if cells is None else len(cells.rows),
        "permutations": permutations,
        "seed": seed,
        "per": per,
        "kind": kind,
    }
    return shown


def _wells(
    run: RunLike, controls: Query | None, perturbed: Query | None, per: str, kind: str
) -> tuple[list[str], Floats, np.ndarray[Any, np.dtype[np.bool_]], list[str]]:
    """Choose the wells that have a profile; their profiles, which are controls, and what is odd about them."""
    (left,), _ = select([run], [run.plate_name], controls, "control")
    chosen = set(run.wells)
    if perturbed is not None:
        (right,), _ = select([run], [run.plate_name], perturbed, "perturbed")
        chosen = set(left) | set(right)
    wells = [w for w in run.wells if w in chosen]
    profiles = run.profiles(per=per, kind=kind).reindex(wells).to_numpy(dtype=np.float64)
    whole = np.isfinite(profiles).all(axis=1)
    gone = [w for w, ok in zip(wells, whole, strict=True) if not ok]
    wells = [w for w, ok in zip(wells, whole, strict=True) if ok]
    if len(wells) < LEAST_WELLS:
        raise AnalysisError(
            f"{len(wells)} wells of {run.plate_name} have a profile here; concepts need at least {LEAST_WELLS}: choose "
            "more wells"
        )
    notes = [f"{len(gone)} wells without a profile are left out: {shorten(gone)}."] if gone else []
    return wells, profiles[whole], np.isin(wells, left), notes


def _concepts(
    run: RunLike, wells: list[str], control: Any, cells: Cells | None, annotations: Any, labels: Any, gene_sets: Any,
    gene: str | None,
) -> tuple[list[Concept], Any]:  # fmt: skip
    # what the caller gave comes first: of two concepts with the same values the first stays
    found: list[Concept] = []
    if labels is not None:
        found += label_concepts(run, cells, labels)
    if annotations is not None:
        found += table_concepts(run, wells, cells, annotations)
    if cells is not None:
        found += measured_concepts(run, cells, control)
    found += covariate_concepts(run, wells, cells)
    of_map, group = map_concepts(run, wells, [w for w, is_control in zip(wells, control, strict=True) if is_control])
    found += of_map
    if gene_sets is not None:
        found += gene_concepts(run, wells, gene_sets, gene)
    listed = distinct(found)
    if not listed:
        raise AnalysisError(
            f"nothing is known of the {len(wells)} wells of {run.plate_name} that differs between them; add cells "
            "(phenolens cells RUN), or give a table of annotations"
        )
    return listed, group


def _second_side(wells: list[str], control: Any, perturbed: Query | None, scored: Phenotype | None) -> Any:
    """Say which wells are perturbed: those asked for, or those that a phenotype was found in."""
    if perturbed is not None:
        return ~control
    return np.isin(wells, list(scored.perturbed)) if scored is not None and scored.perturbed else None


def _as_feature(found: Phenotype, values: Floats, codes: Any) -> tuple[Floats, Any]:
    """Give a phenotype's score as if it were the only feature: of wells, and of cells."""
    from scipy.sparse import csr_matrix

    columns = list(found.features)
    wells = ((values[:, columns] - found.origin) @ found.weights)[:, None]
    if codes is None:
        return wells, None
    return wells, csr_matrix((codes[:, columns] @ found.weights - found.origin @ found.weights)[:, None])


def _test(
    listed: list[Concept], values: Floats, control: Any, group: Any, cells: Cells | None, codes: Any,
    permutations: int, seed: int, cancel: CancelCallback | None,
) -> pd.DataFrame:  # fmt: skip
    m, k = values.shape[1], len(listed)
    binary = np.array([c.binary for c in listed])
    matrix = np.stack([c.wells for c in listed], axis=1)
    # shares of cells are numbers over wells
    over_wells = binary & np.array([c.cells is None for c in listed])
    found = link_wells(values, matrix, control, group, permutations=permutations, seed=seed, cancel=cancel)
    auroc, effect = compare_wells(values, matrix, over_wells)
    r_cells, r_controls, p_controls = (np.full((m, k), np.nan) for _ in range(3))
    of_cells = np.array([c.cells is not None for c in listed])
    if cells is not None and of_cells.any():
        from napari_phenolens.analysis.concept_cells import link_cells

        stacked = np.stack([c.cells for c in listed if c.cells is not None], axis=1)
        over = link_cells(codes, cells.well, stacked, binary[of_cells], control)
        auroc[:, of_cells], effect[:, of_cells] = over.auroc, over.effect
        r_cells[:, of_cells], r_controls[:, of_cells] = over.within, over.within_controls
        p_controls[:, of_cells] = over.p_controls
    treatment = np.array([c.kind in TREATMENT for c in listed])
    q = benjamini_hochberg(found.p.ravel()).reshape(m, k)
    rank = _ranked(np.abs(found.r), treatment)
    at = {
        "r": found.r, "p": found.p, "q": q, "rho": found.rho, "auroc": auroc, "effect": effect,
        "rho_controls": found.controls, "rho_within": found.within, "p_within": found.p_within, "r_cells": r_cells,
        "r_cells_controls": r_controls, "p_cells_controls": p_controls, "rank": rank,
    }  # fmt: skip
    text: dict[str, list[Any]] = {
        "concept": [c.key for c in listed], "kind": [c.kind for c in listed], "name": [c.name for c in listed],
        "auroc_of": ["cells" if c.cells is not None else "wells" for c in listed],
        "wells": [int(np.isfinite(c.wells).sum()) for c in listed],
    }  # fmt: skip
    table = pd.DataFrame({name: values.ravel() for name, values in at.items()})
    feature, column = np.divmod(np.arange(m * k), k)
    table["feature"] = feature
    for name, entries in text.items():
        table[name] = pd.Series(entries)[column].to_numpy()
    more, less = ([getattr(listed[j], way) for j in column] for way in ("more", "less"))
    table["words"] = words(np.nan_to_num(found.r.ravel()), more, less)
    table["support"] = supports(
        found.r.ravel(), found.within.ravel(), found.p_within.ravel(), r_controls.ravel(), p_controls.ravel(),
        treatment[column],
    )  # fmt: skip
    leader = grouped(synonyms(matrix, control), rank.astype(np.intp), treatment).ravel()
    table["same_as"] = np.where(leader < 0, "", np.array([c.key for c in listed], object)[leader])
    table["tied"] = tied_with_first(values, matrix, treatment, cancel=cancel).ravel()
    table = table[table["r"].notna()].copy()
    table["_treatment"] = table["kind"].isin(TREATMENT)
    table = table.sort_values(["feature", "_treatment", "rank"], kind="stable")
    table["rank"] = table["rank"].astype(int)
    return table[list(COLUMNS)]


def _ranked(size: Floats, treatment: Any) -> Floats:
    """Place of each concept among those of its family (how cells look, treatment), from 1; the largest |r| first."""
    rank = np.zeros(size.shape)
    for family in (treatment, ~treatment):
        columns = np.flatnonzero(family)
        order = np.argsort(-np.nan_to_num(size[:, columns]), axis=1, kind="stable")
        rank[:, columns] = np.argsort(order, axis=1) + 1
    return rank
