"""The figures of a dictionary report, a group each: they add to the findings and to the table of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.bootstrap import percentile_interval, resample_weights
from napari_phenolens.analysis.lens_labels import Wells
from napari_phenolens.analysis.metrics import Findings
from napari_phenolens.analysis.nuisance_shares import NUISANCES, PLACE, nuisance_shares, positions
from napari_phenolens.analysis.permutation import benjamini_hochberg
from napari_phenolens.analysis.protocol import Floats, RunLike
from napari_phenolens.analysis.rendering import Rendering
from napari_phenolens.analysis.technical import technical_flags
from napari_phenolens.analysis.telling import Telling, tell_labels

if TYPE_CHECKING:
    pass

DRAWS = 500
BARS = 5  # of the histogram of use, a decade


def reconstruction(found: Findings, lens: Any, rendering: Rendering | None, why: str, note: str) -> None:
    """Cosine, FVU and shrinkage over the sampled fields with intervals by well, and the figures of the fit."""
    if rendering is None or not rendering.white:
        found.lack(why if rendering is None else rendering.missing, "cosine", "fvu", "fvu_tokens", "shrinkage")
    else:
        for name, values in over_wells(rendering.white).items():
            if name != "l0":
                found.add(name, values[0], **_ends(values), note=note)
        values = over_wells(rendering.tokens)["fvu"]
        found.add("fvu_tokens", values[0], **_ends(values), note=note)
    facts = getattr(lens, "facts", {}).get("held_out", {})
    for name in ("cosine", "fvu"):
        if name in facts:
            found.add(f"{name}_set_aside", facts[name], note=f"{int(facts['n']):,} tokens")
        else:
            found.lack("the lens does not say", f"{name}_set_aside")


def over_wells(tallies: Sequence[Any], seed: int = 0) -> dict[str, Floats]:
    """Give each figure of the wells' tallies as they are (first), then of wells drawn anew."""
    from napari_phenolens.dictionary.tally import weighed

    once = np.ones((1, len(tallies)))
    drawn = resample_weights(np.zeros(len(tallies)), DRAWS if len(tallies) > 1 else 0, seed)
    return weighed(tallies, np.concatenate([once, drawn]))


def _ends(values: Floats) -> dict[str, float]:
    interval = percentile_interval(values[1:], values[0])
    return {"low": interval.low, "high": interval.high}


def use(found: Findings, features: pd.DataFrame, density: Floats) -> pd.DataFrame:
    """Count features by how often they are active; gives the histogram."""
    from napari_phenolens.dictionary import shares_of_use, usage_histogram

    features["density"] = density
    found.add("atoms", len(density))
    found.add("l0", density.sum())
    for name, share in shares_of_use(density).items():
        found.add(name, share)
    return usage_histogram(density, BARS)


def interpretability(
    found: Findings, features: pd.DataFrame, wells: Wells, permutations: int, seed: int
) -> Telling | None:
    """Selectivity for the labels with its null, and features that tell a label on other wells."""
    from napari_phenolens.dictionary import selectivity

    names = (
        "telling", "telling_share", "selective", "selective_maximal", "largest_selectivity", "largest_maximal",
        "above_0.2", "above_0.5", "interpretable",
    )  # fmt: skip
    if not wells.labels:
        found.lack(wells.reason, *names)
        return None
    rows = wells.labelled
    plate, label = wells.plate[rows], wells.label[rows]
    said = np.asarray(wells.labels)[label]
    table = selectivity(wells.active[rows], said, plate, permutations=permutations, seed=seed)
    facts = table.attrs
    for column, name in (
        ("label", "label"), ("average", "selectivity"), ("p_average", "selectivity_p"),
        ("maximal", "maximal_selectivity"), ("p_maximal", "maximal_p"),
    ):  # fmt: skip
        features[name] = table[column]
    note = f"{len(rows)} wells, {len(wells.labels)} labels"
    found.add("selective", facts["above_null_average"], null=0.05, note=note)
    found.add("selective_maximal", facts["above_null_maximal"], null=0.05, note=note)
    found.add("largest_selectivity", table["average"].max(), null=facts["null_average"])
    found.add("largest_maximal", table["maximal"].max(), null=facts["null_maximal"])
    found.add("above_0.2", facts["above_0.2"])
    found.add("above_0.5", facts["above_0.5"])
    features["selective"] = table["average"] > facts["null_average"]
    telling = tell_labels(wells.active[rows], label, plate, seed=seed)
    features["held_out_auroc"] = telling.auroc
    count, of = telling.count, max(telling.active, 1)
    found.add("telling", count.value, low=count.low, high=count.high, null=telling.null, note=note)
    found.add(
        "telling_share", count.value / of, low=count.low / of, high=count.high / of, null=telling.null / of, note=note
    )
    return telling


def monosemanticity(found: Findings, features: pd.DataFrame, activations: pd.DataFrame, seen: pd.DataFrame, by: str,
                    permutations: int, seed: int) -> None:  # fmt: skip
    """Whether images in which a feature is strong look alike by an embedding that is not the encoder's.

    `activations` and `seen` have a row an image, by one kind of index.
    """
    from napari_phenolens.dictionary import monosemanticity as scored

    names = ("monosemanticity", "monosemantic")
    varies = seen.loc[:, seen.notna().all() & (seen.std(ddof=0) > 0)]
    both = activations.dropna().index.intersection(varies.index)
    if len(both) < 8 or varies.shape[1] < 2:
        found.lack(f"{len(both)} images with {varies.shape[1]} measurements ({by}) are too few", *names)
        return
    e = varies.loc[both].to_numpy(np.float64)
    spread = e.std(axis=0)
    e = (e - e.mean(axis=0)) / np.where(spread > 0, spread, 1)
    table = scored(activations.loc[both].to_numpy(np.float64), e, permutations=permutations, seed=seed)
    features["monosemanticity"], features["monosemanticity_null"] = table["score"], table["null"]
    features["monosemanticity_p"] = table["p"]
    note = f"{len(both)} images by {by}"
    known = table["score"].notna()
    q = benjamini_hochberg(table["p"].to_numpy())
    found.add("monosemanticity", table.attrs["mean"], null=table["null"][known].mean(), note=note)
    found.add("monosemantic", float((q < 0.05).sum()), null=0.0, note=note)


def probes(found: Findings, lens: Any, wells: Wells, tokens: Floats | None, seed: int) -> pd.DataFrame | None:
    """How much of what tokens tell about the labels codes and reconstructions still tell; wells are the rows."""
    from napari_phenolens.dictionary import probe

    names = ("probe_tokens", "probe_codes", "probe_reconstructions", "kept_codes", "kept_reconstructions", "kept_1",
             "kept_5")  # fmt: skip
    if not wells.labels or tokens is None:
        found.lack(wells.reason or "the run keeps no mean tokens", *names)
        return None
    rows, dictionary = wells.labelled, lens.dictionary
    codes = wells.profiles[rows]
    bias = dictionary.bias if dictionary.topk is None else dictionary.topk.bias
    back = codes @ dictionary.atoms.astype(np.float64) + (0 if bias is None else bias)
    table = probe(tokens[rows], codes, back, wells.label[rows], wells.plate[rows], seed=seed)
    facts = table.attrs
    note = f"{facts['folds']} folds by {'plate' if facts['by'] == 'group' else 'well'}, {facts['rows']} wells"
    chance = facts["chance"]
    for on in ("tokens", "codes", "reconstructions"):
        row = table[table["on"] == on].iloc[0]
        found.add(f"probe_{on}", row["accuracy"], null=chance, note=note)
        if on != "tokens":
            found.add(f"kept_{on}", row["kept"], null=0.0, note=note)
    few = table.set_index(["on", "features"])["kept"]
    for k in (1, 5):
        components = few.get(("principal components", k), np.nan)
        said = (
            "" if np.isnan(components) else f"; {k} principal component{'s' * (k > 1)} of the tokens: {components:.2f}"
        )
        found.add(f"kept_{k}", few[("best features", k)], null=0.0, note=note + said)
    return table


def technical(
    found: Findings, features: pd.DataFrame, runs: Sequence[RunLike], wells: Wells, permutations: int, seed: int
) -> None:
    """Shares of plate, row, column, edge and cell count among the control wells, and which features are technical."""
    mine, others = wells.of(runs, controls=True), wells.of(runs, controls=False)
    names = tuple(f"{name}_share" for name in NUISANCES)
    if len(mine) < 4:
        found.lack(f"{len(mine)} control wells with a profile are too few", "technical", *names)
        return
    untreated = [wells.names[n] for n in mine]
    shares = nuisance_shares(
        runs, wells.plate[mine], untreated, wells.profiles[mine], permutations=permutations, seed=seed
    )
    for name in NUISANCES:
        if name in shares.reasons:
            found.lack(shares.reasons[name], f"{name}_share")
        else:
            found.add(
                f"{name}_share",
                shares.mean[name],
                null=shares.null[name],
                p=shares.p[name],
                note=f"{len(mine)} control wells",
            )
    for column in shares.features:
        features[column] = shares.features[column]
    flags, about = technical_flags(
        wells.profiles[mine], wells.plate[mine], positions(runs, untreated),
        positions(runs, [wells.names[n] for n in others]), permutations=permutations, seed=seed,
    )  # fmt: skip
    features["technical"], features["nuisance"] = flags["technical"].to_numpy(), flags["nuisance"].to_numpy()
    features["technical_r2"] = features[[f"{name}_r2" for name in PLACE]].max(axis=1)
    yes = float((flags["technical"] == "yes").mean())
    if not about["tested"]:
        found.lack(
            f"place cannot be told from perturbation ({', '.join(about['confounded']) or 'too few wells'})", "technical"
        )
        return
    left = ""
    if about["confounded"]:
        left = f"; no feature is cleared of {', '.join(about['confounded'])}: other wells lie where no control does"
    found.add("technical", yes, null=0.05, note=f"tested: {', '.join(about['tested'])}{left}")


def passing(found: Findings, features: pd.DataFrame) -> None:
    """Mark and count the features that pass all checks."""
    from napari_phenolens.dictionary.usage import DENSE

    if "selective" not in features:
        return
    good = features["selective"] & (features["density"] > 0) & (features["density"] <= DENSE)
    if "technical" in features:
        good &= features["technical"] != "yes"
    features["interpretable"] = good
    told = "" if "technical" in features else "whether features are technical cannot be told"
    found.add("interpretable", float(good.sum()), note=told)
