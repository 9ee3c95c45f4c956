"""Fit BBBC013 with other settings of the dictionary, and say what each is worth beside the default.

    python tools/report_settings.py fit PLATE --tokens DIR --work DIR [--seeds 5] [--patch-steps N]
    python tools/report_settings.py table PLATE --work DIR [--out docs/dictionary-settings.md]

``fit`` fits a lens for every setting and seed (method, whitening, unit, and wells left out of fitting) by `fit_lens`,
with the default number of features and sparsity, and keeps the wells' profiles in WORK, a small file each. What is
there is not fitted again, and a fit that was broken off goes on from its checkpoint. ``table`` reads what is there:
split halves of the leading feature and of the phenotype score on either half of the plate, the setting that is best on
one half quoted on the other, in-sample figures beside the hand-made ratio, and what it costs to leave the wells that
are quoted out of fitting.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from fit_settings import DEFAULT, LEFT_OUT, SETTINGS, Setting, fit_all
from report_bbbc013 import DRUGS, NEGATIVE, RATIO, TOP, best_of, positive, rows_of, show, translocation_ratio

from napari_phenolens import open_plate
from napari_phenolens.analysis import (
    Design,
    percentile_interval,
    phenotype,
    resample_weights,
    separate_many,
    separation,
)
from napari_phenolens.analysis.bootstrap import weighted_moments
from napari_phenolens.analysis.effects import ssmd, zprime
from napari_phenolens.analysis.ranking import moderated_ranking
from napari_phenolens.analysis.split_half import _choose, _halves
from napari_phenolens.plate import Plate, select_wells

Floats = npt.NDArray[np.float64]


@dataclass
class Kept:
    """What analysis asks of a run, out of a result file."""

    path: Path
    metadata: pd.DataFrame
    plate_name: str = "bbbc013"

    def __post_init__(self) -> None:
        with np.load(self.path) as file:
            self.values = pd.DataFrame(file["values"].astype(np.float64), index=file["wells"].tolist())
            self.facts = json.loads(str(file["facts"]))
        self.lens = None

    @property
    def wells(self) -> list[str]:
        """Wells with results."""
        return list(self.values.index)

    def select(self, query: Any) -> list[str]:
        """Wells that a query holds for."""
        return select_wells(self.metadata, query, self.wells)

    def profiles(self, per: str = "patch", kind: str = "activation") -> pd.DataFrame:
        """Well means."""
        assert (per, kind) == ("patch", "activation")
        return self.values


WHAT = ("feature", "score")
HALVES = {"Wortmannin": "rows A-D", "LY294002": "rows E-H"}


@dataclass(frozen=True)
class Splits:
    """What `split_half` chooses on each half of the wells, as one value a well, and which wells it is tested on."""

    values: Floats  # (splits, wells), rising where what was chosen on the first half holds on the second
    tested: npt.NDArray[np.bool_]  # (splits, wells)
    side: npt.NDArray[np.bool_]  # (wells,) perturbed

    def medians(self, weights: Floats) -> dict[str, Floats]:
        """Give the medians over splits of Z' and SSMD under many weightings of the wells, (B, wells)."""
        found: dict[str, list[Floats]] = {"Z'": [], "SSMD": []}
        for value, tested in zip(self.values, self.tested, strict=True):
            column = (value - value.mean())[:, None]
            used = weights * tested
            mean0, var0, _ = weighted_moments(column[~self.side], used[:, ~self.side])
            mean1, var1, _ = weighted_moments(column[self.side], used[:, self.side])
            difference: Floats = mean1 - mean0
            with np.errstate(all="ignore"):
                z = np.where(difference <= 0, -np.inf, zprime(difference, var0, var1))
            found["Z'"].append(z[:, 0])
            found["SSMD"].append(ssmd(difference, var0, var1)[:, 0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # no split with a spread
            return {name: np.nanmedian(each, axis=0) for name, each in found.items()}


def splits_of(run: Kept, drug: str, args: argparse.Namespace, what: str) -> Splits:
    """Split the rows of one drug; kept beside the result, as choosing takes a while."""
    controls, perturbed = (run.select(query) for query in rows_of(drug))
    side = np.arange(len(controls) + len(perturbed)) >= len(controls)
    design = Design(side, np.zeros(len(side), dtype=np.intp))
    halves = _halves(design, args.splits, np.random.default_rng(0))
    cache = run.path.with_name(f"{run.path.stem}.{drug}-{what}-{args.splits}.npy")
    if not cache.exists():
        values = run.values.loc[controls + perturbed].to_numpy(np.float64)
        chosen = [_choose(values, design, half.astype(np.float64), what == "score") for half in halves]
        np.save(cache, np.array([values[:, columns] @ share for columns, share in chosen]))
    return Splits(np.load(cache), ~halves, side)


def figures_of(run: Kept, drug: str, args: argparse.Namespace, what: str) -> dict[str, float]:
    """Median Z' and SSMD over the splits."""
    splits = splits_of(run, drug, args, what)
    return {name: float(values[0]) for name, values in splits.medians(np.ones((1, len(splits.side)))).items()}


def reweighted(side: npt.NDArray[np.bool_], n: int) -> Floats:
    """Weigh wells at random, on either side by itself (the Bayesian bootstrap, Rubin 1981): none is ever left out."""
    rng = np.random.default_rng(0)
    weights = np.zeros((n, len(side)))
    for wells in (side, ~side):
        count = int(wells.sum())
        weights[:, wells] = count * rng.dirichlet(np.ones(count), n)
    return weights


def results(args: argparse.Namespace, plate: Plate) -> dict[Setting, dict[int, Kept]]:
    """Read what was fitted: setting, seed, result."""
    found: dict[Setting, dict[int, Kept]] = {}
    for setting in (*SETTINGS, LEFT_OUT):
        for seed in range(args.seeds):
            path = args.work / f"{setting.name}-{seed}.npz"
            if path.exists():
                found.setdefault(setting, {})[seed] = Kept(path, plate.metadata)
    return found


def said(values: list[float]) -> str:
    """Give the mean over seeds, and the smallest and largest of them."""
    mean, low, high = ("< -9" if v < -9 else f"{v:.2f}" for v in (np.mean(values), min(values), max(values)))
    return mean if len(values) < 2 else f"{mean} ({low} to {high})"


def table_of(head: list[str], rows: list[list[str]]) -> str:
    """Make a markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def mean_of(runs: dict[int, Kept], drug: str, args: argparse.Namespace, what: str) -> float:
    """Mean over seeds of the median Z' of split halves."""
    return float(np.mean([figures_of(run, drug, args, what)["Z'"] for run in runs.values()]))


def overview(found: dict[Setting, dict[int, Kept]], args: argparse.Namespace) -> str:
    """Every setting by split halves on either half of the plate."""
    head = ["setting", "seeds", "held-out cosine"]
    head += [f"{HALVES[drug]}: {what} {figure}" for drug in DRUGS for what in WHAT for figure in ("Z'", "SSMD")]
    rows = []
    for setting, runs in found.items():
        if setting.fit_on:
            continue
        cells = [words(setting), str(len(runs)), said([run.facts["cosine"] for run in runs.values()])]
        for drug in DRUGS:
            for what in WHAT:
                each = [figures_of(run, drug, args, what) for run in runs.values()]
                cells += [said([one[figure] for one in each]) for figure in ("Z'", "SSMD")]
        rows.append(cells)
    return table_of(head, rows)


def words(setting: Setting) -> str:
    """Name a setting in a table."""
    names = {"icfl": "ICFL", "topk": "TopK", "pca": "whitened", "center": "not whitened"}
    text = f"{names[setting.method]}, {names[setting.whitening]}, {setting.unit}"
    if setting.fit_on:
        text += f", fitted on {HALVES[setting.fit_on]} alone"
    return f"**{text} (default)**" if setting == DEFAULT else text


def paired(one: dict[int, Kept], other: dict[int, Kept], drug: str, args: argparse.Namespace) -> list[list[str]]:
    """Compare two settings on the rows of a drug: the figures of both, their difference by wells and by seeds."""
    seeds = sorted(set(one) & set(other))
    rows = []
    for what in WHAT:
        a, b = ([splits_of(runs[s], drug, args, what) for s in seeds] for runs in (one, other))
        once, many = np.ones((1, len(a[0].side))), reweighted(a[0].side, args.many)
        point = [[x.medians(once) for x in side] for side in (a, b)]
        draws = [[x.medians(many) for x in side] for side in (a, b)]
        for figure in ("Z'", "SSMD"):
            here, there = ([float(x[figure][0]) for x in side] for side in point)
            apart = np.subtract(here, there)
            with np.errstate(invalid="ignore"):
                drawn = np.subtract(*([x[figure] for x in side] for side in draws))  # (seeds, draws)
            taken = np.random.default_rng(1).integers(len(seeds), size=drawn.shape)  # seeds are drawn too
            wells = percentile_interval(np.take_along_axis(drawn, taken, 0).mean(axis=0), float(apart.mean()))
            each = ", ".join(f"{x:+.2f}" for x in apart)
            rows.append([f"{what} {figure}", said(here), said(there), show(wells), each])
    return rows


PAIRED = ["", "this one", "the default", "difference [95 % by wells and seeds]", "of each seed"]


def in_sample(
    found: dict[Setting, dict[int, Kept]], chosen: list[Setting], plate: Plate, args: argparse.Namespace
) -> str:
    """In-sample figures on all wells of a drug beside the hand-made ratio."""
    rows = []
    any_run = next(iter(found[DEFAULT].values()))
    ratio = translocation_ratio(plate, any_run.wells)[RATIO]
    for drug in DRUGS:
        negatives, positives = any_run.select(NEGATIVE), any_run.select(positive(drug))
        side = np.arange(len(negatives) + len(positives)) >= len(negatives)
        design = Design(side, np.zeros(len(side), dtype=np.intp))
        for setting in chosen:
            best, draws, scores, more = [], [], [], []
            for run in found[setting].values():
                values = run.values.loc[negatives + positives].to_numpy(np.float64)
                effect = np.nan_to_num(moderated_ranking(values, side, np.ones(len(side))))
                top = np.argsort(-np.abs(effect), kind="stable")[:TOP]
                value, resampled = best_of(values[:, top], side, args.many, 0)
                best.append(value)
                draws.append(resampled)
                score = phenotype(run, NEGATIVE, positive(drug)).score(run)[negatives + positives]  # type: ignore[arg-type]
                column = score.to_numpy(np.float64)[:, None]
                scores.append(float(separate_many(column, side, np.ones((1, len(side))))[0, 0]))
                with np.errstate(all="ignore"):
                    more.append(separate_many(column, side, resample_weights(side, args.many, 0))[:, 0])
            cells = [
                show(percentile_interval(np.mean(d, axis=0), float(np.mean(v))))
                for v, d in ((best, draws), (scores, more))
            ]
            rows.append([drug, words(setting), *cells])
        z, _ = separation(ratio[negatives + positives].to_numpy(), design, bootstrap=args.many, seed=0)
        rows.append([drug, RATIO, show(z), "-"])
    return table_of(["drug", "", "best Z' of the ten leading features", "Z' of the phenotype score"], rows)


def report(args: argparse.Namespace) -> str:
    """Write the page from what is there."""
    plate = open_plate(args.plate, args.platemap)
    found = results(args, plate)
    if DEFAULT not in found:
        raise SystemExit(f"{args.work}: no fit of the default setting is there yet")
    plain = {setting: runs for setting, runs in found.items() if not setting.fit_on}
    steps = sorted({run.facts["steps"] for s, runs in plain.items() if s.unit == "patch" for run in runs.values()})
    intro = INTRO.format(steps=", ".join(f"{n:,}" for n in steps), splits=args.splits, many=f"{args.many:,}")
    text = ["# BBBC013: other settings of the dictionary", intro]
    text += ["## Every setting", overview(found, args)]
    text += ["## The best, chosen on one half of the plate and quoted on the other", CHOICE]
    bests: list[Setting] = []
    for chosen_on, quoted_on in (DRUGS, DRUGS[::-1]):
        for what in WHAT:
            means = {setting: mean_of(runs, chosen_on, args, what) for setting, runs in plain.items()}
            best = max(means, key=lambda s: means[s])
            if best not in bests and best != DEFAULT:
                bests.append(best)
            line = f"By the Z' of the {what} on {HALVES[chosen_on]}: {words(best)} ({means[best]:.2f}; the default " \
                   f"{means[DEFAULT]:.2f})."  # fmt: skip
            if best == DEFAULT:
                text.append(f"{line} The default itself; nothing is to be compared.")
                continue
            rows = paired(found[best], found[DEFAULT], quoted_on, args)
            text += [f"{line} Quoted on {HALVES[quoted_on]}:", table_of(PAIRED, rows)]
    text += ["## In-sample, beside the hand-made ratio", IN_SAMPLE, in_sample(found, [DEFAULT, *bests], plate, args)]
    text += ["## Wells left out of fitting", LEFT]
    if LEFT_OUT in found:
        head = ["", "fitted on rows A-D", "fitted on all wells", *PAIRED[3:]]
        rows = paired(found[LEFT_OUT], found[DEFAULT], "LY294002", args)
        text.append(table_of(head, rows))
    else:
        text.append("Not run yet.")
    return "\n\n".join(text) + "\n"


INTRO = """Made by `tools/report_settings.py` on BBBC013 with camae-micro: 1,024 features, 10 rounds of 2, other
settings as stated. Training steps of dictionaries of patches: {steps} (the default for this plate would be 3,746, with
which the run of [BBBC013 in full](bbbc013.md) reached a held-out cosine of 0.807). How many seeds a setting has been
run with stands in the table.

Figures are split halves (`split_half`, up to {splits} splits) within rows A-D (Wortmannin: 8 negative and 4 positive
wells) and within rows E-H (LY294002: 4 and 4): what leads is chosen on one half of these wells and tested on the
other; "score" is the phenotype score of up to 50 features. They are not those of [BBBC013 in full](bbbc013.md), where
each drug has all 12 negative wells. A figure is the mean over seeds of the medians over splits, with the smallest and
largest seed. "not whitened": only the controls' mean is taken off. Held-out cosines of different whitenings live in
different spaces and cannot be compared.

Intervals of differences: the tested wells are weighed at random {many} times (the Bayesian bootstrap: with four wells a
side, drawing wells would leave many halves with one well alone), the same weights for both settings, and each time as
many seeds are drawn as there are, the same for both, so that the difference is paired. What was chosen on the other
half is held: intervals do not hold how that choice would vary, nor other plates; with a few seeds they hold
little of how fits vary, so look at the differences of each seed too."""

CHOICE = """A setting is chosen by the mean Z' over its seeds on one half of the plate, and quoted on the other, whose
wells took no part in the choice."""

IN_SAMPLE = """Chosen and quoted on the same wells, all of a drug: the best Z' among the ten leading features, and the
phenotype score; means over seeds with intervals by wells (drawn within sides). In-sample figures flatter whatever had
more to choose from; the ratio had nothing to choose."""

LEFT = """The default, fitted on the wells of rows A-D alone (`fit_on="(well < 'E')"`: pixel rule, foreground,
whitening and dictionary), quoted on rows E-H, beside the default fitted on all wells."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["fit", "table"])
    parser.add_argument("plate", type=Path)
    parser.add_argument("--platemap", type=Path, default=None)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tokens", type=Path, default=None)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--patch-steps", type=int, default=None, help="of fits on patches; their default if not given")
    parser.add_argument("--only", nargs="*", default=(), help="names of settings")
    parser.add_argument("--out", type=Path, default=None, help="a markdown file; the screen by default")
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--many", type=int, default=2000, help="resamples of the wells")
    args = parser.parse_args()
    args.platemap = args.platemap or args.plate / "platemap_derived.csv"
    args.work.mkdir(parents=True, exist_ok=True)
    if args.what == "fit":
        fit_all(args, partial(print, flush=True))
        return
    text = report(args)
    if args.out is None:
        print(text)
    else:
        args.out.write_text(text, encoding="utf-8")
        print(args.out)


if __name__ == "__main__":
    main()
