"""Report how features of a BBBC013 run separate its controls and follow its doses, without the doses choosing anything.

    python tools/report_bbbc013.py RUN [--plate DIR] [--out docs/bbbc013.md] [--bootstrap 2000]

RUN is a folder that ``phenolens run`` made of BBBC013 with the map ``platemap_derived.csv``. For each drug:
(a) the best Z' among the ten leading features, chosen and quoted on the same wells; (b) the leading feature chosen on
half of the wells, tested on the other half; (c) chosen on the other drug's rows, tested on this drug's; (d) Spearman of
dose and well means of the feature that leads over all control wells, and the best of the ten leading ones; (e) the
shift of the untreated wells E12 to H12 from the negatives as a share of the effect. Plain scalars stand beside them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_phenolens import compare, open_plate, open_run
from napari_phenolens.analysis import (
    Design,
    Interval,
    dose_response,
    percentile_interval,
    phenotype,
    resample_weights,
    separate_many,
    separation,
    shift_share,
    split_half,
    split_values,
    transfer,
)

Floats = npt.NDArray[np.float64]

DRUGS = ("Wortmannin", "LY294002")
NEGATIVE = "control_type == 'negcon'"
EMPTY = "control_type == 'empty'"
ROWS = {"Wortmannin": "(well < 'E')", "LY294002": "(well >= 'E')"}
TOP = 10
RATIO = "nuclear / ring GFP (hand-made)"
HEAD = ("", "(a) in-sample Z'", "(b) Z', split halves", "(b) SSMD, split halves", "(c) Z', other drug's choice",
        "(c) SSMD", "(d) dose, leading", "(d) dose, best of ten", "(e) shift of E12-H12")  # fmt: skip

EXPLAINED = """Neither the lens nor any choice of a feature used the doses. Figures stand with their 95 %
bootstrap-by-well intervals; wells are drawn within negatives, positives and dose series.

- **(a) is in-sample**: the ten leading features were chosen on the wells that their Z' is quoted on.
- (b) is the median over splits of the wells into halves: the leading feature by the default ranking is chosen on one
  half and tested on the other. A sign that does not hold counts as Z' = -inf.
- (c) was chosen on the other drug's rows and tested on this one's; its interval holds the choice.
- (d) is Spearman's correlation over the dose series, in the direction of the effect.
- (e) is the shift of the untreated wells E12 to H12 from the negatives as a share of the positives' shift.
- "phenotype score" is the mean of the up to 50 leading features that go together, each brought to a difference of one
  (`phenotype`). Features and weights are chosen where the feature of the row above is: on the same wells in (a), (d)
  and (e), on the choosing half in (b), on the other drug's rows in (c).

Plain scalars choose nothing: their (b) is the test half alone, their (c) the drug's own rows."""


def positive(drug: str) -> str:
    return f"control_type == 'poscon' and compound == '{drug}'"


def series(drug: str) -> str:
    return f"control_type == 'trt' and compound == '{drug}'"


def other(drug: str) -> str:
    return DRUGS[1 - DRUGS.index(drug)]


def signed(interval: Interval, sign: float) -> Interval:
    """Turn a correlation to the direction of the effect."""
    ends = sorted((interval.low * sign, interval.high * sign))
    return Interval(interval.value * sign, *ends)


def show(interval: Interval) -> str:
    if np.isnan(interval.value):
        return "-"
    parts = [
        "< -9" if v < -9 else "-" if np.isnan(v) else f"{v:.2f}" for v in (interval.value, interval.low, interval.high)
    ]
    return f"{parts[0]} [{parts[1]}, {parts[2]}]"


def best_of(values: Floats, side: Any, bootstrap: int, seed: int) -> tuple[float, Floats]:
    """Give the best Z' of some columns, and in every resample of the wells that of the column that is best there."""
    best = float(np.nanmax(separate_many(values, side, np.ones((1, len(values))))[0]))
    with np.errstate(all="ignore"):
        z = separate_many(values, side, resample_weights(side, bootstrap, seed))
        draws = np.nanmax(np.where(np.isnan(z), -np.inf, z), axis=1)
    return best, np.where(np.isneginf(draws), np.nan, draws)


def of_features(run: Any, drug: str, args: argparse.Namespace) -> tuple[list[str], dict[str, Any]]:
    """Give the row of the features and what was chosen."""
    table = compare(run, NEGATIVE, positive(drug), covariates=False, permutations=1000, seed=args.seed)
    top = [int(f) for f in table.index[:TOP]]
    signs = np.sign(table["effect"].iloc[:TOP].to_numpy())
    profiles = run.profiles()
    negatives, positives, empty = run.select(NEGATIVE), run.select(positive(drug)), run.select(EMPTY)

    values = profiles.loc[negatives + positives, top].to_numpy(float)
    side = np.arange(len(values)) >= len(negatives)
    best, draws = best_of(values, side, args.bootstrap, args.seed)
    in_sample = percentile_interval(draws, best)

    halves = split_half(
        run, NEGATIVE, positive(drug), splits=args.splits, seed=args.seed, bootstrap=args.split_bootstrap
    )

    moved = transfer(run, rows_of(other(drug)), rows_of(drug), bootstrap=args.bootstrap, seed=args.seed)

    doses = [
        dose_response(run, f, "concentration", series(drug), bootstrap=args.bootstrap, seed=args.seed) for f in top
    ]
    along = [signed(d.spearman, s) for d, s in zip(doses, signs, strict=True)]
    leading = profiles[top[0]]
    shift = shift_share(
        leading[empty].to_numpy(float), leading[negatives].to_numpy(float), leading[positives].to_numpy(float),
        bootstrap=args.bootstrap, seed=args.seed,
    )  # fmt: skip
    cells = [show(x) for x in (in_sample, halves.zprime_wells, halves.ssmd_wells, moved.zprime, moved.ssmd, along[0],
                               max(along, key=lambda i: i.value), shift)]  # fmt: skip
    chosen = {
        "top ten": top,
        "in-sample Z' of the ten": [
            round(float(z), 2) for z in separate_many(values, side, np.ones((1, len(values))))[0]
        ],
        "leading in split halves": halves.table["feature"].value_counts().head(5).to_dict(),
        "sign lost in split halves": f"{float(np.isneginf(halves.table['zprime']).mean()):.1%}",
        "middle 95 % of the splits, Z'": show(halves.zprime),
        "middle 95 % of the splits, SSMD": show(halves.ssmd),
        "chosen on the other drug": moved.feature,
    }
    return cells, chosen


def rows_of(which: str) -> tuple[str, str]:
    return f"{NEGATIVE} and {ROWS[which]}", f"{positive(which)} and {ROWS[which]}"


def of_phenotype(run: Any, drug: str, args: argparse.Namespace) -> tuple[list[str], dict[str, Any]]:
    """Give the row of the phenotype score and which features it holds."""
    found = phenotype(run, NEGATIVE, positive(drug))
    score = found.score(run)
    negatives, positives, empty = (
        score[run.select(q)].to_numpy(float) for q in (NEGATIVE, positive(drug), EMPTY)
    )  # fmt: skip
    side = np.arange(len(negatives) + len(positives)) >= len(negatives)
    design = Design(side, np.zeros(len(side), dtype=np.intp))
    z, _ = separation(np.concatenate([negatives, positives]), design, 1.0, bootstrap=args.bootstrap, seed=args.seed)
    halves = split_half(
        run, NEGATIVE, positive(drug), splits=args.splits, seed=args.seed, bootstrap=args.split_bootstrap,
        phenotype=True,
    )  # fmt: skip
    moved = transfer(run, rows_of(other(drug)), rows_of(drug), bootstrap=args.bootstrap, seed=args.seed, phenotype=True)
    dose = dose_response(run, score, "concentration", series(drug), bootstrap=args.bootstrap, seed=args.seed)
    shift = shift_share(empty, negatives, positives, bootstrap=args.bootstrap, seed=args.seed)
    cells = [show(x) for x in (z, halves.zprime_wells, halves.ssmd_wells, moved.zprime, moved.ssmd, dose.spearman)]
    chosen = {
        "features of the phenotype score": len(found.features),
        "phenotype score, middle 95 % of the splits, Z'": show(halves.zprime),
        "phenotype score, sign lost in split halves": f"{float(np.isneginf(halves.table['zprime']).mean()):.1%}",
    }
    return [*cells, "-", show(shift)], chosen


def of_scalar(run: Any, drug: str, value: pd.Series, args: argparse.Namespace) -> list[str]:
    """Give the row of one plain scalar; nothing is chosen, so (c) is the drug's own rows."""
    value = value.reindex(run.wells).astype(float)
    negatives, positives, empty = run.select(NEGATIVE), run.select(positive(drug)), run.select(EMPTY)

    def sides(a: list[str], b: list[str]) -> tuple[np.ndarray, Design]:
        wells = [w for w in a if np.isfinite(value[w])], [w for w in b if np.isfinite(value[w])]
        side = np.array([False] * len(wells[0]) + [True] * len(wells[1]))
        return value[wells[0] + wells[1]].to_numpy(), Design(side, np.zeros(len(side), dtype=np.intp))

    column, design = sides(negatives, positives)
    sign = float(np.sign(column[design.side].mean() - column[~design.side].mean())) or 1.0
    z, _ = separation(column, design, bootstrap=args.bootstrap, seed=args.seed)
    halves = split_values(
        column[:, None],
        design,
        np.zeros(1, dtype=np.intp),
        splits=args.splits,
        seed=args.seed,
        bootstrap=args.split_bootstrap,
    )
    own = ROWS[drug]
    z_rows, s_rows = separation(
        *sides(run.select(f"{NEGATIVE} and {own}"), run.select(f"{positive(drug)} and {own}")), sign=sign,
        bootstrap=args.bootstrap, seed=args.seed,
    )  # fmt: skip
    dose = signed(
        dose_response(run, value, "concentration", series(drug), bootstrap=args.bootstrap, seed=args.seed).spearman,
        sign,
    )
    shift = shift_share(
        value[empty].to_numpy(),
        value[negatives].to_numpy(),
        value[positives].to_numpy(),
        bootstrap=args.bootstrap,
        seed=args.seed,
    )
    return [show(x) for x in (z, halves.zprime_wells, halves.ssmd_wells, z_rows, s_rows, dose)] + ["-", show(shift)]


def translocation_ratio(plate: Any, wells: list[str]) -> pd.DataFrame:
    """Measure mean GFP and the GFP ratio of nucleus and a ring of 2 to 6 px about it, per well."""
    from scipy import ndimage
    from skimage.filters import gaussian, threshold_otsu
    from skimage.measure import label

    names = {label: channel for channel, label in plate.channel_labels.items()}
    gfp_name, dna_name = names.get("gfp", plate.channels[0]), names.get("dna", plate.channels[1])
    rows = {}
    for well in wells:
        gfp, dna = plate.wells[well].fields[0].read([gfp_name, dna_name]).astype(float)
        smooth = gaussian(dna, 1.5)
        mask = ndimage.binary_opening(smooth > threshold_otsu(smooth), iterations=2)
        nuclei = label(mask)
        area = np.bincount(nuclei.ravel())
        keep = np.flatnonzero((area >= 60) & (np.arange(len(area)) > 0))
        away, nearest = ndimage.distance_transform_edt(nuclei == 0, return_indices=True)
        ring = np.where((away > 2) & (away <= 6), nuclei[tuple(nearest)], 0)
        background = np.percentile(gfp, 1)
        inside = ndimage.mean(gfp - background, nuclei, keep)
        around = ndimage.mean(gfp - background, ring, keep)
        ratio = np.asarray(inside) / np.maximum(np.asarray(around), 1.0)
        rows[well] = {"mean GFP": float(gfp.mean()), RATIO: float(np.nanmean(ratio))}
    return pd.DataFrame.from_dict(rows, orient="index")


def scalars(run: Any, plate: Any) -> pd.DataFrame:
    """Collect the plain scalars of every well."""
    covariates = run.covariates()
    measured = translocation_ratio(plate, list(run.wells))
    out = measured.copy()
    for name, column in (("foreground share", "foreground_share"), ("nuclei", "cell_count"), ("strength", "strength")):
        if column in covariates and covariates[column].notna().all():
            out[name] = covariates[column]
    return out


def table_of(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def report(run: Any, plate: Any, args: argparse.Namespace) -> str:
    lens = run.lens
    made = (
        f"Made by `tools/report_bbbc013.py` from the run of {run.plate_name}: "
        f"encoder {lens.encoder} (block {lens.block}), {run.n_features} features, whitening {lens.whitening.kind}, "
        f"dictionary {lens.dictionary.method}. "
        f"Seed {args.seed}, {args.bootstrap} resamples by well, {args.splits} splits."
    )
    text = ["# BBBC013: what the features of one run say", made, EXPLAINED]
    plain = scalars(run, plate)
    for drug in DRUGS:
        cells, chosen = of_features(run, drug, args)
        score, more = of_phenotype(run, drug, args)
        chosen |= more
        rows = [["**feature**", *cells], ["**phenotype score**", *score]]
        rows += [[name, *of_scalar(run, drug, plain[name], args)] for name in plain.columns]
        text += [f"## {drug}", table_of(rows), "\n".join(f"- {k}: {v}" for k, v in chosen.items())]
    return "\n\n".join(text) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--plate", type=Path, default=None, help="the plate's folder, where it has moved")
    parser.add_argument("--platemap", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=None, help="a markdown file; the screen by default")
    parser.add_argument("--bootstrap", type=int, default=2000)
    parser.add_argument("--splits", type=int, default=1000)
    parser.add_argument("--split-bootstrap", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    run = open_run(args.run)
    folder = args.plate or Path(run.plate_path)
    plate = open_plate(folder, args.platemap or folder / "platemap_derived.csv")
    text = report(run, plate, args)
    if args.out is None:
        print(text)
    else:
        args.out.write_text(text, encoding="utf-8")
        print(args.out)


if __name__ == "__main__":
    main()
