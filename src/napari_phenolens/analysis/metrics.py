"""What is measured of a dictionary: name, meaning, which way is better and where it comes from, said once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

Better = Literal["higher", "lower", ""]

GROUPS = (
    "reconstruction", "use", "stability", "interpretability", "probes", "technical", "whitening", "hierarchy"
)  # fmt: skip


@dataclass(frozen=True)
class Metric:
    """One figure of a report.

    Attributes
    ----------
    title : str
        For people, short; read under its group.
    group : str
        One of `GROUPS`.
    better : {"higher", "lower", ""}
        Which way is better; empty where neither is.
    meaning : str
        What it is and how to read it.
    source : str
        Where it comes from; empty where it is plain counting.
    """

    title: str
    group: str
    better: Better
    meaning: str
    source: str = ""


_KEPT = "0: no better than guessing; 1: as good as the tokens themselves."
_SHARE = (
    "Mean over features of the adjusted R2 among the control wells; p is the chance of so much when wells are shuffled"
)

METRICS: dict[str, Metric] = {
    "cosine": Metric(
        "cosine", "reconstruction", "higher",
        "Mean cosine of a whitened token and what its code renders, over sampled fields. Only dictionaries over one "
        "whitening can be compared by it.",
        "Donhauser et al. 2025",
    ),
    "fvu": Metric(
        "unexplained (FVU)", "reconstruction", "lower",
        "Squared error over the variance about the mean, of unit whitened tokens. It ranks whitened and raw "
        "dictionaries wrongly: they live in different spaces.",
        "Gao et al. 2024",
    ),
    "fvu_tokens": Metric(
        "FVU, encoder's tokens", "reconstruction", "lower",
        "Squared error over the variance, after taking tokens and reconstructions back through the whitening, so that "
        "lenses with other whitenings of one encoder can be compared. Directions in which controls vary much weigh "
        "most here.",
        "Gao et al. 2024",
    ),
    "shrinkage": Metric(
        "length", "reconstruction", "",
        "Mean length of the reconstruction of a unit token. Far below 1: codes render too little.",
        "SAELens",
    ),
    "cosine_set_aside": Metric(
        "cosine, set aside", "reconstruction", "higher",
        "Mean cosine over tokens that were drawn for the fit and not trained on. They lie in the same fields as those "
        "trained on, so that it errs on the good side.",
        "Donhauser et al. 2025",
    ),
    "fvu_set_aside": Metric(
        "FVU, set aside", "reconstruction", "lower",
        "Squared error over the variance, over tokens that were drawn for the fit and not trained on.",
        "Gao et al. 2024",
    ),
    "atoms": Metric("features", "use", "", "Atoms of the dictionary."),
    "l0": Metric(
        "features a unit (L0)", "use", "",
        "Mean number of features active in a unit, over all foreground of the run. Compare lenses at the same L0: "
        "more features a unit render it better and are harder to read.",
    ),
    "dead": Metric(
        "dead", "use", "lower", "Share of features that no foreground unit of the run activates.",
    ),
    "rare": Metric("rare", "use", "", "Share of features active in fewer than one of 100,000 units."),
    "dense": Metric(
        "dense", "use", "lower",
        "Share of features active in more than a tenth of the units: as a rule background, focus or illumination.",
        "Donhauser et al. 2025; SAEBench",
    ),
    "stability": Metric(
        "matched cosine", "stability", "higher",
        "Mean cosine of each feature with its partner in dictionaries of other seeds, matched one to one. Beside it "
        "what the same dictionaries turned at random reach.",
        "Hungarian matching; arXiv 2505.20254, RA-SAE arXiv 2502.12892",
    ),
    "stable_share": Metric(
        "features that return", "stability", "higher",
        "Share of features whose matched cosine is above 0.9 on average over the other seeds.",
        "arXiv 2505.20254",
    ),
    "interpretable": Metric(
        "pass all checks", "interpretability", "higher",
        "Active, not dense, more selective than any feature under shuffled labels (19 of 20 times), not technical. "
        "Labels were chosen on the wells that they are counted on: the count is in-sample.",
    ),
    "telling": Metric(
        "tell a label", "interpretability", "higher",
        "Number of features whose share of active units tells wells of one label from all others, with an AUROC of 0.9 "
        "or more in the half of the wells that the label was not chosen on; mean over splits. Beside it the same for "
        "labels shuffled within plates; the interval is for other wells of this kind (half-sampling).",
        "Shao and Tu 1995 (half-sampling)",
    ),
    "telling_share": Metric(
        "tell a label, share", "interpretability", "higher",
        "Features that tell a label on wells that it was not chosen on, over the number of features that are active at "
        "all.",
        "Shao and Tu 1995 (half-sampling)",
    ),
    "selective": Metric(
        "selective", "interpretability", "higher",
        "Number of features whose average selectivity (share of units active with a label, less that with all other "
        "labels) is beyond the 95th percentile of the largest of all features when labels are shuffled within plates.",
        "Madan et al. 2022; Donhauser et al. 2025; the null is ours",
    ),
    "selective_maximal": Metric(
        "selective, maximal", "interpretability", "higher",
        "Number of features whose maximal selectivity (share of units active with a label, less the largest with any "
        "other) is beyond the 95th percentile of the largest of all features when labels are shuffled within plates.",
        "Madan et al. 2022; Donhauser et al. 2025; the null is ours",
    ),
    "largest_selectivity": Metric(
        "largest selectivity", "interpretability", "higher",
        "The most selective feature's figure; beside it what the largest reaches when labels are shuffled. In-sample.",
        "Madan et al. 2022; Donhauser et al. 2025",
    ),
    "largest_maximal": Metric(
        "largest, maximal", "interpretability", "higher",
        "The most selective feature's figure by maximal selectivity; beside it that of shuffled labels. In-sample.",
        "Madan et al. 2022; Donhauser et al. 2025",
    ),
    "above_0.2": Metric(
        "above 0.2", "interpretability", "higher",
        "By average selectivity, as the paper counts them. The paper's units are crops; of patches fewer are active.",
        "Donhauser et al. 2025",
    ),
    "above_0.5": Metric(
        "above 0.5", "interpretability", "higher",
        "By average selectivity, as the paper counts them.", "Donhauser et al. 2025",
    ),
    "monosemanticity": Metric(
        "monosemanticity", "interpretability", "higher",
        "Mean over features: do the images in which a feature is strong look alike to somebody who is not the encoder? "
        "Mean cosine of pairs of images weighted by the activation in both; beside it that of shuffled images.",
        "Pach et al. 2025, arXiv 2504.02821",
    ),
    "monosemantic": Metric(
        "monosemantic", "interpretability", "higher",
        "Features whose score is beyond that of shuffled images, at q < 0.05 over features.",
        "Pach et al. 2025; the null is ours",
    ),
    "probe_tokens": Metric(
        "on tokens", "probes", "",
        "Balanced accuracy with which a linear probe tells the labels from wells' mean tokens, on wells it was not "
        "trained on. What codes can keep at most; beside it chance.",
        "Donhauser et al. 2025",
    ),
    "probe_codes": Metric(
        "on codes", "probes", "higher",
        "Balanced accuracy of a linear probe on wells' mean codes, on wells it was not trained on.",
        "Donhauser et al. 2025",
    ),
    "probe_reconstructions": Metric(
        "on reconstructions", "probes", "higher",
        "Balanced accuracy of a linear probe on wells' mean reconstructions, on wells it was not trained on.",
        "Donhauser et al. 2025",
    ),
    "kept_codes": Metric(
        "kept by codes", "probes", "higher",
        f"The codes' accuracy above chance over that of the tokens. {_KEPT}", "Donhauser et al. 2025",
    ),
    "kept_reconstructions": Metric(
        "kept by reconstructions", "probes", "higher",
        f"The reconstructions' accuracy above chance over that of the tokens. {_KEPT}", "Donhauser et al. 2025",
    ),
    "kept_1": Metric(
        "kept by 1 feature", "probes", "higher",
        f"By the one feature whose class means differ most in the training wells. {_KEPT}", "SAEBench",
    ),
    "kept_5": Metric(
        "kept by 5 features", "probes", "higher",
        f"By the five features whose class means differ most in the training wells. {_KEPT} Beside it five principal "
        "components of the tokens: sparse features should beat those.",
        "SAEBench; arXiv 2502.16681",
    ),
    "technical": Metric(
        "technical", "technical", "lower",
        "Share of features that follow row, column, edge or plate among the control wells at p < 0.05; where nothing "
        "is technical 0.05 are flagged.",
    ),
    "row_share": Metric("row", "technical", "lower", f"{_SHARE} within plates."),
    "column_share": Metric("column", "technical", "lower", f"{_SHARE} within plates."),
    "edge_share": Metric("edge", "technical", "lower", f"{_SHARE} within plates."),
    "plate_share": Metric("plate", "technical", "lower", f"{_SHARE} over plates."),
    "count_share": Metric(
        "cell count", "technical", "",
        f"{_SHARE} within plates. A link with the cell count is no fault: a perturbation may cause it.",
    ),
    "kept": Metric(
        "components kept", "whitening", "",
        "Components of the control tokens that whitening keeps. At most one for each five control tokens.",
    ),
    "variance_kept": Metric(
        "variance kept", "whitening", "higher", "Share of the control tokens' variance in the kept components.",
    ),
    "tokens_a_component": Metric(
        "tokens a component", "whitening", "higher",
        "Control tokens for each kept component; with few of them the last components are noise made loud.",
    ),
    "noise_gain": Metric(
        "gain of the last", "whitening", "lower",
        "By how much whitening magnifies the last kept direction next to the first one.",
    ),
    "lift": Metric(
        "containment lift", "hierarchy", "higher",
        "Median over finer features: how much more often the parent is active where the child is than anywhere.",
    ),
    "excess": Metric(
        "beyond place", "hierarchy", "higher",
        "P(parent active | child active) less what it would be if the child lay anywhere in the same images; mean over "
        "finer features. Beside it the 95th percentile with tokens shuffled within images.",
    ),
    "tree_excess": Metric(
        "beyond other parents", "hierarchy", "higher",
        "P(parent active | child active) less P(parent active), mean over finer features. Beside it the 95th "
        "percentile where features of a level swap parents.",
    ),
    "inclusion": Metric(
        "spatial inclusion", "hierarchy", "higher",
        "Share of the tenth of a child's patches where it is strongest in which its parent is active; beside it how "
        "often the parent is active anywhere.",
        "after SPIN, arXiv 2407.09686",
    ),
    "tau": Metric(
        "generality (tau)", "hierarchy", "",
        "Kendall's tau of coarseness and density: 1 where every coarser feature is active more often. Nested rounds "
        "pick coarse atoms first, which alone makes it positive.",
        "after HierarCaps",
    ),
}  # fmt: skip

COLUMNS = ("value", "low", "high", "null", "p", "note")


class Findings:
    """Collects figures and, where one cannot be had, why."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Any]] = {}

    def add(
        self, metric: str, value: float, *, low: float = np.nan, high: float = np.nan, null: float = np.nan,
        p: float = np.nan, note: str = "",
    ) -> None:  # fmt: skip
        """Take a figure, with its interval, what chance gives, and what to know about it."""
        self._rows[metric] = {
            "value": float(value), "low": float(low), "high": float(high), "null": float(null), "p": float(p),
            "note": note,
        }  # fmt: skip

    def lack(self, reason: str, *metrics: str) -> None:
        """Say why figures cannot be had; those that are there already stay."""
        for metric in metrics:
            if metric not in self._rows:
                self.add(metric, np.nan, note=reason)

    def table(self) -> pd.DataFrame:
        """Give a row a metric, in the order of `METRICS`.

        Returns
        -------
        DataFrame
            Index ``metric``; ``group``, ``value``, ``low``, ``high``, ``null``, ``p``, ``note``.
        """
        self.lack("not measured", *METRICS)
        table = pd.DataFrame.from_dict({name: self._rows[name] for name in METRICS}, orient="index")
        table.insert(0, "group", [METRICS[name].group for name in table.index])
        return table.rename_axis("metric")
