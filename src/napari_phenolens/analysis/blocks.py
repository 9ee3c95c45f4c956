"""Which block of an encoder says most about a question: linear probes over all blocks in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from napari_phenolens.analysis.block_choice import (
    Curve,
    choose,
    chosen_on_halves,
    curve,
    guessing_limit,
    within_one_se,
)
from napari_phenolens.analysis.probes import FOLDS, REPEATS, divide, probe
from napari_phenolens.analysis.protocol import Bools, Floats, Query
from napari_phenolens.analysis.question import FEW_WELLS, Question, ask
from napari_phenolens.analysis.sides import shorten
from napari_phenolens.analysis.technical import confounded, places
from napari_phenolens.analysis.variance_share import PERMUTATIONS, Shares, variance_shares
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import CancelCallback, Progress, ProgressCallback, check_cancelled

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate


def blocks(
    plates: Plate | Sequence[Plate],
    *,
    controls: Query | None = None,
    perturbed: Query | None = None,
    column: str | None = None,
    wells: Query | None = None,
    group: str | None = None,
    batch: str | None = None,
    encoder: str = "camae-micro",
    channels: Mapping[str, str] | Sequence[str] | None = None,
    channel_pooling: str = "auto",
    normalise: Literal["plate", "field"] = "plate",
    foreground: Literal["auto", "nuclei", "background", "none"] = "auto",
    nuclear: str | None = None,
    fields: int | None = None,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    device: str = "auto",
    weights: str | Path | None = None,
    tokens: str | Path | None = None,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> pd.DataFrame:
    """Probe every block of an encoder: how well its tokens tell classes of wells apart.

    Parameters
    ----------
    plates : Plate or sequence of Plate
        With the same channels.
    controls, perturbed : str or sequence of str, optional
        The two classes: pandas queries over the plate map, or well names. With a `column`, `controls` alone says on
        which wells the pixel rule is fitted (default: all wells of the question).
    column : str, optional
        Instead: a column of the plate map whose values are the classes.
    wells : str or sequence of str, optional
        With a `column`: only these wells.
    group : str, optional
        Column whose wells are never trained and tested on at once: a compound's replicates, ``row``, ``plate``.
        Default: the well.
    batch : str, optional
        Column whose share of the variance is told beside the perturbation's, such as a scanner. Default: the plate.
    encoder, channels, channel_pooling, normalise, foreground, nuclear, device, weights, tokens
        As in `fit_lens`.
    fields : int, optional
        At most so many fields of each well. Default: all.
    folds, repeats : int
        Folds of the cross-validation, and divisions into folds.
    permutations : int
        Shuffles behind the p of the variance shares.
    seed : int
        Of divisions, bootstrap and shuffles.
    progress, cancel : callable, optional
        See `napari_phenolens.progress`.

    Returns
    -------
    DataFrame
        A row a block (index ``block``, 1-based): ``balanced_accuracy`` with its bootstrap band ``low``, ``high`` and
        ``se``; ``within_one_se`` of the best; ``suggested``; ``perturbation_r2``, ``batch_r2`` (own shares of the
        variance of the standardised embeddings, adjusted) with ``perturbation_p``, ``batch_p``, and ``robustness``, the
        first's part of both. ``attrs``: ``suggested``, ``reason``, ``chance``, ``chance_high``, ``classes``,
        ``in_sample`` and ``held_out`` figure of the suggested block, ``encoder``, ``own_block``, ``warnings``.

    Raises
    ------
    AnalysisError
        Where the question cannot be asked, or has too few wells.
    Cancelled
        Where the user asked to stop; wells that are encoded stay.

    Notes
    -----
    Logistic regression on well means of foreground tokens, see `napari_phenolens.analysis.probes.probe`; after the
    block search of Kenyon-Dean et al. 2025 (arXiv 2411.02572) and the probes of Donhauser et al. 2025 (arXiv
    2412.16247). Those take the block with the highest figure; for a plate's few wells this takes the earliest within
    one standard error of it, see `napari_phenolens.analysis.block_choice.choose`.
    """
    from napari_phenolens.run.block_tokens import block_tokens

    several: list[Plate] = list(plates) if isinstance(plates, Sequence) else [plates]
    question = ask(
        several, controls=controls, perturbed=perturbed, column=column, wells=wells, group=group, batch=batch
    )
    found = block_tokens(
        several, question.wells, _controls(several, question, controls, column), encoder=encoder, channels=channels,
        channel_pooling=channel_pooling, pixel_rule=normalise, foreground=foreground, nuclear=nuclear, fields=fields,
        device=device, weights=weights, tokens=tokens, progress=progress, cancel=cancel,
    )  # fmt: skip
    asked = question
    question = asked.keep(found.patches > 0, "having no foreground or no readable field")
    row_of = {well: i for i, well in enumerate(found.wells)}
    kept = [row_of[well] for well in question.wells]
    table = block_table(
        {block: means[kept].astype(np.float64) for block, means in found.means.items()}, question, own=found.own,
        folds=folds, repeats=repeats, permutations=permutations, seed=seed, progress=progress, cancel=cancel,
    )  # fmt: skip
    table.attrs |= {"encoder": found.encoder, "encoder_sha256": found.sha256}
    if found.skipped:
        p, well, field, why = found.skipped[0]
        table.attrs["warnings"].append(
            f"{len(found.skipped)} fields could not be used, for example {asked.name((p, well))} {field}: {why}"
        )
    return table


def _controls(
    plates: Sequence[Plate], question: Question, controls: Query | None, column: str | None
) -> dict[int, list[str]]:
    """Give each plate the wells that its pixel rule is fitted on: its controls, or its wells of the question."""
    found: dict[int, list[str]] = {}
    for p, plate in enumerate(plates):
        mine = [w for q, w in question.wells if q == p]
        own = [w for (q, w), label in zip(question.wells, question.label, strict=True) if q == p and label == 0]
        if column is None:
            found[p] = own or mine
            continue
        try:
            found[p] = plate.select(controls) if controls is not None else mine
        except PhenoLensError:
            if len(plates) == 1:
                raise
            found[p] = mine
    return found


def block_table(
    embeddings: Mapping[int, Floats],
    question: Question,
    *,
    own: int,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> pd.DataFrame:
    """Probe embeddings that are there already; `blocks` encodes a plate and calls this.

    Parameters
    ----------
    embeddings : mapping of int to ndarray (n, d)
        For each block (1-based) a row for each well of the question.
    question : Question
        Wells, classes, groups and batches.
    own : int
        The block that the encoder gives unless told otherwise.
    folds, repeats, permutations, seed, progress, cancel
        As in `blocks`.

    Returns
    -------
    DataFrame
        See `blocks`.
    """
    numbers = sorted(embeddings)
    label, group = question.label, question.group
    right, shares = [], []
    for i, block in enumerate(numbers):
        check_cancelled(cancel)
        if progress is not None:
            progress(Progress("probe", i, len(numbers), f"block {block}"))
        right.append(probe(embeddings[block], label, group, folds=folds, repeats=repeats, seed=seed, cancel=cancel))
        shares.append(
            variance_shares(
                embeddings[block],
                label,
                question.batch,
                batch_name=question.batch_name,
                permutations=permutations,
                seed=seed,
            )
        )
    if progress is not None:
        progress(Progress("probe", len(numbers), len(numbers)))
    outcomes = np.stack(right)
    drawn = curve(outcomes, label, group, seed=seed)
    place_of_own = numbers.index(own) if own in numbers else None
    chance_high = guessing_limit(label, seed=seed)
    place = choose(drawn.score, drawn.se, place_of_own, chance_high)
    near = within_one_se(drawn.score, drawn.se)
    table = pd.DataFrame(
        {
            "balanced_accuracy": drawn.score,
            "low": drawn.low,
            "high": drawn.high,
            "se": drawn.se,
            "within_one_se": near,
            "suggested": np.arange(len(numbers)) == place,
            "perturbation_r2": [s.perturbation.r2 for s in shares],
            "perturbation_p": [s.perturbation.p for s in shares],
            "batch_r2": [s.batch.r2 for s in shares],
            "batch_p": [s.batch.p for s in shares],
            "robustness": [s.robustness for s in shares],
        },
        index=pd.Index(numbers, name="block"),
    )
    table.attrs = {
        "suggested": numbers[place],
        "reason": _reason(numbers, drawn, near, place, place_of_own, chance_high),
        "own_block": own,
        "in_sample": float(drawn.score[place]),
        "held_out": chosen_on_halves(outcomes, label, group, place_of_own, seed=seed),
        "chance": 1 / len(question.classes),
        "chance_high": chance_high,
        "classes": question.counts,
        "group": question.group_name,
        "batch": question.batch_name,
        "folds": len(divide(label, group, folds, seed)),
        "repeats": repeats,
        "warnings": [*question.notes, *_warnings(question, numbers, drawn, chance_high, shares)],
    }
    return table


def _reason(numbers: list[int], drawn: Curve, near: Bools, place: int, own: int | None, guess: float) -> str:
    """Say why this block."""
    best = int(np.argmax(drawn.score))
    if place == own and drawn.score[best] <= guess:
        return "the encoder's own: no block does better than guessing, so the question says nothing about them"
    if near.all():
        what = "the encoder's own" if place == own else "the earliest"
        return f"{what}: all blocks lie within one standard error of the best, so the question does not part them"
    if place == best:
        return "the highest, and no earlier block lies within one standard error of it"
    return (
        f"the earliest within one standard error ({drawn.se[best]:.3f}) of the best, block {numbers[best]} "
        f"({drawn.score[best]:.3f})"
    )


def _warnings(
    question: Question, numbers: list[int], drawn: Curve, chance_high: float, shares: list[Shares]
) -> list[str]:
    """Write the sentences that stand over the curve."""
    notes = []
    few = {name: count for name, count in question.counts.items() if count < FEW_WELLS}
    if few:
        said = shorten([f"{name} {count}" for name, count in few.items()])
        notes.append(
            f"Few wells ({said}): one well told wrong is {1 / min(few.values()):.0%} of its class. Take the curve as a "
            "hint."
        )
    ceiling = [b for b, score in zip(numbers, drawn.score, strict=True) if score > 1 - 1e-9]
    if ceiling:
        least = min(question.counts.values())
        notes.append(
            f"At block {shorten(list(map(str, ceiling)))} no well is told wrong: the band has no width there, which is "
            f"no certainty ({least} wells of a class all told right are compatible with {1 - 0.05 ** (1 / least):.0%} "
            "wrong), and blocks at the ceiling cannot be ranked. Ask a harder question, such as a lower dose."
        )
    if drawn.score.max() <= chance_high:
        notes.append(
            f"No block is above what guessing reaches in one of twenty plates with so many wells ({chance_high:.2f}): "
            "the curve says nothing about the blocks."
        )
    groups = min(len(np.unique(question.group[question.label == c])) for c in range(len(question.classes)))
    if question.group_name != "well" and groups < FEW_WELLS:
        notes.append(f"Some class has only {groups} {question.group_name}s: a band from so few groups is too narrow.")
    notes += _layout(question)
    notes += [f"Share of the {question.batch_name}: {why}." for why in sorted({s.reason for s in shares} - {""})]
    return notes


def _layout(question: Question) -> list[str]:
    """Say where the classes lie in different places of the plate, so that a probe may read the place."""
    at = places([w for _, w in question.wells], (0, 0))
    parts = [question.label == c for c in range(len(question.classes))]
    apart = []
    for name in ("row", "column"):
        if len(parts) == 2:
            first, second = (at[name][rows] for rows in parts)
            told = confounded(name, first, second) or confounded(name, second, first)
        else:
            told = all(len(np.unique(at[name][rows])) == 1 for rows in parts)
        if told:
            apart.append(name)
    if not apart:
        return []
    return [
        f"The classes lie in different {' and '.join(apart)}s: a probe may read where a well lies instead of what was "
        "done to it, at every block."
    ]
