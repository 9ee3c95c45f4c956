"""Figures of a dictionary report that look at the lens: its atoms under other seeds, its whitening, its tree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.metrics import Findings
from napari_phenolens.errors import PhenoLensError

if TYPE_CHECKING:
    from napari_phenolens.lens import Lens
    from napari_phenolens.progress import CancelCallback, ProgressCallback


def stability(
    found: Findings, features: pd.DataFrame, lens: Any, others: Sequence[Any], refits: Sequence[Any], note: str
) -> None:
    """Match the atoms with those of other seeds, and with the same turned at random."""
    from napari_phenolens.dictionary import match_atoms, seed_stability

    atoms = lens.dictionary.atoms
    same = [other for other in others if same_space(lens, other)]
    apart = len(others) - len(same)
    left = (
        f"{apart} of the other lenses were fitted over another whitening; `compare-lenses` matches what they do"
        if apart else ""
    )  # fmt: skip
    several = [other.dictionary.atoms for other in same] + [fitted.atoms for fitted in refits]
    if not several:
        found.lack(left or "no lens of another seed was given, and no refit asked for", "stability", "stable_share")
        return
    table = seed_stability([atoms, *several])
    features["stability"], features["stability_lowest"] = table["matched"], table["lowest"]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(atoms.shape[1],) * 2))[0].astype(np.float32)
    chance = float(match_atoms(atoms, several[0] @ turn).similarity.mean())
    known = table["matched"].dropna()
    said = "; ".join(part for part in (f"{len(several)} other dictionaries", note if refits else "", left) if part)
    found.add("stability", known.mean(), null=chance, note=said)
    found.add("stable_share", (known > 0.9).mean(), note=said)


def same_space(one: Lens | Any, other: Lens | Any) -> bool:
    """Whether two lenses whiten the same tokens alike, so that their atoms can be compared."""
    if (one.encoder_sha256, one.block, one.channel_pooling) != (
        other.encoder_sha256,
        other.block,
        other.channel_pooling,
    ):
        return False
    a, b = one.whitening, other.whitening
    if a.matrix.shape != b.matrix.shape or one.channels != other.channels or one.unit != other.unit:
        return False
    close = 1e-3 * float(np.abs(a.matrix).max())
    return bool(np.abs(a.matrix - b.matrix).max() <= close and np.allclose(a.mean, b.mean, rtol=1e-3, atol=1e-3))


def lens_of(given: Any) -> Any:
    """Give the lens of a run, a lens, or what is at a path.

    Raises
    ------
    AnalysisError
        Where it is none of these.
    """
    if isinstance(given, (str, Path)):
        from napari_phenolens.lens import load_lens

        path = Path(given)
        return load_lens(path / "lens.safetensors" if path.is_dir() else path)
    lens = getattr(given, "lens", given)
    if not hasattr(lens, "dictionary"):
        raise AnalysisError(f"{given!r} is neither a run, nor a lens, nor a path of one")
    return lens


def refitted(
    lens: Any, rows: Any, count: int, progress: ProgressCallback | None, cancel: CancelCallback | None
) -> list[Any]:
    """Fit the dictionary again with other seeds on sampled tokens."""
    from napari_phenolens.dictionary import fit_dictionary

    old = lens.dictionary
    return [
        fit_dictionary(
            rows, atoms=old.m, sparsity=old.sparsity, method=old.method, seed=old.seed + 1 + n, progress=progress,
            cancel=cancel,
        )
        for n in range(count)
    ]  # fmt: skip


def whitening(found: Findings, lens: Any) -> pd.DataFrame | None:
    """The spectrum of the controls and what is kept of it."""
    names = ("kept", "variance_kept", "tokens_a_component", "noise_gain")
    try:
        table: pd.DataFrame = lens.whitening.diagnosis()
    except PhenoLensError as error:
        found.lack(str(error), *names)
        return None
    facts, kept = table.attrs, table[table["kept"]]
    floor = "by the number of tokens (OAS)" if facts["floor"] == "oas" else f"{facts['floor']:g} of the mean eigenvalue"
    found.add("kept", facts["p"], note=f"of {facts['d']}; {facts['n']:,} control tokens, floor {floor}")
    if facts["whole_spectrum"]:
        found.add("variance_kept", kept["share"].sum())
    else:
        found.lack("the lens does not keep the spectrum of what was dropped", "variance_kept")
    found.add("tokens_a_component", facts["tokens_a_component"], note="; ".join(facts["warnings"]))
    found.add("noise_gain", kept["noise_gain"].iloc[-1])
    return table


def hierarchy(
    found: Findings,
    features: pd.DataFrame,
    lens: Any,
    codes: tuple[Any, Any, Any] | None,
    permutations: int,
    seed: int,
    note: str,
) -> pd.DataFrame | None:
    """How consistently a nested dictionary's finer features are active where their parents are."""
    from napari_phenolens.dictionary import consistency

    names = ("lift", "excess", "tree_excess", "inclusion", "tau")
    dictionary = lens.dictionary
    if codes is None or dictionary.parents is None or len(dictionary.levels) < 2:
        found.lack("the dictionary is not nested", *names)
        return None
    features["level"], features["parent"] = dictionary.level, dictionary.parents
    table = consistency(
        *codes[:2], dictionary.levels, dictionary.parents, codes[2], permutations=permutations, seed=seed
    )
    facts = table.attrs
    if not len(table):
        found.lack("no feature of a finer level has a parent and is active in the sampled fields", *names)
        return None
    said = f"{facts['atoms']} finer features, {facts['orphans']} without a parent; {note}"
    found.add("lift", table["lift"].median(), null=1.0, note=said)
    found.add("excess", facts["excess"], null=facts["null_excess"], p=facts["p_tokens"])
    found.add("tree_excess", facts["tree_excess"], null=facts["null_tree"], p=facts["p_tree"])
    found.add("inclusion", table["inclusion"].mean(), null=table["base"].mean())
    found.add("tau", facts["tau"], null=0.0, p=facts["p_tau"])
    for column in ("containment", "lift", "inclusion"):
        features[column] = table[column].reindex(features.index)
    return table
